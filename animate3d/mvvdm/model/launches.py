"""Starting the Triton kernels of the video model: what they can take, their grids, and the memory they write to.

`fused` has the forward passes' formulas in torch, `gradients` those of the backward passes.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from animate3d.errors import available

logger = logging.getLogger(__name__)

PROGRAMS = 1024
"""Programs of a layer norm's backward pass at most: each leaves a row of sums."""


class Table(NamedTuple):
    """Rows ``[period, channels]`` added to tokens: row r of the tokens takes the row ``(r // step) % period``."""

    rows: Tensor
    step: int


class Places(NamedTuple):
    """How the images (b, f, v) of a norm belong together: its statistics go over the F images of every (b, v)."""

    frames: int = 1
    views: int = 1


class Readers(NamedTuple):
    """How the images (b, f, v) read the tokens of their view (b, v)."""

    heads: int
    frames: int
    views: int
    image_scale: float


@lru_cache(maxsize=1)
def kernels() -> Any:
    """The Triton kernels of the forward pass, or None where they cannot be compiled."""
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


def kernels_for(tensor: Tensor) -> Any:
    """The kernels, where they can compute a tensor like this."""
    if tensor.device.type != "cuda" or tensor.dtype not in (torch.float16, torch.bfloat16):
        return None
    if torch.compiler.is_compiling() or tensor.device.index != torch.cuda.current_device():
        return None  # the compiler fuses the formulas itself; Triton launches on the current GPU only
    return kernels()


def _backward() -> Any:
    from animate3d.mvvdm.model import backward_kernels

    return backward_kernels


def _block(channels: int) -> int:
    return 1 << (channels - 1).bit_length()


# -- group norm ------------------------------------------------------------------------------------------------------


def _grid(x: Tensor) -> tuple[int, int, int, int]:
    """Channels and pixels that a program takes, and how many programs that makes of each."""
    _, pixels, channels = x.shape
    block = min(128, _block(channels))
    chunk = max(64, -(-pixels // 32))
    return block, chunk, -(-pixels // chunk), -(-channels // block)


class Statistics(NamedTuple):
    """What a group norm found in x, float32, for its backward pass."""

    scale: Tensor  # [samples, C]
    shift: Tensor  # [samples, C]
    means: Tensor  # [samples, groups]
    inverses: Tensor  # [samples, groups], of the deviations


def group_norm(
    x: Tensor, norm: nn.GroupNorm, places: Places, activate: bool, addend: Tensor | None
) -> tuple[Tensor, Statistics]:
    """`fused.group_norm`, and its statistics."""
    images, pixels, channels = x.shape
    block, chunk, chunks, columns = _grid(x)
    sums, squares = x.new_empty((2, images, chunks, channels), dtype=torch.float32)
    module = kernels()
    module.channel_sums[(images, chunks, columns)](
        x, sums, squares, pixels, channels, chunk, chunks, ROWS=32, BLOCK=block, num_warps=4
    )
    samples, per_group = images // places.frames, channels // norm.num_groups
    found = Statistics(
        *x.new_empty((2, samples, channels), dtype=torch.float32),
        *x.new_empty((2, samples, norm.num_groups), dtype=torch.float32),
    )
    module.group_statistics[(samples, norm.num_groups)](
        *(sums, squares, norm.weight, norm.bias, addend, *found),
        *(*places, pixels, channels, per_group, chunks, norm.eps),
        ADD=addend is not None,
        CHUNKS=32,
        BLOCK=max(128, _block(per_group)),
        num_warps=4,
    )
    out = torch.empty_like(x)
    module.scale_shift[(images, -(-pixels // 32), columns)](
        *(x, found.scale, found.shift, out, *places, pixels, channels), SILU=activate, ROWS=32, BLOCK=block, num_warps=4
    )
    return out, found


def group_norm_backward(
    x: Tensor,
    gradient: Tensor,
    found: Statistics,
    places: Places,
    *,
    activate: bool,
    addend: Tensor | None = None,
    learns: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Gradient of x, and those of the norm's weight and bias where it ``learns``."""
    images, pixels, channels = x.shape
    block, chunk, chunks, columns = _grid(x)
    samples, groups = found.means.shape
    per_group = channels // groups
    module = _backward()
    sums, products = x.new_empty((2, images, chunks, channels), dtype=torch.float32)
    module.gradient_sums[(images, chunks, columns)](
        *(x, gradient, found.scale, found.shift, sums, products, *places, pixels, channels, chunk, chunks),
        SILU=activate,
        ROWS=32,
        BLOCK=block,
        num_warps=4,
    )
    constant, slope = torch.empty_like(found.means), torch.empty_like(found.means)
    shares = x.new_empty((2, samples, channels), dtype=torch.float32) if learns else (None, None)
    module.gradient_statistics[(samples, groups)](
        *(sums, products, found.scale, addend, found.means, found.inverses, constant, slope, *shares),
        *(*places, pixels, channels, per_group, chunks),
        ADD=addend is not None,
        LEARNS=learns,
        CHUNKS=32,
        BLOCK=max(128, _block(per_group)),
        num_warps=4,
    )
    out = torch.empty_like(x)
    module.gradient_of_input[(images, -(-pixels // 32), columns)](
        *(x, gradient, found.scale, found.shift, constant, slope, addend, out),
        *(*places, pixels, channels, per_group),
        SILU=activate,
        ADD=addend is not None,
        ROWS=32,
        BLOCK=block,
        num_warps=4,
    )
    return out, tuple(shares.sum(1)) if isinstance(shares, Tensor) else None  # type: ignore[return-value]


# -- layer norm ------------------------------------------------------------------------------------------------------


def add_norm(
    x: Tensor, addends: tuple[Tensor, ...], norm: nn.LayerNorm, tables: tuple[Table | None, ...], share: Tensor | None
) -> tuple[Tensor, ...]:
    """`fused.add_norm`"""
    channels = x.shape[-1]
    rows, block = x.numel() // channels, _block(channels)
    total = torch.empty_like(x) if addends else x
    outs = [torch.empty_like(x) for _ in tables]
    first, second = (*addends, None, None)[:2]
    one, two = (*tables, None)[:2]
    at_once = max(1, 2048 // block)
    kernels().add_and_normalize[(-(-rows // at_once),)](
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


class Blend(NamedTuple):
    """Two addends that were mixed: their difference, and the share of the second."""

    difference: Tensor
    share: Tensor


def add_norm_backward(
    total: Tensor, onward: Tensor | None, gradients: list[Tensor], norm: nn.LayerNorm, blend: Blend | None, learns: bool
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor] | None, tuple[Tensor, Tensor] | None]:
    """Gradients of the sum, of both addends and their share, and of the norm's weight and bias.

    Args:
        onward: gradient of the sum itself, None where nothing else reads it.
        gradients: of the one or two normalised tensors.
    """
    channels = total.shape[-1]
    rows, block = total.numel() // channels, _block(channels)
    at_once = max(1, 2048 // block)
    steps = max(1, -(-rows // (at_once * PROGRAMS)))
    programs = -(-rows // (at_once * steps))
    out = torch.empty_like(total)
    first, second = (None, None) if blend is None else (torch.empty_like(total), torch.empty_like(total))
    sums = total.new_empty((2, programs, channels), dtype=torch.float32) if learns else (None, None)
    shares = None if blend is None else total.new_empty(programs, dtype=torch.float32)
    _backward().add_and_normalize_backward[(programs,)](
        *(total, onward, gradients[0], gradients[-1], *(blend or (None, None)), norm.weight),
        *(out, first, second, *sums, shares, rows, steps, channels, norm.eps),
        ONWARD=onward is not None,
        TWO=len(gradients) == 2,
        BLEND=blend is not None,
        LEARNS=learns,
        ROWS=at_once,
        BLOCK=block,
        num_warps=4,
    )
    blended = None if shares is None else (first, second, shares.sum())
    return out, blended, tuple(sums.sum(1)) if isinstance(sums, Tensor) else None  # type: ignore[return-value]


# -- feed-forward ----------------------------------------------------------------------------------------------------


def _feed_grid(rows: int, width: int) -> tuple[int, int]:
    return -(-rows // 8), -(-width // 256)


def gated_gelu(hidden: Tensor) -> Tensor:
    """One half of ``[..., 2 W]`` gated by the GELU of the other. ``[..., W]``"""
    width = hidden.shape[-1] // 2
    out = hidden.new_empty(*hidden.shape[:-1], width)
    rows = out.numel() // width
    kernels().gated_gelu[_feed_grid(rows, width)](hidden, out, rows, width, ROWS=8, BLOCK=256, num_warps=4)
    return out


def gated_gelu_backward(hidden: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of ``[..., 2 W]``."""
    width = hidden.shape[-1] // 2
    out = torch.empty_like(hidden)
    rows = gradient.numel() // width
    _backward().gated_gelu_backward[_feed_grid(rows, width)](
        hidden, gradient, out, rows, width, ROWS=8, BLOCK=256, num_warps=4
    )
    return out


# -- attention -------------------------------------------------------------------------------------------------------


def frames_attention_fits(frames: int, head: int) -> bool:
    """Whether the kernels of attention over frames take so many, and so wide heads."""
    return frames <= 64 and head <= 256


def _frames_launch(qkv: Tensor, heads: int) -> tuple[tuple[int, int, int], tuple[Any, ...], dict[str, int]]:
    """Grid, numbers and constants of the kernels of attention over frames."""
    samples, frames, places, triple = qkv.shape
    channels = triple // 3
    head = channels // heads
    span = max(16, _block(frames))
    at_once = max(1, 64 // span)
    grid = -(-places // at_once), heads, samples
    constants = {"HEAD": head, "BLOCK": max(16, _block(head)), "PLACES": at_once, "FRAMES": span}
    return grid, (places, channels, frames, head**-0.5), constants


def frames_attention(qkv: Tensor, heads: int) -> Tensor:
    """`fused.attend_frames`"""
    grid, numbers, constants = _frames_launch(qkv, heads)
    out = qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)
    kernels().frames_attention[grid](qkv, out, *numbers, **constants, num_warps=4)
    return out


def frames_attention_backward(qkv: Tensor, gradient: Tensor, heads: int) -> Tensor:
    """Gradient of query, key and value side by side."""
    grid, numbers, constants = _frames_launch(qkv, heads)
    out = torch.empty_like(qkv)
    warps = 4 if constants["BLOCK"] <= 64 else 8
    _backward().frames_attention_backward[grid](qkv, gradient, out, *numbers, **constants, num_warps=warps)
    return out


def prompt_attention_fits(text: int, image: int, head: int) -> bool:
    """Whether the kernels of attention to a prompt take so many tokens, and so wide heads."""
    return max(text, image) <= 128 and head <= 256


def _prompt_launch(query: Tensor, tokens: tuple[Tensor | None, ...], readers: Readers) -> tuple[Any, ...]:
    """Grid, numbers and constants of the kernels of attention to a prompt."""
    images, pixels, channels = query.shape
    head = channels // readers.heads
    counts = [0 if side is None else side.shape[1] for side in tokens[::2]]
    rows = 128 if head <= 128 else 64
    grid = -(-pixels // rows), readers.heads, images
    numbers = (pixels, channels, readers.frames, readers.views, *counts, head**-0.5, float(readers.image_scale))
    constants = {
        "HEAD": head,
        "BLOCK": max(16, _block(head)),
        "ROWS": rows,
        "TEXT": 128,
        "IMAGE": max(16, _block(counts[1] or 1)),
        "WITH_IMAGE": tokens[2] is not None,
        "num_warps": 4 if head <= 64 else 8,
    }
    return grid, numbers, constants


def prompt_attention(query: Tensor, tokens: tuple[Tensor | None, ...], readers: Readers) -> Tensor:
    """`fused.attend_prompt`; ``tokens`` are key and value of the text, then of the image or None."""
    grid, numbers, constants = _prompt_launch(query, tokens, readers)
    out = torch.empty_like(query)
    kernels().prompt_attention[grid](query, *tokens, out, *numbers, **constants)
    return out


def prompt_attention_backward(
    query: Tensor, gradient: Tensor, tokens: tuple[Tensor | None, ...], readers: Readers
) -> Tensor:
    """Gradient of the queries."""
    grid, numbers, constants = _prompt_launch(query, tokens, readers)
    out = torch.empty_like(query)
    _backward().prompt_attention_backward[grid](query, gradient, *tokens, out, *numbers, **constants)
    return out
