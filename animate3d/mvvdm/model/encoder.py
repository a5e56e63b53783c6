"""The image encoder with gradient to its images, and little memory: what score distillation needs of an autoencoder.

Its weights are frozen. Of every group norm, SiLU and convolution in a row only the norm's input is kept: the norm's
activations are cheap to compute again, and the convolution's input is needed for the gradient of its weights alone. The
first levels, where the images are large, need most of the memory and are computed again as a whole if it is scarce.

The modules are diffusers' and keep their weights; here they are only read. Channels are last in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Encoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad
from torch.utils.checkpoint import checkpoint

from animate3d.mvvdm.model import fused, launches
from animate3d.mvvdm.model.gradients import FrozenConv, conv_backward, norm_backward
from animate3d.mvvdm.model.launches import Places, Statistics

KEPT_GIB = 2.5
"""Memory for what is kept from the forward for the backward pass."""


def supports(vae: Any) -> bool:
    """Whether `moments` can compute the encoder: layers of known kinds, in their usual places."""
    encoder = vae.encoder if isinstance(vae, AutoencoderKL) else None  # type: ignore[attr-defined]
    if type(encoder) is not Encoder:
        return False
    blocks: list[Any] = list(encoder.down_blocks)
    resnets = [*(r for block in blocks for r in getattr(block, "resnets", ())), *_middle(vae)[0]]
    return (
        all(type(block) is DownEncoderBlock2D for block in blocks)
        and all(_known(resnet) for resnet in resnets)
        and all(_known_downsampling(d) for block in blocks for d in block.downsamplers or ())
        and len(vae.encoder.mid_block.attentions) == 1
        and isinstance(vae.encoder.conv_norm_out, nn.GroupNorm)
    )


def _known(resnet: nn.Module) -> bool:
    return (
        isinstance(resnet, ResnetBlock2D)
        and resnet.time_emb_proj is None
        and not (resnet.up or resnet.down)
        and isinstance(resnet.nonlinearity, nn.SiLU)
        and isinstance(resnet.norm1, nn.GroupNorm)
        and resnet.dropout.p == 0
    )


def _known_downsampling(layer: nn.Module) -> bool:
    return (
        isinstance(layer, Downsample2D) and isinstance(layer.conv, nn.Conv2d) and layer.padding == 0 and not layer.norm
    )


def moments(vae: Any, images: Tensor, recomputed: int) -> Tensor:
    """Mean and log-variance ``[N, 2 C, h, w]`` of images ``[N, 3, H, W]`` in -1..1.

    Args:
        recomputed: so many levels, from the first one, are computed again in the backward pass.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    recomputed = recomputed if torch.is_grad_enabled() and images.requires_grad else 0
    count = len(vae.encoder.down_blocks)

    def levels(first: int, last: int, hidden: Tensor) -> Tensor:
        if first == 0:
            hidden = _conv(vae.encoder.conv_in, hidden)
        for block in list(vae.encoder.down_blocks)[first:last]:
            hidden = _level(block, hidden)
        return hidden if last < count else _end(vae, hidden)

    if recomputed == 0:
        return levels(0, count, images)
    hidden = cast(Tensor, checkpoint(levels, 0, recomputed, images, use_reentrant=False))
    return hidden if recomputed >= count else levels(recomputed, count, hidden)


def levels_to_recompute(vae: Any, images: int, size: int, gib: float = KEPT_GIB) -> int:
    """The fewest levels of `moments` whose recomputation leaves no more than ``gib`` to keep."""
    item = next(vae.parameters()).element_size()
    blocks = list(vae.encoder.down_blocks)
    kept = []
    for level, block in enumerate(blocks):
        pixels = (size >> level) ** 2
        width = block.resnets[-1].conv2.out_channels
        tensors = 2 * len(block.resnets) + (level == 0) + 4 * (level == len(blocks) - 1)
        kept.append(tensors * width * pixels + (block.resnets[-1].conv2.out_channels * pixels // 4))
    for level in range(len(kept)):
        if images * item * sum(kept[level:]) <= gib * 2**30:
            return level
    return len(kept)


def _level(block: Any, hidden: Tensor) -> Tensor:
    for resnet in block.resnets:
        hidden = _resnet(resnet, hidden)
    for layer in block.downsamplers or ():
        hidden = _conv(layer.conv, pad(hidden, (0, 1, 0, 1)))
    return hidden


def _end(vae: Any, hidden: Tensor) -> Tensor:
    (first, second), attention = _middle(vae)
    hidden = attention(_resnet(first, hidden), temb=None).contiguous(memory_format=torch.channels_last)
    hidden = _norm_conv(vae.encoder.conv_norm_out, vae.encoder.conv_out, _resnet(second, hidden))
    return hidden if vae.quant_conv is None else _conv(vae.quant_conv, hidden)


def _middle(vae: Any) -> tuple[list[ResnetBlock2D], Callable[..., Tensor]]:
    middle = vae.encoder.mid_block
    return list(middle.resnets), middle.attentions[0]


def _resnet(resnet: Any, hidden: Tensor) -> Tensor:
    inner = _norm_conv(resnet.norm1, resnet.conv1, hidden)
    inner = _norm_conv(resnet.norm2, resnet.conv2, inner)
    skip = hidden if resnet.conv_shortcut is None else _conv(resnet.conv_shortcut, hidden)
    out = skip + inner
    return out if resnet.output_scale_factor == 1 else out / resnet.output_scale_factor


def _norm_conv(norm: nn.GroupNorm, conv: nn.Conv2d, hidden: Tensor) -> Tensor:
    return _NormConv.apply(hidden, norm, conv)  # type: ignore[no-untyped-call]


def _conv(conv: nn.Conv2d, hidden: Tensor) -> Tensor:
    return FrozenConv.apply(hidden, _last(conv), conv, True)  # type: ignore[no-untyped-call]


def _forward(conv: nn.Conv2d, hidden: Tensor) -> Tensor:
    return conv2d(hidden, _last(conv), conv.bias, conv.stride, cast(Any, conv.padding))


def _last(conv: nn.Conv2d) -> Tensor:
    return conv.weight.contiguous(memory_format=torch.channels_last)  # as it is already, after `channels_last`


class _NormConv(torch.autograd.Function):
    """Group norm, SiLU and a convolution, frozen; keeps the norm's input."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
        ctx.norm, ctx.conv = norm, conv
        tokens = _tokens(hidden)
        if launches.kernels_for(tokens) is None:
            ctx.save_for_backward(hidden)
            active = fused.group_norm(tokens, norm, activate=True)
        else:
            active, statistics = launches.group_norm(tokens, norm, Places(), True, None)
            ctx.save_for_backward(hidden, *statistics)
        return _forward(conv, _images(active, hidden))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        hidden, *statistics = ctx.saved_tensors
        x, gradient = _tokens(hidden), _tokens(conv_backward(ctx.conv, gradient, hidden.shape, _last(ctx.conv)))
        if statistics:
            found, _ = launches.group_norm_backward(x, gradient, Statistics(*statistics), Places(), activate=True)
        else:
            found = norm_backward(x, gradient, ctx.norm)
        return _images(found, hidden), None, None


def _tokens(images: Tensor) -> Tensor:
    """``[N, C, H, W]``, channels last in memory, as ``[N, H W, C]``."""
    return images.permute(0, 2, 3, 1).contiguous().flatten(1, 2)


def _images(tokens: Tensor, like: Tensor) -> Tensor:
    return tokens.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)
