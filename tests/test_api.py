"""``import animate3d``: cheap, complete, the same for type checkers, and its documented examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import animate3d
from animate3d import api
from animate3d.creatures.dragon import demo_asset
from animate3d.errors import InputError
from animate3d.meshes import Mesh
from animate3d.motion.trajectory import Trajectory
from animate3d.runs import requested
from animate3d.runs.video import VideoRunOptions

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, animate3d; print(*(n for n in ('numpy', 'torch', 'animate3d.api') if n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_every_public_name_is_there_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(getattr(animate3d, name).__doc__ for name in animate3d.__all__)
    assert set(animate3d.__all__) <= set(dir(animate3d))
    with pytest.raises(AttributeError, match="no attribute 'animte'"):
        animate3d.animte  # type: ignore[attr-defined]  # noqa: B018


def test_no_public_name_is_a_subpackage() -> None:
    modules = {path.stem for path in (ROOT / "animate3d").iterdir()}
    assert modules.isdisjoint(animate3d.__all__)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "animate3d" / "__init__.pyi").read_text())
    stub = {alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stub == animate3d._NAMES  # type: ignore[attr-defined]


def test_every_public_name_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert [name for name in animate3d.__all__ if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", ["load_mesh", "render", "export_animation"])
def test_the_example_in_the_help_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(_example(name), {})


@pytest.mark.parametrize("name", ["animate", "track"])
def test_the_example_in_the_help_of_what_takes_longer_is_whole(name: str) -> None:
    assert f"animate3d.{name}(" in _example(name)
    compile(_example(name), name, "exec")


def _example(name: str) -> str:
    """The code below ``Example::`` in the docstring of a public function."""
    return textwrap.dedent((getattr(animate3d, name).__doc__ or "").split("Example::\n")[1].rstrip())


def test_every_public_name_is_in_an_example_that_runs() -> None:
    code = "".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
    assert [name for name in animate3d.__all__ if f"animate3d.{name}" not in code] == []


def run_examples(text: str, names: dict[str, Any]) -> None:
    """Run the ``python`` blocks of a page one after another."""
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), names)


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    run_examples(PAGE.read_text().split("## Videos")[0], names)
    assert names["trajectory"].positions.shape == (2, *names["mesh"].vertices.shape)
    assert (tmp_path / "dragon.glb").is_file() and (tmp_path / "dragon.usdc").is_file()
    assert names["images"].shape == (4, 2, 512, 512, 4) and names["front"].shape == (128, 128, 4)


@pytest.mark.slow
def test_the_examples_of_the_video_model_and_of_a_whole_run_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"animate3d": animate3d}
    run_examples("## Videos" + PAGE.read_text().split("## Videos")[1], names)
    assert names["videos"].shape == (4, 2, 64, 64, 3)
    assert names["result"].files["glb"].is_file() and names["result"].trajectory.n_frames == 2


@pytest.mark.parametrize("moved", [np.zeros((2, 3, 3)), Trajectory(np.zeros((2, 3, 3), dtype=np.float32), 8.0)])
def test_no_frames_per_second_are_refused_rather_than_replaced(tmp_path: Path, moved: Any) -> None:
    mesh = Mesh.from_faces(np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(InputError, match="frame rate is 0;"):
        animate3d.export_animation(mesh, moved, tmp_path / "a.glb", fps=0)
    assert not list(tmp_path.iterdir())


def test_results_without_a_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="`out` is empty; name a folder for the results"):
        animate3d.animate("a.obj", out="", frames="frames")
    assert not list(tmp_path.iterdir())


def test_gaussians_are_drawn_like_the_mesh_they_come_from(tmp_path: Path) -> None:
    from small_asset import finned_tube

    from animate3d.cameras import reconstruction_cameras
    from animate3d.gaussians import from_mesh

    mesh, cameras = finned_tube(), reconstruction_cameras(size=32)
    placement = mesh.automatic_placement()
    drawn = animate3d.render(from_mesh(mesh), cameras, placement=placement, positions=mesh.vertices[None])
    expected = animate3d.render(mesh, cameras)
    both = ((drawn[..., 3] > 127) & (expected[..., 3] > 127)).sum()
    assert both / (expected[..., 3] > 127).sum() > 0.8


def test_several_models_and_the_sentences_of_a_scene_file_are_a_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(requested, "animate_scene", lambda options, announce: asked.append(options))
    monkeypatch.setattr(requested, "animate", lambda options, announce: asked.append("a mesh"))
    api.animate(["dog.glb", "ball.glb"], prompt="a ball is bouncing", out=tmp_path)
    assert (asked[0].model, asked[0].others) == (Path("dog.glb"), (Path("ball.glb"),))
    scene = tmp_path / "scene.yaml"
    scene.write_text("- model: dog.glb\n  prompt: a dog is walking\n- ball.glb\n")
    api.animate(scene, out=tmp_path)
    assert asked[1].video.prompt == "a dog is walking"
    api.animate(scene, frames=tmp_path, out=tmp_path)
    assert asked[2] == "a mesh"


def asked_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **given: Any) -> Any:
    """The options of the run that `animate3d.animate` would carry out."""
    monkeypatch.setattr(api, "carry_out", lambda run, announce: run)
    return animate3d.animate(demo_asset(), out=tmp_path, **given)


def test_an_ordinary_video_drives_a_mesh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = asked_of(monkeypatch, tmp_path, videos="clip.mp4", cameras="camera.json", formats="glb, usdz", fps=12.0)
    assert isinstance(run, VideoRunOptions)
    assert (run.videos, run.cameras) == ((Path("clip.mp4"),), (Path("camera.json"),))
    assert (run.rate, run.rigidity, run.formats) == (12.0, 1.0, ("glb", "usdz"))
    several = asked_of(monkeypatch, tmp_path, videos=["a.mp4", Path("b.mp4")])
    assert (several.videos, several.rate) == ((Path("a.mp4"), Path("b.mp4")), None)
    of_frames = asked_of(monkeypatch, tmp_path, frames="frames", videos=None, formats=None)
    assert not isinstance(of_frames, VideoRunOptions) and of_frames.formats == ("glb", "usdc")


@pytest.mark.parametrize("given", [{"prompt": "it hops"}, {"frames": "frames"}])
def test_one_thing_drives_at_a_time(given: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Give one of `prompt`, `frames` and `videos`"):
        animate3d.animate(demo_asset(), out=tmp_path, videos="clip.mp4", **given)


def test_a_seed_that_is_no_number_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The seed is 'x'; it is a whole number"):
        animate3d.animate(demo_asset(), out=tmp_path, prompt="it hops", seed="x")


def test_an_engine_names_the_format_unless_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert asked_of(monkeypatch, tmp_path, frames="frames", engine="godot").formats == ("glb",)
    assert asked_of(monkeypatch, tmp_path, frames="frames", engine="godot", formats=("usdc",)).formats == ("usdc",)


@pytest.mark.parametrize("several", [False, True])
def test_a_mesh_in_memory_is_told_to_be_saved_first(several: bool, tmp_path: Path) -> None:
    mesh = Mesh.from_faces(np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(InputError, match=r"reads its model from a file.*save what is in memory first.*save_obj"):
        animate3d.animate([mesh] if several else mesh, out=tmp_path, prompt="it jumps")  # type: ignore[arg-type]
