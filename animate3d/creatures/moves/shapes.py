"""Moves that change the shape of the whole body: they apply to anything."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.moves.move import Cue, Move
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.moves.whole import squeezed
from animate3d.creatures.rigs import LEFT, UP, bend_limb, pulse, settle, turn_points, wave
from animate3d.creatures.sculpt.fields import Points


def _bent(points: Points, subject: Subject, towards: Points, angle: float, foot: float = 0.0) -> Points:
    """The body bent evenly above a share of its height, its top by the angle."""
    reach = np.clip(subject.rising - foot, 0.0, None) * subject.height
    return bend_limb(points, reach, subject.base + foot * subject.height * UP, UP, towards, angle)


def _sway(subject: Subject, points: Points, cue: Cue) -> Points:
    """From side to side like grass in the wind."""
    return _bent(points, subject, LEFT, 0.6 * cue.amplitude * wave(cue.t))


def _bend(subject: Subject, points: Points, cue: Cue) -> Points:
    return _bent(points, subject, cue.towards(subject), 0.85 * min(cue.amplitude, 1.5) * settle(cue.t))


def _bow(subject: Subject, points: Points, cue: Cue) -> Points:
    """Its upper half bends to the front and comes back."""
    return _bent(points, subject, subject.front, 1.1 * min(cue.amplitude, 1.4) * pulse(cue.t), foot=0.3)


def _lean(subject: Subject, points: Points, cue: Cue) -> Points:
    """Sheared: the base stays, the top goes."""
    far = subject.stride(0.26 * cue.amplitude) * settle(cue.t)
    return points + far * subject.rising[:, None] * cue.towards(subject)


def _twist(subject: Subject, points: Points, cue: Cue) -> Points:
    """The top turns against the bottom, one way and the other."""
    angle = np.deg2rad(55.0) * min(cue.amplitude, 1.5) * wave(cue.t)
    return turn_points(points, subject.center, UP, angle * (2.0 * subject.rising - 1.0))


def _squash(subject: Subject, points: Points, cue: Cue) -> Points:
    """Flat on the ground like jelly, up again past the rest, and back."""
    share = cue.t % 1.0
    squeeze = float(np.sin(2 * np.pi * share)) * (1.35 - 0.65 * share)
    height = float(np.exp(-(0.45 if squeeze > 0 else 0.15) * min(cue.amplitude, 1.5) * squeeze))
    return _scaled(points, subject.base, min(height**-0.5, 1.32), height)


def _stretch(subject: Subject, points: Points, cue: Cue) -> Points:
    """Long and thin, and back."""
    longer = min(2.0 * subject.lift(0.17 * cue.amplitude) / subject.height, 1.2) * pulse(cue.t)
    return _scaled(points, subject.center, (1.0 + longer) ** -0.7, 1.0 + longer)


def _breathe(subject: Subject, points: Points, cue: Cue) -> Points:
    """Its middle swells and shrinks."""
    breath = min(cue.amplitude, 1.5) * pulse(cue.t)
    swell = 1.0 + 0.3 * breath * np.sin(np.pi * subject.rising) ** 2
    moved = subject.center + (points - subject.center) * np.stack([swell, np.ones_like(swell), swell], axis=1)
    return moved + 0.06 * subject.height * breath * subject.rising[:, None] * UP


def _grow(subject: Subject, points: Points, cue: Cue) -> Points:
    scale = 1.0 + 0.28 * min(cue.amplitude, 1.5) * settle(cue.t)
    return _scaled(points, subject.center, scale, scale)


def _shrink(subject: Subject, points: Points, cue: Cue) -> Points:
    scale = 1.0 - 0.36 * min(cue.amplitude, 1.6) * settle(cue.t)
    return _scaled(points, subject.center, scale, scale)


def _wobble(subject: Subject, points: Points, cue: Cue) -> Points:
    """Jelly: twice from side to side, the middle behind the top, lower whenever it is aside."""
    shake = wave(2.0 * cue.t)
    up = subject.rising
    aside = subject.stride(0.15 * cue.amplitude) * shake * (1.5 * up - 0.75 * np.sin(np.pi * up))
    posed = squeezed(points, subject.base, 1.0 - 0.12 * cue.amplitude * shake * shake)
    return posed + aside[:, None] * LEFT


def _undulate(subject: Subject, points: Points, cue: Cue) -> Points:
    """A wave runs through it from one end to the other."""
    share, across = _length(subject, upwards=True)
    run = np.sin(2 * np.pi * (share - cue.t)) - np.sin(2 * np.pi * share)
    return points + (0.075 * subject.size * min(cue.amplitude, 1.6) * run)[:, None] * across


def _wiggle(subject: Subject, points: Points, cue: Cue) -> Points:
    """Its ends swing to one side while its middle swings to the other, twice."""
    share, across = _length(subject, upwards=False)
    curve = np.cos(2 * np.pi * share)
    return points + (0.11 * subject.size * cue.amplitude * wave(2.0 * cue.t) * curve)[:, None] * across


def _length(subject: Subject, *, upwards: bool) -> tuple[Points, Points]:
    """Place of points along the longest of its axes, 0 to 1, and the direction in which a wave moves them."""
    low, high = subject.points @ subject.front, subject.points @ subject.side
    spans = (np.ptp(low), np.ptp(high))
    if subject.height > 1.2 * max(spans):
        return subject.rising, LEFT
    place, other = (low, subject.side) if spans[0] >= spans[1] else (high, subject.front)
    share = (place.max() - place) / max(float(np.ptp(place)), 1e-9)
    return share, UP if upwards else other


def _scaled(points: Points, center: Points, wide: float, high: float) -> Points:
    return center + (points - center) * np.array([wide, high, wide])


_SHAPE = ("shape",)

SHAPES = (
    Move("sway", ("swaying", "swaying from side to side"), uses=("shape", "leg"), warp=_sway),
    Move(
        "bend", ("bending",), directions=("right", "left", "forward"), cyclic=False, uses=("shape", "leg"), warp=_bend
    ),
    Move("bow", ("bowing", "taking a bow"), uses=("shape", "leg", "head"), warp=_bow),
    Move("lean", ("leaning",), directions=("forward", "backward"), cyclic=False, uses=("shape", "leg"), warp=_lean),
    Move("twist", ("twisting",), uses=("shape", "heading", "leg"), warp=_twist),
    Move("squash", ("squashing", "squashing flat"), uses=("shape", "leg"), warp=_squash),
    Move("stretch", ("stretching", "stretching tall"), uses=("shape", "leg"), warp=_stretch),
    Move("breathe", ("breathing",), uses=_SHAPE, warp=_breathe),
    Move("grow", ("growing",), cyclic=False, uses=_SHAPE, warp=_grow),
    Move("shrink", ("shrinking",), cyclic=False, uses=_SHAPE, warp=_shrink),
    Move("wobble", ("wobbling", "wobbling like jelly"), fastest=1.5, beats=2, uses=("shape", "leg"), warp=_wobble),
    Move("undulate", ("undulating", "rippling"), uses=("shape", "leg"), warp=_undulate),
    Move("wiggle", ("wiggling",), fastest=1.5, beats=2, uses=("shape", "leg"), warp=_wiggle),
)
"""Moves of anything that change its shape."""
