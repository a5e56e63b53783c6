"""Triton kernels of the backward pass through a group norm and SiLU; `encoder` has the formulas in torch.

Both read the norm's input and the gradient after SiLU once; the activations between are computed again.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
# The types of a kernel are those of its arguments at a launch.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _before_silu(x, gradient, gain, offset):
    """The gradient before SiLU of ``x * gain + offset``."""
    value = x * gain + offset
    share = 1.0 / (1.0 + tl.exp(-value))
    return gradient * share * (1.0 + value * (1.0 - share))


@triton.jit(do_not_specialize=["pixels", "chunk", "chunks"])
def gradient_sums(
    x, gradient, gain, offset, sums, products, pixels, channels, chunk, chunks, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Sums of the gradient before SiLU and of its product with x. ``[images, chunks, channels]``"""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < channels
    gains = tl.load(gain + image * channels + columns, mask=inside, other=0.0)
    offsets = tl.load(offset + image * channels + columns, mask=inside, other=0.0)
    total = tl.zeros([BLOCK], tl.float32)
    product = tl.zeros([BLOCK], tl.float32)
    for start in range(0, chunk, ROWS):
        step = start + tl.arange(0, ROWS)
        row = part * chunk + step
        mask = ((step < chunk) & (row < pixels))[:, None] & inside[None, :]
        at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
        before = _before_silu(value, incoming, gains[None, :], offsets[None, :])
        total += tl.sum(before, axis=0)
        product += tl.sum(before * value, axis=0)
    to = (image * chunks + part) * channels + columns
    tl.store(sums + to, total, mask=inside)
    tl.store(products + to, product, mask=inside)


@triton.jit(do_not_specialize=["pixels"])
def gradient_of_input(
    x, gradient, gain, offset, constant, slope, out, pixels, channels, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """``gain * before SiLU + constant + slope * x``, where constant and slope are those of the channel's group."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < channels
    row = part * ROWS + tl.arange(0, ROWS)
    mask = (row < pixels)[:, None] & inside[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
    here = image * channels + columns
    gains = tl.load(gain + here, mask=inside, other=0.0)[None, :]
    offsets = tl.load(offset + here, mask=inside, other=0.0)[None, :]
    constants = tl.load(constant + here, mask=inside, other=0.0)[None, :]
    slopes = tl.load(slope + here, mask=inside, other=0.0)[None, :]
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
    result = gains * _before_silu(value, incoming, gains, offsets) + constants + slopes * value
    tl.store(out + at, result.to(out.dtype.element_ty), mask=mask)
