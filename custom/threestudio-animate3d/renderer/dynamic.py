"""`diff-gaussian-rasterizer-advanced-4d`: deforms a Gaussian model and draws it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from animate3d.studio import api as threestudio

from .base import SplatRenderer, batch_cameras, float32, host_outputs


@threestudio.register("diff-gaussian-rasterizer-advanced-4d")
class MovingRenderer(SplatRenderer):
    """The geometry needs ``deform(times, …)`` and ``splats_of(…)``."""

    @dataclass
    class Config(SplatRenderer.Config):
        first_frame_trainable: bool = False
        """Deform frame 0 as well, which otherwise is the static model."""

    cfg: Config

    def batch_forward(self, batch: dict[str, Any], *, use_delta_scale: bool = True) -> dict[str, Tensor]:
        """One image per camera and time stamp of the batch ``[B, H, W, C]``; equal times are deformed once."""
        device = self.geometry.get_xyz.device
        cameras = batch_cameras(batch, device)
        times, frame = torch.unique(batch["timestamps"].to(device).float().flatten(), return_inverse=True)
        with float32(times):
            moved = self.geometry.deform(
                times, use_delta_scale=use_delta_scale, first_frame_trainable=self.cfg.first_frame_trainable
            )
            cameras = cameras[:, None]  # frame i has one camera of its own
            splats = self.geometry.splats_of(*(part[frame] for part in moved), cameras.positions)
            return host_outputs(self.draw(splats, cameras, self.background_color(device)))

    forward = batch_forward
