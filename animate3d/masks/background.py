"""Masks without a network: what is known of the background, of the object's colours, and of its motion.

Frames from the diffusion model have a plain grey background, and the silhouette of frame 0 is known. Every later frame
is cut out from three pieces of evidence per pixel: how likely its colour is for the background (in light or in shadow),
how likely for the object, and whether the optical flow brings it from inside the last silhouette.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from animate3d.masks.appearance import Background, Image, Mask, ObjectColors, fit_background
from animate3d.masks.cut import cut
from animate3d.masks.flow import find_flow, warp
from animate3d.masks.matting import grow, shrink, soft_edges

_MIDDLE = 127.5  # the background in the channel that the flow is found in
_FLOW_ERROR = 8.0  # 8-bit levels by which a pixel may differ from where it comes from, on top of noise
# The weights of the evidence; docs/masks.md has the measurements behind them.
_COLOR = 0.2  # of the colours' log odds; below 1 because neighbouring pixels share compression artefacts
_COLOR_LIMIT = 5.0  # their largest size
_MOTION = 4.0  # log odds a pixel (of 256) or more inside or outside the silhouette that the flow brings
_OUTLINE = 3.0  # cost of the outline per pixel of length, where the image is even
_EDGE = 8.0  # contrast, in standard deviations of noise, across which the outline costs much less
_SPECK = 0.002  # parts and holes smaller than this share of the object are dropped and filled


class BackgroundSegmenter:
    """Cuts the object of one view out of its frames."""

    name = "background"
    parallel = True

    def segment(self, frames: Iterable[NDArray[np.uint8]], template: Image) -> Iterator[Image]:
        """See `Segmenter.segment`; two frames are held at a time."""
        yield template
        following = iter(frames)
        scale = max(template.shape) / 256
        first = next(following).astype(np.float32)
        mask = template > 0.5
        background = fit_background(first, ~grow(template > 0.02, round(6 * scale)))
        colors = ObjectColors(first, shrink(mask, round(scale)) if shrink(mask, round(scale)).any() else mask)
        axis = _telling_axis(first - background.color, mask)
        first_mask, first_feature = mask, _feature(first, background, axis)
        feature, previous = first_feature, first
        to_first = np.zeros((*mask.shape, 2), np.float32)
        for frame in following:
            image = frame.astype(np.float32)
            background = fit_background(image, ~grow(mask, round(20 * scale)), background)
            next_feature = _feature(image, background, axis)
            flow = find_flow(next_feature, feature, np.zeros_like(to_first))
            carried = warp(mask.astype(np.float32), flow)
            motion = _motion_odds(image, previous, mask, flow, background.noise, scale)
            # What was lost on the way is found again in frame 0, along the flows between.
            to_first = flow + warp(to_first, flow)
            to_first = find_flow(next_feature, first_feature, to_first)
            motion += _motion_odds(image, first, first_mask, to_first, background.noise, scale)
            color = _color_odds(image, background, colors)
            weights = _outline_cost(image, background.noise)
            found = cut(color + motion, weights, carried) > 0.5
            found = _tidy(found, carried > 0.5, color, scale)
            if not found.any():
                yield np.zeros_like(template)
                continue  # the last good silhouette and frame stay the reference
            yield soft_edges(image, found, background.noise)
            mask, feature, previous = found, next_feature, image


def _color_odds(image: Image, background: Background, colors: ObjectColors) -> Image:
    """Log odds of every pixel for the object, by its colour. ``[H, W]``"""
    odds = colors.log_density(image) - background.log_density(image)
    return (_COLOR * odds).clip(-_COLOR_LIMIT, _COLOR_LIMIT)


def _motion_odds(image: Image, other: Image, mask: Mask, flow: Image, noise: float, scale: float) -> Image:
    """Log odds of every pixel for the object, by where it comes from in another frame with a known mask."""
    distance = _signed_distance(warp(mask.astype(np.float32), flow) > 0.5) / scale
    return _MOTION * distance.clip(-1, 1) * _agreement(image, warp(other, flow), noise)


def _outline_cost(image: Image, noise: float) -> Image:
    """Cost of an outline through each pixel ``[H, W]``, low along edges of the image."""
    smooth = cv2.GaussianBlur(image, (0, 0), 0.7)
    along_y = np.diff(smooth, axis=0, append=smooth[-1:])
    along_x = np.diff(smooth, axis=1, append=smooth[:, -1:])
    contrast = (along_y**2 + along_x**2).sum(-1)
    return (_OUTLINE * (0.1 + 0.9 * np.exp(-contrast / (_EDGE * noise) ** 2))).astype(np.float32)


def _tidy(found: Mask, carried: Mask, color: Image, scale: float) -> Mask:
    """Drop specks and doubtful parts far from the last silhouette, fill pinholes and greys that it covered."""
    smallest = _SPECK * carried.sum()
    near = grow(carried, round(3 * scale))
    parts, _ = label(found)
    sizes = np.bincount(parts.ravel())
    touching = np.bincount(parts.ravel(), weights=near.ravel()) > 0
    clear = np.bincount(parts.ravel(), weights=color.ravel()) > 0.5 * _COLOR_LIMIT * sizes
    keep = (touching | clear) & (sizes >= smallest)
    keep[0] = False
    found = keep[parts]

    holes, count = label(~found)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    covered = np.bincount(holes.ravel(), weights=carried.ravel(), minlength=count + 1)
    fill = (sizes < smallest) | (covered > 0.8 * sizes)
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    fill[edge] = False  # open to the outside
    fill[0] = True
    return fill[holes]


def _telling_axis(difference: Image, mask: Mask) -> NDArray[np.float32]:
    """Direction in RGB along which the object differs most from the background. ``[3]``"""
    values = difference[mask]
    _, vectors = np.linalg.eigh(values.T @ values + np.eye(3))
    return vectors[:, -1].astype(np.float32)


def _feature(image: Image, background: Background, axis: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One channel ``[H, W]`` for the optical flow, in which the object stands out even if its brightness does not."""
    return ((image - background.color) @ axis + _MIDDLE).clip(0, 255).astype(np.uint8)


def _agreement(image: Image, carried: Image, noise: float) -> Image:
    """How well the flow explains the image, 0 to 1. ``[H, W]``"""
    difference = cv2.blur(((image - carried) ** 2).sum(-1), (3, 3)) / 3
    return 1.0 / (1.0 + (difference / (9 * noise**2 + _FLOW_ERROR**2)) ** 2)


def _signed_distance(mask: Mask) -> Image:
    """Signed distance to the outline in pixels, positive inside. ``[H, W]``"""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    # Without any edge the distance is the largest float.
    return np.where(mask, inside - 0.5, 0.5 - outside).clip(-1e4, 1e4).astype(np.float32)
