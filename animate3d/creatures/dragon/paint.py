"""The demo dragon's colours and material: functions of the point on its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.dragon import shape as dragon
from animate3d.creatures.dragon.shape import Part
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import blob, mix, soft_step
from animate3d.creatures.sculpt.fields import Points

DEEP, TEAL, MINT = (0.05, 0.33, 0.44), (0.11, 0.62, 0.64), (0.50, 0.86, 0.70)
CREAM, TAN, BLUSH = (0.99, 0.92, 0.70), (0.93, 0.74, 0.45), (0.97, 0.55, 0.50)
FLAME, GOLD, WINE = (0.95, 0.38, 0.16), (1.00, 0.78, 0.28), (0.50, 0.10, 0.20)
IVORY, BROWN, INK, WHITE = (0.97, 0.92, 0.80), (0.62, 0.46, 0.32), (0.06, 0.06, 0.10), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Paint:
    """Surface of points: ``color [..., 3]`` sRGB, ``roughness``, ``metallic`` and ``height`` ``[...]``, all 0..1."""

    color: Points
    roughness: Points
    metallic: Points
    height: Points


def paint_dragon(points: Points, normals: Points, seed: int) -> Paint:
    """Colour and material of surface points.

    Args:
        points, normals: ``[..., 3]``
        seed: places the spots.
    """
    distance = dragon.parts(points)
    skin = np.minimum.reduce([distance[p] for p in (Part.BODY, Part.HEAD, Part.LEGS, Part.TAIL)])
    color, height = _skin(points, normals, distance, seed)
    roughness, metallic = np.full(points.shape[:-1], 0.62), np.zeros(points.shape[:-1])

    layers = [
        (Part.WING, _wing(points, normals), 0.45, 0.0, 0.035),
        (Part.SPIKE, _spike(points), 0.4, 0.25, 0.02),
        (Part.HORN, _horn(points), 0.35, 0.10, 0.02),
        (Part.EYE, _eye(points), 0.08, 0.0, 0.01),
    ]
    for part, (layer, relief), rough, metal, softness in layers:
        others = np.minimum(skin, distance[Part.HEAD])
        cover = soft_step(others - distance[part], -softness, softness)
        color, height = mix(color, layer, cover), (1 - cover) * height + cover * relief
        roughness, metallic = (1 - cover) * roughness + cover * rough, (1 - cover) * metallic + cover * metal
    return Paint(np.clip(color, 0, 1), roughness, metallic, np.clip(height, 0, 1))


def _skin(points: Points, normals: Points, distance: dict[Part, Points], seed: int) -> tuple[Points, Points]:
    along = _spine(points)
    back = np.clip(0.5 + 0.5 * (normals[..., 1] * 0.8 - normals[..., 2] * 0.6), 0, 1)
    color = mix(mix(np.broadcast_to(MINT, points.shape), TEAL, soft_step(back, 0.0, 0.55)), DEEP, 0.55 * back**3)

    # Rounded scales: a hexagonal ripple along the spine and around the body.
    ripple = np.sin(along * 90) * np.sin(np.arctan2(points[..., 0], normals[..., 1] + 1.5) * 40)
    height = 0.5 + 0.15 * ripple

    on_trunk = np.minimum(distance[Part.BODY], distance[Part.TAIL]) - np.minimum(
        distance[Part.HEAD], distance[Part.LEGS]
    )
    trunk = soft_step(-on_trunk, -0.02, 0.03)
    # Wedge-shaped stripes: widest on the back, gone halfway down the side.
    phase = (along / 0.17) % 1.0
    width = 0.30 * soft_step(back, 0.38, 0.95)
    stripe = soft_step(width - np.abs(phase - 0.5), -0.04, 0.04) * trunk * soft_step(back, 0.4, 0.5)
    color = mix(color, DEEP, 0.9 * stripe)

    color = mix(color, CREAM, 0.85 * _spots(points, seed) * (1 - stripe))

    belly_side = np.where(along < 0.0, normals[..., 2] * 0.93 - normals[..., 1] * 0.36, -normals[..., 1])
    belly = soft_step(belly_side, 0.50, 0.62) * trunk * soft_step(0.21 - np.abs(points[..., 0]), 0.0, 0.03)
    plate = soft_step(np.abs((along / 0.085) % 1.0 - 0.5), 0.36, 0.48)
    color = mix(color, mix(np.broadcast_to(CREAM, color.shape), TAN, 0.8 * plate), belly)
    height = (1 - belly) * height + belly * (0.75 - 0.5 * plate)

    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    on_head = soft_step(distance[Part.BODY] - distance[Part.HEAD], -0.01, 0.02)
    throat = soft_step(0.585 - y, 0.0, 0.03) * soft_step(z, 0.18, 0.24) * on_head
    color = mix(color, CREAM, throat)
    smile = soft_step(0.014 - np.abs(y - 0.578 - 0.55 * np.maximum(x - 0.05, 0.0) ** 1.3), 0.0, 0.010)
    color = mix(color, DEEP, smile * soft_step(z, 0.34, 0.40) * on_head)
    color = mix(color, BLUSH, 0.75 * on_head * blob(points, [0.165, 0.615, 0.385], 0.030, 0.062))
    color = mix(color, INK, 0.9 * on_head * blob(points, [0.058, 0.672, 0.588], 0.012, 0.030))
    inner_ear = blob(points, [0.255, 0.765, 0.085], 0.030, 0.075) * soft_step(normals[..., 2], 0.0, 0.3)
    color = mix(color, BLUSH, 0.85 * inner_ear * on_head)

    for toe in ([0.150, -0.40, 0.135], [0.205, -0.40, 0.150], [0.260, -0.40, 0.135]):
        color = mix(color, IVORY, blob(points, toe, 0.022, 0.036))
    tail_tip = soft_step(points[..., 2], -0.86, -0.90) * soft_step(y, 0.06, 0.10)
    color = mix(color, mix(np.broadcast_to(FLAME, color.shape), GOLD, soft_step(y, 0.10, 0.26)), tail_tip)
    return color, height


def _wing(points: Points, normals: Points) -> tuple[Points, Points]:
    local = dragon.wing_coordinates(points)
    plane = local[..., :2]
    span, chord = plane[..., 0], plane[..., 1]
    rim = -fields.polygon(plane, dragon.wing_outline())
    from_wrist = np.linalg.norm(plane - dragon.WING_WRIST, axis=-1)
    color = mix(np.broadcast_to(FLAME, points.shape), GOLD, soft_step(from_wrist, 0.15, 0.75))

    # Butterfly eye spots between the fingers, and dots along the trailing edge.
    tips = [*dragon.WING_FINGERS, np.array([-0.02, 0.34])]
    for a, b, size in zip(tips[:-1], tips[1:], (0.085, 0.08, 0.065, 0.055), strict=True):
        middle = 0.5 * (a + b)
        center = dragon.WING_WRIST + 0.60 * (middle - dragon.WING_WRIST)
        r = np.linalg.norm(plane - center, axis=-1)
        color = mix(color, CREAM, soft_step(size - r, -0.008, 0.008))
        color = mix(color, DEEP, soft_step(0.72 * size - r, -0.008, 0.008))
        color = mix(color, TEAL, soft_step(0.36 * size - r, -0.008, 0.008))
    trailing = soft_step(chord + 0.42 * span, 0.10, 0.20)
    # The underside is paler, so that a turned wing is seen to be turned; the rim is the same from both sides.
    sideways = normals[..., 0] * np.sign(points[..., 0])
    facing = sideways * dragon.WING_AXES[2, 0] + normals[..., 1:] @ dragon.WING_AXES[2, 1:]
    color = mix(color, CREAM, 0.35 * soft_step(facing, -0.2, 0.2))
    color = mix(color, WINE, soft_step(0.060 - rim, -0.008, 0.008))
    bead = soft_step(
        0.35 - np.abs((np.arctan2(*np.moveaxis(plane - dragon.WING_WRIST, -1, 0)) / 0.17) % 1 - 0.5), 0, 0.1
    )
    color = mix(color, CREAM, trailing * bead * soft_step(0.011 - np.abs(rim - 0.036), -0.005, 0.004))

    bones = np.full(points.shape[:-1], np.inf)
    for tip in dragon.WING_FINGERS[:3]:
        bones = np.minimum(bones, _segment(plane, dragon.WING_WRIST, tip) - 0.010)
    bones = np.minimum(bones, _segment(plane, np.array([-0.1, 0.0]), dragon.WING_WRIST) - 0.045)
    bones = np.minimum(bones, _segment(plane, dragon.WING_WRIST, dragon.WING_FINGERS[0]) - 0.030)
    color = mix(color, WINE, 0.9 * soft_step(0.012 - bones, -0.008, 0.008))
    # Bands across the arm: without them nothing would show how it moves lengthwise.
    arm = soft_step(0.10 - _segment(plane, np.zeros(2), dragon.WING_WRIST), -0.01, 0.01)
    arm = np.maximum(arm, soft_step(0.075 - _segment(plane, dragon.WING_WRIST, dragon.WING_FINGERS[0]), -0.01, 0.01))
    band = soft_step(np.cos(span * (2 * np.pi / 0.15)), 0.55, 0.80) * soft_step(span, 0.06, 0.10)
    color = mix(color, GOLD, 0.85 * arm * band)
    return color, 0.5 + 0.3 * soft_step(0.02 - bones, -0.03, 0.03)


def _horn(points: Points) -> tuple[Points, Points]:
    ring = 0.5 + 0.5 * np.sin((points[..., 1] - 0.7 * points[..., 2]) * 62)
    color = mix(np.broadcast_to(IVORY, points.shape), BROWN, 0.7 * soft_step(ring, 0.55, 0.85))
    return mix(color, BROWN, 0.5 * soft_step(points[..., 1], 0.90, 0.80)), 0.8 - 0.5 * ring


def _spike(points: Points) -> tuple[Points, Points]:
    along = _spine(points)
    tint = 0.5 + 0.5 * np.sin(along * 5.0)
    return mix(np.broadcast_to(FLAME, points.shape), GOLD, 0.6 * tint), np.full(points.shape[:-1], 0.5)


def _eye(points: Points) -> tuple[Points, Points]:
    left = fields.mirrored(points) - dragon.EYES
    left /= np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)

    def away(direction: ArrayLike) -> Points:
        unit = np.asarray(direction) / np.linalg.norm(direction)
        return np.arccos(np.clip(left @ unit, -1, 1))

    gaze = (0.42, 0.06, 0.90)
    color = np.broadcast_to(WHITE, points.shape)
    color = mix(color, GOLD, soft_step(0.80 - away(gaze), -0.06, 0.06))
    color = mix(color, FLAME, 0.7 * soft_step(np.abs(away(gaze) - 0.78), 0.10, 0.02))
    color = mix(color, INK, soft_step(0.56 - away(gaze), -0.06, 0.06))
    color = mix(color, WHITE, soft_step(0.20 - away((0.28, 0.42, 0.86)), -0.06, 0.06))
    return mix(color, DEEP, soft_step(left[..., 1], 0.78, 0.86)), np.full(points.shape[:-1], 0.5)


def _spine(points: Points) -> Points:
    """Arc length along the spine of the nearest point: 0 at the hips, negative towards the head. ``[...]``"""
    joints = np.array(
        [[0, 0.70, 0.22], [0, 0.40, 0.14], [0, 0.20, 0.04], [0, -0.02, -0.12]] + [p for p, _ in dragon.TAIL]
    )
    lengths = np.linalg.norm(np.diff(joints, axis=0), axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) - lengths[:3].sum()
    best = np.full(points.shape[:-1], np.inf)
    along = np.zeros(points.shape[:-1])
    for a, b, start, length in zip(joints[:-1], joints[1:], starts, lengths, strict=True):
        share = np.clip((points - a) @ (b - a) / length**2, 0, 1)
        away = np.linalg.norm(points - a - share[..., None] * (b - a), axis=-1)
        along = np.where(away < best, start + share * length, along)
        best = np.minimum(best, away)
    return along


def _spots(points: Points, seed: int) -> Points:
    """Round spots on flanks, thighs and head, the same on both sides."""
    rng = np.random.default_rng(seed)
    left = fields.mirrored(points)
    regions = [([0.24, 0.02, -0.10], 0.13, 7), ([0.20, 0.24, 0.03], 0.10, 4), ([0.19, 0.72, 0.17], 0.09, 4)]
    regions += [([0.13, -0.13, -0.45], 0.12, 5), ([0.09, -0.14, -0.68], 0.10, 4), ([0.22, -0.24, -0.10], 0.09, 4)]
    spots = np.zeros(points.shape[:-1])
    for center, spread, count in regions:
        placed: list[Points] = []
        while len(placed) < count:
            candidate = np.asarray(center) + rng.uniform(-spread, spread, 3)
            if all(np.linalg.norm(candidate - other) > 0.075 for other in placed):
                placed.append(candidate)
                reach = rng.uniform(0.045, 0.07)
                spots = np.maximum(spots, soft_step(reach - np.linalg.norm(left - candidate, axis=-1), -0.006, 0.006))
    return spots


def _segment(points: Points, start: Points, end: Points) -> Points:
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0.0, 1.0)
    return np.linalg.norm(points - start - along[..., None] * axis, axis=-1)
