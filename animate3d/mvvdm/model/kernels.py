"""Triton kernels of the forward pass without gradient: each reads its inputs once and writes its output once.

Tokens are ``[rows, channels]``, channels contiguous; sums are float32. `animate3d.mvvdm.model.fused` has the same
formulas in torch, checks what the kernels can take, and launches them. Few variants are compiled: only channels and
the constants of a level make one.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
# The types of a kernel are those of its arguments at a launch.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["pixels", "chunk", "chunks"])
def channel_sums(x, sums, squares, pixels, channels, chunk, chunks, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Sum and sum of squares of every channel over a chunk of an image's pixels. ``[images, chunks, channels]``"""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    square = tl.zeros([BLOCK], tl.float32)
    for start in range(0, chunk, ROWS):
        offset = start + tl.arange(0, ROWS)
        row = part * chunk + offset
        mask = ((offset < chunk) & (row < pixels))[:, None] & (columns < channels)[None, :]
        at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        total += tl.sum(value, axis=0)
        square += tl.sum(value * value, axis=0)
    to = (image * chunks + part) * channels + columns
    tl.store(sums + to, total, mask=columns < channels)
    tl.store(squares + to, square, mask=columns < channels)


@triton.jit(do_not_specialize=["frames", "views", "pixels", "per_group", "chunks"])
def group_statistics(
    sums, squares, weight, bias, addend, scale, shift, means, inverses,
    frames, views, pixels, channels, per_group, chunks, eps,
    ADD: tl.constexpr, CHUNKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Scale and shift of every channel of a sample ``[samples, channels]`` from the sums of its images.

    Mean and inverse deviation of every group, ``[samples, groups]``, are what the backward pass needs.

    A sample is (b, v) with ``frames`` images (b, f, v); ``addend`` ``[images, channels]`` is added to x beforehand.
    """
    sample, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, BLOCK)
    columns = group * per_group + lane
    inside = lane < per_group
    part = tl.arange(0, CHUNKS)
    total = tl.zeros([BLOCK], tl.float32)
    square = tl.zeros([BLOCK], tl.float32)
    for frame in range(0, frames):
        image = ((sample // views) * frames + frame) * views + sample % views
        mask = (part < chunks)[:, None] & inside[None, :]
        at = (image * chunks + part)[:, None] * channels + columns[None, :]
        channel_total = tl.sum(tl.load(sums + at, mask=mask, other=0.0), axis=0)
        channel_square = tl.sum(tl.load(squares + at, mask=mask, other=0.0), axis=0)
        if ADD:
            added = tl.load(addend + image * channels + columns, mask=inside, other=0.0).to(tl.float32)
            channel_square += 2 * added * channel_total + pixels * added * added
            channel_total += pixels * added
        total += channel_total
        square += channel_square
    count = (frames * pixels * per_group).to(tl.float32)
    mean = tl.sum(total, axis=0) / count
    variance = tl.maximum(tl.sum(square, axis=0) / count - mean * mean, 0.0)
    inverse = 1.0 / tl.sqrt(variance + eps)
    tl.store(means + sample * tl.num_programs(1) + group, mean)
    tl.store(inverses + sample * tl.num_programs(1) + group, inverse)
    gain = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32) * inverse
    offset = tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32) - mean * gain
    if ADD:  # one image per sample here
        offset += tl.load(addend + sample * channels + columns, mask=inside, other=0.0).to(tl.float32) * gain
    tl.store(scale + sample * channels + columns, gain, mask=inside)
    tl.store(shift + sample * channels + columns, offset, mask=inside)


@triton.jit(do_not_specialize=["frames", "views", "pixels"])
def scale_shift(
    x, scale, shift, out, frames, views, pixels, channels,
    SILU: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``x * scale + shift`` of every image (b, f, v) with the numbers of its sample (b, v), then SiLU."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    sample = (image // (frames * views)) * views + image % views
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < channels
    row = part * ROWS + tl.arange(0, ROWS)
    mask = (row < pixels)[:, None] & inside[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
    gain = tl.load(scale + sample * channels + columns, mask=inside, other=0.0)
    offset = tl.load(shift + sample * channels + columns, mask=inside, other=0.0)
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32) * gain[None, :] + offset[None, :]
    if SILU:
        value = value / (1.0 + tl.exp(-value))
    tl.store(out + at, value.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["rows", "step_a", "period_a", "step_b", "period_b"])
def add_and_normalize(
    x, first, second, share, weight, bias, table_a, table_b, total, out_a, out_b,
    rows, channels, eps, step_a, period_a, step_b, period_b,
    ADDS: tl.constexpr, TABLE_A: tl.constexpr, TABLE_B: tl.constexpr, TWO: tl.constexpr, BLEND: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``total = x + addends`` and its layer norm, once or twice, each plus a row of a table.

    ADDS is the number of addends; BLEND weighs them with 1 - share and share. Row r of the tokens takes the row
    ``(r // step) % period`` of a table.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = columns < channels
    mask = (row < rows)[:, None] & inside[None, :]
    at = row.to(tl.int64)[:, None] * channels + columns[None, :]
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    if ADDS == 1:
        value += tl.load(first + at, mask=mask, other=0.0).to(tl.float32)
    if ADDS == 2:
        one = tl.load(first + at, mask=mask, other=0.0).to(tl.float32)
        two = tl.load(second + at, mask=mask, other=0.0).to(tl.float32)
        if BLEND:
            part = tl.load(share).to(tl.float32)
            value += one + part * (two - one)
        else:
            value += one + two
    if ADDS > 0:
        rounded = value.to(total.dtype.element_ty)
        tl.store(total + at, rounded, mask=mask)
        value = rounded.to(tl.float32)
    mean = tl.sum(value, axis=1) / channels
    centred = tl.where(mask, value - mean[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, axis=1) / channels + eps)
    gain = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    norm = centred / deviation[:, None] * gain[None, :] + offset[None, :]
    result = norm
    if TABLE_A:
        entry = ((row // step_a) % period_a)[:, None] * channels + columns[None, :]
        result = norm + tl.load(table_a + entry, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_a + at, result.to(out_a.dtype.element_ty), mask=mask)
    if TWO:
        result = norm
        if TABLE_B:
            entry = ((row // step_b) % period_b)[:, None] * channels + columns[None, :]
            result = norm + tl.load(table_b + entry, mask=mask, other=0.0).to(tl.float32)
        tl.store(out_b + at, result.to(out_b.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["rows"])
def gated_gelu(x, out, rows, channels, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """``[rows, 2 channels]`` to ``value * gelu(gate)`` ``[rows, channels]``, the exact GELU."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = (row < rows)[:, None] & (columns < channels)[None, :]
    at = row.to(tl.int64)[:, None] * (2 * channels) + columns[None, :]
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x + at + channels, mask=mask, other=0.0).to(tl.float32)
    result = value * gate * 0.5 * (1.0 + tl.erf(gate * 0.7071067811865476))
    to = out + row.to(tl.int64)[:, None] * channels + columns[None, :]
    tl.store(to, result.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["places", "frames"])
def frames_attention(
    qkv, out, places, channels, frames, scale,
    HEAD: tl.constexpr, BLOCK: tl.constexpr, PLACES: tl.constexpr, FRAMES: tl.constexpr,
):  # fmt: skip
    """Attention of every place over the frames: tokens (b, f, place) of ``[q, k, v]`` side by side.

    A program takes PLACES places times FRAMES (a power of two, at least ``frames``) frames of one head; a place sees
    itself only.
    """
    place_block, head, sample = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    lane = tl.arange(0, PLACES * FRAMES)
    frame, place = lane % FRAMES, place_block * PLACES + lane // FRAMES
    row = (sample * frames + frame).to(tl.int64) * places + place
    known = (frame < frames) & (place < places)
    column = tl.arange(0, BLOCK)
    mask = known[:, None] & (column < HEAD)[None, :]
    at = row[:, None] * (3 * channels) + head * HEAD + column[None, :]
    query = tl.load(qkv + at, mask=mask, other=0.0)
    key = tl.load(qkv + at + channels, mask=mask, other=0.0)
    value = tl.load(qkv + at + 2 * channels, mask=mask, other=0.0)
    scores = tl.dot(query, tl.trans(key)) * scale
    seen = (place[:, None] == place[None, :]) & (frame < frames)[None, :]
    scores = tl.where(seen, scores, -1e30)
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    weights = tl.where(seen, weights, 0.0)
    weights = weights / tl.sum(weights, axis=1)[:, None]
    result = tl.dot(weights.to(value.dtype), value)
    to = row[:, None] * channels + head * HEAD + column[None, :]
    tl.store(out + to, result.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _read(
    query, key, value, sample, tokens, channels, head, scale,
    HEAD: tl.constexpr, BLOCK: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    token, column = tl.arange(0, TOKENS), tl.arange(0, BLOCK)
    mask = (token < tokens)[:, None] & (column < HEAD)[None, :]
    at = (sample * tokens + token)[:, None] * channels + head * HEAD + column[None, :]
    keys = tl.load(key + at, mask=mask, other=0.0)
    values = tl.load(value + at, mask=mask, other=0.0)
    scores = tl.dot(query, tl.trans(keys)) * scale
    scores = tl.where((token < tokens)[None, :], scores, -1e30)
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    weights = weights / tl.sum(weights, axis=1)[:, None]
    return tl.dot(weights.to(values.dtype), values)


@triton.jit(do_not_specialize=["pixels", "frames", "views", "text_tokens", "image_tokens"])
def prompt_attention(
    query, text_key, text_value, image_key, image_value, out,
    pixels, channels, frames, views, text_tokens, image_tokens, scale, image_scale,
    HEAD: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
    TEXT: tl.constexpr, IMAGE: tl.constexpr, WITH_IMAGE: tl.constexpr,
):  # fmt: skip
    """Attention of images (b, f, v) to the text and the image tokens of their view (b, v), added up."""
    part, head, image = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, column = part * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)
    mask = (row < pixels)[:, None] & (column < HEAD)[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + head * HEAD + column[None, :]
    tokens = tl.load(query + at, mask=mask, other=0.0)
    sample = (image // (frames * views)) * views + image % views
    result = _read(tokens, text_key, text_value, sample, text_tokens, channels, head, scale, HEAD, BLOCK, TEXT)
    if WITH_IMAGE:
        result += image_scale * _read(
            tokens, image_key, image_value, sample, image_tokens, channels, head, scale, HEAD, BLOCK, IMAGE
        )
    tl.store(out + at, result.to(out.dtype.element_ty), mask=mask)
