"""Do the adverbs of captions change what they say? Measured on clips, against the same motion in other manners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from animate3d.bundled_model.folder import FRAMES
from animate3d.creatures.moves import DIRECTIONS, Manner, allowed_adverbs, canonical, manner_of, move_points
from animate3d.evaluation.clip_metrics import VideoArray
from animate3d.meshes import Placement
from animate3d.small_model.cases import Cast, drawn_clip
from animate3d.small_model.data.moving import as_bytes
from animate3d.small_model.rows import Row

AMPLITUDES = (0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0)
SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.4, 2.0)

Generate = Callable[[VideoArray, list[str]], list[VideoArray]]
"""Clips for several prompts from the same first images ``[V, H, W, 3]`` and noise."""


def adverb_row(cast: Cast, generate: Generate) -> Row:
    """What every adverb of a figure's move makes of its amplitude or speed, beside what it is without one."""
    move = cast.wanted
    words = [word for word in allowed_adverbs(move) if word not in DIRECTIONS and word != "twice"]
    plain = draw(cast, Manner())
    manners = [Manner(), *(manner_of(move, [word]) for word in words)]
    prompts = [f"the {cast.figure.noun} is {canonical([(move, manner)])}" for manner in manners]
    first, *clips = generate(plain[:, 0], prompts)
    amplitudes = {size: draw(cast, Manner(amplitude=size)) for size in AMPLITUDES if move.graded}
    speeds = {pace: draw(cast, Manner(speed=pace)) for pace in SPEEDS if pace <= move.fastest}
    found = []
    for word, manner, clip in zip(words, manners[1:], clips, strict=True):
        graded = manner.amplitude != 1.0
        measured = [nearest(shown, amplitudes if graded else speeds) for shown in (first, clip)]
        more = (manner.amplitude if graded else manner.speed) > 1.0
        right = measured[1] > measured[0] if more else measured[1] < measured[0]
        found.append({"word": word, "without": measured[0], "with": measured[1], "right": bool(right)})
    return {"uid": cast.uid, "move": move.name, "kind": cast.figure.kind, "words": found}


def nearest(clip: VideoArray, others: dict[float, VideoArray]) -> float:
    """The value whose clip is most like one, between two values by the parabola through the errors around it."""
    values = sorted(others)
    errors = [float(np.square(clip[:, 1:] - others[value][:, 1:]).mean()) for value in values]
    best = int(np.argmin(errors))
    if best in (0, len(values) - 1):
        return values[best]
    around = slice(best - 1, best + 2)
    curve, slope, _ = np.polyfit(values[around], errors[around], 2)
    return round(float(-slope / (2 * curve)), 3) if curve > 0 else values[best]


def draw(cast: Cast, manner: Manner) -> VideoArray:
    """The true clip of a figure's move in a manner."""
    moved = move_points(cast.subject, [(cast.wanted, manner)], FRAMES)
    placed = Placement.automatic(moved[0], "y").apply(moved).astype(np.float32)
    return drawn_clip(placed, as_bytes(cast.figure.paint(cast.points, cast.normals)))
