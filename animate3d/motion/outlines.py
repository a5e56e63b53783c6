"""Pairs of points that bring a drawn outline and the one in the frame together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from animate3d.motion.surfaces import Array, Ids

Mask = NDArray[np.bool_]
Pixels = NDArray[np.intp]


def sparse_pixels(mask: Mask, stride: int) -> tuple[Pixels, Pixels]:
    """Rows and columns of the pixels of a mask on a grid of every ``stride`` pixels."""
    rows, columns = np.nonzero(mask[::stride, ::stride])
    return rows * stride, columns * stride


def outside_pairs(drawn: Mask, target: Mask, stride: int, border: Mask | None = None) -> tuple[Pixels, Pixels, Array]:
    """Drawn pixels outside of the target, and the target's nearest pixel for each.

    Args:
        border: pixels beyond which nothing is known. What is nearest to one of them may belong beyond it: no pair.

    Returns:
        rows and columns ``[P]`` and where they should go, (x, y) ``[P, 2]``.
    """
    if not target.any():
        return _none()
    rows, columns = sparse_pixels(drawn & ~target, stride)
    found = _nearest(target, rows, columns)
    inner = slice(None) if border is None else ~border[found]
    return rows[inner], columns[inner], _xy(*found)[inner]


def bare_pairs(drawn: Mask, bare: tuple[Pixels, Pixels], border: Mask | None = None) -> tuple[Pixels, Pixels, Array]:
    """For target pixels that nothing is drawn on: the nearest drawn pixel should go there; see `outside_pairs`."""
    if not drawn.any() or not len(bare[0]):
        return _none()
    rows, columns = _nearest(drawn, *bare)
    inner = slice(None) if border is None else ~border[rows, columns]
    return rows[inner], columns[inner], _xy(*bare)[inner]


def hidden_pairs(
    at: Array, colors: Array, hidden: Mask, sought: Array, wanted: Array, reach: float
) -> tuple[Ids, Mask]:
    """For target pixels that nothing is drawn on: which hidden node comes into view there.

    A limb behind another one belongs there, rather than the one in front, if it is as close and of a fitting colour.

    Args:
        at: ``[M, 2]`` where the nodes are in the image, (x, y); ``hidden [M]`` those that are not seen.
        colors: ``[M, 3]``
        sought: ``[P, 2]`` the pixels, with the colours ``wanted [P, 3]``.
        reach: pixels that weigh as much as a wrong colour.

    Returns:
        the nearest hidden node ``[P]`` and whether it rather than a visible one belongs there ``[P]``.
    """
    if not hidden.any() or hidden.all() or not len(sought):
        return np.zeros(len(sought), np.int64), np.zeros(len(sought), bool)
    nearest, costs = [], []
    for group in (np.flatnonzero(hidden), np.flatnonzero(~hidden)):
        distance, found = cKDTree(at[group], balanced_tree=False, compact_nodes=False).query(sought)
        nearest.append(group[found])
        costs.append(distance + reach * np.abs(colors[nearest[-1]] - wanted).mean(axis=1))
    # The visible node is matched already, and would have to leave what it is matched with.
    return nearest[0], (costs[0] < costs[1] + reach) & (costs[0] < 5.0 * reach)


def _nearest(mask: Mask, rows: Pixels, columns: Pixels) -> tuple[Pixels, Pixels]:
    """Rows and columns of the pixel of a mask that is nearest to each of others."""
    if not len(rows):
        return rows, columns
    spans = []  # nothing outside of what is asked for and what is found matters
    for axis, asked in enumerate((rows, columns)):
        used = np.flatnonzero(mask.any(axis=1 - axis))
        spans.append(slice(min(int(used[0]), int(asked.min())), max(int(used[-1]), int(asked.max())) + 1))
    row, column = distance_transform_edt(~mask[spans[0], spans[1]], return_distances=False, return_indices=True)
    top, left = spans[0].start, spans[1].start
    return row[rows - top, columns - left] + top, column[rows - top, columns - left] + left


def _xy(rows: Pixels, columns: Pixels) -> Array:
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _none() -> tuple[Pixels, Pixels, Array]:
    return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2))
