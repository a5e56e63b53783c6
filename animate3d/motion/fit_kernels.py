"""Compiled parts of `RigidFit`: what is done once per ray, per node or per link."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from animate3d.motion.rigid_kernels import best_rotation

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def add_rays(  # type: ignore[no-untyped-def]
    hit, barycentrics, origins, directions, weights, across, firmness, triangles, sides, own, shared, right, mass
):
    """Add the normal equations of the distances from points to their rays.

    Args:
        hit: ``[P]`` triangles; ``barycentrics, origins, directions [P, 3]``, ``weights [P]``; distances along
            ``across [P, 3]`` and across both have the weights times ``firmness [P, 2]``.
        triangles: ``[S, 3]`` nodes, and in ``sides [S, 3]`` the link opposite to each corner.
        own: ``[M, 3, 3]`` the nodes' own blocks.
        shared: ``[E, 3, 3]`` the blocks of the two ends of a link (symmetric).
        right: ``[M, 3]``
        mass: ``[M]`` weight of the rays at each node.
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
            mass[node] += b * 0.5 * (first + second)
            for x in range(3):
                right[node, x] += b * pulled[x]
                for y in range(3):
                    own[node, x, y] += b * b * block[x, y]
                    shared[link, x, y] += opposite * block[x, y]


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
        covariance[:] = 0.0
        spread = 1e-30
        for k in range(starts[n], starts[n + 1]):
            m, w = others[k], weights[links[k]]
            for x in range(3):
                spread += w * (rest[n, x] - rest[m, x]) ** 2
                for y in range(3):
                    covariance[x, y] += w * (rest[n, x] - rest[m, x]) * (positions[n, y] - positions[m, y])
        for x in range(3):
            covariance[x, x] += 1e-6 * spread
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
