"""How well the parts of a mesh are found: random figures whose parts are known, by their meshes alone.

    python benchmarks/anatomy.py --count 30

Two tables: parts that are found with their tip within 0.3 of the figure's size, and parts that are not there; and for
every move, how often the found parts allow it and how the vertices then go (cosine against the true parts).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from animate3d.creatures.anatomy import Body, find_body
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.figure import Figure
from animate3d.creatures.figures.mesh import plain_mesh
from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves import MOVES, Manner, pose_at, shows, subject_of
from animate3d.runs.moves import suited_among

KINDS = ("animal", "person", "bird", "insect", "robot", "fish", "snake", "vehicle")
SOUGHT = ("leg", "arm", "wing", "tail", "head", "wheel")
NEAR = 0.3
TIMES = np.array([0.15, 0.3, 0.45, 0.6, 0.75, 0.9])


def tip(part: Part) -> np.ndarray:
    return part.joint + part.along * part.length


def count_parts(figure: Figure, body: Body, counts: dict[str, list[int]]) -> None:
    """Add (there, found, not there) of every name."""
    size, left = float((figure.high - figure.low).max()), list(body.parts[1:])
    for part in figure.parts:
        if part.name not in SOUGHT:
            continue
        near = [
            other for other in left if other.name == part.name and np.linalg.norm(tip(other) - tip(part)) < NEAR * size
        ]
        counts[part.name][0] += 1
        if near:
            counts[part.name][1] += 1
            left.remove(min(near, key=lambda other: float(np.linalg.norm(tip(other) - tip(part)))))
    for other in left:
        if other.name in SOUGHT:
            counts[other.name][2] += 1


def compare_moves(figure: Figure, body: Body, points: np.ndarray, cosines: dict[str, list[float]]) -> None:
    """Add the cosine of every move that shows on a figure; 0 where the found parts do not allow it."""
    truth = subject_of(figure, points)
    for name, move in MOVES.items():
        if not move.needs or not shows(truth, move):
            continue
        as_such = suited_among([move], [body])
        if as_such is None:
            cosines[name].append(0.0)
            continue
        true, found = (pose_at(s, [(move, Manner())], TIMES) - points for s in (truth, subject_of(as_such, points)))
        cosines[name].append(float((true * found).sum() / np.sqrt((true**2).sum() * (found**2).sum() + 1e-12)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="figures of every kind")
    parser.add_argument("--seed", type=int, default=5000, help="of the first figure")
    args = parser.parse_args()
    cosines: dict[str, list[float]] = defaultdict(list)
    seconds = []
    print("| | " + " | ".join(SOUGHT) + " |\n|---|" + "---|" * len(SOUGHT))
    for kind in KINDS:
        counts = {name: [0, 0, 0] for name in SOUGHT}
        for seed in range(args.seed, args.seed + args.count):
            figure = draw_figure(seed, kind)
            mesh = plain_mesh(figure)
            start = time.process_time()
            body = find_body(mesh.vertices, mesh.triangles()[0], mesh.welded())
            seconds.append(time.process_time() - start)
            count_parts(figure, body, counts)
            compare_moves(figure, body, mesh.vertices, cosines)
        cells = (f"{found} of {there}" + (f" (+{extra})" if extra else "") for there, found, extra in counts.values())
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    print(
        "\n| move | figures that can | possible with what was found | median cosine | at least 0.7 |"
        "\n|---|---|---|---|---|"
    )
    for name, values in cosines.items():
        found = np.array(values)
        print(
            f"| {MOVES[name].phrases[0]} | {len(found)} | {(found != 0).mean():.0%} | {np.median(found):.2f} | "
            f"{(found >= 0.7).mean():.0%} |"
        )
    every = np.concatenate([np.array(values) for values in cosines.values()])
    print(f"| all | {len(every)} | {(every != 0).mean():.0%} | {np.median(every):.2f} | {(every >= 0.7).mean():.0%} |")
    print(f"\nmedian {np.median(seconds):.2f} CPU s a mesh")


if __name__ == "__main__":
    main()
