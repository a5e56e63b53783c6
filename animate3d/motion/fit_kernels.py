"""Compiled parts of `RigidFit`: what is done once per ray, per node or per link."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from animate3d.motion.rigid_kernels import best_rotation, quick_rotation

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

APART = 0.3
"""Sine of the angle between two lines of sight of which both are axes."""


@_jit
def add_rays(  # type: ignore[no-untyped-def]
    hit, barycentrics, origins, directions, weights, across, firmness, triangles, sides, own, shared, right
):
    """Add the normal equations of the distances from points to their rays.

    Args:
        hit: ``[P]`` triangles; ``barycentrics, origins, directions [P, 3]``, ``weights [P]``; distances along
            ``across [P, 3]`` and across both have the weights times ``firmness [P, 2]``.
        triangles: ``[S, 3]`` nodes, and in ``sides [S, 3]`` the link opposite to each corner.
        own: ``[M, 3, 3]`` the nodes' own blocks.
        shared: ``[E, 3, 3]`` the blocks of the two ends of a link (symmetric).
        right: ``[M, 3]``
    """
    block, pulled, third = np.empty((3, 3)), np.empty(3), np.empty(3)
    for p in range(len(hit)):
        if weights[p] <= 0:
            continue
        t = hit[p]
        first, second = weights[p] * firmness[p, 0], weights[p] * firmness[p, 1]
        for x in range(3):
            y, z = (x + 1) % 3, (x + 2) % 3
            third[x] = directions[p, y] * across[p, z] - directions[p, z] * across[p, y]
        for x in range(3):
            for y in range(3):
                block[x, y] = first * across[p, x] * across[p, y] + second * third[x] * third[y]
        for x in range(3):
            pulled[x] = block[x, 0] * origins[p, 0] + block[x, 1] * origins[p, 1] + block[x, 2] * origins[p, 2]
        for k in range(3):
            node, b = triangles[t, k], barycentrics[p, k]
            link = sides[t, k]
            opposite = barycentrics[p, (k + 1) % 3] * barycentrics[p, (k + 2) % 3]
            for x in range(3):
                right[node, x] += b * pulled[x]
                for y in range(3):
                    own[node, x, y] += b * b * block[x, y]
                    shared[link, x, y] += opposite * block[x, y]


@_jit
def add_stiffness(pairs, weights, hold, own, shared):  # type: ignore[no-untyped-def]
    """Add the links' ``weights [E]`` and the pull ``hold`` on every node to the blocks, see `add_rays`."""
    for n in range(len(own)):
        for x in range(3):
            own[n, x, x] += hold
    for e in range(len(pairs)):
        i, j, w = pairs[e, 0], pairs[e, 1], weights[e]
        for x in range(3):
            own[i, x, x] += w
            own[j, x, x] += w
            shared[e, x, x] -= w


@_jit
def find_axes(nodes, eye, other, axes):  # type: ignore[no-untyped-def]
    """Three axes of every node, written to ``axes [M, 3, 3]``, rows.

    The first is the line of sight from ``eye``, the second the part of that from ``other`` that is across it, or
    where there is hardly any, any direction across.
    """
    for n in range(len(nodes)):
        first, second = _direction(nodes[n] - eye), _direction(nodes[n] - other)
        third = np.cross(first, second)
        if third @ third < APART**2:
            second = np.zeros(3)
            second[np.abs(first).argmin()] = 1.0
            third = np.cross(first, second)
        third = _direction(third)
        axes[n, 0], axes[n, 1], axes[n, 2] = first, np.cross(third, first), third


@_jit
def _direction(vector):  # type: ignore[no-untyped-def]
    """Of length 1; what has no length points along x."""
    length = np.sqrt(vector @ vector)
    if not length > 1e-12:
        return np.array([1.0, 0.0, 0.0])
    return vector / length


@_jit
def apply(vector, own, shared, starts, others, links, result):  # type: ignore[no-untyped-def]
    """``result [M, 3]`` = the system of blocks times ``vector [M, 3]``.

    Args:
        starts: ``[M + 1]`` where each node's neighbours begin in ``others`` and ``links``.
    """
    for n in range(len(vector)):
        a, b, c = vector[n, 0], vector[n, 1], vector[n, 2]
        r0 = own[n, 0, 0] * a + own[n, 0, 1] * b + own[n, 0, 2] * c
        r1 = own[n, 1, 0] * a + own[n, 1, 1] * b + own[n, 1, 2] * c
        r2 = own[n, 2, 0] * a + own[n, 2, 1] * b + own[n, 2, 2] * c
        for k in range(starts[n], starts[n + 1]):
            m, e = others[k], links[k]
            a, b, c = vector[m, 0], vector[m, 1], vector[m, 2]
            r0 += shared[e, 0, 0] * a + shared[e, 0, 1] * b + shared[e, 0, 2] * c
            r1 += shared[e, 1, 0] * a + shared[e, 1, 1] * b + shared[e, 1, 2] * c
            r2 += shared[e, 2, 0] * a + shared[e, 2, 1] * b + shared[e, 2, 2] * c
        result[n, 0], result[n, 1], result[n, 2] = r0, r1, r2


@_jit
def find_rotations(rest, positions, weights, starts, others, links, rotations):  # type: ignore[no-untyped-def]
    """The rotation that best explains each node's links, written to ``rotations [M, 3, 3]``.

    Links in a line or a plane leave a turn about it open: the smallest rotation is chosen, none at rest.
    """
    covariance, scratch = np.empty((3, 3)), np.empty((3, 3))
    for n in range(len(rest)):
        xx = xy = xz = yx = yy = yz = zx = zy = zz = 0.0
        spread = 1e-30
        for k in range(starts[n], starts[n + 1]):
            m, w = others[k], weights[links[k]]
            a, b, c = rest[n, 0] - rest[m, 0], rest[n, 1] - rest[m, 1], rest[n, 2] - rest[m, 2]
            x, y, z = (
                positions[n, 0] - positions[m, 0],
                positions[n, 1] - positions[m, 1],
                positions[n, 2] - positions[m, 2],
            )
            spread += w * (a * a + b * b + c * c)
            a, b, c = w * a, w * b, w * c
            xx += a * x
            xy += a * y
            xz += a * z
            yx += b * x
            yy += b * y
            yz += b * z
            zx += c * x
            zy += c * y
            zz += c * z
        small = 1e-6 * spread
        xx, yy, zz = xx + small, yy + small, zz + small
        if not quick_rotation(xx, xy, xz, yx, yy, yz, zx, zy, zz, rotations[n]):
            covariance[0, 0], covariance[0, 1], covariance[0, 2] = xx, xy, xz
            covariance[1, 0], covariance[1, 1], covariance[1, 2] = yx, yy, yz
            covariance[2, 0], covariance[2, 1], covariance[2, 2] = zx, zy, zz
            best_rotation(covariance, scratch, rotations[n])


@_jit
def pull_to_shape(rest, rotations, weights, starts, others, links, right):  # type: ignore[no-untyped-def]
    """Add what the turned links ask of each node to ``right [M, 3]``."""
    for n in range(len(rest)):
        for k in range(starts[n], starts[n + 1]):
            m, w = others[k], 0.5 * weights[links[k]]
            a, b, c = rest[n, 0] - rest[m, 0], rest[n, 1] - rest[m, 1], rest[n, 2] - rest[m, 2]
            for x in range(3):
                r0 = rotations[n, x, 0] + rotations[m, x, 0]
                r1 = rotations[n, x, 1] + rotations[m, x, 1]
                r2 = rotations[n, x, 2] + rotations[m, x, 2]
                right[n, x] += w * (r0 * a + r1 * b + r2 * c)


@_jit
def link_stretch(rest, positions, rotations, pairs, stretch):  # type: ignore[no-untyped-def]
    """How far each link ``[E, 2]`` is from the shape its ends ask for, written to ``stretch [E]``."""
    for e in range(len(pairs)):
        i, j = pairs[e, 0], pairs[e, 1]
        total = 0.0
        for x in range(3):
            asked = 0.0
            for y in range(3):
                asked += 0.5 * (rotations[i, x, y] + rotations[j, x, y]) * (rest[i, y] - rest[j, y])
            total += (positions[i, x] - positions[j, x] - asked) ** 2
        stretch[e] = np.sqrt(total)
