"""Colours of the background and of the object, as log densities over RGB in 8-bit levels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from animate3d.frames import GREY

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_GREY_LEVEL = 255 * GREY
_LEAST_NOISE = 1.5  # quantisation and resampling leave at least this, in 8-bit levels
_LEAST_PIXELS = 50  # background pixels needed to estimate anything from them
_MOST_PIXELS = 6000  # more do not change the fit of six numbers
_TAIL_SHARE = 0.4  # pixels of the background that compression disturbs,
_TAIL_WIDTH = 5.0  # with noise that many times larger
_SHADOW_SHARE = 0.05  # prior probability that a pixel of the background lies in shadow
_DARKEST_SHADOW = 0.4  # of the background's brightness
_NOVEL_SHARE = 0.1  # prior probability that a pixel of the object has a colour that frame 0 does not show
_BINS = 32  # along each axis of the object's histogram
_BLOCK = 256 // _BINS


@dataclass(frozen=True)
class Background:
    """A model of a frame's background: a smooth surface ``[H, W, 3]`` and the standard deviation around it."""

    color: Image
    noise: float

    def log_density(self, image: Image) -> Image:
        """Log density of every pixel under the background, lit or in shadow, which scales towards black. ``[H, W]``"""
        difference = image - self.color
        variance = self.noise**2
        lit = _normal((difference**2).sum(-1), variance, 3)

        brightness = np.linalg.norm(self.color, axis=-1)
        share = (image * self.color).sum(-1) / brightness**2
        aside = ((image - share[..., None] * self.color) ** 2).sum(-1)
        # Beyond its ends the density falls off as the noise does.
        over = np.maximum(share - 1, 0) + np.maximum(_DARKEST_SHADOW - share, 0)
        aside += (over * brightness) ** 2
        length = (1 - _DARKEST_SHADOW) * brightness
        shaded = _normal(aside, variance, 2) - np.log(length)
        return np.logaddexp(lit + np.log(1 - _SHADOW_SHARE), shaded + np.log(_SHADOW_SHARE)).astype(np.float32)


def _normal(squares: Image, variance: float, dimensions: int) -> Image:
    """Log density of a normal distribution with heavy tails, which compression leaves around the object."""
    wide = variance * _TAIL_WIDTH**2
    core = -0.5 * squares / variance - 0.5 * dimensions * np.log(2 * np.pi * variance)
    tail = -0.5 * squares / wide - 0.5 * dimensions * np.log(2 * np.pi * wide)
    return np.logaddexp(core + np.log(1 - _TAIL_SHARE), tail + np.log(_TAIL_SHARE))


def fit_background(image: Image, outside: Mask, fallback: Background | None = None) -> Background:
    """Fit the background of one frame to pixels that are not the object.

    A quadratic surface per channel, because generated backgrounds drift and shade off; fitted robustly, because a part
    of the pixels may lie in shadow or show a bit of the object.

    Args:
        image: ``[H, W, 3]``
        outside: ``[H, W]`` pixels to fit to.
        fallback: used when there are too few of these; without it, mid grey.
    """
    height, width = outside.shape
    if outside.sum() < _LEAST_PIXELS:
        return fallback or Background(np.full((height, width, 3), _GREY_LEVEL, np.float32), 4.0)
    rows, columns = np.nonzero(outside)
    keep = slice(None, None, -(-len(rows) // _MOST_PIXELS))
    rows, columns = rows[keep], columns[keep]
    values = image[rows, columns].astype(np.float64)
    terms = _quadratic(rows / height, columns / width)
    # Start from the median: least squares would be drawn along by the outliers.
    residual = values - np.median(values, axis=0)
    surface = np.zeros((6, 3))
    noise = _LEAST_NOISE
    for _ in range(6):
        distance = np.linalg.norm(residual, axis=1)
        noise = max(_LEAST_NOISE, float(np.median(distance)) / 1.538)  # median of a chi with 3 degrees of freedom
        weight = np.sqrt(1.0 / (1.0 + (distance / (2 * noise)) ** 4))[:, None]
        ridge = np.diag([0.0, *[1e-2 * len(rows)] * 5])  # holds the slope where only one side is seen
        left = (terms * weight**2).T @ terms + ridge
        surface = np.linalg.solve(left, (terms * weight**2).T @ values)
        residual = values - terms @ surface
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    color = (_quadratic(y.ravel(), x.ravel()) @ surface).reshape(height, width, 3)
    return Background(color.clip(1, 255).astype(np.float32), noise)


def _quadratic(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = 2 * y - 1, 2 * x - 1
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


class ObjectColors:
    """Histogram of the object's colours, smoothed, over a floor for colours not seen yet.

    They are those of an image ``[H, W, 3]`` in a mask ``[H, W]``, which has at least one pixel.
    """

    def __init__(self, image: Image, mask: Mask) -> None:
        self._counts = _histogram(image, mask)
        self._table = self._densities(self._counts)

    def add(self, image: Image, mask: Mask) -> None:
        """Add the colours of an image's object to the histogram, for parts that come into view."""
        self._counts = self._counts + _histogram(image, mask)
        self._table = self._densities(self._counts)

    def log_density(self, image: Image) -> Image:
        """Log density of every pixel under the object's colours. ``[H, W]``"""
        index = (image.clip(0, 255) / _BLOCK).astype(np.intp).clip(0, _BINS - 1)
        return self._table[index[..., 0], index[..., 1], index[..., 2]]

    @staticmethod
    def _densities(counts: NDArray[np.float64]) -> Image:
        smooth = gaussian_filter(counts, 1.0, mode="nearest")
        smooth /= smooth.sum() * _BLOCK**3
        return np.log((1 - _NOVEL_SHARE) * smooth + _NOVEL_SHARE / 256.0**3).astype(np.float32)


def _histogram(image: Image, mask: Mask) -> NDArray[np.float64]:
    levels = np.ascontiguousarray(image.clip(0, 255), dtype=np.float32)
    return cv2.calcHist([levels], [0, 1, 2], mask.astype(np.uint8), [_BINS] * 3, [0, 256] * 3).astype(np.float64)
