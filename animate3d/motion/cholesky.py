"""Sparse Cholesky factors of matrices that have their values at the same places: one order, many factors.

A general solver orders the unknowns anew for every matrix, and calls a library for every block of a few numbers. Here
the order and the places of the factor are found once; what is left is two short compiled loops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from animate3d.motion.fit_kernels import apply
from animate3d.motion.surfaces import Array, Ids

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


class Pattern(NamedTuple):
    """Where a symmetric matrix and its factor have values; unknowns are renumbered so that few appear.

    Attributes:
        order: ``[M]`` the old number of each unknown.
        entries: ``[E]`` the place of every pair's value in the rows of the renumbered lower triangle.
        row_starts, row_columns: its rows, without the diagonal.
        starts, rows: the columns of the factor, without the diagonal.
        left_starts, left: the columns in which each row of the factor has values, in rising order.
    """

    order: Ids
    entries: Ids
    row_starts: Ids
    row_columns: Ids
    starts: Ids
    rows: Ids
    left_starts: Ids
    left: Ids

    @property
    def solved_by(self) -> tuple[Ids, Ids, Ids]:
        """What `solve` needs of it."""
        return self.order, self.starts, self.rows


class Factor(NamedTuple):
    """The factors of three matrices, one for each axis of the unknowns.

    Attributes:
        axes: ``[M, 3, 3]`` rows: the axes of every unknown, at right angles to each other.
        diagonal: ``[M, 3]`` of the factors.
        values: ``[L, 3]`` of their columns.
    """

    axes: Array
    diagonal: Array
    values: Array


def find_pattern(pairs: Ids, n: int) -> Pattern:
    """The pattern of matrices ``[n, n]`` with values on the diagonal and at ``pairs [E, 2]``, each pair once."""
    ones = np.ones(len(pairs))
    i, j = pairs.T
    above = sparse.csc_matrix((-ones, (i, j)), shape=(n, n))
    degree = np.bincount(pairs.ravel(), minlength=n) + 1.0
    order = np.argsort(
        splu((above + above.T + sparse.diags(degree)).tocsc(), diag_pivot_thresh=0.0, permc_spec="MMD_AT_PLUS_A").perm_c
    )
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    row, column = np.maximum(place[i], place[j]), np.minimum(place[i], place[j])
    sequence = np.lexsort((column, row))
    entries = np.empty(len(pairs), np.int64)
    entries[sequence] = np.arange(len(pairs))
    row_starts = np.searchsorted(row[sequence], np.arange(n + 1))
    row_columns = column[sequence]
    left_starts, left = _filled(row_starts, row_columns)
    of_row = np.repeat(np.arange(n), np.diff(left_starts))
    by_column = np.argsort(left, kind="stable")
    starts = np.searchsorted(left[by_column], np.arange(n + 1))
    return Pattern(order, entries, row_starts, row_columns, starts, of_row[by_column], left_starts, left)


def factorise(pattern: Pattern, pairs: Ids, own: Array, shared: Array, axes: Array) -> Factor:
    """The Cholesky factors of a positive definite matrix of blocks without what joins different axes.

    Args:
        pairs: ``[E, 2]`` of the pattern.
        own: ``[M, 3, 3]`` the blocks on the diagonal.
        shared: ``[E, 3, 3]`` symmetric blocks at the pairs.
        axes: see `Factor`.
    """
    diagonal, lower = np.empty((len(own), 3)), np.empty((len(pairs), 3))
    _along_axes(pairs, own, shared, axes, pattern.entries, diagonal, lower)
    factor = Factor(axes, np.empty(diagonal.shape), np.empty((len(pattern.rows), 3)))
    _factorise(lower, diagonal, *pattern[:1], *pattern[2:], *factor[1:])
    return factor


@_jit
def _filled(row_starts, row_columns):  # type: ignore[no-untyped-def]
    """The columns with values in every row of the factor: those of the matrix and all that follow in its tree."""
    n = len(row_starts) - 1
    parent, seen = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    counts = np.zeros(n + 1, np.int64)
    left = np.empty(0, np.int64)
    for fill in range(2):
        for k in range(n):
            seen[k] = k + fill * n
            at = counts[k]
            for entry in range(row_starts[k], row_starts[k + 1]):
                node = row_columns[entry]
                while seen[node] != k + fill * n:
                    seen[node] = k + fill * n
                    if fill:
                        left[at] = node
                    elif parent[node] < 0:
                        parent[node] = k
                    at += 1
                    node = parent[node]
            if fill:
                left[counts[k] : at].sort()
            else:
                counts[k + 1] = at
        if not fill:
            left = np.empty(counts[n], np.int64)
    return counts, left


@_jit
def _along_axes(pairs, own, shared, axes, entries, diagonal, lower):  # type: ignore[no-untyped-def]
    """What every block says along each axis, written to ``diagonal [M, 3]`` and, in its place, to ``lower [E, 3]``."""
    for n in range(len(own)):
        for k in range(3):
            diagonal[n, k] = _between(own[n], axes[n, k], axes[n, k])
    for e in range(len(pairs)):
        i, j = pairs[e]
        for k in range(3):
            lower[entries[e], k] = _between(shared[e], axes[i, k], axes[j, k])


@_jit
def _between(block, a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for x in range(3):
        total += a[x] * (block[x, 0] * b[0] + block[x, 1] * b[1] + block[x, 2] * b[2])
    return total


@_jit
def _factorise(lower, own, order, row_starts, row_columns, starts, rows, left_starts, left, diagonal, values):  # type: ignore[no-untyped-def]
    """Row by row; the columns so far are all that a row needs."""
    n = len(own)
    filled = starts[:n].copy()
    current = np.zeros((n, 3))
    for k in range(n):
        for entry in range(row_starts[k], row_starts[k + 1]):
            for x in range(3):
                current[row_columns[entry], x] = lower[entry, x]
        at = order[k]
        rest_a, rest_b, rest_c = own[at, 0], own[at, 1], own[at, 2]
        for entry in range(left_starts[k], left_starts[k + 1]):
            j = left[entry]
            a, b, c = current[j, 0] / diagonal[j, 0], current[j, 1] / diagonal[j, 1], current[j, 2] / diagonal[j, 2]
            current[j, 0], current[j, 1], current[j, 2] = 0.0, 0.0, 0.0
            for below in range(starts[j], filled[j]):
                i = rows[below]
                current[i, 0] -= values[below, 0] * a
                current[i, 1] -= values[below, 1] * b
                current[i, 2] -= values[below, 2] * c
            values[filled[j], 0], values[filled[j], 1], values[filled[j], 2] = a, b, c
            filled[j] += 1
            rest_a -= a * a
            rest_b -= b * b
            rest_c -= c * c
        diagonal[k, 0], diagonal[k, 1], diagonal[k, 2] = np.sqrt(rest_a), np.sqrt(rest_b), np.sqrt(rest_c)


@_jit
def solve(vector, order, starts, rows, axes, diagonal, values, work, result):  # type: ignore[no-untyped-def]
    """``result [M, 3]`` = the inverse of what was factorised times ``vector [M, 3]``; ``work [M, 3]`` is scratch."""
    n = len(order)
    for j in range(n):
        at = order[j]
        for x in range(3):
            work[j, x] = (
                axes[at, x, 0] * vector[at, 0] + axes[at, x, 1] * vector[at, 1] + axes[at, x, 2] * vector[at, 2]
            )
    for j in range(n):
        a, b, c = work[j, 0] / diagonal[j, 0], work[j, 1] / diagonal[j, 1], work[j, 2] / diagonal[j, 2]
        work[j, 0], work[j, 1], work[j, 2] = a, b, c
        for k in range(starts[j], starts[j + 1]):
            i = rows[k]
            work[i, 0] -= values[k, 0] * a
            work[i, 1] -= values[k, 1] * b
            work[i, 2] -= values[k, 2] * c
    for j in range(n - 1, -1, -1):
        a, b, c = work[j, 0], work[j, 1], work[j, 2]
        for k in range(starts[j], starts[j + 1]):
            i = rows[k]
            a -= values[k, 0] * work[i, 0]
            b -= values[k, 1] * work[i, 1]
            c -= values[k, 2] * work[i, 2]
        a, b, c = a / diagonal[j, 0], b / diagonal[j, 1], c / diagonal[j, 2]
        work[j, 0], work[j, 1], work[j, 2] = a, b, c
        at = order[j]
        for x in range(3):
            result[at, x] = axes[at, 0, x] * a + axes[at, 1, x] * b + axes[at, 2, x] * c


@_jit
def conjugate_gradients(  # type: ignore[no-untyped-def]
    positions, right, own, shared, links_from, others, links, order, starts, rows, axes, diagonal, values, steps, goal
):
    """A few preconditioned steps of ``positions [M, 3]``, in place, towards what solves the system.

    Args:
        right: ``[M, 3]``
        own, shared, links_from, others, links: the system, see `fit_kernels.apply`.
        order, starts, rows, axes, diagonal, values: the factor of the preconditioner, see `solve`.
        goal: length of the residual that is small enough.
    """
    product, preconditioned, work = np.empty_like(right), np.empty_like(right), np.empty_like(right)
    apply(positions, own, shared, links_from, others, links, product)
    residual = right - product
    direction = np.zeros_like(right)
    before = 1.0
    for step in range(steps):
        if np.sqrt(_dot(residual, residual)) <= goal:
            break
        solve(residual, order, starts, rows, axes, diagonal, values, work, preconditioned)
        now = _dot(residual, preconditioned)
        share = now / before if step else 0.0
        before = now
        for n in range(len(direction)):
            for x in range(3):
                direction[n, x] = preconditioned[n, x] + share * direction[n, x]
        apply(direction, own, shared, links_from, others, links, product)
        length = now / _dot(direction, product)
        for n in range(len(direction)):
            for x in range(3):
                positions[n, x] += length * direction[n, x]
                residual[n, x] -= length * product[n, x]


@_jit
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for n in range(len(a)):
        total += a[n, 0] * b[n, 0] + a[n, 1] * b[n, 1] + a[n, 2] * b[n, 2]
    return total
