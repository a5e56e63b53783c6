"""The rest surface that tracking moves: welded, thinned when large, and linked so that thin parts hold together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

_MAX_NODES = 2000  # more cost time and gain nothing: the frames do not resolve finer motion
_ANCHORS = 4  # nodes that carry a vertex of a thinned surface


class Surface(NamedTuple):
    """What is tracked, placed and at rest.

    Attributes:
        vertices: ``[N, 3]``
        triangles: ``[T, 3]`` vertex ids.
        groups: ``[N]`` representative id of coincident vertices, which move as one.
        colors: ``[N, 3]`` 0..1.
    """

    vertices: Array
    triangles: Ids
    groups: Ids
    colors: Array


class Template:
    """Nodes and triangles at rest, and how the vertices of the model hang on them.

    Args:
        vertices: ``[N, 3]`` placed rest positions.
        triangles: ``[T, 3]`` vertex ids.
        groups: ``[N]`` representative id of coincident vertices, which move as one.
        colors: ``[N, 3]`` 0..1, shown where frame 0 does not show the surface.
        max_nodes: a surface with more welded vertices is thinned to about this many nodes.

    Attributes:
        rest: ``[M, 3]`` nodes.
        colors: ``[M, 3]``
        triangles: ``[S, 3]`` node ids.
        links: ``[E, 2]`` pairs of nodes that keep their distance.
    """

    def __init__(
        self, vertices: Array, triangles: Ids, groups: Ids, colors: Array, *, max_nodes: int = _MAX_NODES
    ) -> None:
        unique, node_of = np.unique(groups, return_inverse=True)
        self.vertices = np.asarray(vertices, dtype=np.float64)
        self._thinned = len(unique) > max_nodes
        if self._thinned:
            cluster = _clusters(self.vertices[unique], max_nodes)
            node_of = cluster[node_of]
        count = np.bincount(node_of)
        self.rest = _mean_by(self.vertices, node_of, count)
        self.colors = _mean_by(np.asarray(colors, dtype=np.float64), node_of, count)
        corners = node_of[triangles]
        proper = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
        self.triangles = np.ascontiguousarray(corners[proper])
        self.links = surface_links(self.rest, self.triangles)
        self._node_of = node_of
        if self._thinned:
            self._anchors, self._weights = _anchors(self.vertices, self.rest, node_of, self.links)

    @property
    def n_nodes(self) -> int:
        return len(self.rest)

    def carry(self, nodes: Array, rotations: Array) -> tuple[Array, Array]:
        """The model's vertices for given nodes.

        Args:
            nodes: ``[F, M, 3]``
            rotations: ``[F, M, 3, 3]`` of each node's surroundings.

        Returns:
            vertices ``[F, N, 3]`` and the rotation of each vertex's surroundings ``[F, N, 3, 3]``.
        """
        if not self._thinned:
            return nodes[:, self._node_of], rotations[:, self._node_of]
        arm = self.vertices[:, None] - self.rest[self._anchors]  # [N, A, 3]
        moved = np.stack(
            [
                np.einsum(
                    "na,nai->ni", self._weights, np.einsum("naij,naj->nai", r[self._anchors], arm) + x[self._anchors]
                )
                for x, r in zip(nodes, rotations, strict=True)
            ]
        )
        return moved, rotations[:, self._node_of]


def surface_links(rest: Array, triangles: Ids) -> Ids:
    """Pairs of nodes that keep their distance ``[E, 2]``.

    The mesh's edges; links through the inside of thin parts, whose two sides no camera may see at once; and links
    between loose pieces that nearly touch, such as eyes in their sockets.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    if not len(edges):
        return edges
    spacing = float(np.median(np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)))
    corners = rest[triangles]
    facets = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack([np.bincount(triangles.ravel(), np.repeat(axis, 3), len(rest)) for axis in facets.T], axis=1)
    normals = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-30)
    if np.einsum("ij,ij->", corners[:, 0], facets) < 0:  # the signed volume: faces are wound inside out
        normals = -normals

    # The nearest few of each node are enough to find a partner, and bound the work on uneven meshes.
    count = min(48, len(rest) - 1)
    distance, partner = cKDTree(rest).query(rest, k=count + 1, distance_upper_bound=4.0 * spacing)
    i, k = np.nonzero(np.isfinite(distance[:, 1:]))
    near = np.stack([i, partner[i, k + 1]], axis=1)
    step = rest[near[:, 1]] - rest[near[:, 0]]
    ahead = np.einsum("ij,ij->i", step, normals[near[:, 0]])
    behind = np.einsum("ij,ij->i", step, normals[near[:, 1]])
    opposite = np.einsum("ij,ij->i", normals[near[:, 0]], normals[near[:, 1]]) < -0.3
    through = near[(ahead < 0) & (behind > 0) & opposite]
    adjacency = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(rest),) * 2)
    piece = sparse.csgraph.connected_components(adjacency, directed=False)[1]
    across = near[piece[near[:, 0]] != piece[near[:, 1]]]
    # Two of each at most: the mesh's own edges keep the say. `near` lists the partners of a node by distance.
    extra = [pairs[_rank_in_run(pairs[:, 0]) < 2] for pairs in (through, across)]
    return np.unique(np.sort(np.concatenate([edges, *extra]), axis=1), axis=0)


def _rank_in_run(keys: Ids) -> Ids:
    """For sorted keys, how many equal ones stand before each."""
    return np.arange(len(keys)) - np.searchsorted(keys, keys, side="left")


def _mean_by(values: Array, ids: Ids, count: Ids) -> Array:
    return np.stack([np.bincount(ids, column, len(count)) for column in values.T], axis=1) / count[:, None]


def _clusters(points: Array, target: int) -> Ids:
    """Cluster id of every point: cells of a cubic grid, as fine as ``target`` clusters allow."""
    low, extent = points.min(axis=0), float(np.ptp(points, axis=0).max())
    fine, coarse = 2.0, 4096.0  # cells along the longest side: too few .. too many
    ids = np.zeros(len(points), np.int64)
    for _ in range(16):
        cells = np.sqrt(fine * coarse)
        keys = np.floor((points - low) / extent * cells).astype(np.int64)
        found = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        if found.max() < target:
            fine, ids = cells, found
        else:
            coarse = cells
    return ids


def _anchors(vertices: Array, rest: Array, node_of: Ids, links: Ids) -> tuple[Ids, Array]:
    """The nodes that carry each vertex and their weights ``[N, A]``: its own node and the nearest of that one's links.

    Linked nodes only, so that a vertex never hangs on a part that merely lies close by.
    """
    both = np.concatenate([links, links[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    rank = _rank_in_run(both[:, 0])
    width = int(rank.max(initial=0)) + 1
    neighbours = np.repeat(np.arange(len(rest))[:, None], width + 1, axis=1)
    neighbours[both[:, 0], rank + 1] = both[:, 1]
    candidates = neighbours[node_of]  # [N, width + 1], padded with the node itself
    distance = np.linalg.norm(vertices[:, None] - rest[candidates], axis=-1)
    distance[:, 1:][candidates[:, 1:] == candidates[:, :1]] = np.inf
    order = np.argsort(distance, axis=1)[:, : min(_ANCHORS + 1, width + 1)]
    chosen = np.take_along_axis(distance, order, axis=1)
    reach = np.where(np.isfinite(chosen), chosen, 0.0).max(axis=1, keepdims=True) + 1e-12
    weights = np.where(np.isfinite(chosen), np.maximum(1.0 - chosen / reach, 0.0) ** 2 + 1e-9, 0.0)
    return np.take_along_axis(candidates, order, axis=1), weights / weights.sum(axis=1, keepdims=True)
