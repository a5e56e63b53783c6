"""What lies between the large products of the UNet, each in one pass over memory.

Every function is a formula in torch; on a GPU, in half precision and where Triton is there, a kernel of
`animate3d.mvvdm.model.kernels` computes the same with float32 inside. Images come in the order (b, f, v), so that
frames, views and pixels of a sample can be read as one row of tokens; channels are last and contiguous.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

from animate3d.errors import available

logger = logging.getLogger(__name__)


class Table(NamedTuple):
    """Rows ``[period, channels]`` added to tokens: row r of the tokens takes the row ``(r // step) % period``."""

    rows: Tensor
    step: int


@lru_cache(maxsize=1)
def kernels() -> Any:
    """The Triton kernels, or None where they cannot be compiled."""
    if not available("triton"):
        return None
    try:
        from animate3d.mvvdm.model import kernels as module

        probe = torch.randn(2, 64, device="cuda", dtype=torch.float16)
        out = probe.new_empty(2, 32)
        module.gated_gelu[(1, 1)](probe, out, 2, 32, ROWS=2, BLOCK=32)
        torch.cuda.synchronize()
    except Exception as error:  # a missing compiler, an old driver: anything that Triton meets
        logger.warning("Triton does not work here (%s): the video model runs without its fused kernels.", error)
        return None
    return module


def _kernels_for(tensor: Tensor) -> Any:
    if tensor.device.type != "cuda" or tensor.dtype not in (torch.float16, torch.bfloat16):
        return None
    if torch.compiler.is_compiling() or tensor.device.index != torch.cuda.current_device():
        return None  # the compiler fuses the formulas itself; Triton launches on the current GPU only
    return kernels()


def _block(channels: int) -> int:
    return 1 << (channels - 1).bit_length()


# -- normalisation ---------------------------------------------------------------------------------------------------


def group_norm(
    x: Tensor, norm: nn.GroupNorm, *, frames: int = 1, views: int = 1, activate: bool, addend: Tensor | None = None
) -> Tensor:
    """Group norm of tokens ``[images, pixels, C]``, then SiLU when ``activate``.

    Args:
        frames, views: statistics go over the F images (b, f, v) of every (b, v).
        addend: ``[images, C]``, added to x beforehand; for ``frames`` = 1.
    """
    if (module := _kernels_for(x)) is not None:
        return _launch_group_norm(module, x, norm, frames, views, activate, addend)
    if addend is not None:
        x = x + addend[:, None]
    images, pixels, channels = x.shape
    groups = x.view(-1, frames, views, pixels, norm.num_groups, channels // norm.num_groups)
    variance, mean = torch.var_mean(groups.float(), dim=(1, 3, 5), keepdim=True, correction=0)
    out = ((groups - mean) * torch.rsqrt(variance + norm.eps)).view(images, pixels, channels)
    out = torch.addcmul(norm.bias.float(), out, norm.weight.float())
    return (silu(out) if activate else out).to(x.dtype)


def _launch_group_norm(
    module: Any, x: Tensor, norm: nn.GroupNorm, frames: int, views: int, activate: bool, addend: Tensor | None
) -> Tensor:
    images, pixels, channels = x.shape
    block = min(128, _block(channels))
    chunk = max(64, -(-pixels // 32))
    chunks = -(-pixels // chunk)
    columns = -(-channels // block)
    sums, squares = x.new_empty((2, images, chunks, channels), dtype=torch.float32)
    module.channel_sums[(images, chunks, columns)](
        x, sums, squares, pixels, channels, chunk, chunks, ROWS=32, BLOCK=block, num_warps=4
    )
    samples, per_group = images // frames, channels // norm.num_groups
    scale, shift = x.new_empty((2, samples, channels), dtype=torch.float32)
    module.group_statistics[(samples, norm.num_groups)](
        *(sums, squares, norm.weight, norm.bias, addend, scale, shift),
        *(frames, views, pixels, channels, per_group, chunks, norm.eps),
        ADD=addend is not None,
        CHUNKS=32,
        BLOCK=max(128, _block(per_group)),
        num_warps=4,
    )
    out = torch.empty_like(x)
    module.scale_shift[(images, -(-pixels // 32), columns)](
        *(x, scale, shift, out, frames, views, pixels, channels), SILU=activate, ROWS=32, BLOCK=block, num_warps=4
    )
    return out


def add_norm(
    x: Tensor,
    addends: tuple[Tensor, ...],
    norm: nn.LayerNorm,
    tables: tuple[Table | None, ...] = (None,),
    share: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """``x + addends`` and its layer norm plus a table, once for every table.

    Args:
        x: ``[..., C]``
        addends: none, one or two of the shape of x.
        share: of the second of two addends; None adds both.

    Returns:
        the sum, and one normalised tensor per table; all like x.
    """
    if (module := _kernels_for(x)) is not None:
        return _launch_add_norm(module, x, addends, norm, tables, share)
    if share is not None:
        first, second = addends
        x = x + torch.lerp(first, second, share.to(x.dtype))
    else:
        for addend in addends:
            x = x + addend
    plain = layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    outs = []
    for table in tables:
        if table is None:
            outs.append(plain)
        else:
            period, channels = table.rows.shape
            outs.append((plain.view(-1, period, table.step, channels) + table.rows[:, None]).view_as(plain))
    return (x, *outs)


def _launch_add_norm(
    module: Any,
    x: Tensor,
    addends: tuple[Tensor, ...],
    norm: nn.LayerNorm,
    tables: tuple[Table | None, ...],
    share: Tensor | None,
) -> tuple[Tensor, ...]:
    channels = x.shape[-1]
    rows, block = x.numel() // channels, _block(channels)
    total = torch.empty_like(x) if addends else x
    outs = [torch.empty_like(x) for _ in tables]
    first, second = (*addends, None, None)[:2]
    one, two = (*tables, None)[:2]
    at_once = max(1, 2048 // block)
    module.add_and_normalize[(-(-rows // at_once),)](
        *(x, first, second, share, norm.weight, norm.bias),
        *(None if one is None else one.rows, None if two is None else two.rows),
        *(total, outs[0], outs[-1], rows, channels, norm.eps),
        *((1, 1) if one is None else (one.step, len(one.rows))),
        *((1, 1) if two is None else (two.step, len(two.rows))),
        ADDS=len(addends),
        TABLE_A=one is not None,
        TABLE_B=two is not None,
        TWO=len(tables) == 2,
        BLEND=share is not None,
        ROWS=at_once,
        BLOCK=block,
        num_warps=4,
    )
    return (total, *outs)


# -- feed-forward ----------------------------------------------------------------------------------------------------


def gated_linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """A linear layer to twice the width, and one half gated by the GELU of the other. ``[..., C]`` to ``[..., W]``"""
    module = _kernels_for(x)
    channels, width = x.shape[-1], layer.out_features // 2
    if module is None or layer.bias is None:
        value, gate = layer(x).chunk(2, dim=-1)
        return value * gelu(gate)
    out = x.new_empty(*x.shape[:-1], width)
    rows = x.numel() // channels
    grid = (-(-rows // 8), -(-width // 256))
    module.gated_gelu[grid](layer(x), out, rows, width, ROWS=8, BLOCK=256, num_warps=4)
    return out


# -- attention -------------------------------------------------------------------------------------------------------


def attend_frames(qkv: Tensor, heads: int) -> Tensor:
    """Attention of every place over the frames.

    Args:
        qkv: ``[B, F, P, 3 C]``: query, key and value side by side.

    Returns:
        ``[B, F, P, C]``
    """
    samples, frames, places, triple = qkv.shape
    channels = triple // 3
    head = channels // heads
    if (module := _kernels_for(qkv)) is not None and frames <= 64 and head <= 256:
        out = qkv.new_empty(samples, frames, places, channels)
        span = max(16, _block(frames))
        at_once = max(1, 64 // span)
        module.frames_attention[(-(-places // at_once), heads, samples)](
            *(qkv, out, places, channels, frames, head**-0.5),
            HEAD=head,
            BLOCK=max(16, _block(head)),
            PLACES=at_once,
            FRAMES=span,
            num_warps=4,
        )
        return out
    query, key, value = qkv.unflatten(-1, (3, heads, head)).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # [B P, H, F, D]
    out = scaled_dot_product_attention(query, key, value)
    return out.unflatten(0, (samples, places)).permute(0, 3, 1, 2, 4).flatten(3)


def attend_prompt(
    query: Tensor,
    text: tuple[Tensor, Tensor],
    image: tuple[Tensor, Tensor] | None,
    *,
    heads: int,
    frames: int,
    views: int,
    image_scale: float,
) -> Tensor:
    """Attention of images to the tokens of their view: text, plus ``image_scale`` times image.

    Args:
        query: ``[(b f v), pixels, C]``
        text, image: keys and values ``[(b v), tokens, C]``
    """
    images, pixels, channels = query.shape
    head = channels // heads
    counts = text[0].shape[1], 0 if image is None else image[0].shape[1]
    if (module := _kernels_for(query)) is not None and max(counts) <= 128 and head <= 256:
        out = torch.empty_like(query)
        rows = 128 if head <= 128 else 64
        module.prompt_attention[(-(-pixels // rows), heads, images)](
            *(query, *text, *(image or (None, None)), out),
            *(pixels, channels, frames, views, *counts, head**-0.5, float(image_scale)),
            HEAD=head,
            BLOCK=max(16, _block(head)),
            ROWS=rows,
            TEXT=128,
            IMAGE=max(16, _block(counts[1] or 1)),
            WITH_IMAGE=image is not None,
            num_warps=4 if head <= 64 else 8,
        )
        return out
    rows_of = query.view(-1, frames, views, pixels, heads, head).permute(0, 2, 4, 1, 3, 5)  # b v h f s d
    tokens = rows_of.flatten(0, 1).flatten(2, 3)

    def read(pair: tuple[Tensor, Tensor]) -> Tensor:
        key, value = (side.unflatten(-1, (heads, head)).transpose(1, 2) for side in pair)
        return scaled_dot_product_attention(tokens, key, value)

    out = read(text) if image is None else read(text) + image_scale * read(image)
    out = out.view(-1, views, heads, frames, pixels, head).permute(0, 3, 1, 4, 2, 5)
    return out.reshape(images, pixels, channels)


def side_by_side(layers: list[nn.Linear], x: Tensor) -> Tensor:
    """Several linear layers without bias that read the same tokens, as one product. ``[..., C]`` to ``[..., sum]``"""
    if torch.compiler.is_compiling():  # the compiler cannot follow addresses; a copy of weights costs it little
        return linear(x, torch.cat([layer.weight for layer in layers]))
    return linear(x, joint_weight(layers))


def joint_weight(layers: list[nn.Linear]) -> Tensor:
    """The weights of the layers below one another, in memory that they share with the layers.

    The first call moves the layers' weights into one tensor; their names and values stay.
    """
    weights = [layer.weight for layer in layers]
    first, at = weights[0], weights[0].data_ptr()
    for weight in weights:
        if weight.data_ptr() != at or not weight.is_contiguous() or weight.dtype != first.dtype:
            break
        at += weight.nbytes
    else:
        if first.untyped_storage().data_ptr() + first.untyped_storage().nbytes() >= at:
            rows = sum(len(weight) for weight in weights)
            return first.detach().as_strided((rows, first.shape[1]), (first.shape[1], 1))
    joint = torch.cat([weight.detach() for weight in weights])
    start = 0
    for weight in weights:
        weight.data = joint[start : start + len(weight)]
        start += len(weight)
    return joint
