"""What the picture around a point tells of where it went: in which direction how firmly, and where exactly.

The flow moves whole patches, says nothing of how sure it is, and slides where there is little to see: along a stripe,
or over plain colour. Around every match the colours' gradients tell both what is left to move (a step of Gauss and
Newton on the difference of the pictures) and along which direction that is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numba
import numpy as np

from animate3d.motion.flow import Bytes
from animate3d.motion.surfaces import Array, Ids

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

_BLUR = 0.7  # pixels, of both pictures
_FLOOR = 3e-4  # squared gradient, in colours of 0..1 per pixel, that counts half: what noise alone shows
_FURTHEST = 1 / 192  # of the image's height; what asks for more is light and shade, or a wrong match
_SAY = np.array([1.0, 1.0, 1.0, 0.5])  # of three colours and of the outline


class Sight(NamedTuple):
    """Where points are seen, and how firmly.

    Attributes:
        at: ``[P, 2]`` x, y.
        axes: ``[P, 2]`` unit, the direction in the picture along which the place is known best.
        firmness: ``[P, 2]`` 0..1 of what is known along this direction and across it.
    """

    at: Array
    axes: Array
    firmness: Array

    @classmethod
    def firm(cls, at: Array) -> Sight:
        """Points that are known alike in all directions."""
        return cls(at, np.broadcast_to([1.0, 0.0], at.shape), np.ones(at.shape))


def seen_by_texture(drawn: Bytes, shown: Bytes, rows: Ids, columns: Ids, at: Array) -> Sight:
    """Where pixels of the drawn picture are in the shown one, near to ``at [P, 2]``.

    Args:
        drawn, shown: stored images ``[H, W, 4]``.
        rows, columns: ``[P]`` of the drawn picture.
    """
    pictures = [cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), _BLUR) for image in (drawn, shown)]
    found = Sight(at.copy(), np.empty(at.shape), np.empty(at.shape))
    _refine(*pictures, rows, columns, *found, _SAY, _FLOOR, _FURTHEST * len(drawn))
    return found


@_jit
def _refine(drawn, shown, rows, columns, at, axes, firmness, say, floor, furthest):  # type: ignore[no-untyped-def]
    """Moves ``at`` and fills in ``axes`` and ``firmness``, see `Sight`; ``say [4]`` of the channels."""
    height, width = drawn.shape[:2]
    for p in range(len(at)):
        row, column, x, y = rows[p], columns[p], at[p, 0], at[p, 1]
        left, right = max(column - 1, 0), min(column + 1, width - 1)
        up, down = max(row - 1, 0), min(row + 1, height - 1)
        xx = xy = yy = ahead_x = ahead_y = 0.0
        for k in range(4):
            gx = 0.25 * (drawn[row, right, k] - drawn[row, left, k] + _at(shown, x + 1, y, k) - _at(shown, x - 1, y, k))
            gy = 0.25 * (
                drawn[down, column, k] - drawn[up, column, k] + _at(shown, x, y + 1, k) - _at(shown, x, y - 1, k)
            )
            missing = drawn[row, column, k] - _at(shown, x, y, k)
            xx += say[k] * gx * gx
            xy += say[k] * gx * gy
            yy += say[k] * gy * gy
            ahead_x += say[k] * gx * missing
            ahead_y += say[k] * gy * missing
        middle, apart = 0.5 * (xx + yy), np.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
        turn = 0.5 * np.arctan2(2.0 * xy, xx - yy)
        axes[p, 0], axes[p, 1] = np.cos(turn), np.sin(turn)
        for k in range(2):
            ex, ey = (axes[p, 0], axes[p, 1]) if k == 0 else (-axes[p, 1], axes[p, 0])
            strength = max(middle + apart if k == 0 else middle - apart, 0.0)
            step = (ex * ahead_x + ey * ahead_y) / (strength + 0.05 * floor)
            step = min(max(step, -furthest), furthest)
            at[p, 0] += step * ex
            at[p, 1] += step * ey
            firmness[p, k] = strength / (strength + floor)


@_jit
def _at(image, x, y, k):  # type: ignore[no-untyped-def]
    """A channel between pixels; what lies outside is as the border."""
    x, y = min(max(x, 0.0), image.shape[1] - 1.001), min(max(y, 0.0), image.shape[0] - 1.001)
    column, row = int(x), int(y)
    u, v = x - column, y - row
    above = (1 - u) * image[row, column, k] + u * image[row, column + 1, k]
    below = (1 - u) * image[row + 1, column, k] + u * image[row + 1, column + 1, k]
    return (1 - v) * above + v * below
