"""A clip as a camera would have seen it that looks straight at the object: square, and no larger than it has to be.

Turning a camera about its own place changes its picture by a homography, so nothing is lost but what is cut away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.runs.viewpoint import Viewpoint

Array = NDArray[np.float64]

_ROOM = 1.12  # around what the object covers in any frame
_SMALLEST = 64
_TOUCHES = 3  # pixels at the border of the picture that the object covers where it is cut


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


def turned_to(viewpoint: Viewpoint, alphas: Iterable[NDArray[np.uint8]]) -> tuple[TurnedCamera, dict[str, Any]]:
    """The camera turned to the object, and what ``run.json`` notes of it: more where the picture's border cuts it.

    Args:
        alphas: ``[H, W]`` of every frame; the size is the viewpoint's.
    """
    covered, cut = np.zeros(viewpoint.size[::-1], bool), []
    for f, alpha in enumerate(alphas):
        covered |= alpha > 20
        rim = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        if (rim > 127).sum() >= _TOUCHES:
            cut.append(f)
    camera = look_at_object(viewpoint, covered)
    note: dict[str, Any] = {"c2w": camera.c2w.tolist(), "field_of_view": camera.field_of_view}
    if cut:
        note |= {"cut": [cut[0], cut[-1]], "homography": camera.homography.tolist(), "picture": [*viewpoint.size]}
    return camera, note


def known_pixels(notes: Sequence[Mapping[str, Any]], size: int) -> NDArray[np.bool_] | None:
    """Where the turned cameras see what the clips show ``[V, size, size]``; None where no border cuts the object."""
    if not any("cut" in note for note in notes):
        return None
    known = np.ones((len(notes), size, size), bool)
    for inside, note in zip(known, notes, strict=True):
        if "cut" in note:
            camera = TurnedCamera(np.array(note["c2w"]), note["field_of_view"], np.array(note["homography"]), size)
            width, height = note["picture"]
            inside[:] = camera.see(np.full((height, width, 4), 255, np.uint8), size)[..., 3] == 255
    return known


def cut_sentences(videos: Sequence[Path], notes: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for the user of every clip whose border cuts the object: the first and the last frame in which it does.

    Args:
        notes: of `turned_to`.
    """
    found = []
    for path, note in zip(videos, notes, strict=True):
        if "cut" in note:
            first, last = note["cut"]
            where = f"frame {first}" if first == last else f"frames {first} to {last}"
            found.append(
                f"warning: the object of {path} is cut by the picture's border in {where}: what lies beyond is "
                "guessed; a clip that keeps it in view is followed better"
            )
    return found


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
