"""Moves of the whole body as a rigid piece: they apply to anything."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.moves.move import Cue, Move
from animate3d.creatures.moves.rhythms import arc, drop
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.rigs import FRONT, LEFT, UP, jump, settle, wave
from animate3d.creatures.sculpt.fields import Points
from animate3d.rotations import rotation_matrices


def rotated(points: Points, center: Points, axis: Points, angle: float) -> Points:
    """All points ``[N, 3]`` turned about one centre and unit axis, right-hand rule."""
    return (points - center) @ rotation_matrices(angle * axis).T + center


def squeezed(points: Points, base: Points, height: float) -> Points:
    """Points ``[N, 3]`` stretched in height above a base, at about the same volume."""
    return base + (points - base) * np.array([height**-0.5, height, height**-0.5])


def _topple(points: Points, subject: Subject, cue: Cue, angle: float) -> Points:
    """Turned so that the top goes the cue's way."""
    return rotated(points, subject.center, np.cross(UP, cue.towards(subject)), angle)


def _spin(subject: Subject, points: Points, cue: Cue) -> Points:
    angle = cue.turned(np.deg2rad(120.0) * min(cue.amplitude, 1.5) * settle(cue.t))
    return rotated(points, subject.center, UP, cue.sign * angle)


def _turn(subject: Subject, points: Points, cue: Cue) -> Points:
    return rotated(points, subject.center, UP, cue.sign * np.deg2rad(45.0) * cue.amplitude * settle(cue.t))


def _roll(subject: Subject, points: Points, cue: Cue) -> Points:
    done = 0.0 if cue.closes else settle(cue.t)
    rolled = _topple(points, subject, cue, cue.turned(np.deg2rad(150.0) * min(cue.amplitude, 1.2) * done))
    return rolled + subject.stride(0.14 * cue.amplitude) * done * cue.towards(subject)


def _tip(subject: Subject, points: Points, cue: Cue) -> Points:
    """It falls over and lies about on the ground, not far from where it stood."""
    done = drop(cue.t)
    lying = _topple(points, subject, cue, np.deg2rad(84.0) * min(cue.amplitude, 1.1) * done)
    lying[:, 1] += min(points[:, 1].min() - lying[:, 1].min(), subject.lift(0.1))
    return lying + subject.stride(0.1 * cue.amplitude) * done * cue.towards(subject)


def _tilt(subject: Subject, points: Points, cue: Cue) -> Points:
    return _topple(points, subject, cue, np.deg2rad(32.0) * cue.amplitude * settle(cue.t))


def _rock(subject: Subject, points: Points, cue: Cue) -> Points:
    """Forwards and back on its base."""
    return rotated(points, subject.base, subject.side, 0.34 * cue.amplitude * wave(cue.t))


def _swing(subject: Subject, points: Points, cue: Cue) -> Points:
    """A pendulum that hangs from its top."""
    top = subject.base + subject.height * UP
    return rotated(points, top, FRONT, 0.42 * min(cue.amplitude, 1.35) * wave(cue.t))


def _hop(subject: Subject, points: Points, cue: Cue) -> Points:
    """Two small hops, stiff, leaning to one side and to the other."""
    beat = 2.0 * cue.t
    height = arc(beat % 1.0, 0.06, 0.94)
    lean = 0.12 * cue.amplitude * height * (1.0 if int(beat) % 2 == 0 else -1.0)
    return rotated(points, subject.center, FRONT, lean) + subject.lift(0.1 * cue.amplitude) * height * UP


def _jump(subject: Subject, points: Points, cue: Cue) -> Points:
    """Crouch, one high leap, land."""
    rise, stretch = jump(cue.t % 1.0)
    posed = squeezed(points, subject.base, 1 + min(cue.amplitude, 1.4) * min(0.18 * stretch, 0.05 * stretch))
    return posed + 0.85 * subject.lift(0.24 * cue.amplitude) * rise * UP


def _bounce(subject: Subject, points: Points, cue: Cue) -> Points:
    """A rubber ball: squashed flat on the ground before, between and after a higher and a lower bounce.

    Where it is said how often it bounces, all are as high.
    """
    t = cue.t % 1.0
    if cue.count:
        height, squash = arc(t, 0.18, 0.82), arc(t, 0.0, 0.2) + arc(t, 0.8, 1.0)
    else:
        height = arc(t, 0.2, 0.56) + 0.5 * arc(t, 0.68, 0.92)
        squash = arc(t, 0.0, 0.22) + arc(t, 0.54, 0.7) + 0.5 * arc(t, 0.9, 1.0)
    posed = squeezed(points, subject.base, 1 - 0.34 * min(cue.amplitude, 1.5) * squash)
    return posed + subject.lift(0.19 * cue.amplitude) * height * UP


def _float(subject: Subject, points: Points, cue: Cue) -> Points:
    """Softly up, below where it was, and back, rolling a little."""
    drift = wave(cue.t)
    return rotated(points, subject.center, FRONT, 0.16 * cue.amplitude * drift) + (
        subject.lift(0.13 * cue.amplitude) * drift * UP
    )


def _rise(subject: Subject, points: Points, cue: Cue) -> Points:
    return points + subject.lift(0.26 * cue.amplitude) * settle(cue.t) * UP


def _fall(subject: Subject, points: Points, cue: Cue) -> Points:
    """Down ever faster, tumbling."""
    done = drop(cue.t, 0.8)
    tumbled = rotated(points, subject.center, FRONT, 0.4 * cue.amplitude * done)
    return tumbled - subject.lift(0.22 * cue.amplitude) * done * UP


def _slide(subject: Subject, points: Points, cue: Cue) -> Points:
    return points + subject.stride(0.24 * cue.amplitude) * settle(cue.t) * cue.towards(subject)


def _tremble(subject: Subject, points: Points, cue: Cue) -> Points:
    """Many small quick shakes."""
    size = 0.045 * subject.size * cue.amplitude
    return points + size * (wave(4.0 * cue.t) * LEFT + 0.8 * wave(3.0 * cue.t) * FRONT)


_SIDES = ("left", "right")
_PLACED = ("place",)

WHOLE = (
    Move(
        "spin",
        ("spinning", "spinning around", "rotating"),
        directions=_SIDES,
        cyclic=False,
        turns=True,
        shown_in=5,
        uses=("heading",),
        warp=_spin,
    ),
    Move("turn", ("turning", "turning to the side"), directions=_SIDES, cyclic=False, uses=("heading",), warp=_turn),
    Move(
        "roll",
        ("rolling", "rolling over"),
        directions=("right", "left"),
        cyclic=False,
        turns=True,
        shown_in=5,
        uses=("place", "heading", "leg"),
        warp=_roll,
    ),
    Move(
        "tip",
        ("tipping over", "falling over"),
        directions=("right", "left", "forward"),
        cyclic=False,
        uses=("place", "heading", "leg"),
        warp=_tip,
    ),
    Move(
        "tilt", ("tilting",), directions=("right", "left"), cyclic=False, uses=("heading", "shape", "leg"), warp=_tilt
    ),
    Move("rock", ("rocking", "rocking back and forth"), uses=("heading", "shape", "leg"), warp=_rock),
    Move("swing", ("swinging", "swinging like a pendulum"), uses=("place", "heading", "shape", "leg"), warp=_swing),
    Move("hop", ("hopping",), fastest=1.5, beats=2, rises=True, uses=("place", "shape", "leg"), warp=_hop),
    Move("jump", ("jumping", "leaping"), rises=True, uses=("place", "shape", "leg"), warp=_jump),
    Move("bounce", ("bouncing",), fastest=1.5, rises=True, uses=("place", "shape", "leg"), warp=_bounce),
    Move("float", ("floating", "hovering"), uses=_PLACED, warp=_float),
    Move("rise", ("flying up", "rising"), cyclic=False, rises=True, uses=_PLACED, warp=_rise),
    Move("fall", ("falling", "falling down"), cyclic=False, uses=("place", "shape"), warp=_fall),
    Move(
        "slide",
        ("sliding",),
        directions=("right", "left", "forward", "backward"),
        cyclic=False,
        uses=_PLACED,
        warp=_slide,
    ),
    Move("tremble", ("trembling", "shivering"), fastest=1.0, beats=4, uses=_PLACED, warp=_tremble),
)
"""Rigid moves of anything."""
