"""Compiled ARAP, one vertex after the other: best rotations and energy, then the gradient."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

_jit: Any = numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"}, cache=True, error_model="numpy", nogil=True)
SWEEPS = 8
"""Most rounds of Jacobi rotations; a 3x3 matrix needs three or four."""


@_jit
def _normalised(b, column, length):  # type: ignore[no-untyped-def]
    return b[0, column] / length, b[1, column] / length, b[2, column] / length


@_jit
def _cross(a, b):  # type: ignore[no-untyped-def]
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@_jit
def _perpendicular(a):  # type: ignore[no-untyped-def]
    """Any unit vector at right angles to the unit vector ``a``."""
    if abs(a[0]) < 0.6:
        length = math.sqrt(a[1] * a[1] + a[2] * a[2])
        return 0.0, -a[2] / length, a[1] / length
    length = math.sqrt(a[0] * a[0] + a[1] * a[1])
    return -a[1] / length, a[0] / length, 0.0


@_jit
def best_rotation(b, v, rotation):  # type: ignore[no-untyped-def]
    """The rotation R that maximises ``trace(R S)`` for a covariance S (rest times moved transposed).

    One-sided Jacobi: ``S V = B`` with orthogonal columns, so the columns of B are the left singular vectors times
    the singular values. The two largest determine R; the third pair is their cross products, which is the
    reflection fix (the direction that matters least is turned over).

    Args:
        b: ``[3, 3]`` S, overwritten.
        v: ``[3, 3]`` scratch.
        rotation: ``[3, 3]``, written.
    """
    for i in range(3):
        for j in range(3):
            v[i, j] = 1.0 if i == j else 0.0
            rotation[i, j] = v[i, j]
    for _ in range(SWEEPS):
        turned = False
        for p in range(2):
            for q in range(p + 1, 3):
                alpha = b[0, p] * b[0, p] + b[1, p] * b[1, p] + b[2, p] * b[2, p]
                beta = b[0, q] * b[0, q] + b[1, q] * b[1, q] + b[2, q] * b[2, q]
                gamma = b[0, p] * b[0, q] + b[1, p] * b[1, q] + b[2, p] * b[2, q]
                if gamma * gamma <= 1e-22 * alpha * beta:
                    continue
                turned = True
                zeta = (beta - alpha) / (2 * gamma)
                t = 1 / (abs(zeta) + math.sqrt(1 + zeta * zeta))
                if zeta < 0:
                    t = -t
                c = 1 / math.sqrt(1 + t * t)
                s = c * t
                for i in range(3):
                    bp, bq = b[i, p], b[i, q]
                    b[i, p], b[i, q] = c * bp - s * bq, s * bp + c * bq
                    vp, vq = v[i, p], v[i, q]
                    v[i, p], v[i, q] = c * vp - s * vq, s * vp + c * vq
        if not turned:
            break
    n0 = b[0, 0] * b[0, 0] + b[1, 0] * b[1, 0] + b[2, 0] * b[2, 0]
    n1 = b[0, 1] * b[0, 1] + b[1, 1] * b[1, 1] + b[2, 1] * b[2, 1]
    n2 = b[0, 2] * b[0, 2] + b[1, 2] * b[1, 2] + b[2, 2] * b[2, 2]
    if n0 <= n1 and n0 <= n2:
        first, second, large, small = (1, 2, n1, n2) if n1 >= n2 else (2, 1, n2, n1)
    elif n1 <= n2:
        first, second, large, small = (0, 2, n0, n2) if n0 >= n2 else (2, 0, n2, n0)
    else:
        first, second, large, small = (0, 1, n0, n1) if n0 >= n1 else (1, 0, n1, n0)
    if not large > 0:
        return  # nothing to go by: the identity
    u1 = _normalised(b, first, math.sqrt(large))
    v1 = _normalised(v, first, 1.0)
    v2 = _normalised(v, second, 1.0)
    if small > 1e-24 * large:
        u2 = _normalised(b, second, math.sqrt(small))
    else:
        u2 = _perpendicular(u1)  # all edges on one line: the turn about it is free
    u3, v3 = _cross(u1, u2), _cross(v1, v2)
    for i in range(3):
        for j in range(3):
            rotation[i, j] = v1[i] * u1[j] + v2[i] * u2[j] + v3[i] * u3[j]


@_jit
def energy(start, stop, positions, neighbours, weights, sample, rotations):  # type: ignore[no-untyped-def]
    """Best rotations and energy of the frames ``start + 1 .. stop``.

    Args:
        start, stop: range of frames, counted without frame 0.
        positions: ``[F, N, 3]``
        neighbours: ``[N, K]``
        weights: ``[N, K]``
        sample: ``[S]`` vertices to sum over.
        rotations: ``[F - 1, S, 3, 3]``, written.
    """
    total = 0.0
    b, v, best = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    e, m = np.empty(3), np.empty(3)
    for frame in range(start, stop):
        rest, moved = positions[0], positions[frame + 1]
        for s in range(len(sample)):
            centre = sample[s]
            b[:] = 0.0
            unchanged = True
            for k in range(neighbours.shape[1]):
                w = weights[centre, k]
                if w == 0:
                    continue
                other = neighbours[centre, k]
                for i in range(3):
                    e[i] = rest[centre, i] - rest[other, i]
                    m[i] = moved[centre, i] - moved[other, i]
                unchanged = unchanged and e[0] == m[0] and e[1] == m[1] and e[2] == m[2]
                for i in range(3):
                    for j in range(3):
                        b[i, j] += w * e[i] * m[j]
            rotation = rotations[frame, s]
            if unchanged:
                # Exactly the identity, which fits exactly: no energy and no gradient.
                for i in range(3):
                    for j in range(3):
                        rotation[i, j] = i == j
                continue
            best_rotation(b, v, best)
            for i in range(3):
                for j in range(3):
                    rotation[i, j] = best[i, j]
            for k in range(neighbours.shape[1]):
                w = weights[centre, k]
                if w == 0:
                    continue
                other = neighbours[centre, k]
                for i in range(3):
                    e[i] = rest[centre, i] - rest[other, i]
                for i in range(3):
                    r = moved[centre, i] - moved[other, i]
                    r -= best[i, 0] * e[0] + best[i, 1] * e[1] + best[i, 2] * e[2]
                    total += w * r * r
    return total


@_jit
def gradient(start, stop, positions, neighbours, weights, sample, rotations, factor, grad, rest_grad):  # type: ignore[no-untyped-def]
    """Gradient of `energy`, with the rotations held fixed.

    Args:
        start, stop, positions, neighbours, weights, sample, rotations: as for `energy`.
        factor: gradient of the energy.
        grad: ``[F, N, 3]``; the rows of these frames are added to.
        rest_grad: ``[N, 3]``; the part for frame 0 is added.
    """
    e, r = np.empty(3), np.empty(3)
    for frame in range(start, stop):
        rest, moved, out = positions[0], positions[frame + 1], grad[frame + 1]
        for s in range(len(sample)):
            centre, rotation = sample[s], rotations[frame, s]
            for k in range(neighbours.shape[1]):
                w = weights[centre, k]
                if w == 0:
                    continue
                other = neighbours[centre, k]
                for i in range(3):
                    e[i] = rest[centre, i] - rest[other, i]
                for i in range(3):
                    r[i] = moved[centre, i] - moved[other, i]
                    r[i] -= rotation[i, 0] * e[0] + rotation[i, 1] * e[1] + rotation[i, 2] * e[2]
                    r[i] *= 2 * w * factor
                    out[centre, i] += r[i]
                    out[other, i] -= r[i]
                for i in range(3):
                    back = rotation[0, i] * r[0] + rotation[1, i] * r[1] + rotation[2, i] * r[2]
                    rest_grad[centre, i] -= back
                    rest_grad[other, i] += back
