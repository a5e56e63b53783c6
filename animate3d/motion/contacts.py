"""Objects of a scene that have been moved into each other are pushed apart where they overlap.

A vertex that lies deeper inside another object than it does at rest goes out to the nearest place on that object's
surface; its surroundings follow with a smooth falloff. Both objects yield by half, one that stands still not at all.
Open surfaces enclose nothing, so nothing is inside them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from animate3d.motion.clusters import Clusters, clustered
from animate3d.motion.surfaces import Array, Ids, vertex_normals

TOLERANCE = 0.002
"""Of the smaller object's diagonal: overlaps that nobody sees."""
_ROUNDS = 6
_REACH = 0.06  # of an object's diagonal: how far around a contact its surface gives way
_STILL = 1e-9  # of the diagonal
_NEAR = 4  # pushed vertices that those around them follow


class Apart(NamedTuple):
    """Objects that do not press into each other.

    Attributes:
        positions: ``[F, N, 3]``
        before, after: ``[F]`` the deepest overlap beyond that at rest, as a share of the smaller object's diagonal.
    """

    positions: Array
    before: Array
    after: Array


class _Object(NamedTuple):
    vertices: Ids
    triangles: Ids  # of its own vertices, `clustered`
    diagonal: float
    still: bool


def keep_apart(
    positions: Array, triangles: Ids, objects: Ids, progress: Callable[[int], None] = lambda frames: None
) -> Apart:
    """Push objects out of each other, frame by frame; the first frame stays as it is.

    Args:
        positions: ``[F, N, 3]``, frame 0 at rest.
        triangles: ``[T, 3]``
        objects: ``[N]`` object of every vertex.
        progress: called with the number of frames that are done.
    """
    moved = np.array(positions, dtype=np.float64)
    pairs = list(combinations(_objects(moved, triangles, objects), 2))
    at_rest = [(_depth(moved[0], a, b)[0], _depth(moved[0], b, a)[0]) for a, b in pairs]
    before, after = np.zeros(len(moved)), np.zeros(len(moved))
    for f in range(1, len(moved)):
        before[f] = max((_part(moved[f], *pair, rest) for pair, rest in zip(pairs, at_rest, strict=True)), default=0.0)
        if before[f] > 0:
            after[f] = max(_excess(moved[f], *pair, rest) for pair, rest in zip(pairs, at_rest, strict=True))
        progress(f)
    return Apart(moved, before, after)


def _objects(positions: Array, triangles: Ids, objects: Ids) -> list[_Object]:
    found = []
    for number in np.unique(objects):
        own = np.flatnonzero(objects == number)
        place = np.full(len(objects), -1)
        place[own] = np.arange(len(own))
        diagonal = float(np.linalg.norm(np.ptp(positions[0, own], axis=0)))
        still = bool(np.abs(positions[:, own] - positions[0, own]).max() <= _STILL * diagonal)
        faces = clustered(positions[0, own], place[triangles[objects[triangles[:, 0]] == number]])
        found.append(_Object(own, faces, diagonal, still))
    return found


def _excess(frame: Array, a: _Object, b: _Object, at_rest: tuple[Array, Array]) -> float:
    """How deep two objects are in each other beyond what they are at rest, as a share of the smaller diagonal."""
    depths = _depth(frame, a, b)[0] - at_rest[0], _depth(frame, b, a)[0] - at_rest[1]
    return max(float(depth.max(initial=0.0)) for depth in depths) / min(a.diagonal, b.diagonal)


def _part(frame: Array, a: _Object, b: _Object, at_rest: tuple[Array, Array]) -> float:
    """Push two objects apart in place; returns how deep they were in each other."""
    allowed = TOLERANCE * min(a.diagonal, b.diagonal)
    pairs = ((a, b, at_rest[0]), (b, a, at_rest[1]))
    deepest = _excess(frame, a, b, at_rest)
    for _ in range(_ROUNDS if deepest > TOLERANCE else 0):
        parted = True
        for one, other, rest in pairs:
            depth, goals = _depth(frame, one, other)
            pushed = np.flatnonzero(depth - rest > allowed)
            if not len(pushed) or (one.still and other.still):
                continue
            parted = False
            out = goals[pushed] - frame[one.vertices[pushed]]
            out *= ((depth - rest)[pushed] / depth[pushed])[:, None]
            if one.still:  # the other one goes back before it
                _push(frame, other, *_strongest(frame[other.vertices], goals[pushed], -out))
            else:
                _push(frame, one, pushed, (1.0 if other.still else 0.5) * out)
        if parted:
            break
    return deepest


def _strongest(points: Array, places: Array, steps: Array) -> tuple[Ids, Array]:
    """The points nearest to some places, and the largest of the steps there."""
    nearest = cKDTree(points).query(places)[1]
    order = np.argsort(-np.linalg.norm(steps, axis=1), kind="stable")
    chosen, first = np.unique(nearest[order], return_index=True)
    return chosen, steps[order][first]


def _push(frame: Array, one: _Object, pushed: Ids, step: Array) -> None:
    points = frame[one.vertices]
    frame[one.vertices] = points + _spread(points, pushed, step, _REACH * one.diagonal)


def _spread(points: Array, pushed: Ids, step: Array, reach: float) -> Array:
    """The steps of some points, and of those around them steps that fade with the distance. ``[n, 3]``"""
    near = min(_NEAR, len(pushed))
    distance, which = cKDTree(points[pushed]).query(points, k=near, distance_upper_bound=3 * reach)
    distance, which = distance.reshape(len(points), near), which.reshape(len(points), near)
    found = np.isfinite(distance)
    weights = np.where(found, 1.0 / (np.where(found, distance, 1.0) ** 2 + 1e-18), 0.0)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    mean = np.einsum("nk,nkd->nd", weights / total, step[np.where(found, which, 0)])
    all_steps = mean * np.exp(-((np.where(found[:, 0], distance[:, 0], np.inf) / reach) ** 2))[:, None]
    all_steps[pushed] = step
    return all_steps


def _depth(frame: Array, one: _Object, other: _Object) -> tuple[Array, Array]:
    """How deep every vertex of an object is inside another one ``[n]``, and the nearest place outside ``[n, 3]``."""
    points, surface = frame[one.vertices], frame[other.vertices]
    depth, goals = np.zeros(len(points)), points.copy()
    low, high = surface.min(axis=0), surface.max(axis=0)
    inside = np.flatnonzero(((points > low) & (points < high)).all(axis=1))
    if len(inside):  # those before the surface, as far as the nearest normal tells, cost nothing more
        distance, nearest = cKDTree(surface).query(points[inside])
        across = points[inside] - surface[nearest]
        normals = vertex_normals(surface, other.triangles)[nearest]
        inside = inside[np.einsum("ni,ni->n", across, normals) <= 0.5 * distance]
    if len(inside):
        clusters = Clusters.of(surface, other.triangles)
        # Nearly all the way around; beside an open sheet it is half of it.
        inside = inside[clusters.times_around(points[inside]) > 0.75]
        depth[inside], goals[inside] = clusters.nearest(points[inside])
    return depth, goals
