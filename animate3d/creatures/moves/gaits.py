"""Moves of legs and what goes with them: ways to walk, to dance, to crouch, to kick; and wheels."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.moves.move import Cue, Move
from animate3d.creatures.moves.rhythms import arc, hold
from animate3d.creatures.moves.stance import Stance
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.rigs import UP, pulse, settle, wave
from animate3d.creatures.sculpt.fields import Points


def rows(subject: Subject) -> list[tuple[int, int]]:
    """Every leg with its row, counted from the front."""
    legs = subject.having("leg")
    orders = sorted({round(subject.parts[leg].order, 2) for leg in legs})
    return [(leg, orders.index(round(subject.parts[leg].order, 2))) for leg in legs]


def feet_fold(subject: Subject, stance: Stance, leg: int, drop: float) -> None:
    """Fold a leg so that its foot stays while the body sinks by ``drop``."""
    part = subject.parts[leg]
    share = float(np.clip(drop / max(part.length, 1e-6), 0.0, 0.8))
    if part.along[1] < -0.75:
        knee = float(np.arccos(1.0 - share))
        stance.curl(leg, [knee, -2.0 * knee])
    else:  # a leg that stands out turns up
        out = np.cross(part.along, UP)
        stance.turn(leg, out / max(float(np.linalg.norm(out)), 1e-6), float(np.arcsin(share)))


def hips(subject: Subject) -> Points:
    """Middle of the joints of the legs, else the bottom of the trunk's place. ``[3]``"""
    legs = subject.having("leg")
    if not legs:
        return subject.base
    return np.mean([subject.parts[leg].joint for leg in legs], axis=0)


def _step(subject: Subject, stance: Stance, leg: int, angle: float, knee: float) -> None:
    """A leg swung forward by the angle, its knee bent while it is ahead."""
    stance.curl(leg, [angle + 0.5 * knee, -knee])


def _swing_arms(subject: Subject, stance: Stance, angle: float) -> None:
    """Arms against legs: the right one forward while the left leg is."""
    for arm in subject.having("arm"):
        if subject.parts[arm].along[1] < 0.0:
            stance.swing(arm, -angle if subject.parts[arm].side >= 0 else angle)


def _sway_tails(subject: Subject, stance: Stance, angle: float) -> None:
    for tail in subject.having("tail"):
        stance.bend(tail, subject.parts[tail].hinge, angle)


def _walk(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Diagonal legs together, the body bobs twice, the tail sways."""
    swing = wave(cue.t)
    for leg, row in rows(subject):
        ahead = swing * (1.0 if subject.parts[leg].side >= 0 else -1.0) * (1.0 if row % 2 == 0 else -1.0)
        _step(subject, stance, leg, 0.68 * cue.amplitude * ahead, 0.5 * cue.amplitude * max(ahead, 0.0))
    _swing_arms(subject, stance, 0.5 * cue.amplitude * swing)
    _sway_tails(subject, stance, 0.35 * cue.amplitude * swing)
    stance.shift += 0.02 * subject.size * cue.amplitude * swing**2 * UP


def _run(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Two long strides, knees high, off the ground between them."""
    swing = wave(2.0 * cue.t)
    size = min(cue.amplitude, 1.3)
    for leg, row in rows(subject):
        ahead = swing * (1.0 if subject.parts[leg].side >= 0 else -1.0) * (1.0 if row % 2 == 0 else -1.0)
        _step(subject, stance, leg, 0.85 * size * ahead, 1.1 * size * max(ahead, 0.0))
    _swing_arms(subject, stance, 0.9 * size * swing)
    stance.shift += subject.lift(0.07 * size) * swing**2 * UP


def _gallop(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Front legs together, hind legs the other way, the body pitching."""
    swing = wave(cue.t)
    for leg, row in rows(subject):
        ahead = swing if row == 0 else -swing
        _step(subject, stance, leg, 0.75 * min(cue.amplitude, 1.4) * ahead, 0.5 * cue.amplitude * max(ahead, 0.0))
    stance.tip(subject.side, -0.22 * min(cue.amplitude, 1.4) * swing, hips(subject))
    stance.shift += subject.lift(0.09 * cue.amplitude) * swing**2 * UP


def _crawl(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Low on bent legs that take small steps, the body turning from side to side."""
    low, swing = hold(cue.t), wave(cue.t)
    length = float(np.median([subject.parts[leg].length for leg in subject.having("leg")]))
    sink = 0.3 * length * min(cue.amplitude, 1.3) * low
    for leg, row in rows(subject):
        feet_fold(subject, stance, leg, sink)
        ahead = swing * (1.0 if subject.parts[leg].side >= 0 else -1.0) * (1.0 if row % 2 == 0 else -1.0)
        stance.swing(leg, 0.5 * cue.amplitude * ahead)
    stance.tip(UP, 0.16 * cue.amplitude * swing, subject.center)
    stance.shift -= sink * UP


def _crouch(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Down on bent legs, the feet where they were."""
    legs = subject.having("leg")
    length = float(np.median([subject.parts[leg].length for leg in legs]))
    sink = 0.55 * length * min(cue.amplitude, 1.35) * settle(cue.t)
    for leg in legs:
        feet_fold(subject, stance, leg, sink)
    stance.shift -= sink * UP


def _kick(subject: Subject, stance: Stance, cue: Cue) -> None:
    """One leg draws back and kicks far to the front, the body leans away."""
    able = cue.limbs(subject, "leg")
    legs = [(leg, row) for leg, row in rows(subject) if leg in able]
    leg = min(legs, key=lambda found: (found[1], subject.parts[found[0]].side))[0]
    t = cue.t % 1.0
    back, kick = arc(t, 0.0, 0.36), arc(t, 0.3, 1.0) ** 1.5
    size = min(cue.amplitude, 1.5)
    stance.curl(leg, [size * (1.1 * kick - 0.5 * back), -0.9 * size * back])
    stance.tip(subject.side, -0.12 * size * kick, hips(subject))


def _dance(subject: Subject, stance: Stance, cue: Cue) -> None:
    """From one side to the other with a lean, legs lifted in turn, arms up in turn."""
    swing, size = wave(cue.t), min(cue.amplitude, 1.4)
    for leg, row in rows(subject):
        mine = swing * (1.0 if subject.parts[leg].side >= 0 else -1.0) * (1.0 if row % 2 == 0 else -1.0)
        lifted = max(-mine, 0.0)
        stance.curl(leg, [0.9 * size * lifted, -1.2 * size * lifted])
    for arm in subject.having("arm"):
        raise_towards(subject, stance, arm, 0.75 * size * max(swing * subject.parts[arm].side, 0.0))
    stance.tip(subject.front, 0.22 * size * swing, subject.base)
    stance.shift += subject.lift(0.05 * size) * pulse(2.0 * cue.t) * UP


def raise_towards(subject: Subject, stance: Stance, arm: int, share: float) -> None:
    """Raise an arm by a share of the turn that points it up and out."""
    part = subject.parts[arm]
    goal = UP + 0.45 * part.side * subject.side + 0.15 * subject.front
    goal = goal / np.linalg.norm(goal)
    axis = np.cross(part.along, goal)
    far = float(np.arccos(np.clip(part.along @ goal, -1.0, 1.0)))
    length = float(np.linalg.norm(axis))
    stance.turn(arm, axis / length if length > 1e-3 else subject.front, share * far)


def _drive(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Wheels roll and the whole goes along, where the clip is not to close."""
    way, done = -1.0 if cue.direction == "backward" else 1.0, 0.0 if cue.closes else settle(cue.t)
    for wheel in subject.having("wheel"):
        stance.swing(wheel, way * cue.turned(np.deg2rad(170.0) * min(cue.amplitude, 1.5) * done))
    stance.shift += subject.stride(0.14 * cue.amplitude) * way * done * subject.front


_LEGS = ("leg",)
_ON_LEGS = ("leg", "place", "shape")

GAITS = (
    Move(
        "walk", ("walking", "walking forward"), needs=_LEGS, uses=("leg", "arm", "tail", "place", "shape"), turn=_walk
    ),
    Move("run", ("running",), needs=_LEGS, fastest=1.0, beats=2, uses=("leg", "arm", "place", "shape"), turn=_run),
    Move("gallop", ("galloping",), needs=_LEGS, least=4, uses=(*_ON_LEGS, "heading"), turn=_gallop),
    Move("crawl", ("crawling", "creeping"), needs=_LEGS, uses=(*_ON_LEGS, "heading"), turn=_crawl),
    Move("crouch", ("crouching", "ducking down"), needs=_LEGS, cyclic=False, uses=_ON_LEGS, turn=_crouch),
    Move("kick", ("kicking",), needs=_LEGS, uses=(*_ON_LEGS, "heading"), sided=True, turn=_kick),
    Move("dance", ("dancing",), needs=_LEGS, uses=(*_ON_LEGS, "heading", "arm"), turn=_dance),
    Move(
        "drive",
        ("driving", "rolling on its wheels"),
        needs=("wheel",),
        directions=("forward", "backward"),
        cyclic=False,
        turns=True,
        shown_in=5,
        uses=("wheel", "place"),
        turn=_drive,
    ),
)
"""Moves of legs and wheels."""
