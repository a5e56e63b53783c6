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
    """The factor of one matrix.

    Attributes:
        diagonal: ``[M]`` of the factor.
        values: of its columns.
    """

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


def factorise(pattern: Pattern, diagonal: Array, values: Array) -> Factor:
    """The Cholesky factor of a positive definite matrix.

    Args:
        diagonal: ``[M]``
        values: ``[E]`` at the pairs.
    """
    lower = np.empty_like(values)
    lower[pattern.entries] = values
    factor = Factor(np.empty(len(diagonal)), np.empty(len(pattern.rows)))
    _factorise(lower, diagonal, *pattern[:1], *pattern[2:], *factor)
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
def _factorise(lower, own, order, row_starts, row_columns, starts, rows, left_starts, left, diagonal, values):  # type: ignore[no-untyped-def]
    """Row by row; the columns so far are all that a row needs."""
    n = len(own)
    filled = starts[:n].copy()
    current = np.zeros(n)
    for k in range(n):
        for entry in range(row_starts[k], row_starts[k + 1]):
            current[row_columns[entry]] = lower[entry]
        rest = own[order[k]]
        for entry in range(left_starts[k], left_starts[k + 1]):
            j = left[entry]
            value = current[j] / diagonal[j]
            current[j] = 0.0
            for below in range(starts[j], filled[j]):
                current[rows[below]] -= values[below] * value
            values[filled[j]] = value
            filled[j] += 1
            rest -= value * value
        diagonal[k] = np.sqrt(rest)


@_jit
def solve(vector, order, starts, rows, diagonal, values, work, result):  # type: ignore[no-untyped-def]
    """``result [M, 3]`` = the inverse of the factorised matrix times ``vector [M, 3]``; ``work [M, 3]`` is scratch."""
    n = len(order)
    for j in range(n):
        for x in range(3):
            work[j, x] = vector[order[j], x]
    for j in range(n):
        scale = 1.0 / diagonal[j]
        a, b, c = work[j, 0] * scale, work[j, 1] * scale, work[j, 2] * scale
        work[j, 0], work[j, 1], work[j, 2] = a, b, c
        for k in range(starts[j], starts[j + 1]):
            i, value = rows[k], values[k]
            work[i, 0] -= value * a
            work[i, 1] -= value * b
            work[i, 2] -= value * c
    for j in range(n - 1, -1, -1):
        a, b, c = work[j, 0], work[j, 1], work[j, 2]
        for k in range(starts[j], starts[j + 1]):
            i, value = rows[k], values[k]
            a -= value * work[i, 0]
            b -= value * work[i, 1]
            c -= value * work[i, 2]
        scale = 1.0 / diagonal[j]
        work[j, 0], work[j, 1], work[j, 2] = a * scale, b * scale, c * scale
        for x in range(3):
            result[order[j], x] = work[j, x]


@_jit
def conjugate_gradients(  # type: ignore[no-untyped-def]
    positions, right, own, shared, links_from, others, links, order, starts, rows, diagonal, values, steps, goal
):
    """A few preconditioned steps of ``positions [M, 3]``, in place, towards what solves the system.

    Args:
        right: ``[M, 3]``
        own, shared, links_from, others, links: the system, see `fit_kernels.apply`.
        order, starts, rows, diagonal, values: the factor of the preconditioner, see `solve`.
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
        solve(residual, order, starts, rows, diagonal, values, work, preconditioned)
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
