"""Closed quad meshes with evenly spread vertices from signed distance fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from animate3d.creatures.sculpt.fields import Field, Points, distance_and_slope

Quads = NDArray[np.int64]
_PATIENCE = 20  # rounds in which samples may move to either side
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def quad_surface(
    field: Field, low: ArrayLike, high: ArrayLike, spacing: float, relax_steps: int = 30
) -> tuple[Points, Quads]:
    """The zero surface of a field as quads that face outwards.

    Args:
        field: negative inside; the solid lies within the box.
        low, high: ``[3]`` corners of the box.
        spacing: about the distance between neighbouring vertices.
        relax_steps: smoothing steps along the surface; more give more even quads.

    Returns:
        vertices ``[N, 3]`` on the surface, quads ``[P, 4]``.
    """
    vertices, quads = _surface_nets(field, np.asarray(low, dtype=float), np.asarray(high, dtype=float), spacing)
    average = _neighbour_average(len(vertices), quads)
    for step in range(relax_steps + 2):
        distance, slope = distance_and_slope(field, vertices)
        squared = np.maximum((slope**2).sum(axis=1, keepdims=True), 0.1)
        # Thin parts must not jump to their other side, so no Newton step is longer than part of a cell.
        settle = np.clip(distance[:, None] / np.sqrt(squared), -0.5 * spacing, 0.5 * spacing)
        pull = 0.6 * (average @ vertices - vertices) if step < relax_steps else np.zeros_like(vertices)
        pull -= (pull * slope).sum(axis=1, keepdims=True) * slope / squared
        vertices = vertices + pull - settle * slope / np.sqrt(squared)
    return vertices, quads


def quad_edges(quads: Quads) -> NDArray[np.int64]:
    """Undirected edges, each once, sorted. ``[E, 2]``"""
    pairs = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _surface_nets(field: Field, low: Points, high: Points, spacing: float) -> tuple[Points, Quads]:
    """One vertex in every grid cell that the surface passes through, one quad across every grid edge it cuts."""
    # Centring the grid in the box keeps a symmetric solid symmetric.
    counts = np.ceil((high - low) / spacing).astype(int) + 2
    origin = 0.5 * (low + high) - 0.5 * spacing * (counts - 1)
    axes = [origin[a] + spacing * np.arange(counts[a]) for a in range(3)]
    values: Points = _sample_near_surface(field, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1), spacing)
    values = _without_ambiguity(values)
    inside = values < 0.0
    cells = np.stack([inside[_window(c, counts)] for c in _CORNERS])
    active = cells.any(axis=0) & ~cells.all(axis=0)
    number = np.full(active.shape, -1, dtype=np.int64)
    number[active] = np.arange(active.sum())
    vertices = _edge_crossings(values, active) * spacing + origin

    quads = []
    for axis in range(3):
        after, first, second = np.roll(np.eye(3, dtype=int), -axis, axis=0)
        starts = np.argwhere(inside[_span(counts, -after)] != inside[_span(counts, after)])
        starts = starts[(starts[:, (axis + 1) % 3] > 0) & (starts[:, (axis + 2) % 3] > 0)]
        ring = [starts - first - second, starts - second, starts, starts - first]
        quad = np.stack([number[tuple(r.T)] for r in ring], axis=1)
        leaves = inside[tuple(starts.T)]  # the edge runs from inside to outside: the ring already faces outwards
        quads.append(np.where(leaves[:, None], quad, quad[:, ::-1]))
    return vertices, np.concatenate(quads)


def _sample_near_surface(field: Field, grid: Points, spacing: float, stride: int = 4) -> Points:
    """Values on the grid, exact near the surface; elsewhere those of the nearest coarse point (the sign is right)."""
    coarse: Points = field(grid[::stride, ::stride, ::stride])
    nearest = [
        np.minimum((np.arange(n) + stride // 2) // stride, m - 1)
        for n, m in zip(grid.shape[:3], coarse.shape, strict=True)
    ]
    values = coarse[np.ix_(*nearest)]
    # Twice the farthest a grid point can be from its coarse point: smooth unions are not exact distances.
    close = np.abs(values) < 2 * np.sqrt(3.0) * stride * spacing
    values[close] = field(grid[close])
    return values


def _without_ambiguity(values: Points) -> Points:
    """Change the sign of single samples until no two sheets of the surface touch in a cell.

    Where the inside corners of a cell's face, or of a cell, are diagonal neighbours only, one vertex would join two
    sheets. Of such corners the one nearest to the surface moves to the other side of it. Where thin sheets lie close
    together that may go back and forth; in the end corners only move inside, which comes to an end.
    """
    values = values.copy()
    counts = np.array(values.shape)
    for attempt in range(100):
        inside = values < 0.0
        corners = np.stack([inside[_window(c, counts)] for c in _CORNERS])
        touching: set[tuple[int, ...]] = set()
        for group in _DIAGONALS:
            one, other = corners[group[0]], corners[group[1]]
            for cell in np.argwhere((one == one[0]).all(axis=0) & (other != one[0]).all(axis=0)):
                samples = [tuple(cell + _CORNERS[c]) for c in (*group[0], *group[1])]
                if attempt >= _PATIENCE:
                    samples = [sample for sample in samples if values[sample] >= 0.0]
                touching.add(min(samples, key=lambda sample: abs(values[sample])))
        if not touching:
            return values
        for sample in touching:
            values[sample] *= -1.0
    return values


def _diagonals() -> list[tuple[list[int], list[int]]]:
    """Corner numbers of a cell: (pair that touches only diagonally, the corners that would have to join it)."""
    groups = []
    for axis in range(3):
        for side in (0, 1):
            face = [i for i in range(8) if _CORNERS[i][axis] == side]
            pair = [face[0], face[3]]
            groups += [(pair, [face[1], face[2]])]
    for i in range(4):
        groups.append(([i, 7 - i], [k for k in range(8) if k not in (i, 7 - i)]))
    return groups


_DIAGONALS = _diagonals()


def _window(corner: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[slice, ...]:
    return tuple(slice(c, n - 1 + c) for c, n in zip(corner, counts, strict=True))


def _span(counts: NDArray[np.int64], direction: NDArray[np.int64]) -> tuple[slice, ...]:
    """All grid points but the first (positive) or last (negative direction) along one axis."""
    return tuple(slice(max(d, 0), n + min(d, 0)) for d, n in zip(direction, counts, strict=True))


def _edge_crossings(values: Points, active: NDArray[np.bool_]) -> Points:
    """The mean point where the surface cuts the edges of a cell, in grid units. ``[N, 3]``"""
    cells = np.argwhere(active)
    corner_values = np.stack([values[tuple((cells + c).T)] for c in _CORNERS], axis=1)
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(_CORNERS[a] - _CORNERS[b]).sum() != 1:
                continue
            va, vb = corner_values[:, a], corner_values[:, b]
            cut = (va < 0) != (vb < 0)
            share = np.where(cut, va / np.where(cut, va - vb, 1.0), 0.0)
            point = _CORNERS[a] + share[:, None] * (_CORNERS[b] - _CORNERS[a])
            total += cut[:, None] * point
            count += cut
    return cells.astype(np.float64) + total / count[:, None]


def _neighbour_average(n_vertices: int, quads: Quads) -> sparse.csr_matrix:
    edges = quad_edges(quads)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n_vertices, n_vertices))
    return sparse.diags(1.0 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix
