"""Where a mesh stands in the world of the cameras: an invertible rotation, scale and translation."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import Cameras, reconstruction_cameras, testset_cameras
from animate3d.errors import InputError
from animate3d.files import read_json, write_json

Points = TypeVar("Points", np.ndarray, Tensor)

FILL = 0.7
"""Part of the half image that a resting object may fill in any camera; the rest is room for motion. An object
whose half extent is 1 is scaled by 0.76 to 0.7 * 3 * tan(20°), the factor documented for Rodin assets."""

_LARGEST_SCALE = 1e9  # and the inverse is the smallest: beyond, a typing error


@dataclass(frozen=True, eq=False)
class Placement:
    """``placed = scale * rotation @ x + translation``.

    Attributes:
        rotation: ``[3, 3]`` proper rotation.
        scale: > 0.
        translation: ``[3]``
        origin: ``[3]`` what was taken off a file's coordinates to get x (`Mesh.origin`); kept for readers of the
            placement file, `apply` and `invert` do without.
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, dtype=np.float64)
        translation = np.asarray(self.translation, dtype=np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise InputError(f"A placement has a 3x3 rotation and 3 numbers of translation, got {rotation.shape}.")
        if not (np.isfinite(self.scale) and self.scale > 0 and np.isfinite(translation).all()):
            raise InputError(f"A placement needs a positive scale and a finite translation, got scale {self.scale}.")
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
            raise InputError("The rotation of a placement must be a proper rotation matrix.")
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "translation", translation)
        origin = np.asarray(self.origin, dtype=np.float64)
        if origin.shape != (3,) or not np.isfinite(origin).all():
            raise InputError("The origin of a placement must be 3 finite numbers.")
        object.__setattr__(self, "origin", origin)

    @classmethod
    def identity(cls) -> Placement:
        """Leave everything where it is."""
        return cls(np.eye(3), 1.0, np.zeros(3))

    @classmethod
    def from_flags(cls, rot_x_degree: float = 0.0, rot_z_degree: float = 0.0, scale_factor: float = 1.0) -> Placement:
        """The documented flags: scale · Rz(rot_z) · Rx(rot_x), no translation."""
        if not 1.0 / _LARGEST_SCALE <= scale_factor <= _LARGEST_SCALE:
            limits = f"{1 / _LARGEST_SCALE:g} and {_LARGEST_SCALE:g}"
            raise InputError(f"scale_factor must lie between {limits}, got {scale_factor}.")
        return cls(_rotation(rot_x_degree, rot_z_degree), scale_factor, np.zeros(3))

    @classmethod
    def automatic(cls, vertices: np.ndarray, up_axis: str) -> Placement:
        """Up axis to z, front to azimuth 0, centred, as large as all documented cameras allow.

        A y-up file shows its front to +z and is turned by rot_x 90, rot_z 90, the documented flags; a z-up file
        shows its front to -y and is turned by rot_z 90. One object gets the same place from either.
        The bounding box's centre moves to the origin. The scale is the largest at which every vertex stays within
        `FILL` of the half image in the reconstruction and test cameras (distance 3, fovy 40°).

        Args:
            vertices: ``[N, 3]``
            up_axis: ``"y"`` or ``"z"``

        Raises:
            InputError: all vertices are one point, or an unknown axis.
        """
        if up_axis not in ("y", "z"):
            raise InputError(f"The up axis must be y or z, got {up_axis!r}.")
        return cls.fitted(vertices, _rotation(90.0 if up_axis == "y" else 0.0, 90.0))

    @classmethod
    def fitted(cls, vertices: np.ndarray, rotation: np.ndarray) -> Placement:
        """Turned by a rotation, centred, as large as all documented cameras allow; see `automatic`."""
        turned = np.asarray(vertices, dtype=np.float64) @ rotation.T
        centre = (turned.min(axis=0) + turned.max(axis=0)) / 2
        centred = turned - centre
        if not np.abs(centred).max() > 0:
            raise InputError("The mesh has no extent: all its vertices are the same point.")
        scale = min(_fitting_scale(centred, cameras) for cameras in (reconstruction_cameras(), testset_cameras()))
        return cls(rotation, scale, -scale * centre)

    def apply(self, points: Points) -> Points:
        """Mesh coordinates ``[..., 3]`` to placed ones; numpy or torch, dtype and device are kept."""
        if isinstance(points, Tensor):
            rotation, translation = self._tensors(points)
            return self.scale * (points @ rotation.T) + translation
        return (self.scale * (points @ self.rotation.T) + self.translation).astype(_float_type(points), copy=False)

    def invert(self, points: Points) -> Points:
        """Placed coordinates ``[..., 3]`` back to the mesh's own."""
        if isinstance(points, Tensor):
            rotation, translation = self._tensors(points)
            return ((points - translation) / self.scale) @ rotation
        return (((points - self.translation) / self.scale) @ self.rotation).astype(_float_type(points), copy=False)

    def matrix(self) -> np.ndarray:
        """``[4, 4]`` homogeneous."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation
        return matrix

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a small JSON file."""
        value: dict[str, Any] = {
            "meaning": "placed = scale * rotation @ x + translation",
            "rotation": self.rotation.tolist(),
            "scale": self.scale,
            "translation": self.translation.tolist(),
        }
        if self.origin.any():
            value["meaning"] = "placed = scale * rotation @ (x - origin) + translation; the ply holds x - origin"
            value["origin"] = self.origin.tolist()
        write_json(path, value)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Placement:
        """Read what `save` wrote.

        Raises:
            InputError: missing or not a placement.
        """
        value = read_json(path)
        try:
            return cls(value["rotation"], float(value["scale"]), value["translation"], value.get("origin", (0, 0, 0)))
        except KeyError as error:
            raise InputError(f"{path} is not a placement file: it has no {error}.") from error
        except (AttributeError, TypeError, ValueError) as error:  # InputError is a ValueError
            raise InputError(f"{path} is not a placement file: {error}") from error

    def _tensors(self, points: Tensor) -> tuple[Tensor, Tensor]:
        rotation = torch.as_tensor(self.rotation, dtype=points.dtype, device=points.device)
        return rotation, torch.as_tensor(self.translation, dtype=points.dtype, device=points.device)


@dataclass(frozen=True)
class Turn:
    """How a model is turned; it is centred, and as large as `Placement.automatic` has it."""

    rot_x_degree: float = 0.0
    rot_z_degree: float = 0.0


def given_placement(given: Placement | Turn | Path | None, vertices: Callable[[], np.ndarray]) -> Placement | None:
    """What a placement, a file of one or a turn asks for; None where nothing is given.

    Args:
        vertices: the model's ``[N, 3]``, for a turn.
    """
    if isinstance(given, Turn):
        return Placement.fitted(vertices(), _rotation(given.rot_x_degree, given.rot_z_degree))
    return Placement.load(given) if isinstance(given, Path) else given


def _float_type(points: np.ndarray) -> np.dtype:
    return points.dtype if np.issubdtype(points.dtype, np.floating) else np.dtype(np.float64)


def _rotation(rot_x_degree: float, rot_z_degree: float) -> np.ndarray:
    """Rz · Rx with exact zeros and ones at multiples of 90°."""
    (cx, sx), (cz, sz) = (_cos_sin(angle) for angle in (rot_x_degree, rot_z_degree))
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    return about_z @ about_x


def _cos_sin(degrees: float) -> tuple[float, float]:
    if not np.isfinite(degrees):
        raise InputError(f"An angle must be a finite number of degrees, got {degrees}.")
    if degrees % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees // 90) % 4]
    return float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))


def _fitting_scale(centred: np.ndarray, cameras: Cameras) -> float:
    """Largest scale of points around the origin at which all cameras see them within `FILL` of the half image.

    A point that is x off the axis and z nearer than the origin is seen at s·x / (distance - s·z); solving for the
    limit m gives s = m·distance / (x + m·z) with m = FILL·tan(fovy / 2).
    """
    c2w = cameras.c2w.double().numpy()
    distance = np.linalg.norm(c2w[:, :3, 3], axis=1)[:, None]
    limit = FILL * np.tan(cameras.fovy.double().numpy() / 2)[:, None]
    local = np.einsum("nk,vkc->vnc", centred, c2w[:, :3, :3])
    across = np.abs(local[..., :2]).max(axis=-1)
    size = across + limit * local[..., 2]
    return float((limit * distance).min() / size.max())
