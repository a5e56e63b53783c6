"""A surface in clusters of triangles within clusters: what is far from a point is taken at once, or not looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np

from animate3d.motion.inside import half_angle
from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.threads import run_pieces

_LEAF = 8  # triangles of the smallest clusters
_FAR = 2.5  # radii of a cluster, from where on it is one place: winding numbers are right to about 0.01
_AT_ONCE = 4096  # points, between which Python may be interrupted


class Clusters(NamedTuple):
    """A surface and its clusters: number 1 is all of it, number ``n`` consists of ``2 * n`` and ``2 * n + 1``.

    Attributes:
        corners: ``[T, 3, 3]`` of triangles in the order of `clustered`.
        centres: ``[T / 4, 3]``
        radii: ``[T / 4]`` of balls around the centres that hold the clusters.
        normals: ``[T / 4, 3]`` sum of the triangles' normals, as long as their areas.
    """

    corners: Array
    centres: Array
    radii: Array
    normals: Array

    @classmethod
    def of(cls, vertices: Array, triangles: Ids) -> Clusters:
        """The clusters of triangles that `clustered` has put in order, now that their vertices may have moved."""
        corners = np.ascontiguousarray(vertices[triangles])
        return cls(corners, *_balls(corners))

    def times_around(self, points: Array) -> Array:
        """As `animate3d.motion.inside.times_around`, to about 0.01. ``[n]``"""
        around = np.empty(len(points))
        _in_turn(lambda a, b: _around(points[a:b], *self, around[a:b]), len(points))
        return around

    def nearest(self, points: Array) -> tuple[Array, Array]:
        """How far every point is from the surface ``[n]``, and the nearest places of it ``[n, 3]``."""
        depth, places = np.empty(len(points)), np.empty((len(points), 3))
        _in_turn(lambda a, b: _nearest_places(points[a:b], *self[:3], depth[a:b], places[a:b]), len(points))
        return depth, places


def _in_turn(work: Callable[[int, int], None], n: int) -> None:
    """As `run_pieces`, but Python may be interrupted in between."""
    for start in range(0, n, _AT_ONCE):

        def some(a: int, b: int, piece: int, start: int = start) -> None:
            work(start + a, start + b)

        run_pieces(some, min(n - start, _AT_ONCE))


def clustered(vertices: Array, triangles: Ids) -> Ids:
    """Triangles in an order in which those of a cluster follow each other, filled up with some of no area."""
    count = _LEAF << max(0, math.ceil(math.log2(max(len(triangles), 1) / _LEAF)))
    point = triangles[0, 0] if len(triangles) else 0
    triangles = np.concatenate([triangles, np.full((count - len(triangles), 3), point)])
    middles = vertices[triangles].mean(axis=1)
    order = np.arange(count)[None]
    while order.shape[1] > _LEAF:  # every cluster into two halves, along its longest side
        places = middles[order]
        side = np.ptp(places, axis=1).argmax(axis=1)
        along = np.take_along_axis(places, side[:, None, None], axis=2)[..., 0]
        order = np.take_along_axis(order, along.argsort(axis=1), axis=1).reshape(2 * len(order), -1)
    return triangles[order.ravel()]


def _balls(corners: Array) -> tuple[Array, Array, Array]:
    """Centres, radii and normals of all clusters."""
    a, b, c = (corners[:, k] for k in range(3))
    facets = 0.5 * np.cross(b - a, c - a)
    areas = np.linalg.norm(facets, axis=1, keepdims=True) + 1e-30
    sums = _of_clusters(np.concatenate([areas, areas * (a + b + c) / 3, facets], axis=1), np.add)
    low = _of_clusters(np.minimum(np.minimum(a, b), c), np.minimum)
    high = _of_clusters(np.maximum(np.maximum(a, b), c), np.maximum)
    centres = sums[:, 1:4] / sums[:, :1]
    radii = np.linalg.norm(np.maximum(centres - low, high - centres), axis=1)
    return centres, radii, np.ascontiguousarray(sums[:, 4:])


def _of_clusters(values: Array, join: np.ufunc) -> Array:
    """Values of triangles ``[T, D]``, joined to those of the clusters ``[T / 4, D]``; nothing is number 0."""
    leaves, levels = len(values) // _LEAF, [values]
    while len(levels[0]) > 1:
        levels.insert(0, join(levels[0][::2], levels[0][1::2]))
    return np.concatenate([levels[0], *(level for level in levels if len(level) <= leaves)])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _around(points, corners, centres, radii, normals, around):  # type: ignore[no-untyped-def]
    leaves = len(radii) // 2
    stack = np.empty(64, np.int64)
    for n in range(len(points)):
        x, y, z = points[n]
        turn, top = 0.0, 1
        stack[0] = 1
        while top:
            top -= 1
            node = stack[top]
            dx, dy, dz = centres[node, 0] - x, centres[node, 1] - y, centres[node, 2] - z
            square = dx * dx + dy * dy + dz * dz
            if square > (_FAR * radii[node]) ** 2:
                across = normals[node, 0] * dx + normals[node, 1] * dy + normals[node, 2] * dz
                turn += 0.5 * across / (square * math.sqrt(square))
            elif node < leaves:
                stack[top], stack[top + 1] = 2 * node, 2 * node + 1
                top += 2
            else:
                first = (node - leaves) * _LEAF
                for t in range(first, first + _LEAF):
                    turn += half_angle(corners[t], x, y, z)
        around[n] = abs(turn) / (2 * math.pi)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest_places(points, corners, centres, radii, depth, places):  # type: ignore[no-untyped-def]
    leaves = len(radii) // 2
    stack, least_of = np.empty(64, np.int64), np.empty(64)
    for n in range(len(points)):
        point = points[n]
        best, top = np.inf, 1
        stack[0], least_of[0] = 1, 0.0
        while top:
            top -= 1
            node = stack[top]
            if least_of[top] >= best:
                continue
            if node >= leaves:
                first = (node - leaves) * _LEAF
                for t in range(first, first + _LEAF):
                    place = _nearest(corners[t, 0] - point, corners[t, 1] - point, corners[t, 2] - point)
                    distance = math.sqrt((place * place).sum())
                    if distance < best:
                        best = distance
                        places[n] = point + place
                continue
            one, two = _least(point, centres, radii, 2 * node), _least(point, centres, radii, 2 * node + 1)
            near = 2 * node if one <= two else 2 * node + 1  # on top of the stack: looked at first
            stack[top], least_of[top] = 4 * node + 1 - near, max(one, two)
            stack[top + 1], least_of[top + 1] = near, min(one, two)
            top += 2
        depth[n] = best


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _least(point, centres, radii, node):  # type: ignore[no-untyped-def]
    """How near a cluster comes to a point at least."""
    step = centres[node] - point
    return math.sqrt((step * step).sum()) - radii[node]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest(a, b, c):  # type: ignore[no-untyped-def]
    """The point of a triangle that is nearest to the origin."""
    u, v = b - a, c - a
    uu, uv, vv = (u * u).sum(), (u * v).sum(), (v * v).sum()
    au, av = -(a * u).sum(), -(a * v).sum()
    area = uu * vv - uv * uv
    if area > 1e-30:
        s, t = (vv * au - uv * av) / area, (uu * av - uv * au) / area
        if s >= 0 and t >= 0 and s + t <= 1:
            return a + s * u + t * v
    best, least = a, (a * a).sum()
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        length = (edge * edge).sum()
        share = 0.0 if length <= 0 else min(max(-(start * edge).sum() / length, 0.0), 1.0)
        place = start + share * edge
        square = (place * place).sum()
        if square < least:
            best, least = place, square
    return best
