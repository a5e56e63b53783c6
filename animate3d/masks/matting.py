"""Soft edges: how much of a pixel on the outline belongs to the object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def disc(radius: int) -> NDArray[np.uint8]:
    """Structuring element of a radius in pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)


def grow(mask: Mask, radius: int) -> Mask:
    """Dilate by a radius in pixels."""
    return cv2.dilate(mask.astype(np.uint8), disc(radius)) > 0 if radius else mask


def shrink(mask: Mask, radius: int) -> Mask:
    """Erode by a radius in pixels; the border of the image does not count as an edge."""
    return cv2.erode(mask.astype(np.uint8), disc(radius)) > 0 if radius else mask


def soft_edges(image: Image, mask: Mask, noise: float) -> Image:
    """Alpha of a silhouette: 0 and 1 away from its outline, the share of the object along it.

    Within a narrow band the colour is explained as a mixture of the object's and the background's colours nearby. Where
    these two are alike, the band follows the outline itself. ``noise`` is the standard deviation of the image's noise.
    """
    radius = max(1, round(max(mask.shape) / 256))
    inside, outside = shrink(mask, radius), ~grow(mask, radius)
    band = ~inside & ~outside
    sigma = 2.0 * radius
    front, near_front = _nearby(image, inside, sigma)
    back, near_back = _nearby(image, outside, sigma)
    direction = front - back
    contrast = (direction**2).sum(-1)
    share = ((image - back) * direction).sum(-1) / np.maximum(contrast, 1e-3)
    outline = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6 * radius)
    # Noise of the share is noise / |front - back|: trusted while it is small.
    trust = contrast / (contrast + (4 * noise) ** 2) * (near_front > 1e-2) * (near_back > 1e-2)
    alpha = trust * share.clip(0, 1) + (1 - trust) * outline
    return np.where(band, alpha, mask).astype(np.float32)


def _nearby(image: Image, region: Mask, sigma: float) -> tuple[Image, Image]:
    """Mean colour of a region around every pixel ``[H, W, 3]`` and how much of the region is there ``[H, W]``."""
    inside = region.astype(np.float32)
    weight = cv2.GaussianBlur(inside, (0, 0), sigma)
    total = cv2.GaussianBlur(image * inside[..., None], (0, 0), sigma)
    return np.asarray(total / np.maximum(weight, 1e-6)[..., None], np.float32), np.asarray(weight, np.float32)
