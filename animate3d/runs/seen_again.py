"""A clip as a camera would have seen it that looks straight at the object: square, and no larger than it has to be.

Turning a camera about its own place changes its picture by a homography, so nothing is lost but what is cut away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.runs.viewpoint import Viewpoint

Array = NDArray[np.float64]

_ROOM = 1.12  # around what the object covers in any frame
_SMALLEST = 64


@dataclass(frozen=True)
class TurnedCamera:
    """A square camera at the place of another.

    Attributes:
        c2w: ``[4, 4]`` OpenGL axes.
        field_of_view: degrees.
        homography: ``[3, 3]`` from positions (x, y, 1) in the other's picture to shares of this one's side.
        pixels: side at which it resolves as much as the other.
    """

    c2w: Array
    field_of_view: float
    homography: Array
    pixels: int

    def see(self, image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """The other's picture ``[H, W, 4]`` as this camera saw it ``[size, size, 4]``; transparent beyond it."""
        half = np.array([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1.0]])  # the first pixel's centre lies at 0.5
        matrix = np.linalg.inv(half) @ np.diag([size, size, 1.0]) @ self.homography @ half
        straight = image.astype(np.float32)
        premultiplied = np.dstack([straight[..., :3] * (straight[..., 3:] / 255), straight[..., 3]])
        seen = np.asarray(cv2.warpPerspective(premultiplied, matrix, (size, size), flags=cv2.INTER_LINEAR), np.float32)
        seen[..., :3] /= np.maximum(seen[..., 3:] / 255, 1e-3)
        return (seen + 0.5).clip(0, 255).astype(np.uint8)


def look_at_object(viewpoint: Viewpoint, covered: NDArray[np.bool_]) -> TurnedCamera:
    """The camera turned to the middle of what the object covers.

    Args:
        covered: ``[H, W]`` pixels that show the object in any frame; the size is the viewpoint's.
    """
    rows, columns = np.nonzero(covered)
    box = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=np.float64)
    middle = np.array(
        [viewpoint.principal_point[0] * viewpoint.size[0], viewpoint.principal_point[1] * viewpoint.size[1]]
    )
    intrinsics = np.array([[viewpoint.focal, 0, middle[0]], [0, viewpoint.focal, middle[1]], [0, 0, 1.0]])
    to_ray = np.linalg.inv(intrinsics)  # OpenCV axes
    turn = _turn_to(to_ray @ [*box.mean(axis=0), 1.0])
    corners = np.array([[x, y, 1.0] for x in box[:, 0] for y in box[:, 1]]) @ to_ray.T @ turn.T
    half = _ROOM * float(np.abs(corners[:, :2] / corners[:, 2:]).max())
    square = np.array([[0.5 / half, 0, 0.5], [0, 0.5 / half, 0.5], [0, 0, 1.0]])
    c2w = viewpoint.c2w()
    flip = np.diag([1.0, -1.0, -1.0])
    c2w[:3, :3] = c2w[:3, :3] @ flip @ turn.T @ flip
    pixels = max(_SMALLEST, math.ceil(_ROOM * float((box[1] - box[0]).max())))
    return TurnedCamera(c2w, math.degrees(2 * math.atan(half)), square @ turn @ to_ray, pixels)


def _turn_to(ray: Array) -> Array:
    """The smallest rotation that brings a ray onto the optical axis, OpenCV axes ``[3, 3]``."""
    ray = ray / np.linalg.norm(ray)
    axis = np.array([0.0, 0.0, 1.0])
    middle = (ray + axis) / np.linalg.norm(ray + axis)
    mirror = np.eye(3) - 2 * np.outer(middle, middle)
    return np.asarray((np.eye(3) - 2 * np.outer(axis, axis)) @ mirror)


def square_cameras(matrices: Array, fields_of_view: Array, size: int) -> Cameras:
    """A batch of ``c2w [V, 4, 4]`` and vertical fields of view in degrees ``[V]``."""
    fovy = torch.from_numpy(np.radians(np.asarray(fields_of_view, dtype=np.float64))).float()
    return Cameras(torch.from_numpy(np.asarray(matrices, dtype=np.float64)).float(), fovy, size, size)
