"""The `animate3d` command: arguments, exit codes, messages."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import animate3d
from animate3d import cli
from animate3d.arguments import parse
from animate3d.creatures.creatures import make_creature, move
from animate3d.creatures.dragon import MOTIONS
from animate3d.errors import InputError
from animate3d.evaluation.options import EvaluateCommand
from animate3d.evaluation.recovery import Recovery
from animate3d.masks.backends import BACKENDS
from animate3d.meshes import Placement, load_mesh
from animate3d.mvvdm.sampler import SamplerSettings
from animate3d.runs import mesh as animate_module
from animate3d.runs import requested
from animate3d.runs.options import AnimateCommand, AnimateOptions, DemoCommand
from animate3d.runs.presets import PRESETS


@dataclass
class Result:
    files: dict[str, Path]
    preview: Path = Path("out/preview.mp4")
    record: Path = Path("out/run.json")
    mean_displacement: float = 0.123
    trajectory: SimpleNamespace | None = None
    score: float | None = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[AnimateOptions]:
    """The options that `animate` would get."""
    seen: list[AnimateOptions] = []

    def animate(options: AnimateOptions, announce: object = None) -> Result:
        seen.append(options)
        return Result({suffix: options.out / f"animation.{suffix}" for suffix in options.formats})

    for module in (requested, animate_module):
        monkeypatch.setattr(module, "animate", animate)
    return seen


BASE = ["animate", "dragon.glb", "--frames", "frames", "--out", "out"]


def test_plain_use(asked: list[AnimateOptions], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*BASE, "--formats", "glb, .USDC,glb", "--fps", "12", "--max-morphs", "8", "--views", "3"]) == 0
    (options,) = asked
    assert (options.model, options.frames, options.out) == (Path("dragon.glb"), Path("frames"), Path("out"))
    assert options.formats == ("glb", "usdc") and options.fps == 12 and options.max_morphs == 8
    assert options.views == 3 and options.placement is None and options.overrides == () and not options.field
    said = capsys.readouterr().out
    assert "out/animation.glb" in said and "out/preview.mp4" in said and "12.3 % of the diagonal" in said
    assert "score" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        [*BASE, "trainer.max_steps=3", "system.loss.lambda_arap=4"],
        [
            "animate",
            "--frames",
            "frames",
            "--out",
            "out",
            "dragon.glb",
            "trainer.max_steps=3",
            "system.loss.lambda_arap=4",
        ],
        [*BASE[:2], "trainer.max_steps=3", *BASE[2:], "system.loss.lambda_arap=4"],
    ],
)
def test_settings_may_stand_anywhere(asked: list[AnimateOptions], arguments: list[str]) -> None:
    cli.main(arguments)
    assert asked[0].overrides == ("trainer.max_steps=3", "system.loss.lambda_arap=4")
    assert asked[0].model == Path("dragon.glb")
    assert asked[0].field, "settings of the fit ask for it"


def test_values_that_look_like_settings_belong_to_their_flag(asked: list[AnimateOptions], bundled: Path) -> None:
    cli.main(["animate", "dragon.glb", "--out", "a=b", "--prompt", "size=big", "--loop", "x=1", "--seed", "3", "y:z=2"])
    (options,) = asked
    assert options.out == Path("a=b") and options.video is not None and options.video.prompt == "size=big"
    assert options.overrides == ("x=1", "y:z=2") and options.loop and options.seed == 3


def test_one_view_from_the_side_and_what_the_exporters_get(asked: list[AnimateOptions]) -> None:
    cli.main([*BASE, "--views", "1", "--azimuth", "-90", "--resample", "24", "--clip-name", "Flap", "--field"])
    (options,) = asked
    assert (options.views, options.azimuth, options.resample, options.clip_name) == (1, -90, 24, "Flap")
    assert options.field and options.overrides == ()


def test_documented_flags_make_a_placement(asked: list[AnimateOptions]) -> None:
    cli.main([*BASE, "--rot-x-degree", "90", "--rot-z-degree", "-90", "--scale-factor", "0.76"])
    cli.main([*BASE, "--scale-factor", "2"])
    first, second = (options.placement for options in asked)
    assert isinstance(first, Placement) and isinstance(second, Placement)
    assert np.allclose(first.matrix(), Placement.from_flags(90, -90, 0.76).matrix())
    assert np.allclose(second.matrix(), np.diag([2, 2, 2, 1]))


def test_flags_and_a_placement_file_exclude_each_other(asked: list[AnimateOptions]) -> None:
    cli.main([*BASE, "--placement", "p.json"])
    assert asked[0].placement == Path("p.json")
    with pytest.raises(InputError, match="either --placement or the rotation and scale flags"):
        cli.main([*BASE, "--placement", "p.json", "--scale-factor", "1"])


def test_an_engine_chooses_the_format_unless_one_is_given(asked: list[AnimateOptions]) -> None:
    cli.main([*BASE, "--engine", "godot"])
    cli.main([*BASE, "--engine", "unity", "--formats", "glb", "--skeleton", "12"])
    assert (asked[0].formats, asked[0].engine, asked[0].skeleton) == (("glb",), "godot", None)
    assert (asked[1].formats, asked[1].engine, asked[1].skeleton) == (("glb",), "unity", "12")
    with pytest.raises(InputError, match="engine `quake` is unknown"):
        cli.main([*BASE, "--engine", "quake"])


def test_a_demo_in_an_unknown_format_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The format `gbl` is unknown"):
        cli.main(["demo", "--formats", "gbl", "--out", str(tmp_path / "demo")])
    assert not (tmp_path / "demo").exists()


def test_formats_with_spaces_between_them_are_no_models(asked: list[AnimateOptions]) -> None:
    with pytest.raises(InputError, match="with commas: --formats fbx,glb"):
        cli.main([*BASE, "--formats", "fbx", "glb"])


@pytest.mark.parametrize(("found", "formats"), [("bpy", ("fbx", "glb", "usdc")), (None, ("glb", "usdc"))])
def test_fbx_is_written_by_default_where_it_can_be(
    asked: list[AnimateOptions], monkeypatch: pytest.MonkeyPatch, found: str | None, formats: tuple[str, ...]
) -> None:
    monkeypatch.setattr("animate3d.runs.requested.blender", lambda: found)
    cli.main(BASE)
    assert asked[0].formats == formats


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["animate", "a.obj"], "missing: --out DIR"),
        ([*BASE, "--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["demo", "stray"], "unrecognized arguments: stray"),
        ([*BASE, "--fps", "fast"], "--fps takes a number, not 'fast'"),
        ([*BASE, "--mask-backend", "magic"], f"--mask-backend is one of {', '.join(BACKENDS)}"),
        (["animate"], ", or ply of Gaussians; --out DIR folder for the results ("),
        (["animate", "a.obj", "--out", ""], "error: --out is empty; name a folder for the results ("),
        (["demo", "--out="], "error: --out is empty; name a folder for the results ("),
        (["demo", "--seed", "-1"], "error: The seed is -1; it lies between 0 and 4294967295 ("),
        ([*BASE, "--seed", "9" * 23], f"error: The seed is {'9' * 23}; it lies between 0 and"),
        (["doctor", "a=1"], "unrecognized arguments: a=1"),
        (["demo", "a=1"], "unrecognized arguments: a=1"),
        (["evaluate"], "missing: --out DIR"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    found = capsys.readouterr().err
    assert code == 2 and said in found and found.count("\n") == 1


def test_a_demo_or_still_in_a_file_is_refused_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["demo"], ["render", "a.obj"]):
        with pytest.raises(InputError, match=r"file is a file, not a folder; give another --out\.$"):
            cli.main([*words, "--out", str(tmp_path / "file" / "below")])


def test_the_help_of_the_demo_names_every_motion_of_the_dragon(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        cli.main(["demo", "--help"])
    said = capsys.readouterr().out.split("--motion TEXT")[1].split("--video")[0]
    assert [name for name in (*MOTIONS, "all") if name not in said] == []


def test_the_switch_that_is_printed_is_the_one_that_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        cli.main(["animate", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--no-tracking Gaussians: fit from scratch, not from the tracked motion (default: False)" in said


def test_help_shows_examples_and_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["--help"], ("animate", "demo", "doctor", "launch")),
        (["animate", "--help"], ("examples:", "{v*F+f}.png", "--placement FILE", "key=value", "from a prompt")),
        (["demo", "--help"], ("examples:", "wing_flap", "--creature")),
        (["evaluate", "--help"], ("examples:", "--vbench-python FILE", "a single model")),
    ):
        with suppress(SystemExit):
            cli.main(arguments)
        out = capsys.readouterr().out
        assert all(text in out for text in expected)


@pytest.mark.parametrize("kind", [AnimateCommand, DemoCommand, EvaluateCommand])
def test_every_flag_has_help(kind: type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(kind, ["--help"], prog="p", summary="s", examples="")
    lines = [line.strip("│") for line in capsys.readouterr().out.splitlines()]
    flags = [k for k, line in enumerate(lines) if re.match(r" {1,2}--[a-z]", line)]
    assert len(flags) > 10
    for k in flags:
        words = re.split(r" {2,}", lines[k].strip(), maxsplit=1)
        text = words[1] if len(words) > 1 else lines[k + 1].strip()
        assert not text.startswith(("(", "--")), lines[k]


def test_help_and_options_need_no_heavy_library() -> None:
    script = (
        "import sys; from animate3d import cli; cli.main(['--help']); light = set(sys.modules)\n"
        "import animate3d.runs.options, animate3d.evaluation.options\n"
        "print({'tyro', 'numpy'} & light, {'torch', 'diffusers', 'numba', 'numpy', 'cv2'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines()[-1] == "set() set()", ended.stderr


@pytest.mark.slow
def test_a_run_begins_without_the_libraries_of_its_later_steps() -> None:
    script = (
        "import sys, animate3d.runs.requested\n"
        "later = {'diffusers', 'transformers', 'accelerate', 'pytorch_lightning', 'torch._dynamo', 'sympy', 'viser'}\n"
        "print(later & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr


def test_version_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.count(f"animate3d {animate3d.__version__}") == 2


def test_launch_hands_everything_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from animate3d.studio import launch

    seen: list[list[str]] = []
    monkeypatch.setattr(launch, "main", lambda argv: seen.append(argv) or 0)
    assert cli.main(["launch", "--config", "x.yaml", "--train", "a=b"]) == 0
    assert seen == [["--config", "x.yaml", "--train", "a=b"]]


def test_the_demo_makes_frames_animates_them_and_compares_with_the_truth(
    asked: list[AnimateOptions], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.zeros((3, 4, 3))
    written: list[tuple[str, Path]] = []

    def write(name: str, folder: Path, *, frames_per_view: int, size: int) -> np.ndarray:
        assert (frames_per_view, size) == (3, 32)
        written.append((name, folder))
        return truth

    monkeypatch.setattr("animate3d.creatures.dragon.write_demo_frames", write)
    monkeypatch.setattr(
        "animate3d.evaluation.recovery.recovery",
        lambda found, known: Recovery(0.0123 if known is truth else 1.0, 0.45, 0.1, ()),
    )
    arguments = ["demo", "--out", str(tmp_path), "--size", "32", "--frame-count", "3", "--formats", "glb"]
    assert cli.main([*arguments, "--motion", "all"]) == 0
    names = list(MOTIONS)
    assert written == [(name, tmp_path / name / "frames") for name in names]
    assert [options.frames for options in asked] == [folder for _, folder in written]
    said = "mean vertex error 1.23 % of the diagonal, 0.45 of the displacement"
    assert capsys.readouterr().out.count(said) == len(names)
    with pytest.raises(InputError, match=f"`fly` is unknown; known are: {', '.join(names)} and all"):
        cli.main([*arguments, "--motion", "fly"])


def test_as_a_program_errors_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "animate3d", "batch", "nope.csv", "--out", "o"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr == "error: The table of jobs nope.csv does not exist.\n"
    assert not (tmp_path / "o").exists()


def test_the_console_script_reports_errors_too() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["animate3d"].partition(":")
    assert module == cli.__name__ and getattr(cli, function) is cli.entry


PROMPT = ["animate", "dragon.glb", "--prompt", "a dog is walking", "--out", "out"]


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in place of the bundled model."""
    from animate3d.bundled_model import folder

    monkeypatch.setattr(folder, "PACKAGE_FOLDER", tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def test_a_prompt_alone_takes_the_bundled_model(asked: list[AnimateOptions], bundled: Path) -> None:
    cli.main([*PROMPT, "--num-samples", "3", "--loop"])
    (options,) = asked
    assert options.video is not None and options.loop
    assert options.video.bundled and options.video.weights == bundled and options.video.samples == 3
    assert (options.video.sampler.size, options.video.sampler.frames) == (64, 8)


def test_weights_mean_the_full_model(asked: list[AnimateOptions], bundled: Path) -> None:
    cli.main([*PROMPT, "--weights", "weights", "--steps", "7"])
    (options,) = asked
    assert options.video is not None and not options.video.bundled
    assert options.video.sampler == SamplerSettings(steps=7)


def test_motion_strength_reaches_videos_and_fit(asked: list[AnimateOptions], bundled: Path) -> None:
    for strength in ("0.5", "2"):
        cli.main([*PROMPT, "--motion-strength", strength])
    weak, strong = asked
    assert weak.video is not None and strong.video is not None
    assert weak.rigidity == 4 * strong.rigidity > 0
    assert weak.video.sampler.guidance_scale < strong.video.sampler.guidance_scale


def test_without_bundled_model_the_message_says_what_to_do(asked: list[AnimateOptions], bundled: Path) -> None:
    (bundled / "model_index.json").unlink()
    with pytest.raises(InputError, match=r"--weights"):
        cli.main(PROMPT)


def test_given_frames_are_tracked_as_ever(asked: list[AnimateOptions], bundled: Path) -> None:
    cli.main(BASE)
    assert asked[0].rigidity == 1


def test_the_demo_animates_an_unseen_creature_from_a_sentence(
    bundled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[AnimateOptions] = []

    def half_of_the_intended_motion(options: AnimateOptions, announce: object = None) -> Result:
        asked.append(options)
        positions = move(make_creature("fish", 9), "swim", 8)
        halved = positions[:1] + 0.5 * (positions - positions[:1])
        return Result({}, trajectory=SimpleNamespace(positions=halved.astype(np.float32)))

    monkeypatch.setattr(animate_module, "animate", half_of_the_intended_motion)
    cli.main(["demo", "--out", str(tmp_path / "demo"), "--creature", "fish", "--formats", "glb", "--seed", "4"])
    (options,) = asked
    assert options.model == tmp_path / "demo" / "creature" and (options.model / "base.obj").is_file()
    assert options.frames is None and options.video is not None and options.video.bundled
    assert options.video.prompt == "a fish is swimming" and options.seed == 4
    assert options.rigidity == PRESETS["laptop"].rigidity
    assert "cosine of displacements 1.00, amplitude 0.50" in capsys.readouterr().out


@pytest.mark.slow
def test_the_demo_animates_a_robot_that_nothing_was_trained_on(
    bundled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[AnimateOptions] = []

    def standing_still(options: AnimateOptions, announce: object = None) -> Result:
        asked.append(options)
        rest = np.array(load_mesh(options.model).vertices)
        return Result({}, trajectory=SimpleNamespace(positions=rest[None].repeat(options.move_frames, axis=0)))

    monkeypatch.setattr(animate_module, "animate", standing_still)
    cli.main(["demo", "--out", str(tmp_path), "--formats", "glb", "--frame-count", "12"])
    (options,) = asked
    assert options.video is not None and options.video.prompt == "the robot waves and then dances"
    assert options.frames is None and options.move_frames == 12
    assert "cosine of displacements 0.00, amplitude 0.00" in capsys.readouterr().out


def test_a_demo_has_a_sentence_or_a_known_motion() -> None:
    with pytest.raises(InputError, match="leave out --creature and --prompt"):
        cli.main(["demo", "--prompt", "a fish swims", "--motion", "bend"])
    with pytest.raises(InputError, match="The prompt is empty"):
        cli.main(["demo", "--prompt", " ", "--out", "nowhere"])
    with pytest.raises(InputError, match="at least 2 frames"):
        cli.main(["demo", "--frame-count", "0", "--out", "nowhere"])
    assert not Path("nowhere").exists()
    with pytest.raises(InputError, match="`dragon` is unknown; known are: robot, butterfly"):
        cli.main(["demo", "--creature", "dragon"])


def test_a_mistyped_flag_is_named_before_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["animate", "dragon.glb", "--prmpt", "it flies"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --prmpt; did you mean --prompt?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (["--ray"], "local"),
        (["--ray", "auto"], "auto"),
        (["--ray", "ray://head:10001"], "ray://head:10001"),
        (["--ray", "--objects", "a"], "local"),
        ([], None),
    ],
)
def test_ray_goes_with_and_without_an_address(words: list[str], address: str | None) -> None:
    from animate3d.evaluation.options import options_of

    options = options_of(["--testset", "t", "--results", "r", "--out", "o", *words])
    assert options.ray == address and options.objects == (("a",) if "a" in words else ())
