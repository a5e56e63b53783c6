"""Four pictures of an object and a sentence -> four synchronised videos: the video model alone.

`MultiViewVideoPipeline` is a diffusers pipeline; here it is the small model of the package (4 x 8 frames of 64 x 64).
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import animate3d
from animate3d.cameras import reconstruction_cameras
from animate3d.creatures import make_creature
from animate3d.frames import save_frames

OUT = Path("outputs/examples/sample")


def main(out: Path = OUT, frame_count: int = 8, steps: int = 10) -> None:
    """Sample videos of a butterfly and save them as images and as an MP4."""
    butterfly = make_creature("butterfly", seed=7).mesh
    pictures = animate3d.render(butterfly, reconstruction_cameras(size=64))[:, 0]  # [V, H, W, 4]
    pipeline = animate3d.MultiViewVideoPipeline.from_pretrained(animate3d.bundled_model_folder())
    videos = pipeline(
        "a butterfly is flapping its wings",
        [Image.fromarray(picture) for picture in pictures],
        num_frames=frame_count,
        num_inference_steps=steps,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames[0]  # [V, F, H, W, 3], 0..1
    save_frames(out, (255 * videos).round().astype(np.uint8), fps=8)
    print(f"{out / 'preview.mp4'}: {len(videos)} views of {len(videos[0])} frames")


if __name__ == "__main__":
    main()
