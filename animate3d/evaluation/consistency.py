"""Temporal consistency of a video: does a frame, moved along the optical flow, look like the next one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.evaluation.image_metrics import Video
from animate3d.masks.flow import SMALLEST, ends, find_flow, warp

FLOW_SIZE = 256
"""Pixels of the images between which the flow is found, unless the given videos are smaller."""
_RELATIVE, _ABSOLUTE = 0.01, 0.5  # how well forward and backward flow must agree (Sundaram et al. 2010), in pixels²

Array = NDArray[np.float32]


def warping_errors(video: Video, size: int = FLOW_SIZE) -> Array:
    """Squared difference of every frame from the next one brought back to it along the optical flow (OpenCV DIS).

    A pixel counts when it belongs to the object and is visible in both frames: the flow back from where it went has to
    lead home again, and that place has to be inside the image.

    Args:
        size: larger images are shrunk to this. Errors grow with sharpness: compare them at one size.

    Returns:
        ``[F - 1]`` mean over these pixels and the channels, colours in 0..1; NaN where no pixel counts.

    Raises:
        InputError: images too small for the flow.
    """
    video = video.shrunk(size)
    if video.size < SMALLEST:
        raise InputError(f"Images of {video.size} pixels are too small for optical flow; it needs {SMALLEST}.")
    colors = video.color.numpy().astype(np.float32)
    grey = [cv2.cvtColor(np.round(255 * image).astype(np.uint8), cv2.COLOR_RGB2GRAY) for image in colors]
    masks, still = video.mask.numpy(), np.zeros((*grey[0].shape, 2), np.float32)
    errors = np.full(len(colors) - 1, np.nan, np.float32)
    for t in range(len(errors)):
        forward = find_flow(grey[t], grey[t + 1], still)
        backward = find_flow(grey[t + 1], grey[t], still)
        counted = masks[t] & visible(forward, backward)
        if counted.any():
            errors[t] = np.square((warp(colors[t + 1], forward) - colors[t])[counted]).mean()
    return errors


def visible(forward: Array, backward: Array) -> NDArray[np.bool_]:
    """Where forward flow ``[H, W, 2]`` and the backward flow at its end cancel, inside the image. ``[H, W]``"""
    back = warp(backward, forward)
    apart, length = ((forward + back) ** 2).sum(-1), (forward**2).sum(-1) + (back**2).sum(-1)
    x, y = ends(forward)
    height, width = forward.shape[:2]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return (apart <= _RELATIVE * length + _ABSOLUTE) & inside
