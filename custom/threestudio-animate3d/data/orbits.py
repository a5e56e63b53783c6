"""Cameras beside the images: random orbits for 4D-SDS, the turntable of validation, the test set."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from animate3d.cameras import TESTSET_AZIMUTHS_DEG, TESTSET_ELEVATIONS_DEG, Cameras, orbit_c2w
from animate3d.errors import InputError
from animate3d.orbits import OrbitRanges, draw_orbits, frame_times, place_orbits, turntable_azimuths
from animate3d.studio import api as threestudio


@dataclass
class OrbitConfig:
    """The keys of ``data.random_camera``."""

    batch_size: int = 64
    """Images of a random batch: orbits times views times frames."""
    n_view: int = 4
    total_frame: int = 16
    width: int = 256
    height: int = 256
    eval_width: int = 512
    eval_height: int = 512
    camera_distance_range: list[float] = field(default_factory=lambda: [0.8, 1.0])
    """Relative to the distance at which the image is as high as the unit ball."""
    fovy_range: list[float] = field(default_factory=lambda: [15.0, 60.0])
    elevation_range: list[float] = field(default_factory=lambda: [0.0, 30.0])
    azimuth_range: list[float] = field(default_factory=lambda: [-180.0, 180.0])
    zoom_range: list[float] = field(default_factory=lambda: [1.0, 1.0])
    camera_perturb: float = 0.0
    center_perturb: float = 0.0
    up_perturb: float = 0.0
    n_val_views: int = 128
    """Images of a validation: one turn around the object while its time runs in a loop."""
    eval_camera_distance: float = 3.0
    eval_fovy_deg: float = 40.0
    eval_elevation_deg: list[float] = field(default_factory=lambda: list(TESTSET_ELEVATIONS_DEG))
    eval_azimuth_deg: list[list[float]] = field(default_factory=lambda: [list(row) for row in TESTSET_AZIMUTHS_DEG])
    """One row of azimuths for every elevation."""


def camera_batch(
    cameras: Cameras, elevation: Tensor, azimuth: Tensor, distances: Tensor, times: Tensor, near: float = 0.01
) -> dict[str, Any]:
    """The host's names for M cameras. All tensors are ``[M, …]``; height and width are numbers."""
    projection = threestudio.get_projection_matrix(cameras.fovy, cameras.width / cameras.height, near, 100.0)
    return {
        "c2w": cameras.c2w,
        "fovy": cameras.fovy,
        "mvp_mtx": threestudio.get_mvp_matrix(cameras.c2w, projection),
        "camera_positions": cameras.positions,
        # There is no shading; the host's guidance and materials expect a light, so it sits in the camera.
        "light_positions": cameras.positions,
        "elevation": elevation,
        "azimuth": azimuth,
        "camera_distances": distances,
        "timestamps": times[:, None],
        "height": cameras.height,
        "width": cameras.width,
    }


def placed_cameras(elevation: Tensor, azimuth: Tensor, times: Tensor, config: OrbitConfig) -> dict[str, Any]:
    """`camera_batch` of M evaluation cameras at given angles (degrees) and times."""
    distances = torch.full_like(azimuth, config.eval_camera_distance)
    fovy = torch.full_like(azimuth, math.radians(config.eval_fovy_deg))
    c2w = orbit_c2w(elevation, azimuth, distances)
    cameras = Cameras(c2w, fovy, config.eval_height, config.eval_width)
    return camera_batch(cameras, elevation, azimuth, distances, times)


class RandomOrbits:
    """Draws ``batch_size`` images as whole orbits of V views and F frames, flattened sample, view, frame."""

    def __init__(self, config: OrbitConfig) -> None:
        self.config = config
        self.images = config.n_view * config.total_frame
        if config.batch_size % self.images or config.batch_size < self.images:
            raise InputError(
                f"data.random_camera.batch_size is {config.batch_size}; it must be a multiple of n_view * total_frame "
                f"= {config.n_view} * {config.total_frame} = {self.images}."
            )
        self.ranges = OrbitRanges(
            elevation_deg=tuple(config.elevation_range),
            azimuth_deg=tuple(config.azimuth_range),
            fovy_deg=tuple(config.fovy_range),
            distance=tuple(config.camera_distance_range),
            zoom=tuple(config.zoom_range),
            camera_perturb=config.camera_perturb,
            center_perturb=config.center_perturb,
            up_perturb=config.up_perturb,
        )

    def draw(self) -> dict[str, Any]:
        """A batch of new cameras."""
        config = self.config
        draws = draw_orbits(config.batch_size // self.images, config.n_view, config.total_frame)
        orbits = place_orbits(draws, self.ranges, config.n_view, config.total_frame, config.height, config.width)
        return camera_batch(orbits.cameras, orbits.elevation_deg, orbits.azimuth_deg, orbits.distances, orbits.times)


class CameraItems(Dataset):
    """Cameras one by one, for evaluation. A batch of items has the form of `camera_batch` and their ``index``."""

    def __init__(self, cameras: dict[str, Any], labels: list[str]) -> None:
        self.cameras = cameras
        self.labels = labels
        """Per item, the name of its camera; items of one camera follow each other."""

    def __len__(self) -> int:
        return len(self.cameras["c2w"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = {key: value[index] if isinstance(value, Tensor) else value for key, value in self.cameras.items()}
        return {"index": index, "camera": self.labels[index], **item}


def validation_items(config: OrbitConfig) -> CameraItems:
    """A turntable at the first elevation: item i is camera i at time i mod F.

    (The original shows camera F * (i div F) instead, so its turntable stands still for F images and then jumps.)
    """
    count = config.n_val_views
    azimuth = turntable_azimuths(count)
    times = frame_times(config.total_frame)[torch.arange(count) % config.total_frame]
    elevation = torch.full_like(azimuth, config.eval_elevation_deg[0])
    return CameraItems(placed_cameras(elevation, azimuth, times, config), [str(i) for i in range(count)])


def test_items(config: OrbitConfig) -> CameraItems:
    """Every camera at every time: item i is camera i div F at time i mod F, cameras elevation by elevation."""
    rows, frames = config.eval_azimuth_deg, config.total_frame
    if len(rows) != len(config.eval_elevation_deg) or not all(len(row) for row in rows):
        raise InputError(
            f"data.random_camera.eval_azimuth_deg needs one row of azimuths for each of the "
            f"{len(config.eval_elevation_deg)} elevations of eval_elevation_deg; it has {len(rows)} rows."
        )
    angles = [(e, a) for e, row in zip(config.eval_elevation_deg, rows, strict=True) for a in row]
    elevation, azimuth = torch.tensor(angles, dtype=torch.float32).repeat_interleave(frames, dim=0).unbind(1)
    times = frame_times(frames).repeat(len(angles))
    labels = [f"elv_{i}_azi_{j}" for i, row in enumerate(rows) for j in range(len(row)) for _ in range(frames)]
    return CameraItems(placed_cameras(elevation, azimuth, times, config), labels)
