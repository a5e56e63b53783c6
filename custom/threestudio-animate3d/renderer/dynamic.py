"""`diff-gaussian-rasterizer-advanced-4d`: deforms a Gaussian model and draws it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize import Rendering, Splats
from animate3d.studio import api as threestudio

from .base import SplatRenderer, batch_cameras, float32, host_outputs


class Drawn(NamedTuple):
    """A rendering of F frames from V views with what it was made from."""

    images: Rendering
    splats: Splats
    background: Tensor  # [3]


@threestudio.register("diff-gaussian-rasterizer-advanced-4d")
class MovingRenderer(SplatRenderer):
    """The geometry needs ``deform(times, …)`` and ``splats_of(…)``."""

    @dataclass
    class Config(SplatRenderer.Config):
        first_frame_trainable: bool = False
        """Deform frame 0 as well, which otherwise is the static model."""

    cfg: Config

    def forward(
        self, cameras: Cameras, times: Tensor, *, use_delta_scale: bool = True, grad_ratio: float = 1.0
    ) -> Drawn:
        """Deform once at all times and draw all frames from all views.

        Args:
            cameras: ``[V]`` for every frame, or ``[F, V]``.
            times: ``[F]`` in -1..1.
            use_delta_scale: apply the learned change of scale.
            grad_ratio: share of the Gaussians that receive gradient from an image.
        """
        geometry = self.geometry
        background = self.background_color(times.device)
        with float32(times):
            means, quats, scales = geometry.deform(
                times, use_delta_scale=use_delta_scale, first_frame_trainable=self.cfg.first_frame_trainable
            )
            splats = geometry.splats_of(means, quats, scales, cameras.positions)
            return Drawn(self.draw(splats, cameras, background, grad_ratio), splats, background)

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
