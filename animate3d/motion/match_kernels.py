"""Compiled loops over the pixels that are drawn and compared."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from animate3d.frames import GREY

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

_SOLID = 0.9  # opacity of what frame 0 shows; less is its border
_GREY = np.float32(GREY)


@_jit
def draw(winner, weights, triangles, local, colors, first, inverse_depth, focal, half, margin, image):  # type: ignore[no-untyped-def]
    """A surface in the colours that frame 0 shows, written to the stored ``image [H, W, 4]`` where it is.

    What frame 0 hides, or does not show, has the model's own colour; so has what lies beside an edge of depth there.

    Args:
        winner: ``[H, W]`` triangle or -1; ``weights [H, W, 2]`` of its corners 1 and 2.
        local: ``[M, 3]`` the nodes at rest, in the camera's axes (OpenCV); ``colors [M, 3]``.
        first: ``[H, W, 4]`` frame 0; ``inverse_depth [H, W]`` of what it shows, 0 where there is nothing.
        focal: in pixels; ``half [2]`` of width and height.
        margin: how many times as far as what frame 0 shows there, or as near, a point has to be to be something else.
    """
    height, width = winner.shape
    shown = np.empty(5)
    for row in range(height):
        for column in range(width):
            t = winner[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            w1, w2 = weights[row, column, 0], weights[row, column, 1]
            w0 = np.float32(1.0) - w1 - w2
            depth = w0 * local[a, 2] + w1 * local[b, 2] + w2 * local[c, 2]
            x = focal * (w0 * local[a, 0] + w1 * local[b, 0] + w2 * local[c, 0]) / depth + half[0] - 0.5
            y = focal * (w0 * local[a, 1] + w1 * local[b, 1] + w2 * local[c, 1]) / depth + half[1] - 0.5
            _between(first, inverse_depth, x, y, shown)
            nearer = shown[4] * depth  # 1/z is linear over a plane: beside an edge of depth it is neither one's
            itself = shown[3] >= _SOLID and 1 / margin <= nearer <= margin
            for k in range(3):
                color = shown[k] if itself else w0 * colors[a, k] + w1 * colors[b, k] + w2 * colors[c, k]
                image[row, column, k] = np.uint8(color * 255 + 0.5)
            image[row, column, 3] = 255


@_jit
def _between(image, inverse_depth, x, y, found):  # type: ignore[no-untyped-def]
    """The colour between pixels and the inverse depth, written to ``found [5]``; 0 outside."""
    found[:] = 0.0
    left, top = math.floor(x), math.floor(y)
    for row in range(top, top + 2):
        for column in range(left, left + 2):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                weight = (1.0 - abs(x - column)) * (1.0 - abs(y - row))
                for k in range(4):
                    found[k] += weight * image[row, column, k]
                found[4] += weight * inverse_depth[row, column]


@_jit
def apart_on_grey(one, other, apart):  # type: ignore[no-untyped-def]
    """The difference of two stored images ``[H, W, 4]`` on grey, written to ``apart [H, W, 3]``."""
    for row in range(one.shape[0]):
        for column in range(one.shape[1]):
            apart_here(one[row, column], other[row, column], apart[row, column])


@_jit
def apart_here(one, other, apart):  # type: ignore[no-untyped-def]
    """The difference of two pixels ``[4]`` on grey, written to ``apart [3]``."""
    veil = _GREY * (np.float32(one[3]) - np.float32(other[3]))
    for k in range(3):
        apart[k] = np.float32(one[k]) - np.float32(other[k]) - veil


@_jit
def squared(apart, total):  # type: ignore[no-untyped-def]
    """The squares of ``[H, W, 3]``, added up over the colours to ``total [H, W]``; returns the sum of all."""
    whole = 0.0
    for row in range(apart.shape[0]):
        for column in range(apart.shape[1]):
            r, g, b = apart[row, column]
            here = r * r + g * g + b * b
            total[row, column] = here
            whole += here
    return whole


@_jit
def brightness(image, found):  # type: ignore[no-untyped-def]
    """Of a stored image ``[H, W, 4]``, lifted so that the outline of a dark object shows, to ``found [H, W]``."""
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            r, g, b, alpha = image[row, column]
            luminance = 0.299 * r + 0.587 * g + 0.114 * b
            found[row, column] = np.uint8(0.4 * alpha + 0.6 * luminance + 0.5)
