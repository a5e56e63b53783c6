"""Where a body faces: of the four sides of its plane of symmetry, the one that looks most like a front.

What tells a front is learnt from random figures that face +z (`animate3d.small_model.facing`): heads are high, tails
thin, feet point ahead. Each side is scored by a weighted sum of how the body's front differs from its back and its
length from its breadth, in layers of its height and in slices of its length, and by a small net on its side view
(`animate3d.creatures.anatomy.fronts`).
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import softmax

from animate3d.creatures.anatomy.fronts import score, view
from animate3d.creatures.rigs import LEFT, UP
from animate3d.rotations import rotation_matrices

Points = NDArray[np.float64]

WEIGHTS = Path(__file__).with_name("facing.json")
SAMPLE = 4000
"""Points that are looked at."""
_SIDEWAYS = 0.6
"""Distance of a body from its mirror image in its plane of symmetry, against that in most other planes, at most."""
_ALIKE = 0.005
"""Mean distance from its mirror image of a body that is surely symmetric, as a share of its size."""
_LOOKED_AT = 800
"""Points whose mirror images are sought, the first of all."""
STRAIGHT = 12.0
"""Degrees within which a body faces +z."""
SURE = 0.75
"""How likely the best side is, at least, for what its shape says to be sure."""
_LIKELY = 0.4
"""How likely it is, at least, to be taken for the front; else all sides look alike, and the nearest to +z is."""
_GIVEN = 2.0
"""How much likelier than +z another side that is not sure has to be: most files face the front."""
SEEN = 1500
"""Points that the weights were learnt from."""
_LAYERS, _SLICES = 5, 8
_FEW = 8
"""Points of a layer or slice, at least, that say something."""
_FAR = 3.0
"""The largest value that counts."""


class Facing(NamedTuple):
    """A side that a body may face.

    Attributes:
        yaw: degrees from +z towards +x.
        likely: 0 to 1, among the four sides, by its shape alone.
    """

    yaw: float
    likely: float


def facings(points: Points) -> list[Facing]:
    """The four sides that a body may face, the likeliest first.

    Args:
        points: ``[N, 3]`` spread evenly over its surface, y up.
    """
    axis = symmetry(points)
    yaws = [(axis + quarter + 180.0) % 360.0 - 180.0 for quarter in (0.0, 90.0, 180.0, 270.0)]
    linear = np.array([looks(turned(points[:SEEN], -yaw)) for yaw in yaws]) @ _weights()
    seen = score(np.stack([view(turned(points, -yaw)) for yaw in yaws])).astype(np.float64)
    # Where the two disagree neither is sure, and two guesses that agree are not yet sure.
    shares = np.minimum(softmax(linear + seen), np.maximum(softmax(linear), softmax(seen)))
    sides = [Facing(yaw, float(share)) for yaw, share in zip(yaws, shares, strict=True)]
    return sorted(sides, key=lambda side: -side.likely)


def chosen(sides: list[Facing]) -> Facing:
    """The side that a body is taken to face: the likeliest, so that the answer turns with the body.

    What the file gives as front counts only where the shape hardly tells.

    Args:
        sides: of `facings`.
    """
    best, nearest = sides[0], min(sides, key=lambda side: abs(side.yaw))
    if best.likely < _LIKELY:
        return nearest
    doubtful = abs(nearest.yaw) <= STRAIGHT and best.likely < min(SURE, _GIVEN * nearest.likely)
    return nearest if doubtful else best


def evenly(vertices: Points, triangles: NDArray[np.integer]) -> Points:
    """`SAMPLE` points spread evenly over a surface, the same ones every time. ``[N, 3]``"""
    generator = np.random.default_rng(0)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not areas.sum() > 0:
        return vertices
    chosen = generator.choice(len(triangles), SAMPLE, p=areas / areas.sum())
    u, v = np.sqrt(generator.random(SAMPLE)), generator.random(SAMPLE)
    shares = np.stack([1 - u, u * (1 - v), u * v], axis=-1)
    return np.asarray(np.einsum("nk,nkd->nd", shares, np.stack([a, b, c], axis=1)[chosen]))


def turned(points: Points, yaw: float) -> Points:
    """Points ``[N, 3]`` turned about the vertical, degrees from +z towards +x."""
    return np.asarray(points @ rotation_matrices(np.deg2rad(yaw) * UP).T)


def symmetry(points: Points) -> float:
    """The yaw, within a right angle of +z, at which both halves look alike, or else at which a body is broadest."""
    # The plane of symmetry runs through the centroid however a body is turned, but not through the middle of its box.
    centered = points - points.mean(axis=0)
    size = float(np.ptp(centered, axis=0).max())
    tree, some = cKDTree(centered), centered[:_LOOKED_AT]
    grain = float(tree.query(some, k=2)[0][:, 1].mean())

    @cache
    def unlike(yaw: float) -> float:
        across = rotation_matrices(np.deg2rad(yaw) * UP) @ LEFT
        return float(tree.query(some - 2 * np.outer(some @ across, across))[0].mean()) - grain

    if unlike(0.0) < _ALIKE * size:
        return 0.0
    yaws = sorted(np.arange(-90.0, 90.0, 15.0), key=unlike)
    found = min((near + fine for near in yaws[:3] for fine in np.arange(-7.5, 8.0, 2.5)), key=unlike)
    if unlike(found) > _SIDEWAYS * float(np.median([unlike(yaw) for yaw in yaws])):
        found = _broadside(centered)
    return 0.0 if abs(found) <= STRAIGHT else float(found)


def _broadside(centered: Points) -> float:
    """The yaw, within a right angle of +z, at which points ``[N, 3]`` are broadest from left to right."""
    spread = np.cov(centered[:, 0], centered[:, 2])
    return float(np.rad2deg(np.arctan2(-2 * spread[0, 1], spread[0, 0] - spread[1, 1])) / 2)


@lru_cache(maxsize=1)
def _weights() -> Points:
    return np.array(json.loads(WEIGHTS.read_text()))


def looks(points: Points) -> Points:
    """What tells whether points ``[N, 3]`` of a body, y up, show a front towards +z. ``[D]``"""
    low, high = points.min(axis=0), points.max(axis=0)
    size = float((high - low).max())
    place = (points - 0.5 * (low + high)) / size
    height = (points[:, 1] - low[1]) / size
    broad, tall, long = (high - low) / size
    layers = np.minimum((_LAYERS * height / max(tall, 1e-9)).astype(int), _LAYERS - 1)
    ahead = np.concatenate([_ahead(place, layers), _front_against_back(place, height)])
    across = _across(place, layers, float(np.log(max(broad, 1e-9) / max(long, 1e-9))))
    ahead, across = (np.clip(values, -_FAR, _FAR) for values in (ahead, across))
    # What a difference says depends on how tall, broad and long a body is.
    whole = np.array([1.0, tall - 0.7, max(broad, long) - 0.7, min(broad, long) - 0.5])
    both = np.outer(whole, np.concatenate([ahead, across])).ravel()
    return np.concatenate([both, np.outer(ahead, [broad - 0.7, long - 0.7]).ravel()])


def _ahead(place: Points, layers: NDArray[np.int64]) -> Points:
    """How far the whole, and each layer of its height, lies ahead."""
    z = place[:, 2]
    apart = z - z.mean()
    values = [5 * z.mean(), np.mean(apart**3) / max(float(z.std()), 1e-6) ** 3]
    for layer in range(_LAYERS):
        own = z[layers == layer]
        ends = np.quantile(own, [0.03, 0.97]) if len(own) >= _FEW else np.zeros(2)
        values += [5 * (own.mean() - z.mean()) if len(own) >= _FEW else 0.0, 5 * ends.mean()]
    return np.array(values)


def _front_against_back(place: Points, height: Points) -> Points:
    """How slices of the front differ from those as far behind: area, mean, lowest and highest height, breadth."""
    x, z = place[:, 0], place[:, 2]
    share = 0.5 * (z / max(float(np.abs(z).max()), 1e-9) + 1.0)
    slices = np.clip((_SLICES * share).astype(int), 0, _SLICES - 1)
    rows = np.tile([0.0, 0.5, 0.0, 0.0, 0.0], (_SLICES, 1))
    for number in range(_SLICES):
        own = slices == number
        if own.sum() >= _FEW:
            up = height[own]
            rows[number] = [_SLICES * own.mean(), up.mean(), *np.quantile(up, [0.03, 0.97]), x[own].std()]
    half = _SLICES // 2
    return np.asarray((rows[::-1][:half] - rows[:half]) * [1.0, 4.0, 4.0, 4.0, 8.0]).ravel()


def _across(place: Points, layers: NDArray[np.int64], broader: float) -> Points:
    """How much broader than long it and its layers are, and how far from its mirror image."""
    values = [broader]
    for layer in range(_LAYERS):
        own = np.abs(place[layers == layer]), place[layers == layer]
        if len(own[0]) < _FEW:
            values += [0.0, 0.0]
            continue
        spread, reach = own[1].std(axis=0), own[0].max(axis=0)
        values += [4 * (spread[0] - spread[2]), 4 * (reach[0] - reach[2])]
    apart = 20 * float(cKDTree(place).query(place * [-1, 1, 1])[0].mean())
    return np.array([*values, apart, min(apart, 0.5)])
