"""Which triangle every pixel shows, and where on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.rasterize.textured import _jit, _visible
from animate3d.rasterize.threads import run_parts


def visible_triangles(
    points: NDArray[np.float64], triangles: NDArray[np.int64], cameras: Cameras
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest of triangles ``[T, 3]`` of points ``[N, 3]`` at every pixel centre of every camera ``[V]``.

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
    winners = np.empty((len(viewmats), height, width), dtype=np.int32)
    weights = np.zeros((len(viewmats), height, width, 2), dtype=np.float32)
    run_parts(
        _visible_views,
        len(viewmats),
        np.require(points, np.float64, ["C", "W"]),  # writable: kernels are compiled again for arrays that are not
        np.require(triangles, np.int64, ["C", "W"]),
        np.ascontiguousarray(viewmats, dtype=np.float64),
        np.ascontiguousarray(focals, dtype=np.float64),
        float(near),
        winners,
        weights,
    )
    return winners, weights


@_jit
def on_surface(values, triangles, winner, weights):  # type: ignore[no-untyped-def]
    """Values of the corners ``[N, D]`` at pixels that see a triangle, mixed by its barycentrics.

    Args:
        triangles: ``[T, 3]`` vertex ids.
        winner: ``[P]`` triangles; ``weights [P, 2]`` of their corners 1 and 2, float32.

    Returns:
        ``[P, D]`` float64
    """
    found = np.empty((len(winner), values.shape[1]))
    for p in range(len(winner)):
        a, b, c = triangles[winner[p]]
        w1, w2 = weights[p, 0], weights[p, 1]
        w0 = np.float32(1.0) - w1 - w2
        for d in range(values.shape[1]):
            found[p, d] = w0 * values[a, d] + w1 * values[b, d] + w2 * values[c, d]
    return found


@_jit
def draw_over(points, triangles, viewmat, focal, near, nearest, winner, weights):  # type: ignore[no-untyped-def]
    """Find the nearest of triangles without texture at every pixel, over what is drawn already.

    Args:
        nearest: 1/z of what is drawn ``[H, W]``, 0 for nothing; becomes that of the triangles in front of it.
        winner: becomes their index ``[H, W]``; ``weights [H, W, 2]`` their barycentrics of corners 1 and 2.
    """
    plain = np.zeros(len(triangles), dtype=np.int64)  # no texture: no mip levels to choose
    no_uvs, no_sizes, no_levels = np.zeros((1, 3, 2)), np.zeros((1, 1, 2), dtype=np.int64), np.zeros(1, dtype=np.int64)
    of_texture = no_uvs, plain, plain, no_sizes, no_levels
    _visible(points, triangles, *of_texture, viewmat, focal, near, nearest, winner, weights, plain)


@_jit
def _visible_views(part, parts, points, triangles, viewmats, focals, near, winners, weights):  # type: ignore[no-untyped-def]
    nearest = np.empty(winners.shape[1:])
    for v in range(part, len(viewmats), parts):
        winners[v], nearest[:] = -1, 0.0
        draw_over(points, triangles, viewmats[v], focals[v], near, nearest, winners[v], weights[v])
