"""Snakes that lie in curves."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import settle, smooth_step
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

_TAIL, _NOSE = -1.6, 1.6
_SAMPLES = np.linspace(_TAIL, _NOSE, 161)
_SHARE = (_SAMPLES - _TAIL) / (_NOSE - _TAIL)
_FRONT = smooth_step((_SHARE - 0.5) / 0.18) * (1 - 1.1 * smooth_step((_SHARE - 0.78) / 0.12))


def _solid(points: Points) -> Points:
    left = mirrored(points)
    body = fields.limb(
        left, [([0, 0, _TAIL + 0.07], 0.05), ([0, 0, -0.7], 0.14), ([0, 0, 0.6], 0.15), ([0, 0, 1.25], 0.11)], 0.03
    )
    return fields.union(body, fields.ellipsoid(left, [0, 0.03, 1.34], [0.19, 0.14, 0.27]), 0.08)


def _heading(traits: Traits, phase: float) -> Points:
    """Direction of the centre line from +z towards +x at the samples, radians."""
    return traits["curl"] * np.cos(2 * np.pi * (1.25 * (1 - _SHARE) + 0.05) + phase)


def _lay(straight: Points, traits: Traits, heading: Points, pitch: Points, *, fixed_tail: bool = False) -> Points:
    """Points of the straight template along a centre line with the given directions at the samples."""
    forward = np.stack([np.sin(heading) * np.cos(pitch), np.sin(pitch), np.cos(heading) * np.cos(pitch)], axis=-1)
    right = np.stack([np.cos(heading), np.zeros_like(heading), -np.sin(heading)], axis=-1)
    step = _SAMPLES[1] - _SAMPLES[0]
    middle = 0.5 * (forward[1:] + forward[:-1]) * step
    line = np.concatenate([np.zeros((1, 3)), np.cumsum(middle, axis=0)])
    if not fixed_tail:
        line[:, [0, 2]] -= line[:, [0, 2]].mean(axis=0)
    upward = np.cross(forward, right)
    s = straight[..., 2]

    def at(values: Points) -> Points:
        return np.stack([np.interp(s, _SAMPLES, values[:, k]) for k in range(3)], axis=-1)

    beyond = (s - np.clip(s, _TAIL, _NOSE))[..., None]
    thick = (
        traits["thick"] * np.where(s > 0.9, 1 + (traits["head"] - 1) * smooth_step((s - 0.9) / 0.25), 1.0)[..., None]
    )
    across = straight[..., :1] * thick * at(right) + straight[..., 1:2] * thick * at(upward)
    return at(line) + across + beyond * at(forward)


def _rest_pitch(traits: Traits) -> Points:
    """The front is raised, the head looks ahead."""
    return traits["lift"] * _FRONT


def _grow(points: Points, traits: Traits) -> Points:
    return _lay(points, traits, _heading(traits, 0.0), _rest_pitch(traits))


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    color = look.coat(points, 0.8 * points[..., 2])
    belly = soft_step(normals[..., 1], -0.45, -0.65)
    color = mix(color, (0.96, 0.92, 0.75), belly)
    if look.pattern == "plain":
        color = mix(color, look.second, soft_step(normals[..., 1], 0.75, 0.88))
    head = soft_step(left[..., 2], 1.1, 1.16)
    color = mix(color, look.accent, 0.9 * head)
    tip = soft_step(left[..., 2], _TAIL + 0.3, _TAIL + 0.22)
    color = mix(color, look.accent, tip)
    return eyes(color, points, [0.12, 0.12, 1.42], 0.095, [0.7, 0.4, 0.6])


def _slither(body: Body, t: float, amplitude: float) -> Points:
    """The wave runs from head to tail; its start is soft."""
    phase = 2 * np.pi * t
    heading = _heading(body.traits, 0.0) + 0.75 * amplitude * (
        _heading(body.traits, phase) - _heading(body.traits, 0.0)
    )
    return _lay(body.canonical, body.traits, heading, _rest_pitch(body.traits))


def _raise_by(body: Body, angle: float) -> Points:
    """The front turned up by an angle, the tail where it was."""
    heading, pitch = _heading(body.traits, 0.0), _rest_pitch(body.traits)
    posed = _lay(body.canonical, body.traits, heading, pitch + angle * _FRONT, fixed_tail=True)
    return posed + body.rest - _lay(body.canonical, body.traits, heading, pitch, fixed_tail=True)


def _lift(body: Body, t: float, amplitude: float) -> Points:
    return _raise_by(body, 0.62 * amplitude * settle(t))


def _lower(body: Body, t: float, amplitude: float) -> Points:
    return _raise_by(body, -0.85 * amplitude * body.traits["lift"] * settle(t))


SNAKE = Family(
    name="snake",
    solid=_solid,
    low=(-0.3, -0.28, -1.7),
    high=(0.3, 0.3, 1.7),
    spacing=0.062,
    facing=40.0,
    traits={"thick": (1.1, 1.4), "head": (0.85, 1.1), "curl": (0.7, 1.0), "lift": (0.75, 0.95)},
    grow=_grow,
    paint=_paint,
    motions={
        "slither": Motion(
            _slither,
            (("slithering", "slithers"), ("crawling", "crawls"), ("slithering forward", "slithers forward")),
            cyclic=True,
        ),
        "lift": Motion(
            _lift,
            (
                ("raising its head", "raises its head"),
                ("lifting its head", "lifts its head"),
                ("standing up", "stands up"),
            ),
        ),
        "lower": Motion(
            _lower,
            (
                ("lowering its head", "lowers its head"),
                ("lying down", "lies down"),
                ("dropping its head", "drops its head"),
            ),
        ),
    },
)
