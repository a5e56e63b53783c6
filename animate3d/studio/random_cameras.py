"""``random-camera-datamodule``: random cameras for training, evenly spaced ones around the object for evaluation."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from animate3d.cameras import look_at
from animate3d.errors import InputError
from animate3d.studio.base import Updateable
from animate3d.studio.config import parse_structured
from animate3d.studio.ops import get_mvp_matrix, get_projection_matrix, get_ray_directions, get_rays
from animate3d.studio.registry import debug, register

NEAR, FAR = 0.01, 100.0


@dataclass
class RandomCameraDataModuleConfig:
    """Ranges in degrees; height, width and batch size may be lists that switch at ``resolution_milestones``."""

    height: Any = 64
    width: Any = 64
    batch_size: Any = 1
    resolution_milestones: list[int] = field(default_factory=list)
    eval_height: int = 512
    eval_width: int = 512
    eval_batch_size: int = 1
    n_val_views: int = 1
    n_test_views: int = 120
    elevation_range: Any = (-10, 90)
    azimuth_range: Any = (-180, 180)
    camera_distance_range: Any = (1, 1.5)
    fovy_range: Any = (40, 70)
    camera_perturb: float = 0.1
    center_perturb: float = 0.2
    up_perturb: float = 0.02
    light_position_perturb: float = 1.0
    light_distance_range: Any = (0.8, 1.5)
    eval_elevation_deg: float = 15.0
    eval_camera_distance: float = 1.5
    eval_fovy_deg: float = 70.0
    light_sample_strategy: str = "dreamfusion"
    batch_uniform_azimuth: bool = True
    progressive_until: int = 0
    rays_d_normalize: bool = True


def camera_batch(c2w: Tensor, fovy: Tensor, height: int, width: int, normalize: bool) -> dict[str, Tensor]:
    """Rays and matrices of ``B`` cameras: ``rays_o, rays_d [B, H, W, 3]``, ``c2w, proj_mtx, mvp_mtx [B, 4, 4]``."""
    unit = get_ray_directions(height, width, focal=1.0)
    focal = 0.5 * height / torch.tan(0.5 * fovy)
    directions = torch.cat(
        [unit[None, ..., :2] / focal[:, None, None, None], unit[None, ..., 2:].expand(len(focal), -1, -1, -1)], -1
    )
    rays_o, rays_d = get_rays(directions, c2w, keepdim=True, normalize=normalize)
    proj_mtx = get_projection_matrix(fovy, width / height, NEAR, FAR)
    return {
        "rays_o": rays_o,
        "rays_d": rays_d,
        "mvp_mtx": get_mvp_matrix(c2w, proj_mtx),
        "c2w": c2w,
        "fovy": fovy,
        "proj_mtx": proj_mtx,
    }


class RandomCameraIterableDataset(IterableDataset, Updateable):
    """An endless stream of empty items; `collate` samples the batch."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.heights, self.widths, self.batch_sizes = (
            [v] if isinstance(v, int) else list(v) for v in (cfg.height, cfg.width, cfg.batch_size)
        )
        milestones = list(cfg.resolution_milestones)
        stages = len(milestones) + 1
        for name, values in (("height", self.heights), ("width", self.widths), ("batch_size", self.batch_sizes)):
            if len(values) not in (1, stages):
                raise InputError(
                    f"data.{name} has {len(values)} values, but {len(milestones)} resolution_milestones make {stages}."
                )
        self.heights, self.widths, self.batch_sizes = (
            v * stages if len(v) == 1 else v for v in (self.heights, self.widths, self.batch_sizes)
        )
        self.milestones = milestones
        self.elevation_range = tuple(cfg.elevation_range)
        self.azimuth_range = tuple(cfg.azimuth_range)
        self.camera_distance_range = tuple(cfg.camera_distance_range)
        self.fovy_range = tuple(cfg.fovy_range)
        self._set_stage(0)

    def _set_stage(self, stage: int) -> None:
        self.height, self.width, self.batch_size = self.heights[stage], self.widths[stage], self.batch_sizes[stage]

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        """Follow the resolution milestones and widen the ranges until ``progressive_until``."""
        self._set_stage(bisect.bisect_right(self.milestones, global_step))
        r = min(1.0, global_step / (self.cfg.progressive_until + 1))
        low, high = self.cfg.elevation_range
        start = self.cfg.eval_elevation_deg
        self.elevation_range = ((1 - r) * start + r * low, (1 - r) * start + r * high)
        self.azimuth_range = tuple(r * a for a in self.cfg.azimuth_range)
        debug("Camera ranges: elevation %s, azimuth %s", self.elevation_range, self.azimuth_range)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield {}

    def collate(self, batch: Any) -> dict[str, Any]:
        """Sample ``batch_size`` cameras (the item itself is empty)."""
        cfg, size = self.cfg, self.batch_size

        def uniform(bounds: tuple[float, ...]) -> Tensor:
            return torch.rand(size) * (bounds[1] - bounds[0]) + bounds[0]

        if random.random() < 0.5:
            elevation = torch.deg2rad(uniform(self.elevation_range))
        else:  # uniform on the sphere
            low, high = (math.sin(math.radians(e)) for e in self.elevation_range)
            elevation = torch.asin(uniform((low, high)))
        if cfg.batch_uniform_azimuth:
            low, high = self.azimuth_range
            azimuth_deg = (torch.rand(size) + torch.arange(size)) / size * (high - low) + low
        else:
            azimuth_deg = uniform(self.azimuth_range)
        azimuth = torch.deg2rad(azimuth_deg)
        distances = uniform(self.camera_distance_range)
        positions = distances[:, None] * _toward(elevation, azimuth)
        positions = positions + (torch.rand(size, 3) * 2 - 1) * cfg.camera_perturb
        centers = torch.randn(size, 3) * cfg.center_perturb
        up = torch.tensor([0.0, 0.0, 1.0]) + torch.randn(size, 3) * cfg.up_perturb
        fovy = torch.deg2rad(uniform(self.fovy_range))
        c2w = look_at(positions, centers, up)
        return {
            **camera_batch(c2w, fovy, self.height, self.width, cfg.rays_d_normalize),
            "camera_positions": positions,
            "light_positions": self._lights(positions),
            "elevation": torch.rad2deg(elevation),
            "azimuth": azimuth_deg,
            "camera_distances": distances,
            "height": self.height,
            "width": self.width,
        }

    def _lights(self, camera_positions: Tensor) -> Tensor:
        """Point lights near the cameras' directions. ``[B, 3]``"""
        cfg, size = self.cfg, len(camera_positions)
        low, high = cfg.light_distance_range
        distances = torch.rand(size, 1) * (high - low) + low
        if cfg.light_sample_strategy == "dreamfusion":
            return F.normalize(camera_positions + torch.randn(size, 3) * cfg.light_position_perturb, dim=-1) * distances
        if cfg.light_sample_strategy == "magic3d":
            z = F.normalize(camera_positions, dim=-1)
            x = F.normalize(torch.stack([z[:, 1], -z[:, 0], torch.zeros_like(z[:, 0])], dim=-1), dim=-1)
            frame = torch.stack([x, F.normalize(torch.cross(z, x, dim=-1), dim=-1), z], dim=-1)
            azimuth = torch.rand(size) * 2 * math.pi
            elevation = torch.rand(size) * math.pi / 3 + math.pi / 6
            return (frame @ (_toward(elevation, azimuth) * distances)[..., None])[..., 0]
        raise InputError(
            f"Unknown light_sample_strategy '{cfg.light_sample_strategy}': use 'dreamfusion' or 'magic3d'."
        )


def _toward(elevation: Tensor, azimuth: Tensor) -> Tensor:
    """Unit vectors ``[B, 3]`` of angles in radians."""
    return torch.stack([elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], dim=-1)


class RandomCameraDataset(Dataset):
    """Evenly spaced cameras at one elevation.

    Validation leaves out 360 degrees; testing includes it, so its last view repeats the first.
    """

    def __init__(self, cfg: Any, split: str) -> None:
        super().__init__()
        self.cfg = cfg
        self.split = split
        n = self.n_views = cfg.n_val_views if split == "val" else cfg.n_test_views
        azimuth = torch.linspace(0, 360.0, n + 1)[:n] if split == "val" else torch.linspace(0, 360.0, n)
        elevation = torch.full_like(azimuth, cfg.eval_elevation_deg)
        distances = torch.full_like(azimuth, cfg.eval_camera_distance)
        eval_fovy = torch.full_like(azimuth, cfg.eval_fovy_deg)
        # In float32 and in this order, as the real host has it: a bit more or less moves a pixel's value by one.
        fovy, e, a = (degrees * math.pi / 180 for degrees in (eval_fovy, elevation, azimuth))
        positions = torch.stack(
            [distances * e.cos() * a.cos(), distances * e.cos() * a.sin(), distances * e.sin()], dim=-1
        )
        c2w = look_at(positions, torch.zeros_like(positions))
        self.views: dict[str, Tensor] = {
            **camera_batch(c2w, fovy, cfg.eval_height, cfg.eval_width, cfg.rays_d_normalize),
            "camera_positions": c2w[:, :3, 3],
            "light_positions": c2w[:, :3, 3],
            "elevation": elevation,
            "azimuth": azimuth,
            "camera_distances": distances,
        }

    def __len__(self) -> int:
        return self.n_views

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {name: values[index] for name, values in self.views.items()}
        return {"index": index, "height": self.cfg.eval_height, "width": self.cfg.eval_width, **item}

    def collate(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Join items; height and width stay numbers."""
        return {**default_collate(batch), "height": self.cfg.eval_height, "width": self.cfg.eval_width}


@register("random-camera-datamodule")
class RandomCameraDataModule(pl.LightningDataModule):
    """Random cameras for training, evenly spaced ones for validation, testing and export."""

    Config = RandomCameraDataModuleConfig

    def __init__(self, cfg: Any = None) -> None:
        super().__init__()
        self.cfg: Any = parse_structured(RandomCameraDataModuleConfig, {} if cfg is None else cfg)

    def setup(self, stage: str | None = None) -> None:
        """Make the datasets of a stage."""
        if stage in (None, "fit"):
            self.train_dataset = RandomCameraIterableDataset(self.cfg)
        if stage in (None, "fit", "validate"):
            self.val_dataset = RandomCameraDataset(self.cfg, "val")
        if stage in (None, "test", "predict"):
            self.test_dataset = RandomCameraDataset(self.cfg, "test")

    def train_dataloader(self) -> DataLoader:
        # Sampling follows the dataset's state at this step, so it has to happen in this process.
        return DataLoader(self.train_dataset, num_workers=0, batch_size=None, collate_fn=self.train_dataset.collate)

    def val_dataloader(self) -> DataLoader:
        return self._evaluation_loader(self.val_dataset)

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader(self.test_dataset)

    def predict_dataloader(self) -> DataLoader:
        return self._evaluation_loader(self.test_dataset)

    def _evaluation_loader(self, dataset: RandomCameraDataset) -> DataLoader:
        return DataLoader(dataset, num_workers=0, batch_size=1, collate_fn=dataset.collate)
