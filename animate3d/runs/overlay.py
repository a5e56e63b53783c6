"""A picture of frame 0, the model as a camera sees it, and how far their outlines overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.frames import contact_sheet, on_grey, save_image

Bytes = NDArray[np.uint8]


def save_overlays(path: Path, frames: Sequence[Bytes], drawn: Sequence[Bytes]) -> None:
    """A row per view of frame 0, the model, and the outlines of both with their overlap.

    Args:
        frames, drawn: ``[H, W, 4]`` each, of one size in a view.
    """
    save_image(path, contact_sheet(np.stack([_overlay(*pair) for pair in zip(frames, drawn, strict=True)])))


def save_row(path: Path, pictures: Sequence[Bytes]) -> None:
    """Pictures ``[H, W, 3 | 4]`` side by side on grey."""
    save_image(path, contact_sheet(np.stack([on_square(image) for image in pictures])[None]))


def overlap(frame: Bytes, drawn: Bytes) -> float:
    """Silhouette IoU of two pictures ``[H, W, 4]``."""
    a, b = frame[..., 3] > 127, drawn[..., 3] > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def _overlay(frame: Bytes, drawn: Bytes) -> Bytes:
    """Frame 0, the model, and the outlines of both (orange, blue) side by side ``[3, H, H, 3]``."""
    pair = [on_square(image) for image in (frame, drawn)]
    outlines = pair[0] // 3 + 85
    for image, colour in zip((frame, drawn), ((255, 140, 0), (0, 120, 255)), strict=True):
        shown = np.dstack([image[..., 3:]] * 3 + [np.full_like(image[..., 3:], 255)])
        mask = on_square(shown, padding=0)[..., 0] > 127
        contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(outlines, contours, -1, colour, 1)
    said = f"IoU {overlap(frame, drawn):.2f}"
    cv2.putText(outlines, said, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return np.stack([*pair, outlines])


def on_square(image: Bytes, side: int = 384, padding: int = 128) -> Bytes:
    """An image ``[H, W, 3 | 4]`` on grey, whole in a square ``[side, side, 3]``."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(on_grey(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.full((side, side, 3), padding, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square
