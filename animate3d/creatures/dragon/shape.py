"""The shape of the demo creature: a small winged dragon. y up, looks along +z, its left is +x, symmetric in x."""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise

import numpy as np

from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.fields import Points

LOW, HIGH = (-1.15, -0.55, -1.15), (1.15, 1.15, 0.75)

# Wing frame: where the left wing starts, along the arm, and from the arm towards the trailing edge.
WING_ROOT = np.array([0.10, 0.26, -0.10])
_SPAN = np.array([0.93, 0.33, -0.17]) / np.linalg.norm([0.93, 0.33, -0.17])
_CHORD_HINT = np.array([0.0, -0.74, -0.67])
_CHORD = _CHORD_HINT - (_CHORD_HINT @ _SPAN) * _SPAN
_CHORD /= np.linalg.norm(_CHORD)
WING_AXES = np.stack([_SPAN, _CHORD, np.cross(_CHORD, _SPAN)])  # rows: span, chord, forward normal
WING_THICKNESS = 0.075
WING_WRIST = np.array([0.42, -0.26])
WING_FINGERS = np.array([[1.02, -0.10], [0.93, 0.36], [0.62, 0.56], [0.30, 0.55]])  # tips, in span and chord

TAIL = [
    ([0.0, -0.06, -0.22], 0.19),
    ([0.0, -0.15, -0.44], 0.135),
    ([0.0, -0.17, -0.64], 0.10),
    ([0.0, -0.08, -0.82], 0.075),
    ([0.0, 0.08, -0.92], 0.055),
]
EYES = np.array([0.125, 0.735, 0.355])
EYE_RADIUS = 0.082


class Part(IntEnum):
    """What a point of the surface belongs to; paint and UV charts follow it."""

    BODY = 0
    HEAD = 1
    LEGS = 2
    TAIL = 3
    WING = 4
    HORN = 5
    SPIKE = 6
    EYE = 7


def wing_outline() -> Points:
    """The membrane's outline in span and chord, trailing edge scalloped between the finger tips. ``[P, 2]``"""
    root_back = np.array([-0.02, 0.34])
    stops = [*WING_FINGERS, root_back]
    trailing = []
    for start, end in pairwise(stops):
        share = np.linspace(0.0, 1.0, 9)[:-1, None]
        inward = (WING_WRIST * 0.55 + np.array([0.1, 0.1])) - 0.5 * (start + end)
        depth = 0.30 * np.sin(np.pi * share)
        trailing.append(start + share * (end - start) + depth * inward)
    leading_out = _curve(WING_WRIST, WING_FINGERS[0], bow=-0.05)
    leading_in = _curve(np.array([-0.05, 0.0]), WING_WRIST, bow=0.05)
    return np.concatenate([leading_in, leading_out, *trailing, root_back[None]])


def _curve(start: Points, end: Points, bow: float) -> Points:
    share = np.linspace(0.0, 1.0, 9)[:-1, None]
    across = np.array([-(end - start)[1], (end - start)[0]])
    return start + share * (end - start) + bow * np.sin(np.pi * share) * across


def wing_coordinates(points: Points) -> Points:
    """Span, chord and height above the (gently arched) membrane, the same for both wings. ``[..., 3]``"""
    left = fields.mirrored(points)
    local = (left - WING_ROOT) @ WING_AXES.T
    arch = 0.10 * np.sin(np.clip(local[..., 0], 0.0, 1.1) * np.pi / 1.1) + 0.06 * local[..., 1] ** 2
    return np.concatenate([local[..., :2], (local[..., 2] - arch)[..., None]], axis=-1)


def parts(points: Points) -> dict[Part, Points]:
    """Signed distance to every part. Values ``[...]``"""
    p = fields.mirrored(points)
    torso = fields.limb(p, [([0, -0.02, -0.12], 0.245), ([0, 0.20, 0.06], 0.215)])
    neck = fields.limb(p, [([0, 0.28, 0.10], 0.15), ([0, 0.52, 0.20], 0.125)])
    body = fields.union(torso, neck, 0.16)

    skull = fields.ellipsoid(p, [0, 0.68, 0.24], [0.215, 0.19, 0.205])
    snout = fields.limb(p, [([0, 0.62, 0.34], 0.135), ([0, 0.60, 0.47], 0.115)])
    nostrils = fields.sphere(p, [0.055, 0.665, 0.545], 0.042)
    ears = fields.limb(p, [([0.17, 0.72, 0.13], 0.06), ([0.30, 0.80, 0.02], 0.04)])
    head = fields.union(fields.union(skull, snout, 0.12), nostrils, 0.05)
    head = fields.union(head, ears, 0.06)

    hind = fields.limb(p, [([0.17, -0.10, -0.12], 0.145), ([0.20, -0.32, -0.08], 0.085)])
    hind_foot = fields.ellipsoid(p, [0.205, -0.385, 0.0], [0.095, 0.065, 0.145])
    arm = fields.limb(p, [([0.15, 0.12, 0.16], 0.075), ([0.20, 0.0, 0.27], 0.058), ([0.17, -0.03, 0.33], 0.062)], 0.03)
    legs = fields.union(fields.union(hind, hind_foot, 0.06), arm, 0.0)

    tail = fields.limb(p, TAIL, 0.05)
    tip = fields.ellipsoid(p, [0.045, 0.16, -0.955], [0.105, 0.115, 0.05])
    tail = fields.union(tail, tip, 0.05)

    wing_point = wing_coordinates(points)
    plane, height = wing_point[..., :2], wing_point[..., 2]
    wing = fields.slab(fields.polygon(plane, wing_outline()), height, 0.5 * WING_THICKNESS)
    bones = [WING_FINGERS[0], WING_FINGERS[1], WING_FINGERS[2]]
    knuckles = [fields.limb(wing_point, [([-0.1, 0.0, 0.0], 0.075), ([*WING_WRIST, 0.0], 0.055)])]
    knuckles += [fields.limb(wing_point, [([*WING_WRIST, 0.0], 0.055), ([*tip2, 0.0], 0.042)]) for tip2 in bones]
    for knuckle in knuckles:
        wing = fields.union(wing, knuckle, 0.03)

    horn = fields.limb(p, [([0.085, 0.82, 0.20], 0.055), ([0.12, 0.95, 0.11], 0.05), ([0.14, 1.03, 0.01], 0.04)], 0.02)

    return {
        Part.BODY: body,
        Part.HEAD: head,
        Part.LEGS: legs,
        Part.TAIL: tail,
        Part.WING: wing,
        Part.HORN: horn,
        Part.SPIKE: _spikes(p),
        Part.EYE: fields.sphere(p, EYES, EYE_RADIUS),
    }


def solid(points: Points) -> Points:
    """Signed distance to the whole creature. ``[...]``"""
    part = parts(points)
    distance = fields.union(part[Part.BODY], part[Part.TAIL], 0.12)
    distance = fields.union(distance, part[Part.HEAD], 0.08)
    distance = fields.union(distance, part[Part.LEGS], 0.06)
    distance = fields.union(distance, part[Part.WING], 0.07)
    distance = fields.union(distance, part[Part.SPIKE], 0.05)
    distance = fields.union(distance, part[Part.HORN], 0.03)
    return fields.union(distance, part[Part.EYE], 0.015)


def _spikes(points: Points) -> Points:
    """Rounded plates from the back of the head to the end of the tail."""
    stations = [
        ([0, 0.60, 0.04], [0, 0.68, -0.05], 0.045),
        ([0, 0.44, 0.00], [0, 0.52, -0.11], 0.05),
        ([0, 0.24, -0.22], [0, 0.34, -0.30], 0.055),
        ([0, 0.08, -0.38], [0, 0.18, -0.44], 0.05),
        ([0, -0.04, -0.56], [0, 0.06, -0.59], 0.045),
        ([0, -0.04, -0.72], [0, 0.06, -0.72], 0.04),
    ]
    distance = np.full(points.shape[:-1], np.inf)
    for base, top, radius in stations:
        distance = np.minimum(distance, fields.limb(points, [(base, radius), (top, 0.6 * radius)]))
    return distance
