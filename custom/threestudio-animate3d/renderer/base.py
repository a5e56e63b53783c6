"""What both renderers share: background, image sizes, precision, and the layout of the host's batches."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.rasterize import Rendering, Splats, render
from animate3d.studio import api as threestudio


class SplatRenderer(threestudio.Rasterizer):
    """Draws through `animate3d.rasterize.render`."""

    @dataclass
    class Config(threestudio.Rasterizer.Config):
        debug: bool = False
        """Accepted for the documented configs; there is nothing more to print."""
        back_ground_color: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
        invert_bg_prob: float = 1.0
        """In training the background is inverted with the probability 1 - p; outside of training it always is
        (that is why the static config asks for 0.498 and shows 0.502)."""
        backend: str = "auto"
        """Rasteriser: auto, reference, cpu or cuda."""
        chunk_views: int | None = None
        """Images rendered at once, to bound the memory."""

    cfg: Config

    def configure(self, *args: Any, **kwargs: Any) -> None:
        super().configure(*args, **kwargs)
        if len(self.cfg.back_ground_color) != 3:
            raise InputError(f"system.renderer.back_ground_color is {self.cfg.back_ground_color}; it needs 3 numbers.")
        self._backgrounds: dict[tuple[torch.device, bool], Tensor] = {}
        self._invert_bg_prob = float(self.cfg.invert_bg_prob)
        self._how = {"backend": self.cfg.backend, "chunk_views": self.cfg.chunk_views}

    def background_color(self, device: torch.device) -> Tensor:
        """The background of the next images ``[3]``: the same tensor whenever it has the same colour."""
        inverted = not self.training or bool(torch.rand(()) > self._invert_bg_prob)
        if (device, inverted) not in self._backgrounds:
            color = torch.tensor(list(self.cfg.back_ground_color), dtype=torch.float32, device=device)
            self._backgrounds[device, inverted] = 1.0 - color if inverted else color
        return self._backgrounds[device, inverted]

    def draw(self, splats: Splats, cameras: Cameras, background: Tensor, grad_ratio: float = 1.0) -> Rendering:
        """Images of F frames from V views, in float32 whatever the precision of the rest.

        Args:
            splats: F frames.
            cameras: ``[V]`` or ``[F, V]``
            background: ``[3]``
            grad_ratio: share of the Gaussians, drawn anew for every image, that receive gradient from it.
        """
        grad_mask = None
        if grad_ratio < 1 and torch.is_grad_enabled():
            shape = (len(splats.means), cameras.shape[-1], splats.means.shape[1])
            grad_mask = torch.rand(shape, device=splats.means.device) < grad_ratio
        return render(splats, cameras, background=background, grad_mask=grad_mask, **self._how)


def float32(tensor: Tensor) -> torch.autocast:
    """Context without mixed precision: half floats are too coarse for pixel positions and for ARAP's rotations."""
    return torch.autocast(tensor.device.type, enabled=False)


def batch_cameras(batch: dict[str, Any], device: torch.device) -> Cameras:
    """Cameras ``[B]`` of one of the host's batches."""
    return Cameras(batch["c2w"].to(device).float(), batch["fovy"].to(device).float().flatten(), *image_size(batch))


def image_size(batch: dict[str, Any]) -> tuple[int, int]:
    """Height and width; datasets without a collate function give them as tensors."""

    def whole(value: Any) -> int:
        return int(value.flatten()[0]) if isinstance(value, Tensor) else int(value)

    return whole(batch["height"]), whole(batch["width"])


def host_outputs(rendering: Rendering) -> dict[str, Tensor]:
    """The images of a one-camera-per-frame rendering under the host's names, ``[B, H, W, C]``."""
    return {
        "comp_rgb": rendering.color.flatten(0, 1),
        "comp_mask": rendering.alpha.flatten(0, 1),
        "comp_depth": rendering.depth.flatten(0, 1),
    }
