"""Compiled loops that draw a part of a surface over the rest of it and compare that with a frame."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from animate3d.motion.match_kernels import apart_here, apart_on_grey, draw
from animate3d.rasterize.visibility import draw_over

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def draw_rest(part, parts, nodes, triangles, eyes, look, targets, blur, nearest, apart, squares):  # type: ignore[no-untyped-def]
    """Draw a surface without a part of it.

    Args:
        nodes: ``[M, 3]``; ``triangles [T, 3]`` without those of the part.
        eyes, look: see `_draw_over`.
        targets: ``[V, H, W, 4]`` the frame.
        blur: pixels that are averaged along each axis.
        nearest: ``[V, H, W]`` 0, or infinity where nothing is to be drawn; becomes 1/z of what is drawn.
        apart: becomes the differences ``[V, H, W, 3]``; ``squares [V, H, W]`` become those of the blurred ones.
    """
    height, width = targets.shape[1:3]
    canvas = _canvas(height, width)
    for v in range(part, len(targets), parts):
        canvas[2][:] = 0
        apart_on_grey(canvas[2], targets[v], apart[v])
        _draw_over(v, nodes, triangles, eyes, look, targets[v], nearest[v], apart[v], canvas)
        for row in range(height):
            for column in range(width):
                squares[v, row, column] = _blurred_square(apart[v], row, column, blur)


@_jit
def compare_poses(part, parts, poses, triangles, eyes, look, targets, blur, nearest, apart, squares, more):  # type: ignore[no-untyped-def]
    """Draw a part of a surface in many poses over the rest, and write how much more of the frame each one misses.

    Args:
        poses: ``[K, L, 3]``; ``triangles [S, 3]`` of the part.
        eyes, look, targets, blur: as in `draw_rest`, whose results are ``nearest, apart, squares``.
        more: becomes the sum of squares beyond that of the rest alone ``[K]``.
    """
    height, width = targets.shape[1:3]
    canvas = _canvas(height, width)
    front, changed = np.empty((height, width)), np.empty((height, width, 3), np.float32)
    for k in range(part, len(poses), parts):
        more[k] = 0.0
        for v in range(len(targets)):
            front[:], changed[:] = nearest[v], apart[v]
            top, bottom, left, right = _draw_over(
                v, poses[k], triangles, eyes, look, targets[v], front, changed, canvas
            )
            for row in range(max(top - blur, 0), min(bottom + blur, height)):
                for column in range(max(left - blur, 0), min(right + blur, width)):
                    more[k] += _blurred_square(changed, row, column, blur) - squares[v, row, column]


@_jit
def _canvas(height, width):  # type: ignore[no-untyped-def]
    """What is overwritten by every drawing: triangles, their barycentrics, and the stored image."""
    return (
        np.empty((height, width), np.int32),
        np.empty((height, width, 2), np.float32),
        np.empty((height, width, 4), np.uint8),
    )


@_jit
def _draw_over(v, points, triangles, eyes, look, target, nearest, apart, canvas):  # type: ignore[no-untyped-def]
    """Draw triangles over what is drawn already in view v, and write where and how they differ from the frame.

    Args:
        eyes: world-to-camera matrices ``[V, 4, 4]``, focal lengths in pixels ``[V]``, and the near plane.
        look: ``[V, L, 3]`` the points at rest in the cameras' axes, their colours ``[L, 3]``, and for `draw` of every
            view the first frame and its inverse depth, half of width and height, and the margin of depth.

    Returns:
        the rows and columns that were drawn: first and end of both.
    """
    viewmats, focals, near = eyes
    local, colors, first, inverse_depth, half, margin = look
    winner, weights, image = canvas
    winner[:] = -1
    draw_over(points, triangles, viewmats[v], focals[v], near, nearest, winner, weights)
    of_rest = local[v], colors, first[v], inverse_depth[v]
    draw(winner, weights, triangles, *of_rest, focals[v], half, margin, image)
    height, width = winner.shape
    top, bottom, left, right = height, 0, width, 0
    for row in range(height):
        for column in range(width):
            if winner[row, column] >= 0:
                apart_here(image[row, column], target[row, column], apart[row, column])
                top, bottom = min(top, row), max(bottom, row + 1)
                left, right = min(left, column), max(right, column + 1)
    return top, bottom, left, right


@_jit
def _blurred_square(apart, row, column, blur):  # type: ignore[no-untyped-def]
    """The square of the mean of differences ``[H, W, 3]`` around a pixel, mirrored at the image's borders."""
    height, width, _ = apart.shape
    r, g, b = np.float32(0), np.float32(0), np.float32(0)
    for y in range(row - blur // 2, row - blur // 2 + blur):
        for x in range(column - blur // 2, column - blur // 2 + blur):
            here = apart[_mirrored(y, height), _mirrored(x, width)]
            r, g, b = r + here[0], g + here[1], b + here[2]
    return (r * r + g * g + b * b) / np.float32(blur) ** 4


@_jit
def _mirrored(index, count):  # type: ignore[no-untyped-def]
    return min(abs(index), 2 * (count - 1) - abs(index))
