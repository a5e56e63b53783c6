"""Every command that the README shows is run as it stands, made small by further settings."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_asset import FEW_STEPS, write_asset, write_gaussian_frames

from animate3d import cli
from animate3d.frames import composite, load_frames, save_gif, side_by_side
from animate3d.gaussians import from_mesh, save_ply
from animate3d.meshes import load_mesh
from animate3d.mvvdm.tiny import write_tiny
from animate3d.runs import mesh as animate_module

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FRAMES, SIZE = 4, 64

SHORT = [f"data.total_frame={FRAMES}", f"data.random_camera.total_frame={FRAMES}", f"system.n_frame={FRAMES}"]
SHORT += [f"data.random_camera.eval_{side}={SIZE}" for side in ("height", "width")]
STATIC = [f"data.eval_{side}={SIZE}" for side in ("height", "width")]
TINY = [*FEW_STEPS, "data.width=32", "data.height=32", "data.random_camera.n_val_views=2"]
FLAGS = [
    f"system.geometry.load_ply_cfg.{flag}" for flag in ("rot_x_degree=90.", "rot_z_degree=90.", "scale_factor=0.76")
]
THETA = ["--theta_x_degree", "90.", "--theta_z_degree", "90.", "--scale_factor", "0.76"]
NEEDS_WEIGHTS = {"inference.py"}


def commands(text: str) -> Iterator[list[str]]:
    """The commands of all ``bash`` blocks, variables filled in."""
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        variables: dict[str, str] = {}

        def filled(word: str, known: dict[str, str] = variables) -> str:
            return re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], word)

        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and all(re.fullmatch(r"\w+=.*", word) for word in words):
                variables |= dict(word.split("=", 1) for word in words)
            elif words:
                yield [filled(word) for word in words]


def subject(words: list[str]) -> str:
    """What a command runs: a script, a module or `animate3d`."""
    if words[0] != "python":
        return words[0]
    return words[2] if words[1] == "-m" else Path(words[1]).name


class Shell:
    """Runs documented commands in this process, in a folder that stands for the checkout."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        patch.chdir(folder)

    def __call__(self, words: list[str], *more: str) -> int:
        if words[0] == "cd":
            target = Path.cwd() / words[1]
            target.mkdir(parents=True, exist_ok=True)
            self._patch.chdir(target)
            return 0
        main, arguments = self._entry(words)
        return main([*arguments, *more]) or 0

    def _entry(self, words: list[str]) -> tuple[Callable[[list[str]], int | None], list[str]]:
        if words[0] == "animate3d":
            return cli.main, words[1:]
        assert words[0] == "python", words
        if words[1] == "-m":
            return importlib.import_module(f"{words[2]}.__main__").main, words[3:]
        script = ROOT / Path.cwd().relative_to(self.folder) / words[1]
        spec = importlib.util.spec_from_file_location("_documented", script)
        assert spec and spec.loader, script
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main, words[2:]

    def accepts(self, words: list[str]) -> None:
        """The flags exist, for a command that cannot run here."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stop:
            self([*words[: 3 if words[1] == "-m" else 2], "--help"])
        assert stop.value.code == 0
        for flag in (word for word in words if word.startswith("--")):
            assert re.search(rf"{flag}\b", out.getvalue()), f"{words[1]} does not know {flag}"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("animate3d.creatures.dragon.creature._TEXTURE_SIZE", 128)
    monkeypatch.setattr("animate3d.creatures.dragon.creature._SPACING", 0.07)
    monkeypatch.setattr(animate_module, "APPEARANCE_STEPS", 5)
    return Shell(tmp_path, monkeypatch)


def small(words: list[str]) -> tuple[list[str], list[str]]:
    """The command with the checkpoint that few steps leave, and the settings that make it small."""
    words = [word.replace("step=800", "step=8").replace("step=200", "step=2") for word in words]
    name = subject(words)
    if name == "animate3d.creatures.dragon":
        return words, ["--frames", str(FRAMES), "--size", str(SIZE)]
    if name == "animate3d":
        few = [] if words[1] == "demo" else list(FEW_STEPS)
        return words, [*few, *(["--frame-count", "2"] if "--prompt" in words else [])]
    if name == "launch.py":
        static = any("four_view_static" in word for word in words)
        return words, STATIC if static else [*SHORT, *(TINY if "--train" in words else [])]
    return words, []


def small_refinement(folder: Path) -> list[str]:
    """Settings for a video model of a few megabytes, written to ``folder``."""
    write_tiny(folder / "tiny")
    models = [f"system.{part}.pretrained_model_name_or_path={folder}/tiny" for part in ("guidance", "prompt_processor")]
    orbit = [f"data.random_camera.{side}=16" for side in ("width", "height")]
    steps = ["trainer.max_steps=2", "checkpoint.every_n_train_steps=2", "trainer.limit_val_batches=0"]
    return [*models, *orbit, *steps, f"data.random_camera.batch_size={4 * FRAMES}"]


def readme() -> list[list[str]]:
    return list(commands(README.read_text()))


def test_every_command_is_known() -> None:
    found = [subject(words) for words in readme()]
    known = {
        "animate3d",
        "animate3d.creatures.dragon",
        "launch.py",
        "cd",
        "mesh2gaussian.py",
        "export_animated_mesh.py",
    }
    known |= {"split_gif.py", "custom_inference.py", "process_rodin_gen1.py", *NEEDS_WEIGHTS}
    assert set(found) <= known, set(found) - known
    assert found.count("launch.py") >= 5 and {"animate3d", "mesh2gaussian.py", "export_animated_mesh.py"} <= set(found)


def test_every_flag_of_every_command_is_known(shell: Shell) -> None:
    """The commands themselves run in the slow tests below."""
    for words in readme():
        if words[0] == "cd":
            shell(words)
        else:
            shell.accepts(words)


@pytest.mark.slow
def test_the_commands_for_meshes_run_one_after_another(shell: Shell) -> None:
    for words in readme():
        if any("butterfly" in word for word in words):
            continue
        name = subject(words)
        if name in NEEDS_WEIGHTS:
            shell.accepts(words)
            _videos(shell.folder)
            continue
        words, more = small(words)
        assert shell(words, *more) == 0, words
        if "--output_path" in words:
            assert Path(words[words.index("--output_path") + 1]).stat().st_size > 1000
    for name in ("dog", "walking_dog", "dragon"):
        for suffix in ("fbx", "glb", "usdc"):
            assert (shell.folder / "outputs" / name / f"animation.{suffix}").is_file()
    outputs = shell.folder / "outputs" / "animate3d"
    assert (outputs / "static_vis/little_dragon/save/images/3.png").is_file()
    assert len(list(outputs.glob("mesh_vis/little_dragon/save/mesh_trajectory/*.npy"))) == FRAMES
    assert len(list((shell.folder / "data/animate3d/mesh/tracking_rgba_images").glob("*/*.png"))) == 4 * FRAMES


def test_the_flags_of_the_original_place_and_export_too(shell: Shell) -> None:
    """Steps 1, 2 and 7 with rotations and a scale in the place of a placement file."""
    write_asset(shell.folder / "data" / "demo", frames=2)
    (shell.folder / "data" / "demo" / "tube").rename(shell.folder / "data" / "demo" / "little_dragon")
    mesh = load_mesh(shell.folder / "data" / "demo" / "little_dragon")
    positions = shell.folder / "outputs/animate3d/mesh_vis/little_dragon/save/mesh_trajectory"
    positions.mkdir(parents=True)
    for frame in range(2):
        np.save(positions / f"{frame}.npy", 0.76 * mesh.vertices[:, [2, 0, 1]] + frame)
    for words in readme():
        name = subject(words)
        if name == "mesh2gaussian.py":
            shell(words)
        elif any("four_view_static" in word for word in words):
            kept = [word for word in words if "load_ply_cfg" not in word]
            assert shell([*kept, *FLAGS], *STATIC) == 0
        elif name == "export_animated_mesh.py":
            at = words.index("--placement") if "--placement" in words else len(words)
            words = [word.replace(".fbx", ".glb") for word in words[:at] + words[at + 2 :]]
            assert shell([*words, *([] if "--theta_x_degree" in words else THETA)]) == 0
            assert Path(words[words.index("--output_path") + 1]).is_file()
    assert (shell.folder / "outputs/animate3d/static_vis/little_dragon/save/images/3.png").is_file()


@pytest.mark.slow
def test_the_commands_for_gaussian_splatting_run_one_after_another(shell: Shell) -> None:
    testset = shell.folder / "data" / "animate3d" / "testset"
    folder, frames = write_asset(testset, frames=FRAMES)
    (testset / "tracking_rgba_images").mkdir()
    frames.rename(testset / "tracking_rgba_images" / "butterfly")
    mesh = load_mesh(folder)
    model = from_mesh(mesh).transformed(mesh.automatic_placement())
    save_ply(model, testset / "pretrained_gaussian" / "butterfly.ply")
    shown = [words for words in readme() if any("butterfly" in word for word in words)]
    assert [subject(words) for words in shown] == ["animate3d", *["launch.py"] * 4]
    for words in shown:
        if words[0] == "animate3d":  # the blobs of so coarse a model are wider than the object in these frames
            write_gaussian_frames(model, shell.folder / "frames")
            words = [str(shell.folder / "frames") if "tracking_rgba_images" in word else word for word in words]
        words, more = small(words)
        if any("refine_frame_16" in word for word in words):
            more += small_refinement(shell.folder)
        assert shell(words, *more) == 0, words
    outputs = shell.folder / "outputs"
    assert (outputs / "butterfly" / "frames_ply" / f"frame{FRAMES - 1:04d}.ply").is_file()
    for name in ("recon/butterfly/ckpts/epoch=0-step=8.ckpt", "refine/butterfly/ckpts/epoch=0-step=2.ckpt"):
        assert (outputs / "animate3d" / name).is_file()
    assert len(list(outputs.glob("animate3d/recon_vis/butterfly/save/images/*.png"))) == 4 * FRAMES
    assert len(list(outputs.glob("animate3d/refine_testset/butterfly/save/images/elv_*_azi_*/*.png"))) == 12 * FRAMES


def _videos(folder: Path) -> None:
    """What step 3 would leave: the demo's videos side by side on grey."""
    frames = load_frames(folder / "data/demo/frames/wing_flap", 4, FRAMES)
    images = (composite(frames, 0.5) * 255).to(torch.uint8).numpy()
    gifs = [words for words in readme() if subject(words) == "split_gif.py"]
    path = folder / gifs[0][gifs[0].index("--gif_path") + 1]
    save_gif(path, side_by_side(images), fps=8)
