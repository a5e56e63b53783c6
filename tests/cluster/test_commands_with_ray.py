"""Commands whose work is many: with `--ray` they leave the same files as without it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_asset import bend, finned_tube

from animate3d.evaluation.command import main as evaluate
from animate3d.export import export
from animate3d.mvvdm.inference_command import main as sample
from animate3d.mvvdm.tiny import write_tiny

pytest.importorskip("ray")
ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path, *suffixes: str) -> dict[str, bytes]:
    """The bytes of every file below a folder that has one of the suffixes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes
    }


@pytest.fixture
def one_thread() -> Any:
    """Workers have one thread, and with two the last bit of a sum can be another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_evaluate_measures_the_same(testset: Path, results: Path, tmp_path: Path) -> None:
    flags = ["--testset", str(testset), "--results", str(results)]
    assert evaluate([*flags, "--out", str(tmp_path / "here")]) == 0
    assert evaluate([*flags, "--out", str(tmp_path / "ray"), "--ray"]) == 0
    here = contents(tmp_path / "here", ".csv")
    assert here and here == contents(tmp_path / "ray", ".csv")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_inference_makes_the_same_videos_and_names_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, images = tmp_path / "tiny", tmp_path / "images"
    write_tiny(weights)
    images.mkdir()
    for view in range(2):
        noise = np.random.default_rng(view).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"{view}.png")
    table = tmp_path / "prompts.csv"
    rows = (
        "prompt,ip_image_root",
        f"A fox runs,{images}",
        f"It is lost,{tmp_path / 'nowhere'}",
        f"A fox sits,{images}",
    )
    table.write_text("\n".join(rows))
    flags = ["--weights", str(weights), "--prompts", str(table), "--save_name", "fox", "--W", "64", "--H", "64"]
    flags += ["--L", "3", "--N", "2", "--steps", "1", "--freeinit_num_iters", "0"]
    assert sample([*flags, "--output_dir", str(tmp_path / "here")]) == 1
    assert sample([*flags, "--output_dir", str(tmp_path / "ray"), "--ray"]) == 1
    here = contents(tmp_path / "here", ".png")
    assert len(here) == 12 and here == contents(tmp_path / "ray", ".png")
    assert capsys.readouterr().out.count("nowhere") == 2


@pytest.mark.slow
def test_animations_are_rendered_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bpy")
    mesh = finned_tube()
    for name in ("reed", "stalk"):
        motion = bend(mesh.vertices, np.linspace(0, 1, 12))
        export(mesh, motion, tmp_path / "models" / f"{name}.glb", fps=24)
    (tmp_path / "models" / "lost.glb").write_text("not a model")
    monkeypatch.setattr(sys, "argv", ["render_multiview.py"])
    tool = runpy.run_path(str(ROOT / "tools" / "data" / "render_multiview.py"))
    flags = [str(tmp_path / "models"), "--prompt", "A reed bends.", "--licence", "cc0", "--size", "48"]
    assert tool["main"]([*flags, "--out", str(tmp_path / "here")]) == 1
    assert tool["main"]([*flags, "--out", str(tmp_path / "ray"), "--ray"]) == 1
    here = contents(tmp_path / "here", ".mp4", ".json")
    assert "failed.json" in here and sum(name.endswith(".mp4") for name in here) == 32
    assert here == contents(tmp_path / "ray", ".mp4", ".json")
