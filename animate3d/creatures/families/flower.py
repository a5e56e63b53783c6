"""Potted flowers with half-open blooms."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look
from animate3d.creatures.rigs import LEFT, UP, bend_limb, settle, smooth_step, turn_points, wave
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points

PETALS = 5
_BLOOM = np.array([0.0, 0.2, 0.0])
_RISE = np.deg2rad(28.0)  # of the resting petals above the horizon
_POT_TOP = -0.5


def _petal_frame(number: int) -> tuple[Points, Points, Points]:
    """Unit vectors of a petal: outwards along it, across it, and its upper side."""
    angle = 2 * np.pi * (number + 0.25) / PETALS
    flat = np.array([np.sin(angle), 0.0, np.cos(angle)])
    across = np.cross(UP, flat)
    along = np.cos(_RISE) * flat + np.sin(_RISE) * UP
    return along, across, np.cross(along, across)


def _petals(points: Points) -> Points:
    distance = np.full(points.shape[:-1], np.inf)
    for number in range(PETALS):
        along, across, upper = _petal_frame(number)
        local = points - _BLOOM
        a, s = local @ along, local @ across
        # Cupped: the rim is higher than the middle line.
        h = local @ upper - 0.5 * s**2
        outline = fields.limb(
            np.stack([a, s, np.zeros_like(a)], axis=-1),
            [([0.1, 0, 0], 0.06), ([0.44, 0, 0], 0.18), ([0.5, 0, 0], 0.16)],
            0.05,
        )
        distance = np.minimum(distance, fields.slab(outline, h, 0.04))
    return distance


def _leaves(points: Points) -> Points:
    distance = np.full(points.shape[:-1], np.inf)
    for side, base in ((1.0, -0.28), (-1.0, -0.2)):
        x, y = side * points[..., 0], points[..., 1] - base
        height = y - 0.35 * x + 0.25 * x**2
        outline = np.linalg.norm(np.stack([(x - 0.2) / 1.0, points[..., 2] / 0.55], axis=-1), axis=-1) * 0.75 - 0.15
        distance = np.minimum(distance, fields.slab(outline, height, 0.04))
    return distance


def _pot(points: Points) -> Points:
    radial = np.hypot(points[..., 0], points[..., 2])
    outline = np.array([(-0.1, -0.5), (0.3, -0.5), (0.3, -0.6), (0.26, -0.62), (0.21, -0.92), (-0.1, -0.92)])
    return fields.polygon(np.stack([radial, points[..., 1]], axis=-1), outline)


def _stem(points: Points) -> Points:
    return fields.limb(points, [([0, -0.55, 0], 0.062), ([0, 0.2, 0], 0.062)])


def _core(points: Points) -> Points:
    return fields.ellipsoid(points, _BLOOM + 0.03 * UP, [0.16, 0.11, 0.16])


def _solid(points: Points) -> Points:
    plant = fields.union(_stem(points), _leaves(points), 0.03)
    plant = fields.union(plant, _pot(points), 0.03)
    bloom = fields.union(_core(points), _petals(points), 0.03)
    return fields.union(plant, bloom, 0.04)


def _bloom_share(points: Points) -> Points:
    return smooth_step((points[..., 1] - 0.1) / 0.12)


def _grow_upright(points: Points, traits: Traits) -> Points:
    bloom = _bloom_share(points)[..., None]
    out = points - _BLOOM
    around = np.hypot(out[..., 0], out[..., 2])[..., None]
    size = 1 + bloom * (traits["petals"] - 1) * smooth_step(around / 0.25)
    grown = points + bloom * (size - 1) * out
    pot = 1 - smooth_step((points[..., 1] - _POT_TOP + 0.02) / 0.08)[..., None]
    grown = grown * (1 + pot * (traits["pot"] - 1) * np.array([1.0, 0.0, 1.0]))
    stem = np.clip((points[..., 1] - _POT_TOP) / (_BLOOM[1] - _POT_TOP), 0.0, 1.0)
    return grown + (traits["stem"] * stem)[..., None] * UP


def _nod(upright: Points, canonical: Points, traits: Traits) -> Points:
    """The bloom looks to the front."""
    share = smooth_step((canonical[..., 1] - 0.0) / 0.16).reshape(-1)
    neck = np.array([0.0, 0.06 + traits["stem"], 0.0])
    return turn_points(upright.reshape(-1, 3), neck, LEFT, traits["nod"] * share).reshape(upright.shape)


def _grow(points: Points, traits: Traits) -> Points:
    return _nod(_grow_upright(points, traits), points, traits)


def _paint(points: Points, normals: Points, look: Look) -> Points:
    out = points - _BLOOM
    reach = np.linalg.norm(out, axis=-1)
    green = np.broadcast_to((0.18, 0.52, 0.18), points.shape)
    green = mix(green, (0.45, 0.72, 0.28), 0.6 * soft_step(np.abs(points[..., 0]), 0.1, 0.35))
    if look.pattern == "striped":
        petal = look.coat(points, reach)
    elif look.pattern == "spotted":
        angle = np.arctan2(points[..., 0], points[..., 2]) * PETALS
        dots = np.minimum(np.hypot((reach - 0.5) / 0.16, np.sin(0.5 * angle - 0.25 * np.pi)), 9.0)
        petal = mix(np.broadcast_to(look.main, points.shape), look.second, soft_step(dots, 0.62, 0.5))
    else:
        petal = mix(np.broadcast_to(look.main, points.shape), look.second, 0.8 * soft_step(reach, 0.34, 0.18))
    is_petal = soft_step(_petals(points) - np.minimum(_stem(points), _leaves(points)), 0.02, -0.02)
    color = mix(green, petal, is_petal * soft_step(points[..., 1], 0.1, 0.16))
    heart = soft_step(_core(points), 0.05, 0.025) * soft_step(normals[..., 1], -0.1, 0.1)
    color = mix(color, (0.98, 0.78, 0.12) if look.color != "yellow" else (0.5, 0.25, 0.08), heart)
    pot = soft_step(_pot(points), 0.03, 0.015)
    clay = mix(
        np.broadcast_to((0.72, 0.36, 0.2), points.shape),
        look.accent,
        soft_step(np.abs(points[..., 1] + 0.75), 0.08, 0.06),
    )
    soil = soft_step(normals[..., 1], 0.6, 0.8) * (points[..., 1] > -0.53)
    return mix(color, mix(clay, (0.25, 0.15, 0.09), soil), pot)


def _tilt_petals(body: Body, angle: float) -> Points:
    """Every petal turned up about its base by an angle that grows along it a little."""
    out = body.canonical - _BLOOM
    around = np.hypot(out[:, 0], out[:, 2])
    weight = smooth_step((around - 0.06) / 0.2) * _bloom_share(body.canonical) * (0.8 + 0.5 * around)
    azimuth = np.arctan2(out[:, 0], out[:, 2]) * PETALS / (2 * np.pi) - 0.25
    nearest = np.round(azimuth).astype(int) % PETALS
    posed = _grow_upright(body.canonical, body.traits)
    center = _grow_upright(_BLOOM, body.traits)
    for number in range(PETALS):
        chosen = nearest == number
        along, across, _ = _petal_frame(number)
        base = center + 0.1 * along
        posed[chosen] = turn_points(posed[chosen], base, across, -angle * weight[chosen])
    return _nod(posed, body.canonical, body.traits)


def _open(body: Body, t: float, amplitude: float) -> Points:
    return _tilt_petals(body, -0.7 * amplitude * settle(t))


def _close(body: Body, t: float, amplitude: float) -> Points:
    return _tilt_petals(body, 0.62 * amplitude * settle(t))


def _sway(body: Body, t: float, amplitude: float) -> Points:
    base = body.at([0.0, _POT_TOP, 0.0])
    height = _grow_upright(body.canonical, body.traits)[:, 1] - base[1]
    reach = np.clip(height, 0.0, 0.5 + body.traits["stem"])  # the bloom turns as one piece
    return bend_limb(body.rest, reach, base, UP, LEFT, 0.6 * amplitude * wave(t))


FLOWER = Family(
    name="flower",
    solid=_solid,
    low=(-0.72, -0.98, -0.72),
    high=(0.72, 0.68, 0.72),
    spacing=0.056,
    facing=0.0,
    traits={"petals": (0.82, 1.12), "pot": (0.8, 1.15), "stem": (-0.1, 0.2), "nod": (0.55, 0.8)},
    grow=_grow,
    paint=_paint,
    motions={
        "open": Motion(
            _open, (("opening", "opens"), ("opening its petals", "opens its petals"), ("blooming", "blooms"))
        ),
        "close": Motion(
            _close,
            (
                ("closing", "closes"),
                ("closing its petals", "closes its petals"),
                ("folding its petals", "folds its petals"),
            ),
        ),
        "sway": Motion(
            _sway,
            (
                ("swaying", "sways"),
                ("swaying in the wind", "sways in the wind"),
                ("bending from side to side", "bends from side to side"),
            ),
            cyclic=True,
        ),
    },
)
