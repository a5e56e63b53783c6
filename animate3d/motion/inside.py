"""How often a surface goes around a point: never outside of it, once inside, twice where two of its parts overlap."""

from __future__ import annotations

import math

import numba
import numpy as np

from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.threads import run_pieces


def times_around(points: Array, vertices: Array, triangles: Ids) -> Array:
    """The winding number of a surface around points, without its sign: how its faces are wound does not matter. ``[n]``

    An open surface goes around a point in part, half beside a sheet.

    Args:
        points: ``[n, 3]``
        vertices: ``[N, 3]``
        triangles: ``[T, 3]``
    """
    points, corners = np.ascontiguousarray(points), np.ascontiguousarray(vertices[triangles])
    around = np.empty(len(points))
    run_pieces(lambda start, stop, piece: _times_around(points[start:stop], corners, around[start:stop]), len(points))
    return around


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _times_around(points, corners, around):  # type: ignore[no-untyped-def]
    """The solid angles ``[T]`` of all triangles ``[T, 3, 3]`` as seen from each point, added up, in whole turns."""
    for n in range(len(points)):
        x, y, z = points[n]
        turn = 0.0
        for t in range(len(corners)):
            turn += half_angle(corners[t], x, y, z)
        around[n] = abs(turn) / (2 * math.pi)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def half_angle(triangle, x, y, z):  # type: ignore[no-untyped-def]
    """Half of the solid angle of a triangle ``[3, 3]`` as seen from a point."""
    ax, ay, az = triangle[0, 0] - x, triangle[0, 1] - y, triangle[0, 2] - z
    bx, by, bz = triangle[1, 0] - x, triangle[1, 1] - y, triangle[1, 2] - z
    cx, cy, cz = triangle[2, 0] - x, triangle[2, 1] - y, triangle[2, 2] - z
    la = math.sqrt(ax * ax + ay * ay + az * az)
    lb = math.sqrt(bx * bx + by * by + bz * bz)
    lc = math.sqrt(cx * cx + cy * cy + cz * cz)
    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    ab, bc, ca = ax * bx + ay * by + az * bz, bx * cx + by * cy + bz * cz, cx * ax + cy * ay + cz * az
    return math.atan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
