"""Edges, areas and normals of a triangulated surface, and sums and rotations over its neighbourhoods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


def edges_of(triangles: Ids) -> Ids:
    """Unique edges ``[E, 2]``, the smaller vertex first."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return unique_pairs(edges)[0]


def unique_pairs(pairs: Ids) -> tuple[Ids, Ids]:
    """Different pairs of numbers from 0, whichever comes first ``[U, 2]``, and which of them every pair is ``[P]``."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    base = int(high.max(initial=0)) + 1
    keys, which = np.unique(low * base + high, return_inverse=True)  # one number a pair: a third of the memory
    return np.stack(np.divmod(keys, base), axis=1), which


def triangle_areas(vertices: Array, triangles: Ids) -> Array:
    """``[T]``"""
    return 0.5 * np.linalg.norm(_facets(vertices, triangles), axis=1)


def vertex_areas(vertices: Array, triangles: Ids) -> Array:
    """A third of the area of the triangles at every vertex. ``[N]``"""
    thirds = np.repeat(triangle_areas(vertices, triangles) / 3, 3)
    return sum_at(thirds[:, None], triangles.ravel(), len(vertices))[:, 0]


def vertex_normals(vertices: Array, triangles: Ids) -> Array:
    """Unit normals, outwards for a closed surface however its faces are wound; zero without an area. ``[N, 3]``"""
    facets = _facets(vertices, triangles)
    normals = sum_at(np.repeat(facets, 3, axis=0), triangles.ravel(), len(vertices))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-30
    inside_out = np.einsum("ij,ij->", vertices[triangles[:, 0]], facets) < 0  # the signed volume
    return -normals if inside_out else normals


def sum_at(values: Array, ids: Ids, count: int) -> Array:
    """Sums of the rows ``[P, D]`` that have the same id. ``[count, D]``"""
    return np.stack([np.bincount(ids, column, count) for column in values.T], axis=1)


def nearest_rotations(matrices: Array) -> Array:
    """The rotations ``[n, 3, 3]`` nearest to matrices, never reflections."""
    u, _, vt = np.linalg.svd(matrices)
    u[:, :, 2] *= np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)[:, None]
    return u @ vt


def _facets(vertices: Array, triangles: Ids) -> Array:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)
