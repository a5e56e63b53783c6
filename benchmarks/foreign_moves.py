"""How well meshes that nobody here made are animated from sentences, by the whole command without its pictures.

    python benchmarks/foreign_meshes.py --out outputs/foreign --fetch
    python benchmarks/foreign_moves.py outputs/foreign whole parts facings adverbs

`whole`: motions of the whole body. The truth is the same function of the vertices, so what is measured is the way from
the file and the sentence to the exported vertices: reading, placement, size, welding, export. `parts`: whether what was
asked for is what moves most, in regions marked by hand (`foreign_parts.json`, boxes in shares of a mesh's own box).
`facings`: both for eight directions that a mesh faces. `adverbs`: amplitude and speed, measured on the exported
vertices, with and without an adverb.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from foreign_adverbs import adverbs
from foreign_meshes import SOURCES, meshes
from foreign_run import Animated, animated, areas, turned
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from animate3d.bundled_model.prompts import literal
from animate3d.creatures.moves import MOVES, Manner, Move, move_points, subject_of_points
from animate3d.files import read_json

CANDIDATES = 10
FACINGS = tuple(45.0 * eighth for eighth in range(8))
MOVING = 0.01  # of the size: what goes less far should not move
SENTENCES = {
    "the {} spins around to the left": "spinning left",
    "the {} turns to the right": "turning right",
    "the {} rolls over": "rolling",
    "the {} tips over": "tipping over",
    "a {} tilting to the left": "tilting left",
    "the {} rocks back and forth": "rocking",
    "the {} swings like a pendulum": "swinging",
    "the {} hops": "hopping",
    "the {} jumps up": "jumping",
    "a bouncing {}": "bouncing",
    "the {} hovers in the air": "floating",
    "the {} flies up": "flying up",
    "the {} falls down": "falling",
    "the {} slides to the left": "sliding left",
    "the {} slides forward": "sliding forward",
    "the {} trembles": "trembling",
    "the {} sways in the wind": "swaying",
    "the {} bends to the right": "bending right",
    "the {} takes a bow": "bowing",
    "the {} leans backward": "leaning backward",
    "the {} is twisting": "twisting",
    "the {} gets squashed": "squashing",
    "the {} stretches": "stretching",
    "the {} is breathing": "breathing",
    "the {} grows bigger": "growing",
    "the {} shrinks": "shrinking",
    "the {} wobbles like jelly": "wobbling",
    "the {} wiggles": "wiggling",
}
"""Wordings of motions of the whole body, and what they mean in the captions' words."""
FRONTS = {
    "duck": -90.0,
    "spider": -90.0,
    "boat": 90.0,
    "aliengo": 90.0,
    "humanoid": 90.0,
    "husky": 90.0,
    "racecar": 90.0,
    "sydney": 90.0,
    "bunny": -90.0,
    "jeep": 180.0,
    "r2d2": 180.0,
    "teddy": 180.0,
    "wuson": 180.0,
    "stanford_dragon": -90.0,
    "wooden_dragon": -90.0,
}
"""Where those meshes face that do not face +z, degrees towards +x, as a person sees it; what has no front faces +z."""
STEP = 9
"""Sentences from one to the next of a mesh."""


def wanted(phrase: str) -> tuple[Move, Manner]:
    """The move of a caption."""
    reading = literal(f"it is {phrase}")
    assert reading is not None, phrase
    name, manner = reading.moves[0]
    return MOVES[name], manner


def against_truth(
    made: Animated, phrase: str, generator: np.random.Generator, front: float = 0.0
) -> tuple[float, bool]:
    """The cosine to the truth, and whether that is nearer than nine other motions and than standing still."""
    move, manner = wanted(phrase)
    subject = subject_of_points(made.positions[0], front)
    others = [other for other in MOVES.values() if not other.needs and other is not move]
    chosen = [others[place] for place in generator.permutation(len(others))[: CANDIDATES - 1]]
    candidates = [[(move, manner)], *([(other, Manner())] for other in chosen)]
    truth, *wrong = (move_points(subject, done, len(made.positions)) - subject.points for done in candidates)
    errors = [np.square(made.went - motion).sum() for motion in (truth, *wrong, 0 * truth)]
    moving = np.linalg.norm(truth, axis=-1).max(axis=0) > MOVING * subject.size
    return cosine(made.went[:, moving], truth[:, moving]), int(np.argmin(errors)) == 0


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def within(points: NDArray[np.float64], boxes: list[list[list[float]]]) -> NDArray[np.bool_]:
    """Which points ``[N, 3]`` lie in one of some boxes, given in shares of the points' own box."""
    low, high = points.min(axis=0), points.max(axis=0)
    shares = (points - low) / (high - low)
    bounds = np.array(boxes)
    return ((shares[:, None] >= bounds[..., 0]) & (shares[:, None] <= bounds[..., 1])).all(axis=-1).any(axis=1)


def in_region(made: Animated, marked: NDArray[np.bool_]) -> float:
    """The share in the marked region of what moves most: a tenth of the surface, or as much as the region has.

    What the rest does as one piece counts as no motion: who crouches sinks, but it is the legs that move.
    """
    area, rest = areas(made.mesh), ~marked & (areas(made.mesh) > 0)
    carried = np.stack(list(_carried(made, rest, area)))
    far = np.linalg.norm(made.positions - carried, axis=-1).max(axis=0)
    order = np.argsort(-far)
    most = order[np.cumsum(area[order]) <= min(0.1, area[marked].sum())]
    return float(area[most][marked[most]].sum() / max(area[most].sum(), 1e-12))


def _carried(made: Animated, rest: NDArray[np.bool_], area: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """All vertices ``[N, 3]`` in every frame as if they were one piece with some of them."""
    start, weights = made.positions[0], area[rest] / area[rest].sum()
    before = weights @ start[rest]
    for frame in made.positions:
        after = weights @ frame[rest]
        turn, _ = Rotation.align_vectors(frame[rest] - after, start[rest] - before, weights=weights)
        yield turn.apply(start - before) + after


def whole(found: dict[str, Path], each: int) -> None:
    """Motions of the whole body."""
    rows, sentences = [], list(SENTENCES)
    for number, (name, path) in enumerate(found.items()):
        for turn in range(each):
            generator = np.random.default_rng([number, turn])
            sentence = sentences[(number + turn * STEP) % len(sentences)]
            said = sentence.format(name.replace("_", " "))
            made = animated(path, said)
            front = FRONTS.get(name, 0.0)
            rows.append(against_truth(made, SENTENCES[sentence], generator, front) if made else (0.0, False))
            print(f"{said}: {made and made.moves}, cosine {rows[-1][0]:.3f}, nearest {rows[-1][1]}", flush=True)
    values, nearest = np.array(rows).T
    print(
        f"\n{len(found)} meshes, {len(rows)} cases: nearest {nearest.mean():.0%}, "
        f"median cosine {np.median(values):.2f}, at least 0.8 {(values >= 0.8).mean():.0%}\n"
    )


def parts(found: dict[str, Path], marks: dict[str, Any]) -> None:
    """Motions of parts."""
    rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for name, path in found.items():
        for sentence, part in marks[name]["asks"].items():
            made = animated(path, sentence)
            boxes = marks[name]["parts"][part]
            share = in_region(made, within(made.positions[0], boxes)) if made else 0.0
            rows[name].append((sentence, share))
            print(f"{name}: {sentence}: {made and made.moves}, {share:.0%} of what moves most is {part}", flush=True)
    print("\n| mesh | asked for | the right part moves most |\n|---|---|---|")
    for name, cases in rows.items():
        right = [sentence for sentence, share in cases if share > 0.5]
        missed = ", ".join(f"not “{sentence}”" for sentence, share in cases if share <= 0.5)
        print(f"| {name} | {len(cases)} | {len(right)}{' (' + missed + ')' if missed else ''} |")
    shares = np.array([share for cases in rows.values() for _, share in cases])
    print(f"\n{len(rows)} meshes, {len(shares)} cases: right {(shares > 0.5).mean():.0%}\n")


def facings(found: dict[str, Path], marks: dict[str, Any], given: bool = False) -> None:
    """Whole bodies and parts from eight sides, which ``given`` says are told by `--facing`."""
    print("| mesh | sentence | cosine from eight sides | spread | part moves most |\n|---|---|---|---|---|")
    for name, path in list(found.items())[::2]:
        sentences = list(SENTENCES)
        sentence = sentences[(7 * len(name)) % len(sentences)]
        said = sentence.format(name.replace("_", " "))
        front = FRONTS.get(name, 0.0)
        made_of = _turned(path, said, front if given else None)
        values = [_whole_cosine(made, SENTENCES[sentence], front + yaw) for yaw, made in made_of]
        print(f"| {name} | {said} | {_span(values)} | {max(values) - min(values):.2f} | |", flush=True)
    for name in sorted(marks.keys() & found.keys()):
        sentence, part = next(iter(marks[name]["asks"].items()))
        first, values, right = None, [], 0
        for yaw, made in _turned(found[name], sentence, FRONTS.get(name, 0.0) if given else None):
            back = None if made is None else _yawed(made.went, -yaw)
            if made is not None:
                rest = _yawed(made.positions[0], -yaw)
                right += in_region(made, within(rest, marks[name]["parts"][part])) > 0.5
            first = back if yaw == 0.0 else first
            values.append(0.0 if back is None or first is None or back.shape != first.shape else cosine(back, first))
        spread = max(values) - min(values)
        print(f"| {name} | {sentence} | {_span(values)} to that at 0° | {spread:.2f} | {right} of 8 |", flush=True)


def _whole_cosine(made: Animated | None, phrase: str, front: float) -> float:
    return against_truth(made, phrase, np.random.default_rng(0), front)[0] if made else 0.0


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _turned(path: Path, sentence: str, front: float | None) -> Iterator[tuple[float, Animated | None]]:
    with tempfile.TemporaryDirectory() as folder:
        for yaw in FACINGS:
            yield yaw, animated(turned(path, Path(folder), yaw), sentence, None if front is None else front + yaw)


def _yawed(points: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    angle = np.deg2rad(yaw)
    sine, cosine_ = np.sin(angle), np.cos(angle)
    return points @ np.array([[cosine_, 0, sine], [0, 1, 0], [-sine, 0, cosine_]]).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what foreign_meshes.py made")
    parser.add_argument("what", nargs="+", choices=("whole", "parts", "facings", "adverbs"))
    parser.add_argument("--only", nargs="*", default=list(SOURCES), help="names of meshes")
    parser.add_argument("--each", type=int, default=3, help="sentences for every mesh's whole body")
    parser.add_argument("--facing-given", action="store_true", help="facings: where they face is said, as by --facing")
    args = parser.parse_args()
    found = dict(meshes(args.folder, args.only))
    marks = read_json(Path(__file__).with_name("foreign_parts.json"))
    if "whole" in args.what:
        whole(found, args.each)
    if "parts" in args.what:
        parts({name: path for name, path in found.items() if name in marks}, marks)
    if "facings" in args.what:
        facings(found, marks, args.facing_given)
    if "adverbs" in args.what:
        adverbs(found)


if __name__ == "__main__":
    main()
