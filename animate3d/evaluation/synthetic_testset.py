"""A small test set in the published layout, made from the demo creature.

python -m animate3d.evaluation.synthetic_testset FOLDER
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from animate3d.creatures.dragon import demo_asset, motion_named, write_frames
from animate3d.errors import run_command
from animate3d.evaluation.testset import MODELS, PROMPTS, VIDEOS
from animate3d.files import write_json
from animate3d.gaussians import from_mesh, save_ply
from animate3d.meshes import Mesh, load_mesh


@dataclass(frozen=True)
class SyntheticObject:
    """An object of the synthetic test set: the dragon, with its colours in another order, in a known motion."""

    motion: str
    prompt: str
    channels: tuple[int, int, int] = (0, 1, 2)


OBJECTS = {
    "flapping_dragon": SyntheticObject("wing_flap", "A little dragon is flapping its wings."),
    "hopping_dragon": SyntheticObject("hop", "A little purple dragon is hopping and turning.", (1, 0, 2)),
}


def write_synthetic_testset(folder: Path, *, size: int, frames: int) -> None:
    """Write models, videos of their known motions, and prompts."""
    creature = load_mesh(demo_asset())
    placement = creature.automatic_placement()
    for name, item in tqdm(OBJECTS.items(), desc="objects", unit="object"):
        mesh = _recoloured(creature, item.channels)
        save_ply(from_mesh(mesh).transformed(placement), folder / MODELS / f"{name}.ply")
        write_frames(
            mesh, motion_named(item.motion), placement, folder / VIDEOS / name, frames=frames, size=size, views=4
        )
    write_json(folder / PROMPTS, {name: item.prompt for name, item in OBJECTS.items()})


def _recoloured(mesh: Mesh, channels: tuple[int, int, int]) -> Mesh:
    order = np.array(channels)
    materials = [
        replace(material, textures={**material.textures, "diffuse": material.textures["diffuse"][..., order]})
        for material in mesh.materials
    ]
    return replace(mesh, materials=materials)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.evaluation.synthetic_testset",
        description="Write a test set of two objects in the published layout, to try the evaluation.",
        epilog="example:\n  python -m animate3d.evaluation.synthetic_testset data/synthetic_testset --size 64",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256, help="pixels of the videos (default 256)")
    parser.add_argument("--frames", type=int, default=16, help="of every video (default 16)")
    options = parser.parse_args(argv)
    write_synthetic_testset(options.folder, size=options.size, frames=options.frames)
    sys.stdout.write(f"wrote a test set of two objects in {options.folder}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
