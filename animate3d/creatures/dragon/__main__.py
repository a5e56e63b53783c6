"""Make the demo creature and its videos from nothing: ``python -m animate3d.creatures.dragon --out DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon import MOTIONS, motion_named, write_dragon, write_frames
from animate3d.creatures.dragon.creature import NAME
from animate3d.errors import run_command
from animate3d.frames import contact_sheet, save_gif, save_image, side_by_side
from animate3d.meshes import load_mesh
from animate3d.rasterize.textured import render_mesh

_EXAMPLES = """examples:
  python -m animate3d.creatures.dragon --out outputs/demo_source
  python -m animate3d.creatures.dragon --out outputs/demo_source --motions hop --frames 24 --size 512
"""


def main(argv: list[str] | None = None) -> int:
    """Write the object folder, the frames of every motion, their true trajectories and pictures to look at."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.creatures.dragon",
        description="Generate the demo creature and four-view RGBA frames of its known motions.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"gets {NAME}/, frames/ and sheets/")
    parser.add_argument("--motions", nargs="*", default=list(MOTIONS), help=f"some of: {', '.join(MOTIONS)}")
    parser.add_argument("--frames", type=int, default=16, help="frames of every video (default 16)")
    parser.add_argument("--size", type=int, default=256, help="pixels of the frames (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="places the spots of the skin (default 0)")
    options = parser.parse_args(argv)
    motions = {name: motion_named(name) for name in options.motions}

    mesh = load_mesh(write_dragon(options.out / NAME, options.seed))
    placement = mesh.automatic_placement()
    placement.save(options.out / "placement.json")
    for name, motion in tqdm(motions.items(), desc="motions", unit="motion"):
        folder = options.out / "frames" / name
        truth = write_frames(mesh, motion, placement, folder, frames=options.frames, size=options.size)
        shaded = render_mesh(mesh, placement.apply(truth), reconstruction_cameras(4, 256), supersample=3)
        alpha = shaded[..., 3:] / 255.0
        pictures = (shaded[..., :3] * alpha + 128 * (1 - alpha)).astype(np.uint8)
        save_image(options.out / "sheets" / f"{name}.png", contact_sheet(pictures[:, :: max(1, options.frames // 8)]))
        save_gif(options.out / "sheets" / f"{name}.gif", side_by_side(pictures), fps=8)
    sys.stdout.write(f"wrote {options.out / NAME}, and videos and sheets of {', '.join(motions)} in {options.out}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
