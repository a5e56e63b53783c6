"""Dense optical flow between grey images, and images carried along it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

SMALLEST = 24
"""Pixels of a side: the flow's patches and pyramid need as many."""


def find_flow(image: NDArray[np.uint8], other: NDArray[np.uint8], start: Image) -> Image:
    """Where every pixel of an image lies in another one, relative to itself (x, y); near ``start``. ``[H, W, 2]``"""
    if min(image.shape) < SMALLEST:
        return start
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # it keeps a state from call to call
    return np.asarray(method.calc(image, other, start.copy()), np.float32)


def ends(flow: Image) -> tuple[Image, Image]:
    """x and y, in pixels, of where a flow ``[H, W, 2]`` leads from every pixel. ``[H, W]`` each"""
    y, x = np.indices(flow.shape[:2], dtype=np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def warp(image: Image, flow: Image) -> Image:
    """An image ``[H, W, C]`` at the other end of the flow ``[H, W, 2]``, bilinear; its border goes on outside."""
    return np.asarray(cv2.remap(image, *ends(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
