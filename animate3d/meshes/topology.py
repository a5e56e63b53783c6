"""Triangles, edges and coincident vertices, by arrays."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def corner_successors(corners: np.ndarray, face_starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertex at every corner and at the next corner of the same polygon. ``[K], [K]``"""
    following = np.empty_like(corners)
    following[:-1] = corners[1:]
    following[face_starts[1:] - 1] = corners[face_starts[:-1]]
    return corners, following


def polygon_edges(corners: np.ndarray, face_starts: np.ndarray, n_vertices: int) -> np.ndarray:
    """Unique edges ``[E, 2]`` in lexical order, the smaller vertex first; edges from a vertex to itself are dropped."""
    start, end = corner_successors(corners, face_starts)
    return _unique_edges(start, end, n_vertices)


def _unique_edges(start: np.ndarray, end: np.ndarray, n_vertices: int) -> np.ndarray:
    # Both ends in one integer, packed by bits because dividing them apart again would cost more than the sort.
    bits = int(n_vertices).bit_length()
    keys = np.minimum(start, end) << bits
    keys |= np.maximum(start, end)
    if (loops := start == end).any():
        keys = keys[~loops]
    keys.sort()
    first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    keys = keys[first]
    return np.stack([keys >> bits, keys & ((1 << bits) - 1)], axis=1)


def triangulate(vertices: np.ndarray, corners: np.ndarray, face_starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split polygons into triangles: fans, except where a polygon is not convex.

    Args:
        vertices: ``[N, 3]``
        corners: ``[K]``
        face_starts: ``[P + 1]``

    Returns:
        corner numbers ``[T, 3]`` and the polygon of every triangle ``[T]``, in the polygons' order.
    """
    sides = np.diff(face_starts)
    faces = np.repeat(np.arange(len(sides)), sides - 2)
    first_triangle = np.cumsum(sides - 2) - (sides - 2)
    step = np.arange(len(faces)) - first_triangle[faces]
    start = face_starts[faces]
    triangles = np.stack([start, start + step + 1, start + step + 2], axis=1)
    if (sides > 3).any():
        for face in np.flatnonzero(_folded(vertices[corners[triangles]], faces, len(sides))):
            polygon = np.arange(face_starts[face], face_starts[face + 1])
            ears = clip_ears(vertices[corners[polygon]])
            triangles[first_triangle[face] : first_triangle[face] + len(ears)] = polygon[ears]
    return triangles, faces


def _folded(points: np.ndarray, faces: np.ndarray, n_faces: int) -> np.ndarray:
    """Polygons ``[P]`` whose fan triangles ``[T, 3, 3]`` do not all face the same way."""
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    sums = np.stack([np.bincount(faces, normals[:, k], n_faces) for k in range(3)], axis=1)
    agreement = (normals * sums[faces]).sum(axis=1)
    return np.bincount(faces, agreement < 0, n_faces) > 0


def clip_ears(points: np.ndarray) -> np.ndarray:
    """Triangulate a polygon ``[S, 3]``, convex or not, by cutting off ears. ``[S - 2, 3]`` corner numbers."""
    following = np.roll(points, -1, axis=0)
    normal = np.cross(points, following).sum(axis=0)
    axis = int(np.abs(normal).argmax())
    flat = np.delete(points, axis, axis=1)
    # Dropping the y axis mirrors the plane; so does a normal that points backwards.
    turn = np.sign(normal[axis]) * (-1.0 if axis == 1 else 1.0)
    left = list(range(len(points)))
    triangles = []
    while len(left) > 3:
        for k in range(len(left)):
            ear = left[k - 1], left[k], left[(k + 1) % len(left)]
            rest = flat[[i for i in left if i not in ear]]
            if _is_ear(flat[list(ear)] * [turn, 1.0], rest * [turn, 1.0]):
                break
        else:
            k = 1  # self-intersecting or without area: any cut is as good as another
        triangles.append((left[k - 1], left[k], left[(k + 1) % len(left)]))
        del left[k]
    triangles.append((left[0], left[1], left[2]))
    return np.array(triangles)


def _is_ear(triangle: np.ndarray, others: np.ndarray) -> bool:
    """Whether a corner ``[3, 2]`` (counter-clockwise) is convex and holds none of the other points ``[M, 2]``."""
    a, b, c = triangle
    if _cross(b - a, c - a) <= 0:
        return False
    inside = [_cross(q - p, others - p) >= 0 for p, q in ((a, b), (b, c), (c, a))]
    return not np.logical_and.reduce(inside).any()


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def weld(vertices: np.ndarray, tolerance: float) -> np.ndarray:
    """Smallest vertex number of each group of vertices that lie within ``tolerance`` of each other. ``[N]`` int64."""
    n = len(vertices)
    pairs = _pairs_by_sweep(vertices, tolerance)
    if pairs is None:
        return _weld_by_cells(vertices, tolerance)
    return _smallest_of_groups(pairs, np.arange(n)) if len(pairs) else np.arange(n)


def _pairs_by_sweep(vertices: np.ndarray, tolerance: float, reach: int = 64) -> np.ndarray | None:
    """Pairs ``[M, 2]`` no further apart than ``tolerance``; None if more than ``reach`` lie in one slab.

    Points are sorted along a direction that no ordinary model is built along, so that near neighbours in the order
    are near in space or are apart by more than the tolerance.
    """
    x, y, z = vertices.T
    along = 0.6180339887 * x + 0.3247179572 * y + 0.7159381034 * z
    order = np.argsort(along)
    along, points = along[order], vertices[order]
    found: list[np.ndarray] = []
    candidates = np.arange(len(order))
    # Rounding of the projection must not hide a pair at the tolerance itself.
    slack = tolerance * 1.001 + 1e-14 * np.abs(along).max(initial=0)
    for step in range(1, reach + 1):
        candidates = candidates[candidates + step < len(order)]
        candidates = candidates[along[candidates + step] - along[candidates] <= slack]
        if len(candidates) == 0:
            return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
        distance = np.linalg.norm(points[candidates + step] - points[candidates], axis=1)
        near = candidates[distance <= tolerance]
        found.append(np.stack([order[near], order[near + step]], axis=1))
    return None


def _weld_by_cells(vertices: np.ndarray, tolerance: float) -> np.ndarray:
    """`weld` for heaps of points: gathered by cells first, so that a heap of equal points costs no more than one."""
    scaled = (vertices - vertices.min(axis=0)) / tolerance if tolerance > 0 else np.zeros_like(vertices)
    cells = np.floor(scaled)
    order = np.lexsort(cells.T)
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    cell_of = np.empty(len(order), dtype=np.int64)
    cell_of[order] = np.cumsum(is_first) - 1
    firsts = order[is_first]  # lexsort is stable, so these are the smallest numbers of their cells
    pairs = cKDTree(scaled[firsts]).query_pairs(1.0, output_type="ndarray")
    return _smallest_of_groups(pairs, firsts)[cell_of]


def _smallest_of_groups(pairs: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """For items joined by ``pairs`` of their indices: the smallest of ``numbers [I]`` in each item's group ``[I]``."""
    label = joined(pairs, len(numbers))
    smallest = np.full(label.max(initial=-1) + 1, numbers.max(initial=0), dtype=np.int64)
    np.minimum.at(smallest, label, numbers)
    return smallest[label]


def joined(pairs: np.ndarray, count: int) -> np.ndarray:
    """The group of each of ``count`` things that ``pairs [P, 2]`` join. ``[count]``"""
    graph = coo_matrix((np.ones(len(pairs), dtype=bool), pairs.T), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def share_edges(edges: np.ndarray, representatives: np.ndarray) -> np.ndarray:
    """Give every coincident copy of a vertex the edges of all copies.

    The other end of a shared edge is the copy it had in the file, or the group's representative.

    Args:
        edges: ``[E, 2]``
        representatives: ``[N]`` from `weld`.
    """
    n = len(representatives)
    copies = np.flatnonzero(representatives != np.arange(n))
    if len(copies) == 0:
        return edges
    welded = _unique_edges(representatives[edges[:, 0]], representatives[edges[:, 1]], n)
    ones = np.ones(2 * len(welded), dtype=np.int8)
    ends = np.concatenate([welded, welded[:, ::-1]])
    neighbours = csr_matrix((ones, (ends[:, 0], ends[:, 1])), shape=(n, n))
    # A copy is joined to the representatives of its group's neighbours.
    shared = neighbours[representatives[copies]].tocoo()
    start = np.concatenate([edges[:, 0], welded[:, 0], copies[shared.row]])
    end = np.concatenate([edges[:, 1], welded[:, 1], shared.col.astype(np.int64)])
    apart = representatives[start] != representatives[end]
    return _unique_edges(start[apart], end[apart], n)
