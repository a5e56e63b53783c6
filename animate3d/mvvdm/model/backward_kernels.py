"""Triton kernels of backward passes; `animate3d.mvvdm.model.gradients` has their formulas and launches them.

Each reads what the forward pass was given, and the gradient, once: what lies between is computed again, in float32.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
# The types of a kernel are those of its arguments at a launch.

from __future__ import annotations

import triton
import triton.language as tl

# -- group norm ------------------------------------------------------------------------------------------------------


@triton.jit
def _before_silu(x, gradient, gain, offset, SILU: tl.constexpr):
    """The gradient before SiLU of ``x * gain + offset``; without SILU the gradient itself."""
    if SILU:
        value = x * gain + offset
        share = 1.0 / (1.0 + tl.exp(-value))
        gradient = gradient * share * (1.0 + value * (1.0 - share))
    return gradient


@triton.jit
def _sample_of(image, frames, views):
    """The (b, v) of an image (b, f, v)."""
    return (image // (frames * views)) * views + image % views


@triton.jit(do_not_specialize=["frames", "views", "pixels", "chunk", "chunks"])
def gradient_sums(
    x, gradient, scale, shift, sums, products, frames, views, pixels, channels, chunk, chunks,
    SILU: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums of the gradient before SiLU and of its product with x. ``[images, chunks, channels]``"""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < channels
    here = _sample_of(image, frames, views) * channels + columns
    gains = tl.load(scale + here, mask=inside, other=0.0)
    offsets = tl.load(shift + here, mask=inside, other=0.0)
    total = tl.zeros([BLOCK], tl.float32)
    product = tl.zeros([BLOCK], tl.float32)
    for start in range(0, chunk, ROWS):
        step = start + tl.arange(0, ROWS)
        row = part * chunk + step
        mask = ((step < chunk) & (row < pixels))[:, None] & inside[None, :]
        at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
        before = _before_silu(value, incoming, gains[None, :], offsets[None, :], SILU)
        total += tl.sum(before, axis=0)
        product += tl.sum(before * value, axis=0)
    to = (image * chunks + part) * channels + columns
    tl.store(sums + to, total, mask=inside)
    tl.store(products + to, product, mask=inside)


@triton.jit(do_not_specialize=["frames", "views", "pixels", "per_group", "chunks"])
def gradient_statistics(
    sums, products, scale, addend, means, inverses, constant, slope, weights, biases,
    frames, views, pixels, channels, per_group, chunks,
    ADD: tl.constexpr, LEARNS: tl.constexpr, CHUNKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Constant and slope of every group ``[samples, groups]``, and with LEARNS each sample's share of the gradients
    of weight and bias ``[samples, channels]``."""
    sample, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, BLOCK)
    columns = group * per_group + lane
    inside = lane < per_group
    part = tl.arange(0, CHUNKS)
    total = tl.zeros([BLOCK], tl.float32)
    product = tl.zeros([BLOCK], tl.float32)
    for frame in range(0, frames):
        image = ((sample // views) * frames + frame) * views + sample % views
        mask = (part < chunks)[:, None] & inside[None, :]
        at = (image * chunks + part)[:, None] * channels + columns[None, :]
        total += tl.sum(tl.load(sums + at, mask=mask, other=0.0), axis=0)
        product += tl.sum(tl.load(products + at, mask=mask, other=0.0), axis=0)
    here = sample * channels + columns
    if ADD:  # one image per sample here
        product += tl.load(addend + here, mask=inside, other=0.0).to(tl.float32) * total
    place = sample * tl.num_programs(1) + group
    mean, inverse = tl.load(means + place), tl.load(inverses + place)
    gain = tl.load(scale + here, mask=inside, other=0.0)
    against = product - mean * total
    count = (frames * pixels * per_group).to(tl.float32)
    tilt = -tl.sum(gain * against, axis=0) * inverse * inverse / count
    tl.store(slope + place, tilt)
    tl.store(constant + place, -tl.sum(gain * total, axis=0) / count - mean * tilt)
    if LEARNS:
        tl.store(weights + here, against * inverse, mask=inside)
        tl.store(biases + here, total, mask=inside)


@triton.jit(do_not_specialize=["frames", "views", "pixels", "per_group"])
def gradient_of_input(
    x, gradient, scale, shift, constant, slope, addend, out, frames, views, pixels, channels, per_group,
    SILU: tl.constexpr, ADD: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``scale * before SiLU + constant + slope * (x + addend)``, constant and slope those of the channel's group."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    sample = _sample_of(image, frames, views)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < channels
    row = part * ROWS + tl.arange(0, ROWS)
    mask = (row < pixels)[:, None] & inside[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + columns[None, :]
    here = sample * channels + columns
    gains = tl.load(scale + here, mask=inside, other=0.0)[None, :]
    offsets = tl.load(shift + here, mask=inside, other=0.0)[None, :]
    group = sample * (channels // per_group) + columns // per_group
    slopes = tl.load(slope + group, mask=inside, other=0.0)
    constants = tl.load(constant + group, mask=inside, other=0.0)
    if ADD:
        constants += slopes * tl.load(addend + here, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
    before = _before_silu(value, incoming, gains, offsets, SILU)
    result = gains * before + constants[None, :] + slopes[None, :] * value
    tl.store(out + at, result.to(out.dtype.element_ty), mask=mask)


# -- layer norm ------------------------------------------------------------------------------------------------------


@triton.jit(do_not_specialize=["rows", "steps"])
def add_and_normalize_backward(
    total, onward, gradient_a, gradient_b, difference, share, weight,
    out, out_first, out_second, weights, biases, shares, rows, steps, channels, eps,
    ONWARD: tl.constexpr, TWO: tl.constexpr, BLEND: tl.constexpr, LEARNS: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of the sum that is normalised, from those of its norms and, with ONWARD, of the sum itself.

    BLEND gives its share to each of two addends, and the share's own gradient; LEARNS those of the norm's weight and
    bias. These sums are one row per program, which takes ``steps`` times ROWS rows.
    """
    program = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < channels
    gain = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)[None, :]
    weight_sum = tl.zeros([BLOCK], tl.float32)
    bias_sum = tl.zeros([BLOCK], tl.float32)
    share_sum = tl.zeros([BLOCK], tl.float32)
    part = 0.0
    if BLEND:
        part = tl.load(share).to(tl.float32)
    for step in range(0, steps):
        row = (program * steps + step) * ROWS + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        at = row.to(tl.int64)[:, None] * channels + columns[None, :]
        value = tl.load(total + at, mask=mask, other=0.0).to(tl.float32)
        incoming = tl.load(gradient_a + at, mask=mask, other=0.0).to(tl.float32)
        if TWO:
            incoming += tl.load(gradient_b + at, mask=mask, other=0.0).to(tl.float32)
        mean = tl.sum(value, axis=1) / channels
        centred = tl.where(mask, value - mean[:, None], 0.0)
        inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / channels + eps)
        normal = centred * inverse[:, None]
        if LEARNS:
            weight_sum += tl.sum(incoming * normal, axis=0)
            bias_sum += tl.sum(incoming, axis=0)
        scaled = incoming * gain
        even = tl.sum(scaled, axis=1) / channels
        along = tl.sum(scaled * normal, axis=1) / channels
        result = inverse[:, None] * (scaled - even[:, None] - along[:, None] * normal)
        if ONWARD:
            result += tl.load(onward + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(out + at, result.to(out.dtype.element_ty), mask=mask)
        if BLEND:
            apart = tl.load(difference + at, mask=mask, other=0.0).to(tl.float32)
            share_sum += tl.sum(tl.where(mask, result * apart, 0.0), axis=0)
            tl.store(out_first + at, ((1.0 - part) * result).to(out.dtype.element_ty), mask=mask)
            tl.store(out_second + at, (part * result).to(out.dtype.element_ty), mask=mask)
    if LEARNS:
        tl.store(weights + program * channels + columns, weight_sum, mask=inside)
        tl.store(biases + program * channels + columns, bias_sum, mask=inside)
    if BLEND:
        tl.store(shares + program, tl.sum(share_sum, axis=0))


# -- feed-forward ----------------------------------------------------------------------------------------------------


@triton.jit(do_not_specialize=["rows"])
def gated_gelu_backward(x, gradient, out, rows, channels, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Gradient of ``[rows, 2 channels]`` from that of ``value * gelu(gate)``."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = (row < rows)[:, None] & (columns < channels)[None, :]
    at = row.to(tl.int64)[:, None] * (2 * channels) + columns[None, :]
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x + at + channels, mask=mask, other=0.0).to(tl.float32)
    source = gradient + row.to(tl.int64)[:, None] * channels + columns[None, :]
    incoming = tl.load(source, mask=mask, other=0.0).to(tl.float32)
    below = 0.5 * (1.0 + tl.erf(gate * 0.7071067811865476))
    density = 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
    tl.store(out + at, (incoming * gate * below).to(out.dtype.element_ty), mask=mask)
    slope = incoming * value * (below + gate * density)
    tl.store(out + at + channels, slope.to(out.dtype.element_ty), mask=mask)


# -- attention -------------------------------------------------------------------------------------------------------


@triton.jit(do_not_specialize=["places", "frames"])
def frames_attention_backward(
    qkv, gradient, out, places, channels, frames, scale,
    HEAD: tl.constexpr, BLOCK: tl.constexpr, PLACES: tl.constexpr, FRAMES: tl.constexpr,
):  # fmt: skip
    """Gradient of ``[q, k, v]`` side by side; programs as those of `kernels.frames_attention`."""
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
    incoming = tl.load(gradient + row[:, None] * channels + head * HEAD + column[None, :], mask=mask, other=0.0)
    scores = tl.dot(query, tl.trans(key)) * scale
    seen = (place[:, None] == place[None, :]) & (frame < frames)[None, :]
    scores = tl.where(seen, scores, -1e30)
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    weights = tl.where(seen, weights, 0.0)
    weights = weights / tl.sum(weights, axis=1)[:, None]
    moved = tl.dot(incoming, tl.trans(value))
    slope = weights * (moved - tl.sum(weights * moved, axis=1)[:, None]) * scale
    slope = slope.to(query.dtype)
    kind = out.dtype.element_ty
    tl.store(out + at, tl.dot(slope, key).to(kind), mask=mask)
    tl.store(out + at + channels, tl.dot(tl.trans(slope), query).to(kind), mask=mask)
    tl.store(out + at + 2 * channels, tl.dot(tl.trans(weights.to(query.dtype)), incoming).to(kind), mask=mask)


@triton.jit
def _read_backward(
    query, incoming, key, value, sample, tokens, channels, head, scale,
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
    moved = tl.dot(incoming, tl.trans(values))
    slope = weights * (moved - tl.sum(weights * moved, axis=1)[:, None]) * scale
    return tl.dot(slope.to(keys.dtype), keys)


@triton.jit(do_not_specialize=["pixels", "frames", "views", "text_tokens", "image_tokens"])
def prompt_attention_backward(
    query, gradient, text_key, text_value, image_key, image_value, out,
    pixels, channels, frames, views, text_tokens, image_tokens, scale, image_scale,
    HEAD: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
    TEXT: tl.constexpr, IMAGE: tl.constexpr, WITH_IMAGE: tl.constexpr,
):  # fmt: skip
    """Gradient of the queries of `kernels.prompt_attention`, whose keys and values do not learn."""
    part, head, image = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, column = part * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)
    mask = (row < pixels)[:, None] & (column < HEAD)[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + head * HEAD + column[None, :]
    tokens = tl.load(query + at, mask=mask, other=0.0)
    incoming = tl.load(gradient + at, mask=mask, other=0.0)
    sample = (image // (frames * views)) * views + image % views
    result = _read_backward(
        tokens, incoming, text_key, text_value, sample, text_tokens, channels, head, scale, HEAD, BLOCK, TEXT
    )
    if WITH_IMAGE:
        result += image_scale * _read_backward(
            tokens, incoming, image_key, image_value, sample, image_tokens, channels, head, scale, HEAD, BLOCK, IMAGE
        )
    tl.store(out + at, result.to(out.dtype.element_ty), mask=mask)
