"""Skeletons of the dragon's three motions and ten of the generator: bones, errors, seconds, and sizes of the files.

    python benchmarks/skeletons.py [--frames 16] [--files]

Errors are those of the skinned prediction against the motion, over all vertices and frames, in % of the diagonal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from animate3d.creatures import make_creature, move
from animate3d.creatures.dragon import MOTIONS, make_dragon, unit_times
from animate3d.creatures.figures import draw_figure, figure_mesh
from animate3d.creatures.moves import MOVES, Manner, move_points, subject_of
from animate3d.export import export
from animate3d.export.blender import blender
from animate3d.export.skeleton import find_skeleton
from animate3d.meshes import Mesh

FAMILIES = (
    ("butterfly", "flap"),
    ("bird", "hop"),
    ("fish", "swim"),
    ("dog", "walk"),
    ("flower", "open"),
    ("ball", "squash"),
    ("snake", "slither"),
)
FIGURES = (("person", "wave"), ("octopus", "wave_tentacles"), ("tree", "sway"))


def motions(frames: int) -> Iterator[tuple[str, Mesh, np.ndarray]]:
    """Names, meshes and trajectories ``[F, N, 3]``."""
    dragon = make_dragon()
    for name, motion in MOTIONS.items():
        yield f"dragon {name}", dragon, motion(dragon.vertices, unit_times(frames))
    for family, name in FAMILIES:
        creature = make_creature(family, 1)
        yield f"{family} {name}", creature.mesh, move(creature, name, frames)
    for kind, name in FIGURES:
        figure = draw_figure(1, kind)
        mesh = figure_mesh(figure)
        subject = subject_of(figure, mesh.vertices)
        yield f"{kind} {name}", mesh, move_points(subject, [(MOVES[name], Manner())], frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--files", action="store_true", help="write GLB, FBX and USD, and print their sizes in kB")
    options = parser.parse_args()
    suffixes = ("glb", "usdc", "fbx") if blender() else ("glb", "usdc")
    print("| motion | vertices | bones | mean % | max % | CPU s |", end="")
    print("".join(f" {suffix} | morph {suffix} |" for suffix in suffixes) if options.files else "")
    for name, mesh, positions in motions(options.frames):
        start = time.process_time()
        found = find_skeleton(mesh, positions)
        seconds = time.process_time() - start
        row = f"| {name} | {mesh.n_vertices} | {len(found.rig)} | {100 * found.mean_error:.3f}"
        row += f" | {100 * found.max_error:.2f} | {seconds:.1f} |"
        if options.files:
            with tempfile.TemporaryDirectory() as folder:
                for suffix in suffixes:
                    skinned = export(mesh, positions, Path(folder) / f"a.{suffix}", skeleton=found)
                    plain = export(mesh, positions, Path(folder) / f"b.{suffix}")
                    row += "".join(f" {path.stat().st_size / 1000:.0f} |" for path in (skinned, plain))
        print(row, flush=True)


if __name__ == "__main__":
    main()
