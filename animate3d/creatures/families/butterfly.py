"""Butterflies: upright, the wings spread towards the viewer."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import FRONT, LEFT, UP, settle, smooth_step, turn_points, turned, wave
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored


def _rounded(corners: list[tuple[float, float]]) -> Points:
    """A closed outline with its corners cut twice. ``[P, 2]``"""
    outline = np.array(corners)
    for _ in range(2):
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], axis=1).reshape(-1, 2)
    return outline


_UPPER = _rounded([(-0.04, -0.04), (-0.04, 0.26), (0.45, 0.82), (0.92, 0.84), (0.98, 0.45), (0.72, 0.02), (0.3, -0.08)])
_LOWER = _rounded([(-0.04, 0.1), (0.4, 0.06), (0.76, -0.08), (0.78, -0.5), (0.45, -0.8), (0.2, -0.62), (-0.04, -0.2)])
_HALF_THICKNESS = 0.036


def _rims(left: Points) -> tuple[Points, Points]:
    """Distance to the outlines of the upper and lower wing, negative inside."""
    return fields.polygon(left[..., :2], _UPPER), fields.polygon(left[..., :2], _LOWER)


def _trunk(left: Points) -> Points:
    body = fields.limb(left, [([0, -0.5, 0], 0.06), ([0, -0.1, 0.0], 0.1), ([0, 0.2, 0.0], 0.115)], 0.05)
    body = fields.union(body, fields.sphere(left, [0, 0.37, 0.02], 0.145), 0.05)
    antenna = fields.limb(left, [([0.05, 0.47, 0.02], 0.042), ([0.13, 0.66, 0.03], 0.042), ([0.18, 0.7, 0.04], 0.05)])
    return fields.union(body, antenna, 0.03)


def _solid(points: Points) -> Points:
    left = mirrored(points)
    upper, lower = _rims(left)
    wing = fields.slab(fields.union(upper, lower, 0.06), left[..., 2] + 0.03, _HALF_THICKNESS)
    return fields.union(_trunk(left), wing, 0.05)


def _grow(points: Points, traits: Traits) -> Points:
    x, y, z = np.moveaxis(points, -1, 0)
    out = np.maximum(np.abs(x) - 0.1, 0.0)
    wing = smooth_step(out / 0.2)
    lower = smooth_step(0.5 - y / 0.4) * wing
    x = np.sign(x) * (np.abs(x) + out * (traits["span"] - 1 - 0.22 * lower * traits["narrow"]))
    y = y * (1 + wing * (traits["height"] - 1)) + 0.25 * wing * traits["sweep"] * out
    return np.stack([x, y, z * traits["plump"]], axis=-1)


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    upper, lower = _rims(left)
    from_root = np.hypot(left[..., 0], left[..., 1])
    color = look.coat(points, from_root)
    # A dark rim, and an eye spot in each wing.
    rim = np.minimum(upper, lower)
    color = mix(color, look.second if look.pattern == "plain" else look.accent, soft_step(rim, -0.1, -0.06))
    for center, radius in (((0.62, 0.47), 0.15), ((0.48, -0.38), 0.12)):
        away = np.linalg.norm(left[..., :2] - np.array(center), axis=-1)
        color = mix(color, look.accent, soft_step(radius - away, -0.02, 0.02))
        color = mix(color, (0.97, 0.97, 0.95), soft_step(0.5 * radius - away, -0.02, 0.02))
    trunk = soft_step(_trunk(left) - np.maximum(rim, np.abs(left[..., 2] + 0.03)), 0.06, 0.02)
    trunk = np.maximum(trunk * soft_step(left[..., 0], 0.2, 0.14), soft_step(left[..., 0], 0.12, 0.09))
    trunk = np.maximum(trunk, soft_step(_trunk(left), 0.02, 0.005) * (rim > 0))
    dark = np.asarray([0.16, 0.12, 0.12])
    color = mix(color, dark, trunk)
    return eyes(color, points, [0.085, 0.41, 0.12], 0.095, [0.2, 0.0, 1.0])


def _wings(body: Body) -> Points:
    """How far every vertex follows its wing, 0 to 1. ``[N]``"""
    left = mirrored(body.canonical)
    wing = smooth_step((left[:, 0] - 0.03) / 0.2)
    antenna = smooth_step((left[:, 1] - 0.36) / 0.1) * smooth_step((0.26 - left[:, 0]) / 0.06)
    return wing * (1 - antenna)


def _fold(body: Body, angle: float) -> Points:
    """Both wings turned about the trunk, positive towards the front; tips lag a little."""
    side = np.sign(body.canonical[:, 0])
    bend = 1.0 + 0.25 * np.abs(body.canonical[:, 0])
    return turn_points(body.rest, np.array([0.0, 0.0, -0.03]), UP, -side * angle * _wings(body) * bend)


def _flap(body: Body, t: float, amplitude: float) -> Points:
    beat = wave(t)
    return _fold(body, 0.62 * amplitude * beat) - 0.05 * amplitude * beat * UP


def _rise(body: Body, t: float, amplitude: float) -> Points:
    up = settle(t)
    posed = _fold(body, -0.2 * amplitude * up)
    posed = turned(posed, np.zeros(3), LEFT, -0.18 * amplitude * up)
    return posed + amplitude * up * (0.21 * UP + 0.04 * FRONT)


def _turn(body: Body, t: float, amplitude: float) -> Points:
    return turned(body.rest, np.zeros(3), UP, 0.75 * amplitude * settle(t))


BUTTERFLY = Family(
    name="butterfly",
    solid=_solid,
    low=(-1.05, -0.9, -0.25),
    high=(1.05, 0.95, 0.25),
    spacing=0.056,
    facing=35.0,
    traits={
        "span": (0.85, 1.1),
        "height": (0.85, 1.12),
        "narrow": (0.0, 1.0),
        "sweep": (-0.4, 0.6),
        "plump": (0.85, 1.2),
    },
    grow=_grow,
    paint=_paint,
    motions={
        "flap": Motion(
            _flap,
            (
                ("flapping its wings", "flaps its wings"),
                ("fluttering", "flutters"),
                ("beating its wings", "beats its wings"),
            ),
            cyclic=True,
        ),
        "rise": Motion(
            _rise,
            (("flying up", "flies up"), ("rising into the air", "rises into the air"), ("gliding up", "glides up")),
        ),
        "turn": Motion(
            _turn,
            (
                ("turning to the side", "turns to the side"),
                ("turning around", "turns around"),
                ("turning left", "turns left"),
            ),
        ),
    },
)
