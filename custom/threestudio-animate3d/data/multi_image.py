"""`simple-multi-image-datamodule`: the frames of synchronised videos, and cameras for everything else."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from animate3d.cameras import Cameras, orbit_c2w
from animate3d.errors import InputError
from animate3d.frames import load_frames
from animate3d.orbits import frame_times
from animate3d.studio import api as threestudio

from .orbits import OrbitConfig, RandomOrbits, camera_batch, test_items, validation_items

VALIDATION_BATCH = 8
MASK_THRESHOLD = 0.5
PIXELS_AT_ONCE = 1 << 22
"""Pixels of all images that a training step holds together by default: 64 images of 256², 4 of 1024²."""
PIXELS_ON_A_GPU = 1 << 24
"""The same on a GPU, where 16 images of 1024² are 1.5 GB and every call of the rasteriser has to be started."""


@dataclass
class MultiImageConfig:
    """The keys of ``data``."""

    image_root: str = ""
    """Folder of RGBA images ``{v*F+f}.png``; only training reads them."""
    width: int = 256
    height: int = 256
    default_elevation_deg: float = 15.0
    default_azimuth_deg: list[float] = field(default_factory=lambda: [0.0, 90.0, 180.0, 270.0])
    default_camera_distance: float = 3.0
    default_fovy_deg: float = 40.0
    n_view: int = 4
    total_frame: int = 16
    use_random_camera: bool = False
    """Add a random orbit to every training batch (``random_camera``)."""
    chunk_views: int | None = None
    """Images that a training step draws and compares at a time; the loss is the same. None: as many as have
    `PIXELS_AT_ONCE` together."""
    random_camera: dict = field(default_factory=dict)
    requires_depth: bool = False
    rays_d_normalize: bool = False
    """Accepted for the documented configs: the rasteriser needs no rays, so batches have none."""


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames ``[V, F, H, W, 4]`` at another size of the same shape (by area when it is smaller).

    Raises:
        InputError: the shape differs, so the object would be stretched.
    """
    before_height, before_width = frames.shape[2:4]
    if (before_height, before_width) == (height, width):
        return frames
    if before_height * width != before_width * height:
        raise InputError(
            f"The frames are {before_width}x{before_height}; data.width x data.height = {width}x{height} would stretch "
            "them. Choose a size of the same shape."
        )
    images = frames.flatten(0, 1).movedim(-1, 1)
    if height < before_height:
        images = F.interpolate(images, (height, width), mode="area")
    else:
        images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    return images.movedim(1, -1).unflatten(0, frames.shape[:2]).contiguous()


class MultiImageStream(IterableDataset):
    """An endless stream of one batch: all views and frames, flattened view-major ``[V * F, …]``.

    Its tensors are prepared once and reused; only the random orbit is new in every batch.
    """

    def __init__(self, config: MultiImageConfig, orbits: RandomOrbits | None) -> None:
        self.images = read_images(config)
        self.cameras = {**reconstruction_batch(config), "chunk_views": images_at_once(config)}
        self.orbits = orbits

    def to(self, device: torch.device) -> None:
        """Move the prepared tensors, once."""
        for tensors in (self.images, self.cameras):
            tensors.update({k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            batch = {**self.images, **self.cameras}
            if self.orbits is not None:
                batch["random_camera"] = self.orbits.draw()
            yield batch


def images_at_once(config: MultiImageConfig) -> int:
    """Images in memory at a time, all of them when they fit.

    Raises:
        InputError: data.chunk_views is not a positive number.
    """
    if config.chunk_views is not None and config.chunk_views < 1:
        raise InputError(f"data.chunk_views is {config.chunk_views}; it is a number of images, at least 1.")
    pixels = PIXELS_ON_A_GPU if torch.cuda.is_available() else PIXELS_AT_ONCE
    fitting = max(1, pixels // (config.height * config.width))
    return min(config.chunk_views or fitting, config.n_view * config.total_frame)


def read_images(config: MultiImageConfig) -> dict[str, Tensor]:
    """``rgb [V * F, H, W, 3]`` and the binary ``mask [V * F, H, W, 1]`` of the folder.

    Floats in 0..1 when a step takes all images at once, otherwise uint8 (0..255, 0 and 1): images of 1024² would take
    gigabytes as floats.
    """
    if not config.image_root or not Path(config.image_root).is_dir():
        raise InputError(
            f"The folder of frames {config.image_root or '(empty)'} does not exist: set data.image_root to the folder "
            f"of {config.n_view * config.total_frame} RGBA images."
        )
    frames = load_frames(config.image_root, config.n_view, config.total_frame)
    rgba = resize(frames, config.height, config.width).flatten(0, 1)
    rgb, mask = rgba[..., :3], rgba[..., 3:] > MASK_THRESHOLD
    if images_at_once(config) == len(rgba):
        return {"rgb": rgb.contiguous(), "mask": mask.float()}
    return {"rgb": torch.cat([(image * 255).round().to(torch.uint8)[None] for image in rgb]), "mask": mask.byte()}


def reconstruction_batch(config: MultiImageConfig) -> dict[str, Any]:
    """The cameras and time stamps of the videos ``[V * F]``, view-major."""
    if len(config.default_azimuth_deg) != config.n_view:
        raise InputError(
            f"data.default_azimuth_deg has {len(config.default_azimuth_deg)} azimuths for data.n_view = "
            f"{config.n_view} views; give one for each view."
        )
    azimuth = torch.tensor(list(config.default_azimuth_deg), dtype=torch.float32).repeat_interleave(config.total_frame)
    elevation = torch.full_like(azimuth, config.default_elevation_deg)
    distances = torch.full_like(azimuth, config.default_camera_distance)
    fovy = torch.full_like(azimuth, math.radians(config.default_fovy_deg))
    cameras = Cameras(orbit_c2w(elevation, azimuth, distances), fovy, config.height, config.width)
    times = frame_times(config.total_frame).repeat(config.n_view)
    return camera_batch(cameras, elevation, azimuth, distances, times, near=0.1)


@threestudio.register("simple-multi-image-datamodule")
class MultiImageDataModule(pl.LightningDataModule):
    """Training reads the images; validation and test need cameras only."""

    def __init__(self, cfg: Any = None) -> None:
        super().__init__()
        self.cfg = threestudio.parse_structured(MultiImageConfig, {} if cfg is None else cfg)
        self.orbit_cfg = threestudio.parse_structured(OrbitConfig, self.cfg.random_camera)
        if self.cfg.requires_depth:
            raise InputError("data.requires_depth is not supported: depth images are not used.")

    @property
    def test_frames(self) -> int:
        """Frames that validation and test show."""
        return self.orbit_cfg.total_frame

    def setup(self, stage: str | None = None) -> None:
        """Prepare what a stage (fit, validate, test, predict) needs."""
        if stage in (None, "fit"):
            orbits = RandomOrbits(self.orbit_cfg) if self.cfg.use_random_camera else None
            self.train_dataset = MultiImageStream(self.cfg, orbits)
        if stage in (None, "fit", "validate"):
            self.val_dataset = validation_items(self.orbit_cfg)
        if stage in (None, "test", "predict"):
            self.test_dataset = test_items(self.orbit_cfg)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a training batch only the first time: its images are always the same."""
        if "rgb" in batch and batch["rgb"].device != device:
            self.train_dataset.to(device)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_dataset, batch_size=None, num_workers=0)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val_dataset, batch_size=VALIDATION_BATCH, num_workers=0, shuffle=False)

    def test_dataloader(self) -> DataLoader:
        # One camera with all its frames at a time.
        return DataLoader(self.test_dataset, batch_size=self.test_frames, num_workers=0, shuffle=False)

    predict_dataloader = test_dataloader
