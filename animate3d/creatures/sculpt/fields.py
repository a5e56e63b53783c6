"""Signed distance fields: solids as functions of space, negative inside (approximate distances are enough).

Every function takes points ``[..., 3]`` (or ``[..., 2]`` for outlines) and returns ``[...]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
Field = Callable[[Points], Points]


def mirrored(points: Points) -> Points:
    """Mirror points of the right side to the left one. ``[..., 3]``"""
    return np.concatenate([np.abs(points[..., :1]), points[..., 1:]], axis=-1)


def sphere(points: Points, center: ArrayLike, radius: float) -> Points:
    """Signed distance to a ball."""
    return np.linalg.norm(points - np.asarray(center), axis=-1) - radius


def ellipsoid(points: Points, center: ArrayLike, radii: ArrayLike) -> Points:
    """An axis-aligned ellipsoid; the distance is exact on the surface and close to it nearby."""
    local, radii = points - np.asarray(center), np.asarray(radii)
    k0 = np.linalg.norm(local / radii, axis=-1)
    k1 = np.linalg.norm(local / radii**2, axis=-1)
    return k0 * (k0 - 1.0) / np.maximum(k1, 1e-9)


def limb(points: Points, joints: Sequence[tuple[ArrayLike, float]], blend: float = 0.0) -> Points:
    """A chain of rounded cones through ``(position, radius)`` joints."""
    distance: Points | None = None
    for (start, r0), (end, r1) in pairwise(joints):
        a, axis = np.asarray(start, dtype=float), np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
        along = np.clip((points - a) @ axis / (axis @ axis), 0.0, 1.0)
        cone = np.linalg.norm(points - a - along[..., None] * axis, axis=-1) - (r0 + along * (r1 - r0))
        distance = cone if distance is None else union(distance, cone, blend)
    if distance is None:
        raise ValueError("a limb needs at least two joints")
    return distance


def union(a: Points, b: Points, blend: float = 0.0) -> Points:
    """Both solids, with a fillet about as wide as ``blend``."""
    if blend <= 0.0:
        return np.minimum(a, b)
    overlap = np.maximum(blend - np.abs(a - b), 0.0) / blend
    return np.minimum(a, b) - overlap**3 * blend / 6.0


def polygon(points: Points, outline: Points) -> Points:
    """Distance to a closed outline in the plane. ``points [..., 2]``, ``outline [P, 2]``"""
    nearest = np.full(points.shape[:-1], np.inf)
    inside = np.zeros(points.shape[:-1], dtype=bool)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        edge, local = b - a, points - a
        along = np.clip(local @ edge / (edge @ edge), 0.0, 1.0)
        nearest = np.minimum(nearest, ((local - along[..., None] * edge) ** 2).sum(axis=-1))
        crosses = (a[1] > points[..., 1]) != (b[1] > points[..., 1])
        rise = np.where(crosses, (points[..., 1] - a[1]) / (b[1] - a[1] if b[1] != a[1] else 1.0), 0.0)
        inside ^= crosses & (points[..., 0] < a[0] + rise * edge[0])
    return np.where(inside, -1.0, 1.0) * np.sqrt(nearest)


def slab(outline_distance: Points, height: Points, half_thickness: float) -> Points:
    """A plate with rounded rim: an outline's distance, and the height above the plate's middle."""
    # The rim is a half circle: shrink the outline by the half thickness, then round everything by it.
    outward = np.maximum(outline_distance + half_thickness, 0.0)
    return np.sqrt(outward**2 + height**2) - half_thickness


def distance_and_slope(field: Field, points: Points, step: float = 1e-4) -> tuple[Points, Points]:
    """A field and its forward differences: ``[N]``, ``[N, 3]``."""
    distance = field(points)
    slope = [(field(points + step * np.eye(3)[axis]) - distance) / step for axis in range(3)]
    return distance, np.stack(slope, axis=-1)
