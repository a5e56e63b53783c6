"""Compiled ARAP, one vertex after the other: best rotations and energy, then the gradient."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

_jit: Any = numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"}, cache=True, error_model="numpy", nogil=True)
TOLD = 1e-3
"""What the minors have to add up to, against the root, before they are believed."""
ROOT_STEPS = 30
"""Most of Newton's steps to the root; eight are usual."""
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
def quick_rotation(xx, xy, xz, yx, yy, yz, zx, zy, zz, rotation):  # type: ignore[no-untyped-def]
    """`best_rotation` by the unit quaternion that it is (Horn 1987); False where that is not told well, as of a line.

    It belongs to the largest root of a polynomial of degree four: Newton's steps come down to it from above, and the
    minors of one row of the matrix without the root are the quaternion (Theobald 2005).
    """
    a00, a11, a22, a33 = xx + yy + zz, xx - yy - zz, yy - xx - zz, zz - xx - yy
    a01, a02, a03 = yz - zy, zx - xz, xy - yx
    a12, a13, a23 = xy + yx, zx + xz, yz + zy
    squares = xx * xx + xy * xy + xz * xz + yx * yx + yy * yy + yz * yz + zx * zx + zy * zy + zz * zz
    if not squares > 0:
        return False
    c2 = -2.0 * squares
    c1 = -8.0 * (xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx))
    s0, s1, s2 = a00 * a11 - a01 * a01, a00 * a12 - a01 * a02, a00 * a13 - a01 * a03
    s3, s4, s5 = a01 * a12 - a11 * a02, a01 * a13 - a11 * a03, a02 * a13 - a12 * a03
    t5, t4, t3 = a22 * a33 - a23 * a23, a12 * a33 - a13 * a23, a12 * a23 - a13 * a22
    t2, t1 = a02 * a33 - a03 * a23, a02 * a23 - a03 * a22
    c0 = s0 * t5 - s1 * t4 + s2 * t3 + s3 * t2 - s4 * t1 + s5 * s5
    root, converged = math.sqrt(3.0 * squares), False
    for _ in range(ROOT_STEPS):
        square = root * root
        slope = 4.0 * square * root + 2.0 * c2 * root + c1
        if not slope > 0:
            return False
        step = ((square + c2) * square + c1 * root + c0) / slope
        root -= step
        if abs(step) < 1e-13 * root:
            converged = True
            break
    a00, a11, a22, a33 = a00 - root, a11 - root, a22 - root, a33 - root
    s0, s1, s2 = a00 * a11 - a01 * a01, a00 * a12 - a01 * a02, a00 * a13 - a01 * a03
    s3, s4 = a01 * a12 - a11 * a02, a01 * a13 - a11 * a03
    t5, t4, t2 = a22 * a33 - a23 * a23, a12 * a33 - a13 * a23, a02 * a33 - a03 * a23
    t3, t1 = a12 * a23 - a13 * a22, a02 * a23 - a03 * a22
    w, x = a11 * t5 - a12 * t4 + a13 * t3, a00 * t5 - a02 * t2 + a03 * t1
    y, z = a03 * s4 - a13 * s2 + a33 * s0, a02 * s3 - a12 * s1 + a22 * s0
    told = abs(w + x + y + z)
    if not (converged and told > TOLD * root * root * root):
        return False
    if abs(w) > 0.25 * told:
        x, y, z = -a01 * t5 + a02 * t4 - a03 * t3, a13 * s5 - a23 * s4 + a33 * s3, -a12 * s5 + a22 * s4 - a23 * s3
    elif abs(x) > 0.25 * told:
        w, y, z = -a01 * t5 + a02 * t4 - a03 * t3, -a03 * s5 + a23 * s2 - a33 * s1, a02 * s5 - a22 * s2 + a23 * s1
    elif abs(y) > 0.25 * told:
        w, x, z = a01 * t4 - a11 * t2 + a13 * s5, -a00 * t4 + a01 * t2 - a03 * s5, -a02 * s4 + a12 * s2 - a23 * s0
    else:
        w, x, y = -a01 * t3 + a11 * t1 - a12 * s5, a00 * t3 - a01 * t1 + a02 * s5, -a03 * s3 + a13 * s1 - a23 * s0
    size = 2.0 / (w * w + x * x + y * y + z * z)
    rotation[0, 0], rotation[1, 1], rotation[2, 2] = (
        1.0 - size * (y * y + z * z),
        1.0 - size * (x * x + z * z),
        1.0 - size * (x * x + y * y),
    )
    rotation[0, 1], rotation[1, 0] = size * (x * y - z * w), size * (x * y + z * w)
    rotation[0, 2], rotation[2, 0] = size * (x * z + y * w), size * (x * z - y * w)
    rotation[1, 2], rotation[2, 1] = size * (y * z - x * w), size * (y * z + x * w)
    return True


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
