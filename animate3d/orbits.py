"""Random orbits for 4D-SDS and the turntable of validation renders.

The reference implementation has them in ``custom/threestudio-animate3d/data/uncond_hybrid.py``.

`draw_orbits` draws the numbers, `place_orbits` turns numbers into cameras and draws nothing: the same numbers
always give the same cameras. One orbit per sample: its V views and F frames share elevation, field of view and
distance. Flattened order is sample, view, frame (frame fastest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from animate3d.cameras import Cameras, look_at, orbit_c2w
from animate3d.errors import InputError


@dataclass(frozen=True)
class OrbitRanges:
    """The ranges that random orbits are drawn from.

    Attributes:
        elevation_deg, azimuth_deg, fovy_deg: degrees, lower and upper end.
        distance: relative to the distance at which the frame is as high as the unit ball, ``1 / tan(fovy / 2)``.
        zoom: factor on the field of view after the distance was fixed by it.
        camera_perturb: half the width of the uniform shift of every camera's position.
        center_perturb, up_perturb: standard deviation of the shift of the point looked at and of the up vector.
    """

    elevation_deg: tuple[float, float] = (0.0, 30.0)
    azimuth_deg: tuple[float, float] = (-180.0, 180.0)
    fovy_deg: tuple[float, float] = (15.0, 60.0)
    distance: tuple[float, float] = (0.8, 1.0)
    zoom: tuple[float, float] = (1.0, 1.0)
    camera_perturb: float = 0.0
    center_perturb: float = 0.0
    up_perturb: float = 0.0

    def __post_init__(self) -> None:
        for name in ("elevation_deg", "azimuth_deg", "fovy_deg", "distance", "zoom"):
            low, high = getattr(self, name)
            if not low <= high:
                raise InputError(f"The range of {name} runs from {low} down to {high}: the lower end comes first.")
        if not 0 < self.fovy_deg[0] <= self.fovy_deg[1] * self.zoom[1] < 180:
            raise InputError(f"The field of view must stay between 0 and 180 degrees, got the range {self.fovy_deg}.")


@dataclass(frozen=True)
class OrbitDraws:
    """The random numbers of B orbits, each uniform in [0, 1) unless said otherwise.

    Attributes:
        uniform_degrees: the elevation is uniform in degrees; otherwise uniform on the sphere.
        elevation, azimuth, fovy, distance, zoom: ``[B]``
        position: ``[B * V * F, 3]``, shift of the camera.
        center, up: ``[B * V * F, 3]``, standard normal.
    """

    uniform_degrees: bool
    elevation: Tensor
    azimuth: Tensor
    fovy: Tensor
    distance: Tensor
    zoom: Tensor
    position: Tensor
    center: Tensor
    up: Tensor


@dataclass(frozen=True)
class Orbits:
    """Cameras of B orbits with V views and F frames each, flattened to ``M = B * V * F``.

    Attributes:
        cameras: ``[M]``
        elevation_deg, azimuth_deg, distances: ``[M]`` before any perturbation.
        times: ``[M]`` in -1..1.
    """

    cameras: Cameras
    elevation_deg: Tensor
    azimuth_deg: Tensor
    distances: Tensor
    times: Tensor


def frame_times(frames: int) -> Tensor:
    """Time stamps of F frames ``[F]``: evenly from -1 (the static model) to 1."""
    return torch.linspace(-1.0, 1.0, frames)


def draw_orbits(samples: int, views: int, frames: int, generator: torch.Generator | None = None) -> OrbitDraws:
    """Draw the random numbers of ``samples`` orbits."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    images = samples * views * frames
    return OrbitDraws(
        uniform_degrees=bool(uniform(1) < 0.5),
        elevation=uniform(samples),
        azimuth=uniform(samples),
        fovy=uniform(samples),
        distance=uniform(samples),
        zoom=uniform(samples),
        position=uniform(images, 3),
        center=torch.randn(images, 3, generator=generator),
        up=torch.randn(images, 3, generator=generator),
    )


def place_orbits(
    draws: OrbitDraws, ranges: OrbitRanges, views: int, frames: int, height: int, width: int | None = None
) -> Orbits:
    """Cameras from drawn numbers.

    View k of an orbit stands at the fraction (u + k) / V of the azimuth range, u drawn once per orbit.
    """
    elevation = _elevation(draws, ranges)
    low, high = ranges.azimuth_deg
    azimuth = low + (high - low) * (draws.azimuth[:, None] + torch.arange(views)) / views  # [B, V]
    fovy = torch.deg2rad(_lerp(ranges.fovy_deg, draws.fovy))
    # The zoom comes after the distance, otherwise moving back would undo it.
    distance = _lerp(ranges.distance, draws.distance) / torch.tan(fovy / 2)
    fovy = fovy * _lerp(ranges.zoom, draws.zoom)

    def per_image(values: Tensor) -> Tensor:  # [B] or [B, V] -> [B * V * F]
        values = values if values.ndim == 2 else values[:, None].expand(-1, views)
        return values[..., None].expand(-1, -1, frames).flatten()

    elevation, azimuth, fovy, distance = (per_image(x) for x in (elevation, azimuth, fovy, distance))
    position = orbit_c2w(elevation, azimuth, distance)[:, :3, 3]
    position = position + (2 * draws.position - 1) * ranges.camera_perturb
    up = position.new_tensor([0.0, 0.0, 1.0]) + draws.up * ranges.up_perturb
    c2w = look_at(position, draws.center * ranges.center_perturb, up)
    return Orbits(
        cameras=Cameras(c2w, fovy, height, height if width is None else width),
        elevation_deg=elevation,
        azimuth_deg=azimuth,
        distances=distance,
        times=frame_times(frames).repeat(len(draws.elevation) * views),
    )


def turntable_azimuths(count: int) -> Tensor:
    """``[count]`` degrees, once around from 0."""
    return torch.linspace(0.0, 360.0, count + 1)[:count]


def _elevation(draws: OrbitDraws, ranges: OrbitRanges) -> Tensor:
    if draws.uniform_degrees:
        return _lerp(ranges.elevation_deg, draws.elevation)
    low, high = (math.sin(math.radians(e)) for e in ranges.elevation_deg)
    return torch.rad2deg(torch.asin(_lerp((low, high), draws.elevation)))


def _lerp(ends: tuple[float, float], t: Tensor) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * t
