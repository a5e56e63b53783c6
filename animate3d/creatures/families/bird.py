"""Small round birds with their wings spread."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import FRONT, LEFT, UP, jump, pulse, smooth_step, stretched, turn_points, wave
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

_WING = np.array(
    [
        (0.05, 0.2),
        (0.35, 0.26),
        (0.65, 0.22),
        (0.88, 0.08),
        (0.95, -0.1),
        (0.85, -0.22),
        (0.6, -0.26),
        (0.3, -0.2),
        (0.05, -0.16),
    ]
)
_TAIL = np.array([(-0.05, -0.2), (0.1, -0.25), (0.24, -0.75), (0.16, -0.86), (-0.05, -0.88)])
_BEAK = [([0, 0.4, 0.52], 0.075), ([0, 0.36, 0.68], 0.035)]


def _wing(left: Points) -> Points:
    height = left[..., 1] - 0.1 - 0.12 * left[..., 0]
    return fields.slab(fields.polygon(left[..., [0, 2]], _WING), height, 0.042)


def _tail(left: Points) -> Points:
    height = left[..., 1] + 0.02 + 0.35 * (left[..., 2] + 0.3)
    return fields.slab(fields.polygon(left[..., [0, 2]], _TAIL), height, 0.042)


def _feet(left: Points) -> Points:
    leg = fields.limb(left, [([0.12, -0.2, 0.02], 0.05), ([0.13, -0.47, 0.04], 0.045)])
    return fields.union(leg, fields.ellipsoid(left, [0.13, -0.5, 0.1], [0.08, 0.045, 0.14]), 0.04)


def _solid(points: Points) -> Points:
    left = mirrored(points)
    trunk = fields.ellipsoid(left, [0, 0, 0], [0.27, 0.3, 0.4])
    trunk = fields.union(trunk, fields.sphere(left, [0, 0.4, 0.28], 0.25), 0.12)
    trunk = fields.union(trunk, fields.limb(left, _BEAK), 0.02)
    trunk = fields.union(trunk, _wing(left), 0.06)
    trunk = fields.union(trunk, _tail(left), 0.08)
    return fields.union(trunk, _feet(left), 0.03)


def _grow(points: Points, traits: Traits) -> Points:
    x, y, z = np.moveaxis(points, -1, 0)
    out = np.maximum(np.abs(x) - 0.22, 0.0)
    wing = smooth_step(out / 0.2)
    head = smooth_step((y - 0.18) / 0.2) * (1 - wing)
    back = np.maximum(-0.3 - z, 0.0) * (1 - wing)
    big = 1 + head * (traits["head"] - 1)
    x = np.sign(x) * (np.abs(x) * big + out * (traits["span"] - 1))
    y = y + head * (y - 0.25) * (traits["head"] - 1) + traits["arch"] * 0.25 * out
    z = 0.28 * head + (z - 0.28 * head) * big + wing * z * (traits["chord"] - 1) - back * (traits["tail"] - 1)
    legs = np.minimum(y + 0.25, 0.0)
    return np.stack([x, y + legs * (traits["legs"] - 1), z], axis=-1)


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    color = look.coat(points, left[..., 0] + 0.6 * (0.3 - left[..., 2]))
    belly = soft_step(left[..., 2] * 0.7 - left[..., 1], 0.08, 0.16) * soft_step(left[..., 0], 0.24, 0.18)
    belly = belly * soft_step(left[..., 1], 0.22, 0.14)
    color = mix(color, look.second if look.pattern == "plain" else (0.97, 0.95, 0.88), belly)
    rim = fields.polygon(left[..., [0, 2]], _WING)
    tip = soft_step(left[..., 0], 0.66, 0.72) + soft_step(rim, -0.075, -0.045) * soft_step(left[..., 0], 0.3, 0.36)
    color = mix(color, look.accent, np.clip(tip, 0, 1))
    color = mix(color, look.accent, soft_step(left[..., 2], -0.6, -0.66))
    color = mix(color, (0.98, 0.55, 0.08), soft_step(fields.limb(left, _BEAK), 0.05, 0.02) * (left[..., 2] > 0.5))
    color = mix(color, (0.98, 0.55, 0.08), soft_step(left[..., 1], -0.28, -0.34) * (left[..., 0] < 0.3))
    return eyes(color, points, [0.15, 0.47, 0.45], 0.1, [0.5, 0.15, 1.0])


def _wings(body: Body) -> Points:
    """How far every vertex follows its wing, 0 to 1. ``[N]``"""
    x, y, z = mirrored(body.canonical).T
    level = smooth_step((0.26 - np.abs(y - 0.1 - 0.12 * x)) / 0.12)
    return smooth_step((x - 0.14) / 0.16) * level * smooth_step((z + 0.45) / 0.15)


def _beat(body: Body, angle: float) -> Points:
    """Both wings turned up about their shoulders, tips trailing."""
    side = np.sign(body.canonical[:, 0])
    shoulder = body.at([0.16, 0.1, 0.0]) * np.stack([side, np.ones_like(side), np.ones_like(side)], axis=-1)
    bend = 0.85 + 0.3 * np.abs(body.canonical[:, 0])
    return turn_points(body.rest, shoulder, FRONT, side * angle * _wings(body) * bend)


def _flap(body: Body, t: float, amplitude: float) -> Points:
    return _beat(body, 0.65 * amplitude * wave(t)) - 0.05 * amplitude * wave(t) * UP


def _hop(body: Body, t: float, amplitude: float) -> Points:
    rise, stretch = jump(t)
    posed = stretched(_beat(body, -0.2 * amplitude * rise), body.rest[:, 1].min(), 1 + 0.14 * amplitude * stretch)
    return posed + 0.24 * amplitude * rise * UP


def _peck(body: Body, t: float, amplitude: float) -> Points:
    """The body tips forward over its feet and the head follows."""
    dip = pulse(t)
    _x, y, z = body.canonical.T
    above = smooth_step((y + 0.42) / 0.34)
    head = smooth_step((y + 0.6 * z - 0.2) / 0.3) * (1 - _wings(body))
    posed = turn_points(body.rest, body.at([0, 0.2, 0.16]), LEFT, 0.4 * amplitude * dip * head)
    return turn_points(posed, body.at([0, -0.3, 0.03]), LEFT, 0.48 * amplitude * dip * above)


BIRD = Family(
    name="bird",
    solid=_solid,
    low=(-1.02, -0.62, -0.98),
    high=(1.02, 0.72, 0.78),
    spacing=0.058,
    facing=30.0,
    traits={
        "span": (0.85, 1.12),
        "chord": (0.85, 1.15),
        "head": (0.9, 1.18),
        "tail": (0.75, 1.2),
        "legs": (0.8, 1.2),
        "arch": (-0.5, 0.7),
    },
    grow=_grow,
    paint=_paint,
    motions={
        "flap": Motion(
            _flap,
            (("flapping its wings", "flaps its wings"), ("flying", "flies"), ("beating its wings", "beats its wings")),
            cyclic=True,
        ),
        "hop": Motion(
            _hop,
            (("hopping", "hops"), ("jumping up", "jumps up"), ("hopping up and down", "hops up and down")),
            cyclic=True,
        ),
        "peck": Motion(
            _peck,
            (
                ("pecking", "pecks"),
                ("bowing its head", "bows its head"),
                ("pecking at the ground", "pecks at the ground"),
            ),
            cyclic=True,
        ),
    },
)
