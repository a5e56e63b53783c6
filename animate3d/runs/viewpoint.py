"""Where a picture of the model was seen from, in numbers that a person can read, and the files that keep them.

``camera.json`` is ours; ``transforms.json`` is what NeRF tools read and write (an OpenGL camera-to-world matrix and
focal lengths in pixels).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.files import read_json, write_json
from animate3d.meshes import Placement

Array = NDArray[np.float64]

MEANING = (
    "degrees; the camera stands at azimuth, elevation and distance from the placed model's centre, is rolled clockwise "
    "about the line to it, and shows it `offset` (right, up, in shares of the picture's height) from the principal "
    "point (right, down, in shares of width and height); field_of_view is vertical; "
    "placed = scale * rotation @ x + translation"
)
_STEEPEST = 89.9
_LENS = ("k1", "k2", "k3", "k4", "p1", "p2")


@dataclass(frozen=True)
class Viewpoint:
    """A camera that shows the centre of the world.

    Attributes:
        azimuth, elevation: of the camera's place, degrees.
        roll: clockwise turn of the camera about the line to the centre, degrees.
        field_of_view: vertical, degrees.
        distance: from the centre.
        offset: where the centre is seen, right and up of the principal point in shares of the picture's height.
        principal_point: where the optical axis meets the picture, in shares of its width and height from the top left.
        size: width and height of the picture in pixels.
    """

    azimuth: float
    elevation: float
    roll: float = 0.0
    field_of_view: float = 40.0
    distance: float = 3.0
    offset: tuple[float, float] = (0.0, 0.0)
    principal_point: tuple[float, float] = (0.5, 0.5)
    size: tuple[int, int] = (1280, 720)

    def __post_init__(self) -> None:
        numbers = (self.azimuth, self.elevation, self.roll, self.distance, *self.offset, *self.principal_point)
        if not all(math.isfinite(value) for value in numbers):
            raise InputError("Every number of a camera must be finite.")
        if not 0 < self.field_of_view < 180:
            raise InputError(f"A field of view lies between 0 and 180 degrees, got {self.field_of_view:g}.")
        if not abs(self.elevation) <= 90:
            raise InputError(f"An elevation lies between -90 and 90 degrees, got {self.elevation:g}.")
        if not self.distance > 0:
            raise InputError(f"The distance of a camera must be positive, got {self.distance:g}.")
        if min(self.size) < 1:
            raise InputError(f"A picture of {self.size[0]}x{self.size[1]} pixels is empty.")

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.size[1] / math.tan(math.radians(self.field_of_view) / 2)

    def c2w(self) -> Array:
        """Camera to world, OpenGL axes ``[4, 4]``."""
        numbers = [self.azimuth, self.elevation, self.roll, self.field_of_view, self.distance, *self.offset]
        return camera_to_world(np.array(numbers)[None])[0]

    def cameras(self) -> Cameras:
        """A batch of this one.

        Raises:
            InputError: the optical axis is not in the middle of the picture, which `Cameras` cannot say.
        """
        if not np.allclose(self.principal_point, 0.5, atol=1e-6):
            raise InputError("The camera's principal point is not the middle of its picture.")
        fovy = torch.tensor([math.radians(self.field_of_view)], dtype=torch.float64)
        return Cameras(torch.from_numpy(self.c2w())[None], fovy, self.size[1], self.size[0])

    @classmethod
    def of_matrix(
        cls, c2w: Array, field_of_view: float, size: tuple[int, int], principal_point: tuple[float, float] = (0.5, 0.5)
    ) -> Viewpoint:
        """The numbers of a camera-to-world matrix ``[4, 4]``, OpenGL axes.

        Raises:
            InputError: not a rotation, or the centre lies behind the camera.
        """
        c2w = np.asarray(c2w, dtype=np.float64)
        if c2w.shape != (4, 4) or not np.allclose(c2w[:3, :3].T @ c2w[:3, :3], np.eye(3), atol=1e-3):
            raise InputError("The matrix of a camera must be 4x4 and its first three axes a rotation.")
        position = c2w[:3, 3]
        distance = float(np.linalg.norm(position))
        towards = c2w[:3, :3].T @ -position
        if not (distance > 0 and towards[2] < 0):
            raise InputError("The camera does not look at the model: its centre lies behind the camera.")
        shift = towards[:2] / -towards[2]
        azimuth = math.degrees(math.atan2(position[1], position[0]))
        elevation = math.degrees(math.asin(position[2] / distance))
        upright = _look(np.radians([azimuth]), np.radians([elevation]))[0]
        turn = upright.T @ c2w[:3, :3] @ _pan(shift[None])[0].T
        half = math.tan(math.radians(field_of_view) / 2)
        return cls(
            azimuth=azimuth,
            elevation=elevation,
            roll=-math.degrees(math.atan2(turn[1, 0], turn[0, 0])),
            field_of_view=field_of_view,
            distance=distance,
            offset=(float(shift[0]) / (2 * half), float(shift[1]) / (2 * half)),
            principal_point=principal_point,
            size=size,
        )


def camera_to_world(numbers: Array) -> Array:
    """Camera to world, OpenGL axes ``[B, 4, 4]``, of azimuth, elevation, roll, field of view, distance, offset x, y.

    Args:
        numbers: ``[B, 7]``, as in `Viewpoint`, angles in degrees.
    """
    azimuth, elevation, roll, fov = np.radians(numbers[:, :4]).T
    shift = numbers[:, 5:7] * (2 * np.tan(fov / 2))[:, None]
    c2w = np.zeros((len(numbers), 4, 4))
    upright = _look(azimuth, elevation)
    c2w[:, :3, :3] = upright @ _turn(-roll) @ _pan(shift)
    c2w[:, :3, 3] = upright[:, :, 2] * numbers[:, 4:5]
    c2w[:, 3, 3] = 1.0
    return c2w


def _look(azimuth: Array, elevation: Array) -> Array:
    """Axes right, up and back of cameras that look at the centre, z up ``[B, 3, 3]``; radians."""
    limit = math.radians(_STEEPEST)
    e = np.clip(elevation, -limit, limit)
    back = np.stack([np.cos(e) * np.cos(azimuth), np.cos(e) * np.sin(azimuth), np.sin(e)], axis=1)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=1)
    return np.stack([right, np.cross(back, right), back], axis=2)


def _turn(angle: Array) -> Array:
    """Turns about the camera's own z axis ``[B, 3, 3]``; radians, counter-clockwise."""
    turns = np.tile(np.eye(3), (len(angle), 1, 1))
    turns[:, 0, 0], turns[:, 0, 1] = np.cos(angle), -np.sin(angle)
    turns[:, 1, 0], turns[:, 1, 1] = np.sin(angle), np.cos(angle)
    return turns


def _pan(shift: Array) -> Array:
    """The smallest turns that take the direction ``(x, y, -1)`` of each shift ``[B, 2]`` to the optical axis."""
    seen = np.concatenate([shift, -np.ones((len(shift), 1))], axis=1)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    axis = np.array([0.0, 0.0, -1.0])
    middle = seen + axis
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    # Two reflections: from the direction to the bisector, then to the axis.
    first = np.eye(3) - 2 * middle[:, :, None] * middle[:, None, :]
    return (np.eye(3) - 2 * np.outer(axis, axis)) @ first


def save_viewpoint(viewpoint: Viewpoint, path: str | os.PathLike[str], placement: Placement | None = None) -> None:
    """Write ``camera.json``, and ``transforms.json`` beside it.

    Args:
        placement: how the model stands before the camera; the picture's own when it is left out.
    """
    value: dict[str, Any] = {"meaning": MEANING, **asdict(viewpoint)}
    if placement is not None:
        value["placement"] = {
            "rotation": placement.rotation.tolist(),
            "scale": placement.scale,
            "translation": placement.translation.tolist(),
        }
    write_json(path, value)
    width, height = viewpoint.size
    x, y = viewpoint.principal_point
    nerf: dict[str, Any] = {
        "camera_angle_x": 2 * math.atan(0.5 * width / viewpoint.focal),
        "fl_x": viewpoint.focal,
        "fl_y": viewpoint.focal,
        "cx": x * width,
        "cy": y * height,
        "w": width,
        "h": height,
        "frames": [{"file_path": "./still.png", "transform_matrix": viewpoint.c2w().tolist()}],
    }
    write_json(Path(path).with_name("transforms.json"), nerf)


def load_viewpoint(path: str | os.PathLike[str]) -> tuple[Viewpoint, Placement | None]:
    """Read a ``camera.json`` or a ``transforms.json``, of which the first frame counts.

    Returns:
        the camera, and the placement that the file names.

    Raises:
        InputError: no camera, or one with a distorting lens.
    """
    value = read_json(path)
    try:
        if not isinstance(value, dict):
            raise InputError("it holds no names with values.")
        if "frames" in value or "transform_matrix" in value:
            return _of_transforms(value), None
        placed = value.get("placement")
        if placed is not None and not isinstance(placed, dict):
            raise InputError(f"its `placement` has no rotation, scale and translation but is {placed!r}.")
        placement = placed and Placement(placed["rotation"], _number(placed, "scale"), placed["translation"])
        return _of_numbers(value), placement or None
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # InputError, too
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is not a camera (docs/video.md shows one): {why}") from error


def _number(value: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """One number of a file.

    Raises:
        InputError: it is something else.
        KeyError: it is missing and has no default.
    """
    found = value[name] if default is None else value.get(name, default)
    try:
        return _finite(found)
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"its `{name}` is not a number but {found!r}.") from error


def _finite(value: Any) -> float:
    """A number that can be measured with, which true, infinity and words are not."""
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _pair(value: Mapping[str, Any], name: str, default: tuple[float, float] | None = None) -> tuple[float, float]:
    """Two numbers of a file, as `_number` one."""
    found = value[name] if default is None else value.get(name, default)
    try:
        first, second = (_finite(item) for item in found)
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"its `{name}` is not two numbers but {found!r}.") from error
    return first, second


def _of_numbers(value: Mapping[str, Any]) -> Viewpoint:
    offset, principal_point = _pair(value, "offset", (0.0, 0.0)), _pair(value, "principal_point", (0.5, 0.5))
    width, height = _pair(value, "size")
    return Viewpoint(
        azimuth=_number(value, "azimuth"),
        elevation=_number(value, "elevation"),
        roll=_number(value, "roll", 0.0),
        field_of_view=_number(value, "field_of_view"),
        distance=_number(value, "distance"),
        offset=offset,
        principal_point=principal_point,
        size=(int(width), int(height)),
    )


def _of_transforms(value: Mapping[str, Any]) -> Viewpoint:
    frame = {**value, **value["frames"][0]} if value.get("frames") else dict(value)
    if any(_number(frame, name, 0.0) for name in _LENS):
        raise InputError("the lens is distorted; undistort the clip first.")
    width, height = int(_number(frame, "w")), int(_number(frame, "h"))
    if min(width, height) < 1:
        raise InputError(f"a picture of {width}x{height} pixels is empty.")
    if "fl_y" in frame or "fl_x" in frame:
        focal = _number(frame, "fl_y" if "fl_y" in frame else "fl_x")
    elif "camera_angle_y" in frame:
        focal = 0.5 * height / math.tan(_number(frame, "camera_angle_y") / 2)
    else:
        focal = 0.5 * width / math.tan(_number(frame, "camera_angle_x") / 2)
    principal = (_number(frame, "cx", width / 2) / width, _number(frame, "cy", height / 2) / height)
    fov = math.degrees(2 * math.atan(0.5 * height / focal))
    return Viewpoint.of_matrix(np.array(frame["transform_matrix"], dtype=np.float64), fov, (width, height), principal)
