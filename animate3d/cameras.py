"""Pinhole cameras and the project's conventions; numbers are those of the reference implementation's configs.

World: right-handed, z up; azimuth turns from +x to +y, elevation from the xy-plane towards +z.
``c2w`` has OpenGL camera axes (x right, y up, z backward); `Cameras.viewmats` are world-to-camera with OpenCV
axes (x right, y down, z forward), as rasterisers want them. Pixels are square and pixel centres lie at +0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

NEAR, FAR = 0.1, 100.0


@dataclass(frozen=True)
class Cameras:
    """A batch of cameras that share one image size.

    Attributes:
        c2w: ``[..., 4, 4]`` camera to world, OpenGL axes.
        fovy: ``[...]`` vertical field of view, radians.
        height, width: pixels.
        near, far: depth range; nothing nearer than ``near`` is drawn.

    What follows from them is worked out once: the tensors are not to be changed in place.
    """

    c2w: Tensor
    fovy: Tensor
    height: int
    width: int
    near: float = NEAR
    far: float = FAR

    @property
    def shape(self) -> torch.Size:
        """Batch shape, e.g. ``[V]`` or ``[F, V]``."""
        return self.c2w.shape[:-2]

    @property
    def positions(self) -> Tensor:
        """Positions in world coordinates ``[..., 3]``."""
        return self.c2w[..., :3, 3]

    @cached_property
    def viewmats(self) -> Tensor:
        """World to camera, OpenCV axes. ``[..., 4, 4]``"""
        right, up, back = self.c2w[..., :3, :3].unbind(-1)
        rotation = torch.stack([right, -up, -back], dim=-2)
        translation = -(rotation @ self.c2w[..., :3, 3:])
        return torch.cat([torch.cat([rotation, translation], dim=-1), self.c2w[..., 3:, :]], dim=-2)

    @property
    def focal(self) -> Tensor:
        """Focal length in pixels, the same for x and y. ``[...]``"""
        return 0.5 * self.height / torch.tan(0.5 * self.fovy)

    @cached_property
    def Ks(self) -> Tensor:
        """Intrinsics in pixels. ``[..., 3, 3]``"""
        zero, one, f = torch.zeros_like(self.fovy), torch.ones_like(self.fovy), self.focal
        rows = [f, zero, one * (self.width / 2), zero, f, one * (self.height / 2), zero, zero, one]
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points to pixels.

        Args:
            points: ``[..., P, 3]``, batch shape broadcastable with the cameras'.

        Returns:
            pixel coordinates ``[..., P, 2]`` and depths ``[..., P]``.
        """
        viewmats = self.viewmats
        local = points @ viewmats[..., :3, :3].transpose(-1, -2) + viewmats[..., None, :3, 3]
        depth = local[..., 2]
        centre = local.new_tensor([self.width / 2, self.height / 2])
        return self.focal[..., None, None] * local[..., :2] / depth[..., None] + centre, depth

    def resized(self, height: int, width: int | None = None) -> Cameras:
        """These cameras with another image size."""
        return replace(self, height=height, width=height if width is None else width)

    def to(self, *args: object, **kwargs: object) -> Cameras:
        """Move or cast the tensors, as `torch.Tensor.to`."""
        c2w, fovy = self.c2w.to(*args, **kwargs), self.fovy.to(*args, **kwargs)  # type: ignore[call-overload]
        return self if c2w is self.c2w and fovy is self.fovy else replace(self, c2w=c2w, fovy=fovy)

    def at_frames(self, frames: int) -> Cameras:
        """Cameras ``[V]`` that are the same at every frame, as ``[F, V]``."""
        if frames not in self._at_frames:
            c2w, fovy = self.c2w.expand(frames, -1, 4, 4), self.fovy.expand(frames, -1)
            self._at_frames[frames] = replace(self, c2w=c2w, fovy=fovy)
        return self._at_frames[frames]

    @cached_property
    def _at_frames(self) -> dict[int, Cameras]:
        return {}

    def __getitem__(self, index: object) -> Cameras:
        """Index the batch dimensions."""
        if isinstance(index, slice) and index.indices(len(self.c2w)) == (0, len(self.c2w), 1):
            return self
        return replace(self, c2w=self.c2w[index], fovy=self.fovy[index])  # type: ignore[index]


def orbit_c2w(elevation_deg: Tensor, azimuth_deg: Tensor, distance: Tensor | float) -> Tensor:
    """Cameras on a sphere that look at the origin, z up.

    Args:
        elevation_deg, azimuth_deg: ``[...]`` degrees.
        distance: ``[...]`` or a number.

    Returns:
        ``[..., 4, 4]`` OpenGL c2w: the columns of the rotation are right, up, -lookat.
    """
    e, a = torch.deg2rad(elevation_deg), torch.deg2rad(azimuth_deg)
    directions = torch.stack([torch.cos(e) * torch.cos(a), torch.cos(e) * torch.sin(a), torch.sin(e)], dim=-1)
    distance = torch.as_tensor(distance, dtype=directions.dtype, device=directions.device)
    return look_at(distance[..., None] * directions, torch.zeros_like(directions))


def look_at(positions: Tensor, centers: Tensor, up: Tensor | None = None) -> Tensor:
    """OpenGL c2w of cameras at ``positions`` that look at ``centers``; ``up`` defaults to +z.

    Args:
        positions, centers, up: ``[..., 3]``

    Returns:
        ``[..., 4, 4]``
    """
    if up is None:
        up = positions.new_tensor([0.0, 0.0, 1.0]).expand_as(positions)
    normalize = torch.nn.functional.normalize
    lookat = normalize(centers - positions, dim=-1)
    right = normalize(torch.cross(lookat, up, dim=-1), dim=-1)
    true_up = normalize(torch.cross(right, lookat, dim=-1), dim=-1)
    top = torch.stack([right, true_up, -lookat, positions], dim=-1)
    bottom = positions.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*positions.shape[:-1], 1, 4)
    return torch.cat([top, bottom], dim=-2)


ELEVATION = 15.0
"""Degrees from which the videos look down on the object."""


def orbit_cameras(
    elevation_deg: float | Sequence[float],
    azimuth_deg: Sequence[float],
    *,
    distance: float = 3.0,
    fovy_deg: float = 40.0,
    size: int = 256,
) -> Cameras:
    """``V = len(azimuth_deg)`` square cameras around the origin; one elevation for all or one each."""
    azimuth = torch.as_tensor(azimuth_deg, dtype=torch.float32)
    elevation = torch.as_tensor(elevation_deg, dtype=torch.float32).expand_as(azimuth)
    fovy = torch.full_like(azimuth, math.radians(fovy_deg))
    return Cameras(orbit_c2w(elevation, azimuth, distance), fovy, size, size)


def reconstruction_cameras(views: int = 4, size: int = 256) -> Cameras:
    """The cameras of the generated videos: elevation 15°, evenly spaced from azimuth 0°, distance 3, fovy 40°."""
    return orbit_cameras(ELEVATION, [360.0 * v / views for v in range(views)], size=size)


TESTSET_ELEVATIONS_DEG = (15.0, 0.0, 30.0)
TESTSET_AZIMUTHS_DEG = ((0.0, 90.0, 180.0, 270.0), (30.0, 120.0, 210.0, 300.0), (-45.0, 45.0, 135.0, 225.0))


def testset_cameras(size: int = 1024) -> Cameras:
    """The twelve cameras of the paper's test set ``[12]``: elevation by elevation, four azimuths each."""
    elevations = [e for e, row in zip(TESTSET_ELEVATIONS_DEG, TESTSET_AZIMUTHS_DEG, strict=True) for _ in row]
    azimuths = [a for row in TESTSET_AZIMUTHS_DEG for a in row]
    return orbit_cameras(elevations, azimuths, size=size)


testset_cameras.__test__ = False  # type: ignore[attr-defined]  # its name looks like a test to pytest
