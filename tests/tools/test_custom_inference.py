"""The documented step 4, typed from its own folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.masks.degraded_footage import degrade, iou, render

FOLDER = Path(__file__).parents[2] / "tools" / "tracking_anything"


def run(*flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "custom_inference.py", *map(str, flags)]
    shown = {**os.environ, "TQDM_MININTERVAL": "0"}  # a longer one would hide the progress bar
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, env=shown)


def test_the_documented_command_from_its_own_folder(tmp_path: Path) -> None:
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

    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout and "4 views of 4 frames" in done.stdout
    assert "16/16" in done.stderr  # the progress bar
    alpha = np.stack([np.asarray(Image.open(target / f"{i}.png"))[..., 3] for i in range(16)])
    assert iou(alpha, clip.alpha.reshape(alpha.shape)).mean() > 0.9

    again = run(*flags)
    assert again.returncode == 0 and "replaced" in again.stdout

    (templates / "2.png").unlink()
    failed = run(*flags)
    assert failed.returncode == 1
    assert failed.stderr.strip().splitlines()[-1].startswith("error: ") and "2.png" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(list(target.iterdir())) == 16
