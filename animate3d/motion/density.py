"""A surface at the density that tracking wants: coarse triangles are split, dense vertices gathered, piece by piece.

How a shape moves must not depend on how its author happened to cut it into triangles. Splitting halves long edges, so
every vertex of the user stays a vertex. Gathering joins vertices that an edge path connects within one cell of space
and that face the same way: neither loose pieces nor the two sides of a thin part ever become one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from animate3d.motion.surfaces import Array, Ids, edges_of, sum_at, triangle_areas, unique_pairs, vertex_normals

_LONGEST = 4.0 / 3.0  # of the wanted edge: halves of longer ones are nearer to it than the whole
_EXCESS, _TRIES = 1.1, 4  # how many more nodes than wanted are fine
_KEPT_AREA = 0.7  # a piece that would lose more of its surface is gathered in finer cells
_REFINEMENTS = 5


def edge_length(area: float, nodes: int) -> float:
    """The edge of an even triangulation of a surface with so many vertices."""
    return float(np.sqrt(area / nodes / (np.sqrt(3.0) / 2)))


class Places(NamedTuple):
    """Where the corners of triangles lie on those they were cut from.

    Attributes:
        triangles: ``[S]`` the uncut ones.
        barycentrics: ``[S, 3, 3]`` of each corner.
    """

    triangles: Ids
    barycentrics: Array


def split_evenly(values: Array, triangles: Ids, nodes: int) -> tuple[Array, Ids, Places]:
    """`split` to about ``nodes`` vertices, or as they are where there are more."""
    longest = _LONGEST * edge_length(float(triangle_areas(values[:, :3], triangles).sum()), nodes)
    for _ in range(_TRIES):
        found = split(values, triangles, longest)
        excess = len(found[0]) / nodes
        if excess <= _EXCESS:
            break
        longest *= np.sqrt(excess)  # slivers need more than their area says
    return found


def split(values: Array, triangles: Ids, longest: float) -> tuple[Array, Ids, Places]:
    """Halve edges until none is longer than ``longest``; both triangles at an edge get its midpoint.

    Args:
        values: ``[N, 3 + D]``, positions first, then whatever is interpolated like them.
        triangles: ``[T, 3]``

    Returns:
        values ``[N + K, 3 + D]``, of which the first N are unchanged, triangles, and where they lie.
    """
    places = Places(np.arange(len(triangles)), np.broadcast_to(np.eye(3), (len(triangles), 3, 3)))
    while True:
        sides = np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], axis=1)  # [T, 3, 2]
        edges, of_side = unique_pairs(sides.reshape(-1, 2))
        length = np.linalg.norm(values[edges[:, 0], :3] - values[edges[:, 1], :3], axis=1)
        halved = length > longest
        if not halved.any():
            return values, triangles, places
        middle = np.where(halved, len(values) + np.cumsum(halved) - 1, -1)[of_side.reshape(-1, 3)]
        values = np.concatenate([values, values[edges[halved]].mean(axis=1)])
        # Every triangle has six points of its own: its corners, and the midpoints of its sides.
        own = 6 * np.arange(len(triangles))[:, None] + np.arange(6)
        points = _cut(own[:, :3], own[:, 3:], middle)
        corners = places.barycentrics
        middles = (corners[:, [1, 2, 0]] + corners[:, [2, 0, 1]]) / 2
        triangles = np.concatenate([triangles, middle], axis=1).ravel()[points]
        barycentrics = np.concatenate([corners, middles], axis=1).reshape(-1, 3)[points]
        places = Places(places.triangles[points[:, 0] // 6], barycentrics)


def _cut(triangles: Ids, middles: Ids, halved: Ids) -> Ids:
    """Triangles along the midpoints of their sides ``[T, 3]`` (side k faces corner k).

    Args:
        halved: ``[T, 3]`` number of each side's midpoint among all; -1 where it stays whole.
    """
    count = (halved >= 0).sum(axis=1)
    # Turn every triangle so that its single halved side, or its single whole one, faces corner 0.
    first = np.where(count == 1, np.argmax(halved >= 0, axis=1), np.argmin(halved, axis=1))
    turned = (first[:, None] + np.arange(3)) % 3
    (a, b, c), (p, q, r) = (np.take_along_axis(ids, turned, axis=1).T for ids in (triangles, middles))
    one, two, three = (count == k for k in (1, 2, 3))
    parts = [
        triangles[count == 0],
        np.stack([a, b, p], axis=1)[one],
        np.stack([a, p, c], axis=1)[one],
        np.stack([a, r, q], axis=1)[two],
        np.stack([r, b, q], axis=1)[two],
        np.stack([b, c, q], axis=1)[two],
        np.stack([a, r, q], axis=1)[three],
        np.stack([r, b, p], axis=1)[three],
        np.stack([q, p, c], axis=1)[three],
        np.stack([p, q, r], axis=1)[three],
    ]
    return np.concatenate(parts)


def gather(vertices: Array, triangles: Ids, nodes: int) -> tuple[Ids, Ids]:
    """About ``nodes`` clusters of vertices, fewer than there are; see the module.

    Returns:
        cluster of every vertex ``[N]`` and one vertex of every cluster ``[C]``.
    """
    edges = edges_of(triangles)
    count, piece = connected_components(adjacency(edges, len(vertices)), directed=False)
    if 4 * count > nodes:  # thousands of leaves: thinned as one cloud
        piece, edges = np.zeros_like(piece), np.zeros((0, 2), np.int64)
        cluster = _coarsest(vertices, triangles, edges, np.ones(1), piece, nodes)
        return cluster, np.unique(cluster, return_index=True)[1]
    fineness = np.ones(count)
    area = triangle_areas(vertices, triangles)
    before = np.bincount(piece[triangles[:, 0]], area, count)
    for _ in range(_REFINEMENTS):
        cluster = _coarsest(vertices, triangles, edges, fineness, piece, nodes)
        size = np.bincount(cluster)
        middles = sum_at(vertices, cluster, len(size)) / size[:, None]
        left = np.bincount(piece[triangles[:, 0]], triangle_areas(middles, cluster[triangles]), count)
        lost = left < _KEPT_AREA * before
        if not lost.any():
            break
        fineness[lost] *= 2.0
    return cluster, np.unique(cluster, return_index=True)[1]


def _coarsest(vertices: Array, triangles: Ids, edges: Ids, fineness: Array, piece: Ids, nodes: int) -> Ids:
    """Clusters in cells as fine as ``nodes`` clusters allow; without edges all of a cell's vertices are one."""
    normals = vertex_normals(vertices, triangles)
    axis = np.abs(normals).argmax(axis=1)
    facing = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] > 0)
    low, extent = vertices.min(axis=0), float(np.ptp(vertices, axis=0).max())
    fine, coarse = 2.0, 4096.0  # cells along the longest side: too few .. too many
    cluster = np.zeros(len(vertices), np.int64)
    for step in range(14):
        cells = np.sqrt(fine * coarse)
        place = np.floor((vertices - low) / extent * (cells * fineness[piece])[:, None]).astype(np.int64)
        # One number for place and facing; edges join vertices of one piece, and without edges all are one piece.
        rows, columns = (int(side) for side in place.max(axis=0)[1:] + 1)
        key = ((place[:, 0] * rows + place[:, 1]) * columns + place[:, 2]) * 6 + facing
        if len(edges):
            same = key[edges[:, 0]] == key[edges[:, 1]]
            found, ids = connected_components(adjacency(edges[same], len(vertices)), directed=False)
        else:
            different, ids = np.unique(key, return_inverse=True)
            found = len(different)
        if found <= nodes:
            fine, cluster = cells, ids
        else:
            coarse = cells
            if step == 13 and not cluster.any():
                cluster = ids
    return cluster


def adjacency(edges: Ids, count: int) -> sparse.coo_matrix:
    """A graph of ``count`` vertices ``[count, count]``."""
    return sparse.coo_matrix((np.ones(len(edges), bool), edges.T), shape=(count, count))
