"""A data set and a model small enough to try the training on any machine. Downloads nothing.

python -m animate3d.mvvdm.training.example FOLDER
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.errors import run_command
from animate3d.files import atomic_directory, write_json
from animate3d.frames import save_image, save_mp4
from animate3d.mvvdm.tiny import write_tiny

_FRAMES, _FPS = 48, 24.0
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 220), "yellow": (230, 200, 40)}
VIEWS, ELEVATION = 4, 15.0


def render_clip(colour: tuple[int, int, int], phase: float, size: int) -> np.ndarray:
    """A ball with a smaller companion that circle each other, on grey. uint8 ``[V, F, H, W, 3]``"""
    angle = phase + 2 * np.pi * np.arange(_FRAMES) / _FRAMES
    path = np.stack([0.3 * np.cos(angle), 0.3 * np.sin(angle), 0.15 * np.sin(2 * angle)], axis=-1)
    balls = [(path, 0.22, colour), (-path, 0.12, (250, 250, 250))]
    cameras = reconstruction_cameras(VIEWS, size)
    rows, columns = np.mgrid[:size, :size] + 0.5
    frames = np.full((VIEWS, _FRAMES, size, size, 3), 128, np.uint8)
    drawn = []
    for centres, radius, tint in balls:
        pixels, depth = cameras.project(torch.from_numpy(centres).float())  # [V, F, 2], [V, F]
        drawn.append((pixels.numpy(), depth.numpy(), radius, tint))
    for view in range(VIEWS):
        focal = float(cameras.focal[view])
        for frame in range(_FRAMES):
            far_first = sorted(drawn, key=lambda ball: -ball[1][view, frame])
            for centre, distance, radius, tint in far_first:
                x, y = centre[view, frame]
                inside = (columns - x) ** 2 + (rows - y) ** 2 < (focal * radius / distance[view, frame]) ** 2
                frames[view, frame][inside] = tint
    return frames


def write_example(folder: str | os.PathLike[str], size: int = 64) -> None:
    """Write ``model/``, ``clips.json`` with ``videos/``, and condition images ``images/{colour}_{v}.png``."""
    with atomic_directory(folder) as temporary:
        write_tiny(temporary / "model")
        records = []
        for index, (name, colour) in enumerate(COLOURS.items()):
            frames = render_clip(colour, index * np.pi / 4, size)
            for view, video in enumerate(frames):
                save_mp4(temporary / "videos" / name / "00" / f"view_{view}.mp4", video, _FPS)
                save_image(temporary / "images" / f"{name}_{view}.png", video[0])
            records.append(
                {
                    "data_path": [f"videos/{name}/00/view_{view}.mp4" for view in range(VIEWS)],
                    "text_prompt": f"a {name} ball is circling a white one",
                    "angle": {"elv": ELEVATION, "azi_start": 0.0},
                }
            )
        write_json(temporary / "clips.json", records)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.mvvdm.training.example",
        description="Write a tiny model and four clips of moving balls, for configs/training/tiny.yaml.",
        epilog="example:\n  python -m animate3d.mvvdm.training.example outputs/vdm/example",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=64, help="pixels of the videos (default 64)")
    options = parser.parse_args(argv)
    write_example(options.folder, options.size)
    return 0


if __name__ == "__main__":
    run_command(main)
