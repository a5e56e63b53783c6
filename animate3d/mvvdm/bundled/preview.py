"""What the model makes of held-out creatures, beside the truth, as a picture.

python -m animate3d.mvvdm.bundled.preview --out outputs/bundled --image preview.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from animate3d.errors import run_command
from animate3d.frames import contact_sheet, save_image
from animate3d.mvvdm.bundled.clips import Clips, read_clips
from animate3d.mvvdm.bundled.export import trained_pipeline
from animate3d.mvvdm.bundled.models import FRAMES
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline

STEPS, GUIDANCE = 8, 2.0
"""DDIM steps and guidance scale that suit the bundled model."""


def generate(
    pipeline: MultiViewVideoPipeline, first_frames: np.ndarray, prompt: str, camera: Tensor, seed: int = 0
) -> np.ndarray:
    """Videos uint8 ``[V, F, H, W, 3]`` from the first frames ``[V, H, W, 3]`` and cameras ``[V, 16]``."""
    result: Any = pipeline(
        prompt,
        [Image.fromarray(image) for image in first_frames],
        num_frames=FRAMES,
        camera=camera,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return (result.frames[0] * 255).round().astype(np.uint8)


def preview(
    pipeline: MultiViewVideoPipeline, clips: Clips, seed: int = 0, views: tuple[int, ...] = (0, 1)
) -> np.ndarray:
    """Pairs of rows, truth above result, for every clip and some of its views. uint8 ``[H, W, 3]``"""
    rows = []
    for pixels, text, camera in zip(clips.pixels, clips.texts, clips.cameras, strict=True):
        truth = pixels.permute(0, 1, 3, 4, 2).numpy()  # [V, F, H, W, 3]
        made = generate(pipeline, truth[:, 0], text, camera, seed)
        rows += [video[view] for view in views for video in (truth, made)]
    return contact_sheet(np.stack(rows))


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.mvvdm.bundled.preview",
        description="Show what a training, done or under way, makes of held-out creatures.",
        epilog="example:\n  python -m animate3d.mvvdm.bundled.preview --image preview.png",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/bundled"), help="folder of the training")
    parser.add_argument("--data", type=Path, default=Path("outputs/bundled/data"), help="data set with a held-out part")
    parser.add_argument("--image", type=Path, required=True, help="picture to write")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    pipeline, _ = trained_pipeline(options.out)
    clips = read_clips(options.data / "held_out" / "clips.json", options.clips, options.seed)
    save_image(options.image, preview(pipeline, clips, options.seed))
    return 0


if __name__ == "__main__":
    run_command(main)
