"""`gaussian-rasterizer-static`: draws a static Gaussian model."""

from typing import Any

from torch import Tensor

from animate3d.studio import api as threestudio

from .base import SplatRenderer, batch_cameras, float32, host_outputs


@threestudio.register("gaussian-rasterizer-static")
class StaticRenderer(SplatRenderer):
    """The geometry needs ``splats(camera_positions)``."""

    def batch_forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """One image per camera of the batch: ``comp_rgb``, ``comp_mask``, ``comp_depth`` ``[B, H, W, C]``."""
        device = self.geometry.get_xyz.device
        cameras = batch_cameras(batch, device)
        with float32(self.geometry.get_xyz):
            splats = self.geometry.splats(cameras.positions)
            return host_outputs(self.draw(splats, cameras, self.background_color(device)))

    forward = batch_forward


if threestudio.EMBEDDED:  # configs of the original say this name, which beside threestudio belongs to threestudio-3dgs
    threestudio.register("diff-gaussian-rasterizer-advanced")(StaticRenderer)
