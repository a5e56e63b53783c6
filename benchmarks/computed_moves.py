"""How well sentences become computed motions: random figures that no training has, by their meshes and sentences alone.

    python benchmarks/computed_moves.py --count 120            # facing the first camera
    python benchmarks/computed_moves.py --count 120 --any-yaw  # facing anywhere
    python benchmarks/computed_moves.py --count 60 --eight     # the same figure from eight sides

A case is right when the asked motion, done with the true parts, is nearer to the result than nine other motions of the
same figure and than standing still. Cosine and amplitude are those of the displacements of the vertices that should
move.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from animate3d.creatures.anatomy import find_bodies
from animate3d.creatures.figures.mesh import plain_mesh
from animate3d.creatures.moves import Manner, move_points, subject_of
from animate3d.runs.moves import UPRIGHT, MovingBody, read_moves
from animate3d.small_model.cases import Cast, casts

FRAMES = 16
FACINGS = (0.0, 45.0, 90.0, 135.0, 180.0, -135.0, -90.0, -45.0)
STEADY = 0.1  # how far apart the cosines of one figure from eight sides may be
MOVING = 0.01  # of the size: what goes less far should not move


def judged(cast: Cast, yaw: float, facing: float | None = None) -> tuple[float, float, bool]:
    """Cosine, amplitude against the truth, and whether the asked motion is the nearest; 0 where nothing is computed.

    Args:
        yaw: where the figure faces.
        facing: where that is said to be; None lets it be found.
    """
    mesh = plain_mesh(cast.figure)
    subject = subject_of(cast.figure, mesh.vertices, yaw)
    rest, triangles = subject.points, mesh.triangles()[0]
    asked = read_moves(cast.prompt, lambda: find_bodies(rest, triangles, mesh.welded(), facing))
    if asked is None:
        return 0.0, 0.0, False
    placed = UPRIGHT.apply(rest)
    body = MovingBody(placed, asked, FRAMES)
    went = np.stack([UPRIGHT.invert(body.at(placed, frame)) for frame in range(FRAMES)]) - rest
    truth, *others = (
        move_points(subject, [done], FRAMES) - rest
        for done in [(cast.wanted, cast.manner), *((other, Manner()) for other in cast.others)]
    )
    moving = np.linalg.norm(truth, axis=-1).max(axis=0) > MOVING * subject.size
    a, b = went[:, moving], truth[:, moving]
    far, should = np.linalg.norm(a), np.linalg.norm(b)
    nearest = np.argmin([np.square(went - x).sum() for x in (truth, *others, 0 * truth)]) == 0
    return float((a * b).sum() / max(far * should, 1e-12)), float(far / max(should, 1e-12)), bool(nearest)


def from_eight_sides(count: int, seed: int, given: bool) -> None:
    """How far the cosine of a figure depends on where it faces."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for cast in casts(count, seed):
        cosines = [judged(cast, yaw, yaw if given else None)[0] for yaw in FACINGS]
        rows[cast.group].append(cosines)
        print(f"{cast.prompt}: {np.round(cosines, 2).tolist()}", flush=True)
    print("\n| | figures | spread at most 0.1 | median spread | mean spread | spread of the mean | mean cosine |")
    print("|---|---|---|---|---|---|---|")
    for group, cases in rows.items():
        cosines = np.array(cases)
        spread = np.ptp(cosines, axis=1)
        print(
            f"| {group} | {len(cases)} | {(spread <= STEADY).mean():.0%} | {np.median(spread):.2f} | "
            f"{spread.mean():.2f} | {np.ptp(cosines.mean(axis=0)):.2f} | {cosines.mean():.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=120, help="cases, half of them of the whole body")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--any-yaw", action="store_true", help="figures face anywhere")
    parser.add_argument("--facing-given", action="store_true", help="where they face is said, as by --facing")
    parser.add_argument("--eight", action="store_true", help="every figure from eight sides")
    args = parser.parse_args()
    if args.eight:
        from_eight_sides(args.count, args.seed, args.facing_given)
        return
    rows: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for cast in casts(args.count, args.seed):
        yaw = cast.yaw if args.any_yaw else 0.0
        rows[cast.group].append(judged(cast, yaw, yaw if args.facing_given else None))
    print("| | cases | nothing computed | nearest | median cosine | at least 0.7 | amplitude 0.7 to 1.3 |")
    print("|---|---|---|---|---|---|---|")
    for group, cases in rows.items():
        cosine, amplitude, nearest = np.array(cases, dtype=float).T
        fits = (amplitude >= 0.7) & (amplitude <= 1.3)
        print(
            f"| {group} | {len(cases)} | {(amplitude == 0).sum()} | {nearest.mean():.0%} | {np.median(cosine):.2f} | "
            f"{(cosine >= 0.7).mean():.0%} | {fits.mean():.0%} |"
        )


if __name__ == "__main__":
    main()
