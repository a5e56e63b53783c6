"""Which triangle every pixel shows, and where on it."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.rasterize.textured import _visible


def visible_triangles(
    points: NDArray[np.float64], triangles: NDArray[np.int64], cameras: Cameras
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest triangle at every pixel centre of every view.

    Args:
        points: ``[N, 3]`` world coordinates.
        triangles: ``[T, 3]`` vertex ids.
        cameras: ``[V]``.

    Returns:
        triangle id or -1 ``[V, H, W]``; perspective-correct barycentrics of corners 1 and 2 ``[V, H, W, 2]``.
    """
    viewmats, focals = (part.double().cpu().numpy() for part in (cameras.viewmats, cameras.focal))
    return visible_through(points, triangles, viewmats, focals, cameras.near, cameras.height, cameras.width)


def visible_through(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    viewmats: NDArray[np.float64],
    focals: NDArray[np.float64],
    near: float,
    height: int,
    width: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """`visible_triangles` of cameras given by world-to-camera matrices ``[V, 4, 4]``, which may shear, and focal
    lengths in pixels ``[V]``."""
    return _visible_views(
        np.ascontiguousarray(points, dtype=np.float64),
        np.ascontiguousarray(triangles, dtype=np.int64),
        np.ascontiguousarray(viewmats, dtype=np.float64),
        np.ascontiguousarray(focals, dtype=np.float64),
        near,
        height,
        width,
    )


@numba.njit(parallel=True, cache=True)
def _visible_views(points, triangles, viewmats, focals, near, height, width):  # type: ignore[no-untyped-def]
    winners = np.empty((len(viewmats), height, width), dtype=np.int32)
    weights = np.empty((len(viewmats), height, width, 2), dtype=np.float32)
    plain = np.zeros(len(triangles), dtype=np.int64)  # no texture: no mip levels to choose
    no_uvs, no_sizes, no_levels = np.zeros((1, 3, 2)), np.zeros((1, 1, 2), dtype=np.int64), np.zeros(1, dtype=np.int64)
    for v in numba.prange(len(viewmats)):
        winner, weight, _ = _visible(
            points, triangles, no_uvs, plain, plain, no_sizes, no_levels, viewmats[v], focals[v], near, height, width
        )
        winners[v], weights[v] = winner, weight
    return winners, weights
