"""Points spread over the surface of a figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.figures.figure import Figure, Points
from animate3d.creatures.figures.solids import template

_STEP = 1e-3  # of the slopes; single precision resolves distances to about 1e-7
_LONGEST = 0.08  # no Newton step may jump through a thin solid


def surface_points(figure: Figure, count: int, generator: np.random.Generator) -> tuple[Points, Points]:
    """Points spread evenly by area over the surface of every loose piece, and outward normals: ``[count, 3]`` each."""
    points: list[Points] = []
    normals: list[Points] = []
    found, wanted = 0, int(1.5 * count) + 64
    corners, owners, areas = _triangles(figure)
    for _ in range(20):
        kept, directions = _candidates(figure, corners, owners, areas, wanted, generator)
        points.append(kept)
        normals.append(directions)
        found += len(kept)
        if found >= count:
            break
        share = max(len(kept) / wanted, 0.05)
        wanted = int(1.1 * (count - found) / share) + 64
    # Every batch is a fair sample, so the first ones of all are.
    if found < count:
        again = generator.integers(0, found, count)
        return np.concatenate(points)[again], np.concatenate(normals)[again]
    return np.concatenate(points)[:count], np.concatenate(normals)[:count]


def surface_area(figure: Figure) -> float:
    """Area of all solids, a little more than that of the surface."""
    return float(_triangles(figure)[2].sum())


def _triangles(figure: Figure) -> tuple[Points, NDArray[np.int64], Points]:
    """Triangles of the solids' templates ``[T, 3, 3]``, the solid of each and its area."""
    corners, owners = [], []
    for index, solid in enumerate(figure.solids.items):
        grid = template(solid)
        a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
        faces = np.concatenate([np.stack([a, b, c], axis=-2), np.stack([a, c, d], axis=-2)]).reshape(-1, 3, 3)
        corners.append(faces)
        owners.append(np.full(len(faces), index))
    stacked = np.concatenate(corners)
    areas = np.linalg.norm(np.cross(stacked[:, 1] - stacked[:, 0], stacked[:, 2] - stacked[:, 0]), axis=1)
    return stacked, np.concatenate(owners), areas


def _candidates(
    figure: Figure,
    corners: Points,
    owners: NDArray[np.int64],
    areas: Points,
    count: int,
    generator: np.random.Generator,
) -> tuple[Points, Points]:
    """Points on solids that nothing of their loose piece hides, moved onto the surface, and their normals."""
    total = np.cumsum(areas)
    chosen = np.minimum(np.searchsorted(total, generator.random(count) * total[-1]), len(total) - 1)
    u, v = generator.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    points, owner = (a + u * (b - a) + v * (c - a)).astype(np.float32), owners[chosen]
    points, normals = _settled(points, lambda p: figure.solids.own_distance(p, owner))
    distances = figure.solids.distances(points)
    here = np.arange(count)
    own = distances[owner, here].copy()
    distances[owner, here] = np.inf
    # What another loose piece hides comes to light when that moves, as a lid does.
    inside = distances < np.where(figure.solids.piece[:, None] == figure.solids.piece[owner], -1e-4, -np.inf)
    seen = np.flatnonzero(~inside.any(axis=0) & (np.abs(own) < 5e-3))
    distances[owner, here] = own
    points, normals, owner, distances = points[seen], normals[seen], owner[seen], distances[:, seen]
    _, rank = np.unique(figure.solids.piece, return_inverse=True)
    piece = rank[owner]
    rounded = np.flatnonzero(figure.piece_distances(distances)[piece, np.arange(len(piece))] < -1e-3)
    if len(rounded):
        in_fillet = piece[rounded]

        def fillet(p: Points) -> Points:
            return figure.piece_distances(figure.solids.distances(p))[in_fillet, np.arange(len(p))]

        points[rounded], normals[rounded] = _settled(points[rounded], fillet, 3)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return points.astype(np.float64), (normals / np.maximum(length, 1e-9)).astype(np.float64)


def _settled(points: Points, field: Callable[[Points], Points], steps: int = 2) -> tuple[Points, Points]:
    """Points after Newton steps towards the zero level of a field, and the slope there: ``[N, 3]`` each."""
    step = np.float32(_STEP) * np.eye(3, dtype=np.float32)
    for _ in range(steps):
        distance = field(points)
        slope = np.stack([(field(points + step[axis]) - distance) / np.float32(_STEP) for axis in range(3)], -1)
        squared = np.maximum((slope**2).sum(axis=1), 0.1)
        points = points - np.clip(distance / squared, -_LONGEST, _LONGEST)[:, None] * slope
    return points, slope
