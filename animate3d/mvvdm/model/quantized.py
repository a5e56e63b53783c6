"""Weights of eight bits: half the memory of half precision, the same arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from animate3d.mvvdm.model.unet import MultiViewUNet

ENDS = ("conv_in", "conv_out", "time_embedding", "camera_embedding", "encoder_hid_proj", "origin_head")
"""Where the UNet begins and ends: half a hundredth of its weights, which keep their precision."""
SMALLEST = 1024
"""Numbers of a weight below which nothing is gained."""


class EightBits(nn.Module):
    """A weight as whole numbers -127..127 and the largest value of every output channel.

    The weight is made of them whenever ``layer.weight`` is read, layer by layer, and not kept.
    """

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """``[out, ...]`` to int8 ``[out, ...]`` and ``[out, 1, ...]``."""
        largest = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
        whole = weight.float() / largest.float().clamp_min(torch.finfo(torch.float32).tiny) * 127
        return whole.round().to(torch.int8), largest

    def forward(self, whole: Tensor, largest: Tensor) -> Tensor:
        """The weight, in the precision of ``largest``."""
        return (whole * largest).mul_(1 / 127)


@torch.no_grad()
def quantize(unet: MultiViewUNet) -> None:
    """Keep the weights of a UNet that is only used as eight bits each.

    The convolutions of the finest level keep their precision: they are a hundredth of the weights, and most of the
    error comes from them.
    """
    unet.requires_grad_(False)
    finest = ("down_blocks.0.", f"up_blocks.{len(unet.up_blocks) - 1}.")
    for name, module in list(unet.named_modules()):
        kinds = nn.Linear if name.startswith(finest) else (nn.Linear, nn.Conv2d)
        if isinstance(module, kinds) and name.split(".")[0] not in ENDS and module.weight.numel() >= SMALLEST:
            parametrize.register_parametrization(module, "weight", EightBits())
