"""Images as they are matched, and the optical flow between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.motion import match_kernels
from animate3d.motion.surfaces import Array

Image = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_MARGIN = 8  # pixels around what is matched
_MIN_WINDOW = 192  # pixels; in a smaller image the search would begin at a finer scale


def stored(rgba: Image) -> Bytes:
    """Frames as bytes, on black: premultiplied colour and alpha. ``[..., H, W, 4]``"""
    on_black = np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)
    return (on_black * 255 + 0.5).astype(np.uint8)


def covered(image: Bytes) -> NDArray[np.bool_]:
    """Where a stored image shows the object. ``[H, W]``"""
    return image[..., 3] > 0


def find_flow(start: Bytes, end: Bytes, finest: int) -> Image:
    """Where the pixels of one image went in another: dense inverse search (Kroeger et al. 2016).

    Args:
        start, end: stored images ``[H, W, 4]``.
        finest: the scale at which the search ends; 0 is full resolution, OpenCV's preset stops at 1.

    Returns:
        (x, y) steps ``[H, W, 2]``; zero away from the object.
    """
    window = _window(covered(start) | covered(end))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(finest)
    steps = np.zeros((*start.shape[:2], 2), np.float32)
    if start[window].size:
        first, second = (_brightness(image[window]) for image in (start, end))
        steps[window] = flow.calc(first, second, np.zeros((*first.shape, 2), np.float32))
    return steps


def sample(image: NDArray, at: Array, interpolation: int = cv2.INTER_LINEAR) -> NDArray:
    """Values of an image at pixel positions (x, y) ``[P, 2]``; black outside."""
    # remap takes at most 32766 rows: lay the points out as a picture.
    width = 4096
    padded = np.zeros((-(-max(len(at), 1) // width) * width, 2), np.float32)
    padded[: len(at)] = at
    grid = padded.reshape(-1, width, 2)
    values = cv2.remap(image, grid[..., 0], grid[..., 1], interpolation)
    return values.reshape(-1, *image.shape[2:])[: len(at)]


def _brightness(image: Bytes) -> Bytes:
    """What the flow goes by. ``[H, W]``"""
    found = np.empty(image.shape[:2], np.uint8)
    match_kernels.brightness(image, found)
    return found


def _window(object_at: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns around the object, as many as the search needs to begin as coarsely as in the whole image."""
    spans = []
    for axis in (0, 1):
        length = object_at.shape[axis]
        used = np.flatnonzero(object_at.any(axis=1 - axis))
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        missing = max(_MIN_WINDOW - (high - low), 2 * _MARGIN)
        low = max(low - missing // 2, 0)
        high = min(max(high + missing // 2, low + _MIN_WINDOW), length)
        spans.append(slice(max(min(low, high - _MIN_WINDOW), 0), high))
    return spans[0], spans[1]
