"""Ball characters: a round body with a face, ears, arms and feet."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import UP, jump, settle, smooth_step, stretched, turned
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

_RADIUS = 0.56


def _limbs(left: Points) -> Points:
    feet = fields.ellipsoid(left, [0.24, -0.58, 0.12], [0.17, 0.1, 0.24])
    return fields.union(feet, fields.limb(left, [([0.5, -0.02, 0.08], 0.11), ([0.68, -0.12, 0.16], 0.1)]), 0.01)


def _ears(left: Points) -> Points:
    return fields.limb(left, [([0.24, 0.42, 0.0], 0.13), ([0.36, 0.72, -0.02], 0.1)], 0.03)


def _solid(points: Points) -> Points:
    left = mirrored(points)
    body = fields.union(fields.sphere(left, [0, 0, 0], _RADIUS), _limbs(left), 0.05)
    return fields.union(body, _ears(left), 0.06)


def _grow(points: Points, traits: Traits) -> Points:
    x, y, z = np.moveaxis(points, -1, 0)
    ear = np.maximum(y - 0.5, 0.0)
    foot = smooth_step((-0.42 - y) / 0.12)
    wide = traits["wide"]
    x = x * wide + np.sign(x) * ear * traits["spread"] * smooth_step(np.abs(x) / 0.15)
    y = y / wide + ear * (traits["ears"] - 1)
    return np.stack([x, y, z * wide * (1 + foot * (traits["feet"] - 1))], axis=-1)


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    color = look.coat(points, points[..., 0] if look.stripe_phase < 0.5 else points[..., 1])
    if look.pattern == "plain":
        belly = np.linalg.norm((left - np.array([0, -0.16, 0.5])) * [1, 1, 0.8], axis=-1)
        color = mix(color, look.second, soft_step(0.3 - belly, -0.02, 0.02))
        back = np.linalg.norm(left - np.array([0, 0.1, -0.56]), axis=-1)
        color = mix(color, look.second, soft_step(0.28 - back, -0.02, 0.02))
    ends = np.minimum(_limbs(left), np.where(left[..., 1] > 0.6, _ears(left), 1.0))
    color = mix(color, look.accent, soft_step(ends, 0.03, 0.0) * soft_step(np.linalg.norm(left, axis=-1), 0.58, 0.62))
    face = np.linalg.norm((left - np.array([0, 0.08, 0.55])) / [1.25, 1.0, 1.0], axis=-1)
    color = mix(color, look.main, soft_step(0.34 - face, -0.03, 0.03) * (left[..., 2] > 0.3))
    smile = np.abs(np.hypot(left[..., 0], left[..., 1] - 0.1) - 0.2)
    smile = soft_step(smile, 0.045, 0.025) * soft_step(left[..., 1], 0.0, -0.04) * (left[..., 2] > 0.4)
    color = mix(color, (0.1, 0.05, 0.07), smile)
    return eyes(color, points, [0.18, 0.18, 0.5], 0.125, [0.1, 0.0, 1.0])


def _bounce(body: Body, t: float, amplitude: float) -> Points:
    rise, stretch = jump(t)
    posed = stretched(body.rest, body.rest[:, 1].min(), 1 + 0.15 * amplitude * stretch)
    return posed + 0.18 * amplitude * rise * UP


def _squash(body: Body, t: float, amplitude: float) -> Points:
    """Down like jelly, up again past the rest, and back."""
    squeeze = np.sin(2 * np.pi * min(t, 1.0)) * (1.35 - 0.65 * min(t, 1.0))
    return stretched(body.rest, body.rest[:, 1].min(), float(np.exp(-0.24 * amplitude * squeeze)))


def _spin(body: Body, t: float, amplitude: float) -> Points:
    return turned(body.rest, np.zeros(3), UP, 0.95 * amplitude * settle(t))


BALL = Family(
    name="ball",
    solid=_solid,
    low=(-0.85, -0.74, -0.66),
    high=(0.85, 0.88, 0.66),
    spacing=0.062,
    facing=20.0,
    traits={"wide": (0.9, 1.1), "ears": (0.6, 1.25), "spread": (-0.5, 0.6), "feet": (0.8, 1.2)},
    grow=_grow,
    paint=_paint,
    motions={
        "bounce": Motion(
            _bounce,
            (("bouncing", "bounces"), ("jumping up", "jumps up"), ("bouncing up and down", "bounces up and down")),
            cyclic=True,
        ),
        "squash": Motion(
            _squash,
            (("squashing", "squashes"), ("squashing flat", "squashes flat"), ("stretching", "stretches")),
            cyclic=True,
        ),
        "spin": Motion(
            _spin, (("spinning", "spins"), ("spinning around", "spins around"), ("turning around", "turns around"))
        ),
    },
)
