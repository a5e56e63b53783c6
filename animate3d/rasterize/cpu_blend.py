"""Compiled tile lists and blending, forward and backward.

Every Gaussian visits, row by row, the pixels of a tile that it can reach, eight at a time. The loops over the eight
lanes are written so that LLVM turns them into vector instructions: fixed trip count, no branches, sums as the only
reductions, and all channels of a row in one buffer at constant distances (so that nothing can alias).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from animate3d.rasterize.cpu_project import (
    BLUE,
    DEPTH,
    FALLOFF_X,
    FALLOFF_Y,
    G_BLUE,
    G_DEPTH,
    G_GREEN,
    G_RED,
    G_U,
    G_UU,
    G_UY,
    G_Y,
    G_YY,
    GREEN,
    HALF_X,
    HALF_Y,
    OPACITY,
    REACH,
    RED,
    REST_X,
    REST_Y,
    SHEAR,
    TILE_H,
    TILE_W,
    WHOLE_X,
    WHOLE_Y,
    G,
)
from animate3d.rasterize.splats import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_STOP

# What vectorising sums needs; infinities keep their meaning.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
LANES = 8
STRIDE = TILE_W + LANES  # the last lanes of a chunk may hang over the tile's edge
f32 = np.float32
CAP, CUT, STOP, ONE, ZERO, HALF = (f32(x) for x in (ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_STOP, 1, 0, 0.5))
FLOOR = f32(-30.0)  # 2^-30 is far under any threshold
# Channels of a row of the forward buffer; a closed pixel holds its transmittance with a minus sign.
F_T, F_R, F_G, F_B, F_Z, F_LAST = (np.uintp(STRIDE * c) for c in range(6))
FORWARD_ROW = 6 * STRIDE
# Channels of a row of the backward buffer.
B_T, B_REST, B_R, B_G, B_B, B_A, B_Z, B_LAST, B_WEIGHT = (np.uintp(STRIDE * c) for c in range(9))
BACKWARD_ROW = 9 * STRIDE


@njit(inline="always")
def _exp2(x):  # type: ignore[no-untyped-def]
    """2^x for -30 ≤ x ≤ 0, accurate to float32: a polynomial for the fraction, the exponent's bits for the rest."""
    whole = np.int32(x - HALF)
    part = x - f32(whole)
    p = f32(1.5353361e-04)
    p = p * part + f32(1.3398875e-03)
    p = p * part + f32(9.6184374e-03)
    p = p * part + f32(5.5503325e-02)
    p = p * part + f32(2.4022648e-01)
    p = p * part + f32(6.9314720e-01)
    p = p * part + ONE
    return p * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(nogil=True, error_model="numpy", cache=True)
def tile_lists(part, parts, screen, boxes, starts, tiles_x, offsets, entries, slots):  # type: ignore[no-untyped-def]
    """Gaussians of every tile, nearest first.

    Args:
        part, parts: which of the F·V images to do (see `threads.run_parts`).
        screen, boxes: from `cpu_project.project`.
        starts: ``[F·V + 1]`` where the entries of each image begin.
        offsets: out, ``[F·V, tiles + 1]`` where the entries of each tile begin.
        entries: out, ``[E]`` Gaussian indices.
        slots: out, ``[F·V, N]`` where the tiles of a Gaussian begin in arrays over Gaussian and tile.
    """
    images, gaussians = boxes.shape[:2]
    tiles = offsets.shape[1] - 1
    for image in range(part, images, parts):
        order = np.empty(gaussians, np.int32)
        count = 0
        slot = starts[image]
        fill = np.zeros(tiles, np.int64)
        for g in range(gaussians):
            box = boxes[image, g]
            if box[1] > box[0]:
                order[count] = g
                count += 1
                slots[image, g] = slot
                slot += (box[1] - box[0]) * (box[3] - box[2])
                for ty in range(box[2], box[3]):
                    for tx in range(box[0], box[1]):
                        fill[ty * tiles_x + tx] += 1
        order = _sorted_by_depth(order[:count], screen[image])
        position = starts[image]
        for tile in range(tiles):
            offsets[image, tile] = position
            position += fill[tile]
            fill[tile] = offsets[image, tile]
        offsets[image, tiles] = position
        for g in order:
            box = boxes[image, g]
            for ty in range(box[2], box[3]):
                for tx in range(box[0], box[1]):
                    tile = ty * tiles_x + tx
                    entries[fill[tile]] = g
                    fill[tile] += 1


@njit(cache=True)
def _sorted_by_depth(order, screen):  # type: ignore[no-untyped-def]
    """Stable radix sort by the bits of the depth, which order like the (positive) depths."""
    n = len(order)
    keys, other_keys = np.empty(n, np.uint32), np.empty(n, np.uint32)
    other = np.empty(n, np.int32)
    for i in range(n):
        keys[i] = f32(screen[order[i], DEPTH]).view(np.uint32)
    for shift in (0, 11, 22):
        counts = np.zeros(2049, np.int64)
        for i in range(n):
            counts[((keys[i] >> np.uint32(shift)) & np.uint32(2047)) + 1] += 1
        for i in range(2048):
            counts[i + 1] += counts[i]
        for i in range(n):
            digit = (keys[i] >> np.uint32(shift)) & np.uint32(2047)
            at = counts[digit]
            counts[digit] += 1
            other_keys[at] = keys[i]
            other[at] = order[i]
        keys, other_keys = other_keys, keys
        order, other = other, order
    return order


@njit(inline="always")
def _pixels(centre, half, low, high):  # type: ignore[no-untyped-def]
    """First and one past the last pixel within ``half`` of ``centre`` and in the range."""
    first = math.ceil(min(max(centre - half - HALF, f32(low)), f32(high)))
    last = math.floor(min(max(centre + half + HALF, f32(low)), f32(high)))
    return int(first), int(last)


@njit(inline="always")
def _row_pixels(dy, mean_x, falloff_x, shear, falloff_y, reach, low, high):  # type: ignore[no-untyped-def]
    """`_pixels` of one row, where only the exponents above -reach count."""
    rest = reach - falloff_y * dy * dy
    return _pixels(mean_x - shear * dy, math.sqrt(max(rest, ZERO) / falloff_x), low, high)


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True)
def blend(  # type: ignore[no-untyped-def]
    part, parts, screen, boxes, offsets, entries, slots, background, tiles_x,
    color, transmittance, depth, last, seen,
):  # fmt: skip
    """Front-to-back blending of all tiles of all images.

    Args:
        part, parts: which of the F·V·tiles items to do (see `threads.run_parts`).
        screen, boxes, offsets, entries, slots: from `cpu_project.project` and `tile_lists`.
        background: ``[3]``
        color: out, ``[F·V, H, W, 3]``
        transmittance, depth: out, ``[F·V, H, W]``
        last: out, ``[F·V, H, W]`` position in the tile's list of the last Gaussian blended, -1 for none.
        seen: out, zeros ``[E]``; whether a Gaussian was blended in a tile.
    """
    images, height, width = last.shape
    tiles = offsets.shape[1] - 1
    buffer = np.empty(TILE_H * FORWARD_ROW, np.float32)
    for item in range(part, images * tiles, parts):
        image, tile = item // tiles, item % tiles
        tile_y, tile_x = tile // tiles_x, tile % tiles_x
        top, left = tile_y * TILE_H, tile_x * TILE_W
        bottom, right = min(top + TILE_H, height), min(left + TILE_W, width)
        begin, end = offsets[image, tile], offsets[image, tile + 1]
        if begin < end:
            buffer[:] = ZERO
            for y in range(TILE_H):
                for x in range(STRIDE):
                    buffer[y * FORWARD_ROW + x] = ONE
                    buffer[y * FORWARD_ROW + int(F_LAST) + x] = -ONE
        for e in range(begin, end):
            g = entries[e]
            row = screen[image, g]
            mean_x, mean_y = row[WHOLE_X] + row[REST_X], row[WHOLE_Y] + row[REST_Y]
            falloff_x, shear = row[FALLOFF_X], row[SHEAR]
            falloff_y, opacity, reach, z = row[FALLOFF_Y], row[OPACITY], row[REACH], row[DEPTH]
            red, green, blue = row[RED], row[GREEN], row[BLUE]
            position = f32(e - begin)
            blended = ZERO
            first_row, last_row = _pixels(mean_y, row[HALF_Y], top, bottom)
            first, stop = _pixels(mean_x, row[HALF_X], left, right)
            wide = stop - first > LANES
            for y in range(first_row, last_row):
                dy = f32(np.int32(y) - np.int32(row[WHOLE_Y])) + (HALF - row[REST_Y])
                if wide:
                    first, stop = _row_pixels(dy, mean_x, falloff_x, shear, falloff_y, reach, left, right)
                constant = falloff_y * dy * dy
                for x in range(first, stop, LANES):
                    base = np.uintp((y - top) * FORWARD_ROW + x - left)
                    start, offset = np.int32(x) - np.int32(row[WHOLE_X]), HALF - row[REST_X] + shear * dy
                    for lane in range(np.uintp(LANES)):
                        k = base + lane
                        u = f32(np.int32(start + np.int32(lane))) + offset
                        alpha = min(opacity * _exp2(max(-falloff_x * u * u - constant, FLOOR)), CAP)
                        t = buffer[k + F_T]
                        after = t * (ONE - alpha)
                        hit = (alpha >= CUT) & (t > ZERO)
                        closes = after <= STOP
                        weight = alpha * t if (hit and not closes) else ZERO
                        updated = -t if closes else after
                        buffer[k + F_T] = updated if hit else t
                        buffer[k + F_LAST] = position if (hit and not closes) else buffer[k + F_LAST]
                        buffer[k + F_R] += weight * red
                        buffer[k + F_G] += weight * green
                        buffer[k + F_B] += weight * blue
                        buffer[k + F_Z] += weight * z
                        blended += weight
            if blended > ZERO:
                box = boxes[image, g]
                seen[slots[image, g] + (tile_y - box[2]) * (box[1] - box[0]) + tile_x - box[0]] = 1
        for y in range(top, bottom):
            for x in range(left, right):
                if begin == end:
                    color[image, y, x, 0] = background[0]
                    color[image, y, x, 1] = background[1]
                    color[image, y, x, 2] = background[2]
                    transmittance[image, y, x] = ONE
                    depth[image, y, x] = ZERO
                    last[image, y, x] = -1
                else:
                    k = np.uintp((y - top) * FORWARD_ROW + x - left)
                    t = abs(buffer[k + F_T])
                    color[image, y, x, 0] = buffer[k + F_R] + t * background[0]
                    color[image, y, x, 1] = buffer[k + F_G] + t * background[1]
                    color[image, y, x, 2] = buffer[k + F_B] + t * background[2]
                    transmittance[image, y, x] = t
                    depth[image, y, x] = buffer[k + F_Z]
                    last[image, y, x] = np.int32(buffer[k + F_LAST])


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True)
def blend_backward(  # type: ignore[no-untyped-def]
    part, parts, screen, boxes, offsets, entries, slots, background, tiles_x, transmittance, last, seen,
    d_color, d_alpha, d_depth, mask, shared, moments,
):  # fmt: skip
    """Back to front through the same lists; every (Gaussian, tile) has a row of its own to sum into.

    With q the gradient of a pixel times what a Gaussian would add to it and r the same for all that lies behind,
    dL/dalpha = T·(q - r), so one number per pixel replaces the blended channels.

    Args:
        d_color, d_alpha, d_depth: ``[F·V, H, W, 3]``, ``[F·V, H, W]``, ``[F·V, H, W]`` or ``[0, 0, 0]`` for none.
        mask: ``[F·V, N]`` or ``[0, 0]``, Gaussians whose geometry receives gradient.
        shared: whether opacities or colours need gradient, of every Gaussian.
        moments: out, ``[E, MOMENTS]``; only rows of Gaussians that were seen are written.
    """
    images, height, width = transmittance.shape
    tiles = offsets.shape[1] - 1
    with_depth, masked = len(d_depth) > 0, len(mask) > 0
    buffer = np.empty(TILE_H * BACKWARD_ROW, np.float32)
    for item in range(part, images * tiles, parts):
        image, tile = item // tiles, item % tiles
        tile_y, tile_x = tile // tiles_x, tile % tiles_x
        top, left = tile_y * TILE_H, tile_x * TILE_W
        bottom, right = min(top + TILE_H, height), min(left + TILE_W, width)
        begin, end = offsets[image, tile], offsets[image, tile + 1]
        if begin == end:
            continue
        buffer[:] = ZERO
        for y in range(TILE_H):
            for x in range(STRIDE):
                buffer[y * BACKWARD_ROW + int(B_LAST) + x] = -ONE
        deepest = -1
        for y in range(top, bottom):
            for x in range(left, right):
                k = np.uintp((y - top) * BACKWARD_ROW + x - left)
                d0, d1, d2 = d_color[image, y, x, 0], d_color[image, y, x, 1], d_color[image, y, x, 2]
                buffer[k + B_T] = transmittance[image, y, x]
                buffer[k + B_REST] = d0 * background[0] + d1 * background[1] + d2 * background[2]
                buffer[k + B_R], buffer[k + B_G], buffer[k + B_B] = d0, d1, d2
                buffer[k + B_A] = d_alpha[image, y, x]
                buffer[k + B_Z] = d_depth[image, y, x] if with_depth else ZERO
                buffer[k + B_LAST] = f32(last[image, y, x])
                deepest = max(deepest, last[image, y, x])
        for e in range(begin + deepest, begin - 1, -1):
            g = entries[e]
            box = boxes[image, g]
            slot = slots[image, g] + (tile_y - box[2]) * (box[1] - box[0]) + tile_x - box[0]
            if not seen[slot]:
                continue
            with_geometry = not masked or mask[image, g]
            row = screen[image, g]
            mean_x, mean_y = row[WHOLE_X] + row[REST_X], row[WHOLE_Y] + row[REST_Y]
            falloff_x, shear = row[FALLOFF_X], row[SHEAR]
            falloff_y, opacity, reach, z = row[FALLOFF_Y], row[OPACITY], row[REACH], row[DEPTH]
            red, green, blue = row[RED], row[GREEN], row[BLUE]
            position = f32(e - begin)
            g_0, g_u, g_uu, g_uy, g_y, g_yy = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
            g_red, g_green, g_blue, g_depth = ZERO, ZERO, ZERO, ZERO
            first_row, last_row = _pixels(mean_y, row[HALF_Y], top, bottom)
            first, stop = _pixels(mean_x, row[HALF_X], left, right)
            wide = stop - first > LANES
            for y in range(first_row, last_row):
                dy = f32(np.int32(y) - np.int32(row[WHOLE_Y])) + (HALF - row[REST_Y])
                if wide:
                    first, stop = _row_pixels(dy, mean_x, falloff_x, shear, falloff_y, reach, left, right)
                constant = falloff_y * dy * dy
                for x in range(first, stop, LANES):
                    base = np.uintp((y - top) * BACKWARD_ROW + x - left)
                    start, offset = np.int32(x) - np.int32(row[WHOLE_X]), HALF - row[REST_X] + shear * dy
                    p_0, p_u, p_uu = ZERO, ZERO, ZERO
                    for lane in range(np.uintp(LANES)):
                        k = base + lane
                        u = f32(np.int32(start + np.int32(lane))) + offset
                        raw = opacity * _exp2(max(-falloff_x * u * u - constant, FLOOR))
                        alpha = min(raw, CAP)
                        hit = (alpha >= CUT) & (buffer[k + B_LAST] >= position)
                        alpha = alpha if hit else ZERO
                        left_over = ONE - alpha
                        t = buffer[k + B_T] / left_over
                        rest = buffer[k + B_REST]
                        q = (
                            red * buffer[k + B_R] + green * buffer[k + B_G] + blue * buffer[k + B_B]
                            + z * buffer[k + B_Z] + buffer[k + B_A]
                        )  # fmt: skip
                        weight = alpha * t
                        power = weight * (q - rest)
                        buffer[k + B_T] = t
                        buffer[k + B_REST] = alpha * q + left_over * rest
                        buffer[k + B_WEIGHT] = weight
                        power = power if raw <= CAP else ZERO
                        p_0 += power
                        p_u += power * u
                        p_uu += power * u * u
                    g_0 += p_0
                    g_u += p_u
                    g_uu += p_uu
                    g_uy += p_u * dy
                    g_y += p_0 * dy
                    g_yy += p_0 * dy * dy
                    if shared:
                        for lane in range(np.uintp(LANES)):
                            weight = buffer[base + lane + B_WEIGHT]
                            g_red += weight * buffer[base + lane + B_R]
                            g_green += weight * buffer[base + lane + B_G]
                            g_blue += weight * buffer[base + lane + B_B]
                    if with_depth and with_geometry:
                        for lane in range(np.uintp(LANES)):
                            g_depth += buffer[base + lane + B_WEIGHT] * buffer[base + lane + B_Z]
            out = moments[slot]
            out[G], out[G_U], out[G_UU], out[G_UY], out[G_Y], out[G_YY] = g_0, g_u, g_uu, g_uy, g_y, g_yy
            out[G_RED], out[G_GREEN], out[G_BLUE], out[G_DEPTH] = g_red, g_green, g_blue, g_depth
