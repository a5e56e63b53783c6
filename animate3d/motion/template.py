"""The rest surface that tracking moves: its own density, and links that hold thin parts and loose pieces together."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from animate3d.motion.bonds import find_bonds
from animate3d.motion.density import Places, adjacency, edge_length, gather, split_evenly
from animate3d.motion.inside import times_around
from animate3d.motion.surfaces import (
    Array,
    Ids,
    edges_of,
    sum_at,
    triangle_areas,
    unique_pairs,
    vertex_areas,
    vertex_normals,
)

NODES = 3000  # more cost time and gain nothing: the frames do not resolve finer motion
_ANCHORS = 4  # nodes that carry a vertex of a thinned surface
_CROWDED = 1.25  # times the wanted nodes, before a surface is thinned
_SPECK, _SPECK_EDGE = 0.5, 0.05  # of the usual distance of nodes: the size of what is one node, and its edges
_OUT = 0.05  # of the usual distance of nodes: so far before a node is outside, unless another part covers it
_BETWEEN = (0.2, 0.5, 0.8)  # places on a link through the inside, all of which are inside of one part
_NEAR = (np.ones((3, 3)) + 3 * np.eye(3)) / 6  # a place of a triangle that stands for what is near each corner
_APART = 0.1  # of the diagonal: a bond so much longer is strained as much as a link of twice its length


Paint: TypeAlias = Callable[[Ids, Array], Array]
"""Gives colours ``[K, 3]`` of a surface, 0..1, for its triangles ``[K]`` and barycentrics ``[K, 3]`` on them."""


class Surface(NamedTuple):
    """What is tracked, placed and at rest.

    Attributes:
        vertices: ``[N, 3]``
        triangles: ``[T, 3]`` vertex ids.
        groups: ``[N]`` representative id of coincident vertices, which move as one.
        colors: ``[N, 3]`` 0..1.
        objects: ``[N]`` number of each vertex's object; None for one object.
        paint: what lies between the vertices, which may be few; None where it is between their colours.
    """

    vertices: Array
    triangles: Ids
    groups: Ids
    colors: Array
    objects: Ids | None = None
    paint: Paint | None = None

    def toned(self, gain: Array) -> Surface:
        """The same in colours times ``gain [3]``, as another exposure shows it."""
        paint = self.paint
        toned = (lambda at, barycentrics: (paint(at, barycentrics) * gain).clip(0, 1)) if paint else None
        return self._replace(colors=(self.colors * gain).clip(0, 1), paint=toned)


class Template:
    """Nodes and triangles at rest, and how the vertices of the model hang on them.

    Args:
        vertices: ``[N, 3]`` placed rest positions.
        triangles: ``[T, 3]`` vertex ids.
        groups: ``[N]`` representative id of coincident vertices, which move as one.
        colors: ``[N, 3]`` 0..1, shown where frame 0 does not show the surface.
        nodes: how many nodes there should be, about.

    Attributes:
        rest: ``[M, 3]`` nodes.
        colors: ``[M, 3]``
        triangles: ``[S, 3]`` node ids.
        edge: the usual distance of neighbouring nodes.
        areas: ``[M]`` of the surface around each node.
        pieces: ``[M]`` number of the connected piece.
        links: ``[E, 2]`` pairs of nodes that keep their distance, inside of a piece.
        bonds: `Bonds` between loose pieces.
    """

    def __init__(
        self,
        vertices: Array,
        triangles: Ids,
        groups: Ids,
        colors: Array,
        *,
        nodes: int = NODES,
        paint: Paint | None = None,
    ) -> None:
        self.vertices = np.asarray(vertices, dtype=np.float64)
        unique, node_of = np.unique(groups, return_inverse=True)
        count = np.bincount(node_of)
        both = np.concatenate([self.vertices, np.asarray(colors, dtype=np.float64)], axis=1)
        values = sum_at(both, node_of, len(unique)) / count[:, None]
        proper = np.flatnonzero(_are_proper(node_of[triangles]))
        values, corners, places = split_evenly(values, node_of[triangles[proper]], nodes)
        edges = edges_of(corners)
        piece = connected_components(adjacency(edges, len(values)), directed=False)[1]
        self._thinned = len(values) > _CROWDED * nodes
        if self._thinned:
            cluster, firsts = gather(values[:, :3], corners, nodes)
        else:
            cluster, firsts = specks(values[:, :3], corners, edges)
        self._painting: Callable[[Array], Array] | None = None
        if paint and (len(corners) > len(proper) or not self._thinned):  # else the vertices show it all
            places = Places(proper[places.triangles], places.barycentrics)
            self._painting = partial(_painted, paint, places, cluster[corners])
        if len(firsts) < len(values):
            values = sum_at(values, cluster, len(firsts)) / np.bincount(cluster)[:, None]
            node_of, corners, piece, edges = cluster[node_of], cluster[corners], piece[firsts], cluster[edges]
            corners = corners[_are_proper(corners)]
        self.rest, self.colors = np.ascontiguousarray(values[:, :3]), np.ascontiguousarray(values[:, 3:])
        self.triangles = np.ascontiguousarray(corners)
        self.areas = vertex_areas(self.rest, self.triangles)
        self.pieces = np.unique(piece, return_inverse=True)[1]
        self.edge = edge_length(float(self.areas.sum()), len(self.rest))
        normals = vertex_normals(self.rest, self.triangles)
        self.links, self._through = surface_links(self.rest, edges, normals, self.pieces, self.edge)
        self.bonds = find_bonds(self.rest, normals, self.areas, self.pieces, self.edge)
        self._node_of = node_of
        self._in_specks = np.flatnonzero(np.isin(node_of, np.flatnonzero(np.bincount(cluster) > 1)))
        if self._thinned:
            self._anchors, self._weights = _anchors(self.vertices, self.rest, node_of, self.links)

    def untied(self) -> Template:
        """The same without the links through the inside that tie parts together which touch or overlap at rest."""
        free = np.ones(len(self.links), bool)
        free[self._through] = through_one_part(self, self.links[self._through])
        other = copy(self)
        other.links, other._through = self.links[free], self._through[free]
        return other

    def painted(self) -> Template:
        """The same with colours of what lies around each node, not between those of the vertices, which may be few.

        Every triangle at a node adds the colour of one place near it. Where a surface has many vertices, which were
        gathered, the colours stay.
        """
        other = copy(self)
        other.colors = self._painting(self.colors) if self._painting else self.colors
        return other

    @property
    def n_nodes(self) -> int:
        """How many points are tracked."""
        return len(self.rest)

    def strain(self, nodes: Array) -> float:
        """By what share the links and bonds of nodes ``[M, 3]`` have changed their length, mean over the surface.

        A bond, whose pieces may touch and slide, is compared with a tenth of the diagonal: they must not fly apart.
        """
        pairs = np.concatenate([self.links, self.bonds.pairs])
        if not len(pairs):
            return 0.0
        i, j = pairs.T
        rest, now = (np.linalg.norm(points[i] - points[j], axis=1) for points in (self.rest, nodes))
        usual = rest.copy()
        usual[len(self.links) :] = _APART * np.linalg.norm(np.ptp(self.rest, axis=0))
        return float(np.average(np.abs(now - rest) / np.maximum(usual, 1e-12), weights=self.areas[i] + self.areas[j]))

    def carry(self, nodes: Array, rotations: NDArray[np.floating]) -> tuple[Array, NDArray[np.float32]]:
        """The model's vertices for the nodes of one frame.

        Args:
            nodes: ``[M, 3]``
            rotations: ``[M, 3, 3]`` of each node's surroundings.

        Returns:
            vertices ``[N, 3]`` and the rotation of each vertex's surroundings ``[N, 3, 3]``, float32.
        """
        turned = rotations.astype(np.float32)[self._node_of]
        if not self._thinned:
            moved, rows = nodes[self._node_of], self._in_specks
            arm = self.vertices[rows] - self.rest[self._node_of[rows]]
            moved[rows] += np.einsum("nij,nj->ni", rotations[self._node_of[rows]], arm)
            return moved, turned
        arm = self.vertices[:, None] - self.rest[self._anchors]  # [N, A, 3]
        carried = np.einsum("naij,naj->nai", rotations[self._anchors], arm) + nodes[self._anchors]
        return np.einsum("na,nai->ni", self._weights, carried), turned

    def carry_values(self, values: Array) -> Array:
        """One number per node ``[F, M]`` at the vertices ``[F, N]``."""
        return values[:, self._node_of]

    def spread(self, values: Array) -> Array:
        """One number per node ``[F, M]`` at the vertices ``[F, N]``, without steps where the surface was thinned."""
        if not self._thinned:
            return self.carry_values(values)
        return np.einsum("na,fna->fn", self._weights, values[:, self._anchors])


def specks(points: Array, triangles: Ids, edges: Ids) -> tuple[Ids, Ids]:
    """Vertices that are one node, because they lie too close together for anything to tell how they move apart.

    A foot or a nose is often a fan of triangles a hundred times smaller than the others, which weigh nothing.

    Returns:
        cluster of every vertex ``[N]`` and one vertex of every cluster ``[C]``.
    """
    usual = edge_length(float(triangle_areas(points, triangles).sum()), len(points))
    short = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) < _SPECK_EDGE * usual
    count, group = connected_components(adjacency(edges[short], len(points)), directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, group, points)
    np.maximum.at(high, group, points)
    wide = np.linalg.norm(high - low, axis=1) > _SPECK * usual  # a strip of short edges is a part of its own
    alone = np.where(wide[group], count + np.arange(len(points)), group)
    _, firsts, cluster = np.unique(alone, return_index=True, return_inverse=True)
    return cluster, firsts


def _are_proper(triangles: Ids) -> NDArray[np.bool_]:
    """Which triangles have three different corners."""
    a, b, c = triangles.T
    return np.asarray((a != b) & (b != c) & (c != a))


def _painted(paint: Paint, places: Places, corners: Ids, plain: Array) -> Array:
    """The mean colour ``[M, 3]`` of the surface near each node; that of ``plain`` where it has no triangle.

    Args:
        corners: ``[S, 3]`` node ids of the triangles that lie at ``places``.
    """
    near = (_NEAR @ places.barycentrics).reshape(-1, 3)
    colors = paint(np.repeat(places.triangles, 3), near)
    count = np.bincount(corners.ravel(), minlength=len(plain))[:, None]
    return np.where(count, sum_at(colors, corners.ravel(), len(plain)) / np.maximum(count, 1), plain)


def surface_links(rest: Array, edges: Ids, normals: Array, pieces: Ids, edge: float) -> tuple[Ids, NDArray[np.bool_]]:
    """Pairs of nodes of a piece that keep their distance.

    The surface's edges, and links through the inside of thin parts, whose two sides no camera may see at once.

    Returns:
        ``[E, 2]`` nodes, and whether the link goes through the inside ``[E]``.
    """
    edges = edges[edges[:, 0] != edges[:, 1]]
    if not len(edges):
        return edges, np.zeros(0, bool)
    # The nearest few of each node are enough to find a partner, and bound the work on uneven meshes.
    count = min(48, len(rest) - 1)
    distance, partner = cKDTree(rest).query(rest, k=count + 1, distance_upper_bound=4.0 * edge)
    i, k = np.nonzero(np.isfinite(distance[:, 1:]))
    near = np.stack([i, partner[i, k + 1]], axis=1)
    near = near[pieces[near[:, 0]] == pieces[near[:, 1]]]
    step = rest[near[:, 1]] - rest[near[:, 0]]
    ahead = np.einsum("ij,ij->i", step, normals[near[:, 0]])
    behind = np.einsum("ij,ij->i", step, normals[near[:, 1]])
    opposite = np.einsum("ij,ij->i", normals[near[:, 0]], normals[near[:, 1]]) < -0.3
    through = near[(ahead < 0) & (behind > 0) & opposite]
    # Two of each at most: the mesh's own edges keep the say. `near` lists the partners of a node by distance.
    through = through[_rank_in_run(through[:, 0]) < 2]
    links, number = unique_pairs(np.concatenate([edges, through]))
    inside = np.ones(len(links), bool)
    inside[number[: len(edges)]] = False
    return links, inside


def through_one_part(template: Template, links: Ids) -> NDArray[np.bool_]:
    """Whether each of the links ``[L, 2]`` through the inside joins the two sides of one part, ``[L]``.

    A boot that is stuck into the other leg at rest is not a part of it: nodes that another part covers, and links that
    leave a part or run where two overlap, would tie both limbs together for good.
    """
    rest, triangles, pieces = template.rest, template.triangles, template.pieces
    out = _OUT * template.edge * vertex_normals(rest, triangles)
    one = np.zeros(len(links), bool)
    for piece in np.unique(pieces[links[:, 0]]):
        of = np.flatnonzero(pieces[links[:, 0]] == piece)
        surface = rest, triangles[pieces[triangles[:, 0]] == piece]
        nodes, ends = np.unique(links[of], return_inverse=True)
        free = times_around((rest + out)[nodes], *surface) < 0.5
        of = of[free[ends.reshape(-1, 2)].all(axis=1)]
        a, b = (rest[links[of, k]] for k in (0, 1))
        inside = [np.abs(times_around(a + share * (b - a), *surface) - 1) < 0.5 for share in _BETWEEN]
        one[of] = np.all(inside, axis=0)
    return one


def _rank_in_run(keys: Ids) -> Ids:
    """For sorted keys, how many equal ones stand before each."""
    return np.arange(len(keys)) - np.searchsorted(keys, keys, side="left")


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
