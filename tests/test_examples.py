"""Every script of ``examples/`` runs as a reader would run it, only smaller."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

FOLDER = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def example(name: str) -> Callable[..., None]:
    """The ``main`` of a script."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))["main"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_says_what_it_shows_and_needs_no_argument(script: Path) -> None:
    text = script.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) < 40
    assert len(ast.get_docstring(tree) or "") > 80
    (main,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert len(main.args.defaults) == len(main.args.args)


def test_every_script_is_run_below() -> None:
    text = Path(__file__).read_text()
    assert [script.stem for script in SCRIPTS if f'example("{script.stem}")' not in text] == []


@pytest.mark.slow
def test_a_mesh_is_animated_from_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("00_animate_from_prompt")(tmp_path, frame_count=2, steps=1)
    assert (tmp_path / "animation.glb").stat().st_size > 10_000
    assert "of the dog's size" in capsys.readouterr().out


@pytest.mark.slow
def test_a_mesh_is_animated_from_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("01_animate_from_videos")(tmp_path, 3, 64)
    assert (tmp_path / "animation.glb").stat().st_size > 100_000
    assert "mean vertex error" in capsys.readouterr().out


def test_a_mesh_is_tracked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("02_track_only")(tmp_path, 2, 64)
    assert (tmp_path / "dragon.glb").stat().st_size > 100_000
    assert "mean vertex error" in capsys.readouterr().out


def test_positions_are_exported(tmp_path: Path) -> None:
    example("03_export_only")(tmp_path, 2, ("glb", "obj"))
    assert (tmp_path / "dragon.glb").is_file() and len(list((tmp_path / "dragon.obj").glob("*.obj"))) == 2
    assert len(list((tmp_path / "views").glob("*.png"))) == 8


@pytest.mark.slow
def test_videos_are_sampled(tmp_path: Path) -> None:
    example("04_sample_videos")(tmp_path, 2, 1)
    assert len(list(tmp_path.glob("*.png"))) == 4 * 2 and (tmp_path / "preview.mp4").is_file()


@pytest.mark.slow
def test_a_model_is_fine_tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    AcceleratorState._reset_state(True)
    example("05_fine_tune")(tmp_path, "max_train_epoch=1", "validation_epoch=-1")
    assert "4 steps, loss" in capsys.readouterr().out


def test_a_motion_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("06_evaluate")(tmp_path, 2, 64)
    tracked, still = (line for line in capsys.readouterr().out.splitlines() if line.endswith("dB"))
    assert float(tracked.split()[3]) < float(still.split()[4])


@pytest.mark.slow
def test_a_scene_is_animated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("07_scene")(tmp_path, 3, 128)
    assert (tmp_path / "animation.glb").stat().st_size > 50_000
    assert "with flower and ball" in capsys.readouterr().out
