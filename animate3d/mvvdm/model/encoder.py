"""The image encoder with gradient to its images, and little memory: what score distillation needs of an autoencoder.

Its weights are frozen. Of every group norm, SiLU and convolution in a row only the norm's input is kept: the norm's
activations are cheap to compute again, and the convolution's input is needed for the gradient of its weights alone. The
first levels, where the images are large, need most of the memory and are computed again as a whole if it is scarce.

The modules are diffusers' and keep their weights; here they are only read. Channels are last in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Encoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, conv_transpose2d, pad
from torch.utils.checkpoint import checkpoint

from animate3d.errors import available
from animate3d.mvvdm.model import fused

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
    return _Conv.apply(hidden, conv)  # type: ignore[no-untyped-call]


def _backward(conv: nn.Conv2d, gradient: Tensor, shape: torch.Size) -> Tensor:
    """Gradient of a convolution's input; which needs the input's shape, and not the input."""
    rest = [
        size - ((out - 1) * stride - 2 * padding + kernel)
        for size, out, stride, padding, kernel in zip(
            shape[2:],
            gradient.shape[2:],
            conv.stride,
            cast(tuple[int, ...], conv.padding),
            conv.kernel_size,
            strict=True,
        )
    ]
    return conv_transpose2d(gradient, _last(conv), None, conv.stride, cast(Any, conv.padding), rest)


def _forward(conv: nn.Conv2d, hidden: Tensor) -> Tensor:
    return conv2d(hidden, _last(conv), conv.bias, conv.stride, cast(Any, conv.padding))


def _last(conv: nn.Conv2d) -> Tensor:
    return conv.weight.contiguous(memory_format=torch.channels_last)  # as it is already, after `channels_last`


class _Conv(torch.autograd.Function):
    """A convolution of frozen weights that does not keep its input."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, conv: nn.Conv2d) -> Tensor:
        ctx.conv, ctx.shape = conv, hidden.shape
        return _forward(conv, hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _backward(ctx.conv, gradient, ctx.shape), None


class _NormConv(torch.autograd.Function):
    """Group norm, SiLU and a convolution, frozen; keeps the norm's input."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(hidden)
        ctx.norm, ctx.conv = norm, conv
        active = fused.group_norm(_tokens(hidden), norm, activate=True)
        return _forward(conv, _images(active, hidden))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (hidden,) = ctx.saved_tensors
        gradient = _backward(ctx.conv, gradient, hidden.shape)
        return _images(norm_backward(_tokens(hidden), _tokens(gradient), ctx.norm), hidden), None, None


def _tokens(images: Tensor) -> Tensor:
    """``[N, C, H, W]``, channels last in memory, as ``[N, H W, C]``."""
    return images.permute(0, 2, 3, 1).contiguous().flatten(1, 2)


def _images(tokens: Tensor, like: Tensor) -> Tensor:
    return tokens.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)


def norm_backward(x: Tensor, gradient: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Gradient of x ``[N, P, C]`` from that of ``silu(norm(x))``.

    With the mean m, the deviation d and n numbers of a group: ``gain g - (sum(gain g) + x̂ sum(gain g x̂)) / n``, where
    ``gain = weight / d``, ``x̂ = (x - m) / d`` and g is the gradient before SiLU.
    """
    _, pixels, channels = x.shape
    groups, count = norm.num_groups, pixels * (channels // norm.num_groups)
    kernels = _kernels(x)

    def of_groups(per_channel: Tensor) -> Tensor:  # [N, C] summed over each group, for every channel of it
        return (
            per_channel.unflatten(1, (groups, -1)).sum(-1, keepdim=True).expand(-1, -1, channels // groups).flatten(1)
        )

    total, square = _sums(x)
    mean = of_groups(total) / count
    inverse = (of_groups(square) / count - mean.square()).clamp_min(0).add(norm.eps).rsqrt()
    gain = inverse * norm.weight.float()
    offset = norm.bias.float() - mean * gain
    if kernels is None:
        before = _silu_backward(x.float() * gain[:, None] + offset[:, None], gradient.float())
        sums, products = before.sum(1), (before * x.float()).sum(1)
    else:
        sums, products = _launch_sums(kernels, x, gradient, gain.contiguous(), offset.contiguous())
    weighted = of_groups(gain * sums)  # times n: mean of gain g
    against = of_groups(gain * (products - mean * sums)) * inverse  # of gain g x̂
    slope = -against * inverse / count
    constant = -weighted / count - mean * slope
    if kernels is None:
        return (before * gain[:, None] + constant[:, None] + slope[:, None] * x.float()).to(x.dtype)
    return _launch_input(kernels, x, gradient, *(part.contiguous() for part in (gain, offset, constant, slope)))


def _silu_backward(value: Tensor, gradient: Tensor) -> Tensor:
    share = value.sigmoid()
    return gradient * share * (1 + value * (1 - share))


@lru_cache(maxsize=1)
def _module() -> Any:
    if fused.kernels() is None or not available("triton"):
        return None
    from animate3d.mvvdm.model import encoder_kernels

    return encoder_kernels


def _kernels(tensor: Tensor) -> Any:
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return _module() if tensor.device.type == "cuda" and half else None


def _grid(x: Tensor) -> tuple[int, int, int, int]:
    """Channels and pixels that a program takes, and how many programs that makes of each."""
    _, pixels, channels = x.shape
    block = min(128, 1 << (channels - 1).bit_length())
    chunk = max(64, -(-pixels // 32))
    return block, chunk, -(-pixels // chunk), -(-channels // block)


def _sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and sum of squares of every channel ``[N, C]``, float32."""
    if _kernels(x) is None:
        return x.float().sum(1), x.float().square().sum(1)
    images, pixels, channels = x.shape
    block, chunk, chunks, columns = _grid(x)
    sums, squares = x.new_empty((2, images, chunks, channels), dtype=torch.float32)
    fused.kernels().channel_sums[(images, chunks, columns)](
        x, sums, squares, pixels, channels, chunk, chunks, ROWS=32, BLOCK=block, num_warps=4
    )
    return sums.sum(1), squares.sum(1)


def _launch_sums(kernels: Any, x: Tensor, gradient: Tensor, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    images, pixels, channels = x.shape
    block, chunk, chunks, columns = _grid(x)
    sums, products = x.new_empty((2, images, chunks, channels), dtype=torch.float32)
    kernels.gradient_sums[(images, chunks, columns)](
        *(x, gradient, gain, offset, sums, products, pixels, channels, chunk, chunks),
        ROWS=32,
        BLOCK=block,
        num_warps=4,
    )
    return sums.sum(1), products.sum(1)


def _launch_input(kernels: Any, x: Tensor, gradient: Tensor, *numbers: Tensor) -> Tensor:
    images, pixels, channels = x.shape
    block, _, _, columns = _grid(x)
    out = torch.empty_like(x)
    kernels.gradient_of_input[(images, -(-pixels // 32), columns)](
        x, gradient, *numbers, out, pixels, channels, ROWS=32, BLOCK=block, num_warps=4
    )
    return out
