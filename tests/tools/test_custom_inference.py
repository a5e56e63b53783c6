"""The documented step 4, typed from its own folder."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.masks.degraded_footage import degrade, iou, render

FOLDER = Path(__file__).parents[2] / "tools" / "tracking_anything"


def program() -> int:
    """Run the script as a program; returns what it exits with."""
    with pytest.raises(SystemExit) as stop:
        runpy.run_path("custom_inference.py", run_name="__main__")
    return int(stop.value.code or 0)


def test_the_documented_command_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = degrade(render("hop", views=4, frames=4, size=96), quality=None)
    frames, templates = tmp_path / "animation_images" / "0-a-dragon", tmp_path / "static" / "images"
    frames.mkdir(parents=True)
    templates.mkdir(parents=True)
    for index, image in enumerate(clip.frames.reshape(-1, 96, 96, 3)):
        Image.fromarray(image).save(frames / f"{index}.png")
    for v in range(5):
        Image.fromarray(clip.templates[v % 4]).save(templates / f"{v}.png")
    target = tmp_path / "tracking_rgba_images" / "0-a-dragon"
    # Relative, as in the documentation.
    paths = [os.path.relpath(path, FOLDER) for path in (frames, target, templates)]
    flags = ["--folder_path", paths[0], "--save_path", paths[1], "--template_mask_folder", paths[2]]
    flags += ["--backend", "background"]

    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr(sys, "argv", ["custom_inference.py", *flags])
    assert program() == 0
    said = capsys.readouterr().out
    assert "wrote" in said and "4 views of 4 frames" in said
    alpha = np.stack([np.asarray(Image.open(target / f"{i}.png"))[..., 3] for i in range(16)])
    assert iou(alpha, clip.alpha.reshape(alpha.shape)).mean() > 0.9

    assert program() == 0 and "replaced" in capsys.readouterr().out

    (templates / "2.png").unlink()
    assert program() == 1
    said = capsys.readouterr().err
    assert said.strip().splitlines()[-1].startswith("error: ") and "2.png" in said
    assert "Traceback" not in said
    assert len(list(target.iterdir())) == 16
