"""Dogs with large heads."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import FRONT, LEFT, UP, bend_limb, jump, smooth_step, stretched, turn_points, wave
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

_LEGS = (0.34, -0.4)  # z of the front and hind legs
_NECK = np.array([0.0, 0.14, 0.34])


def _leg(left: Points, z: float) -> Points:
    return fields.limb(
        left, [([0.17, -0.08, z], 0.13), ([0.18, -0.42, z], 0.095), ([0.18, -0.56, z + 0.04], 0.1)], 0.05
    )


def _head(left: Points) -> Points:
    head = fields.ellipsoid(left, [0, 0.42, 0.52], [0.27, 0.25, 0.25])
    return fields.union(head, fields.limb(left, [([0, 0.35, 0.65], 0.15), ([0, 0.33, 0.82], 0.115)]), 0.08)


def _ear(left: Points) -> Points:
    return fields.limb(left, [([0.2, 0.6, 0.46], 0.085), ([0.34, 0.5, 0.46], 0.085), ([0.37, 0.34, 0.47], 0.07)], 0.04)


def _tail(left: Points) -> Points:
    return fields.limb(left, [([0, 0.12, -0.5], 0.09), ([0, 0.3, -0.72], 0.075), ([0, 0.52, -0.8], 0.06)], 0.05)


def _solid(points: Points) -> Points:
    left = mirrored(points)
    trunk = fields.limb(left, [([0, 0.0, -0.36], 0.235), ([0, 0.03, 0.3], 0.25)])
    trunk = fields.union(trunk, fields.limb(left, [([0, 0.08, 0.3], 0.18), ([0, 0.32, 0.46], 0.17)]), 0.1)
    for z in _LEGS:
        trunk = fields.union(trunk, _leg(left, z), 0.06)
    head = fields.union(_head(left), _ear(left), 0.03)
    return fields.union(fields.union(trunk, head, 0.06), _tail(left), 0.06)


def _grow(points: Points, traits: Traits) -> Points:
    x, y, z = np.moveaxis(points, -1, 0)
    head = _head_share(points)
    big = 1 + head * (traits["head"] - 1)
    x = x * (traits["width"] * (1 - head) + big * head)
    y = y + head * (y - _NECK[1]) * (traits["head"] - 1)
    z = z * traits["length"] * (1 - head) + head * (_NECK[2] * traits["length"] + (z - _NECK[2]) * big)
    ear = smooth_step((np.abs(points[..., 0]) - 0.27) / 0.08) * head
    y = y + ear * (points[..., 1] - 0.55) * (traits["ears"] - 1)
    back = np.maximum(-0.5 - points[..., 2], 0.0)
    y = y + back * 0.8 * traits["tail"]
    legs = np.minimum(y + 0.15, 0.0)
    return np.stack([x, y + legs * (traits["legs"] - 1), z], axis=-1)


def _head_share(points: Points) -> Points:
    """1 on the head, 0 on the body, soft at the neck. ``[...]``"""
    return smooth_step((points[..., 1] * 0.7 + points[..., 2] * 0.7 - 0.34) / 0.22) * smooth_step(
        (points[..., 1] - 0.05) / 0.2
    )


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    color = look.coat(points, left[..., 2])
    light = look.second if look.pattern == "plain" else np.array([0.96, 0.93, 0.86])
    snout = soft_step(0.42 - left[..., 1], -0.03, 0.03) * soft_step(left[..., 2], 0.62, 0.68) * (left[..., 1] > 0.1)
    color = mix(color, light, snout)
    color = mix(color, light, soft_step(left[..., 1], -0.42, -0.48))
    color = mix(color, light, soft_step(left[..., 1] - left[..., 2], 1.14, 1.2))
    color = mix(color, look.accent, soft_step(_ear(left), 0.03, 0.0) * soft_step(left[..., 0], 0.26, 0.3))
    nose = np.linalg.norm(left - np.array([0.0, 0.39, 0.92]), axis=-1)
    color = mix(color, (0.08, 0.07, 0.09), soft_step(0.085 - nose, -0.02, 0.02))
    collar = np.abs((left[..., 1] - 0.21) * 0.7 + (left[..., 2] - 0.38) * 0.7)
    collar = soft_step(collar, 0.055, 0.03) * (left[..., 0] < 0.25) * soft_step(left[..., 1], 0.0, 0.05)
    color = mix(color, look.accent, collar)
    return eyes(color, points, [0.13, 0.5, 0.72], 0.085, [0.3, 0.05, 1.0])


def _walk(body: Body, t: float, amplitude: float) -> Points:
    """Diagonal legs swing together, the body bobs twice, the tail sways."""
    x, y, _z = body.canonical.T
    left = mirrored(body.canonical)
    posed = body.rest
    for place, leg_z in enumerate(_LEGS):
        near = smooth_step(1.0 - np.maximum(_leg(left, leg_z), 0.0) / 0.1) * smooth_step((-0.1 - y) / 0.24)
        for side in (1.0, -1.0):
            weight = near * smooth_step(0.5 + side * x / 0.16)
            swing = side * (1.0 if place == 0 else -1.0) * wave(t)
            hip = body.at([side * 0.17, -0.1, leg_z])
            posed = turn_points(posed, hip, LEFT, -0.68 * amplitude * swing * weight)
    return posed + 0.035 * amplitude * wave(t) ** 2 * UP + _sway_tail(body, 0.5 * amplitude * wave(t))


def _sway_tail(body: Body, angle: float) -> Points:
    base = body.at([0.0, 0.12, -0.52])
    reach = np.clip(base[2] - body.rest[:, 2], 0.0, None)
    return bend_limb(body.rest, reach, base, -FRONT, LEFT, angle) - body.rest


def _jump(body: Body, t: float, amplitude: float) -> Points:
    rise, stretch = jump(t)
    posed = stretched(body.rest, body.rest[:, 1].min(), 1 + 0.16 * amplitude * stretch)
    return posed + 0.24 * amplitude * rise * UP


def _shake(body: Body, t: float, amplitude: float) -> Points:
    """The head turns to one side and the other, leaning a little."""
    share = _head_share(body.canonical)
    neck = body.at(_NECK)
    posed = turn_points(body.rest, neck + 0.2 * UP, FRONT, -0.25 * amplitude * wave(t) * share)
    return turn_points(posed, neck, UP, 0.75 * amplitude * wave(t) * share)


DOG = Family(
    name="dog",
    solid=_solid,
    low=(-0.52, -0.72, -0.95),
    high=(0.52, 0.78, 1.0),
    spacing=0.061,
    facing=35.0,
    traits={
        "head": (0.92, 1.2),
        "width": (0.85, 1.2),
        "length": (0.88, 1.12),
        "legs": (0.75, 1.2),
        "ears": (0.7, 1.4),
        "tail": (-1.0, 0.4),
    },
    grow=_grow,
    paint=_paint,
    motions={
        "walk": Motion(
            _walk,
            (("walking", "walks"), ("walking forward", "walks forward"), ("moving its legs", "moves its legs")),
            cyclic=True,
        ),
        "jump": Motion(
            _jump, (("jumping", "jumps"), ("jumping up", "jumps up"), ("leaping up", "leaps up")), cyclic=True
        ),
        "shake": Motion(
            _shake,
            (
                ("shaking its head", "shakes its head"),
                ("looking around", "looks around"),
                ("turning its head", "turns its head"),
            ),
            cyclic=True,
        ),
    },
)
