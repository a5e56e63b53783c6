"""How well sentences become computed motions: random figures that no training has, by their meshes and sentences alone.

    python benchmarks/computed_moves.py --count 120            # facing the first camera
    python benchmarks/computed_moves.py --count 120 --any-yaw  # facing anywhere
    python benchmarks/computed_moves.py --count 60 --eight     # the same figure from eight sides
    python benchmarks/computed_moves.py --count 320 --each-kind --worst worst.png

A case is right when the asked motion, done with the true parts, is nearer to the result than nine other motions of the
same figure and than standing still. Cosine and amplitude are those of the displacements of the vertices that should
move.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import orbit_cameras
from animate3d.creatures.anatomy import find_bodies
from animate3d.creatures.figures.mesh import plain_mesh
from animate3d.creatures.moves import Manner, move_points, subject_of
from animate3d.export.preview import telling_frames
from animate3d.frames import contact_sheet, save_image
from animate3d.meshes import Mesh
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.moves import UPRIGHT, MovingBody, read_moves
from animate3d.small_model.cases import Cast, casts

FRAMES = 16
FACINGS = (0.0, 45.0, 90.0, 135.0, 180.0, -135.0, -90.0, -45.0)
STEADY = 0.1  # how far apart the cosines of one figure from eight sides may be
FILLS = 2.0  # diagonal of what is drawn; 2.2 is as high as a picture
MOVING = 0.01  # of the size: what goes less far should not move


class Judged(NamedTuple):
    """What became of a case.

    Attributes:
        cast: the case.
        cosine, amplitude: against the truth; 0 where nothing is computed.
        nearest: whether the asked motion is the nearest.
        mesh: of the figure.
        truth, made: ``[F, N, 3]`` where its vertices should be and where they are, upright.
    """

    cast: Cast
    cosine: float
    amplitude: float
    nearest: bool
    mesh: Mesh
    truth: NDArray[np.float64]
    made: NDArray[np.float64]


def judged(cast: Cast, yaw: float, facing: float | None = None) -> Judged:
    """A case computed and compared with the truth.

    Args:
        yaw: where the figure faces.
        facing: where that is said to be; None lets it be found.
    """
    mesh = plain_mesh(cast.figure)
    subject = subject_of(cast.figure, mesh.vertices, yaw)
    rest, triangles = subject.points, mesh.triangles()[0]
    asked = read_moves(cast.prompt, lambda: find_bodies(rest, triangles, mesh.welded(), facing))
    truth, *others = (
        move_points(subject, [done], FRAMES) - rest
        for done in [(cast.wanted, cast.manner), *((other, Manner()) for other in cast.others)]
    )
    if asked is None:
        return Judged(cast, 0.0, 0.0, False, mesh, truth + rest, 0 * truth + rest)
    placed = UPRIGHT.apply(rest)
    body = MovingBody(placed, asked, FRAMES)
    went = np.stack([UPRIGHT.invert(body.at(placed, frame)) for frame in range(FRAMES)]) - rest
    moving = np.linalg.norm(truth, axis=-1).max(axis=0) > MOVING * subject.size
    a, b = went[:, moving], truth[:, moving]
    far, should = np.linalg.norm(a), np.linalg.norm(b)
    nearest = np.argmin([np.square(went - x).sum() for x in (truth, *others, 0 * truth)]) == 0
    cosine, amplitude = float((a * b).sum() / max(far * should, 1e-12)), float(far / max(should, 1e-12))
    return Judged(cast, cosine, amplitude, bool(nearest), mesh, truth + rest, went + rest)


def drawn(case: Judged) -> NDArray[np.uint8]:
    """The truth above what was made, six frames each. ``[2, 6, H, W, 3]``"""
    chosen = telling_frames(case.truth, 6)
    both = np.stack([case.truth[chosen], case.made[chosen]])
    low, high = both.min(axis=(0, 1, 2)), both.max(axis=(0, 1, 2))
    scale = FILLS / np.linalg.norm(high - low)
    rows = []
    for positions in both:
        seen = UPRIGHT.apply((positions - (low + high) / 2) * scale)
        rows.append(render_mesh(case.mesh, seen, orbit_cameras(15.0, [40.0], size=112))[0])
    rgba = np.stack(rows).astype(np.float64)
    alpha = rgba[..., 3:] / 255
    return np.round(rgba[..., :3] * alpha + 235 * (1 - alpha)).astype(np.uint8)


def draw_worst(cases: list[Judged], out: Path) -> None:
    """A picture of cases, two in a row, and what is seen in it."""
    tiles = [drawn(case) for case in cases]
    halves = [np.concatenate(tiles[side::2]) for side in (0, 1)]
    save_image(out, contact_sheet(np.concatenate(halves, axis=1)))
    for number, case in enumerate(cases):
        print(
            f"{number // 2 + 1}, {('left', 'right')[number % 2]}: {case.cast.figure.kind}: “{case.cast.prompt}”, "
            f"cosine {case.cosine:.2f}, amplitude {case.amplitude:.2f}"
        )


def from_eight_sides(count: int, seed: int, given: bool) -> None:
    """How far the cosine of a figure depends on where it faces."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for cast in casts(count, seed):
        cosines = [judged(cast, yaw, yaw if given else None).cosine for yaw in FACINGS]
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


def table(name: str, cases: list[Judged], group: Callable[[Judged], str]) -> None:
    """A row for each group of cases."""
    rows: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for case in cases:
        rows[group(case)].append((case.cosine, case.amplitude, case.nearest))
    print(f"\n| {name} | cases | nothing computed | nearest | median cosine | at least 0.7 | amplitude 0.7 to 1.3 |")
    print("|---|---|---|---|---|---|---|")
    for row, values in rows.items():
        cosine, amplitude, nearest = np.array(values, dtype=float).T
        fits = (amplitude >= 0.7) & (amplitude <= 1.3)
        print(
            f"| {row} | {len(values)} | {(amplitude == 0).sum()} | {nearest.mean():.0%} | {np.median(cosine):.2f} | "
            f"{(cosine >= 0.7).mean():.0%} | {fits.mean():.0%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=120, help="cases, half of them of the whole body")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--any-yaw", action="store_true", help="figures face anywhere")
    parser.add_argument("--facing-given", action="store_true", help="where they face is said, as by --facing")
    parser.add_argument("--eight", action="store_true", help="every figure from eight sides")
    parser.add_argument("--each-kind", action="store_true", help="also a row for every kind of figure and every move")
    parser.add_argument("--worst", type=Path, metavar="PNG", help="draw the ten with the lowest cosine")
    args = parser.parse_args()
    if args.eight:
        from_eight_sides(args.count, args.seed, args.facing_given)
        return
    cases = []
    for cast in casts(args.count, args.seed):
        yaw = cast.yaw if args.any_yaw else 0.0
        cases.append(judged(cast, yaw, yaw if args.facing_given else None))
        print(f"{cast.uid}: “{cast.prompt}”, cosine {cases[-1].cosine:.2f}, nearest {cases[-1].nearest}", flush=True)
    if args.each_kind:
        table("kind", sorted(cases, key=lambda case: case.cast.figure.kind), lambda case: case.cast.figure.kind)
        table("move", sorted(cases, key=lambda case: case.cast.wanted.name), lambda case: case.cast.wanted.name)
    table("", sorted(cases, key=lambda case: case.cast.group, reverse=True), lambda case: case.cast.group)
    if args.worst is not None:
        draw_worst(sorted(cases, key=lambda case: case.cosine)[:10], args.worst)


if __name__ == "__main__":
    main()
