"""Compiled loops of the deformation field: from positions to the outputs of the heads and back, point by point.

Everything of one point (its planes, features at all times, hidden layer) lives in the first-level cache and is
evaluated again in the backward pass, so nothing but the outputs goes to memory. All heads are evaluated side by side
as one perceptron of H neurons and K outputs. A call handles a range of points and releases the GIL, so that `fused` can
run several in plain threads.

The planes come in one flat buffer, channels last: per scale the planes over space ``[rows, columns, C]`` and, for each
space axis, the table ``[R, F * C]`` of its plane with time, already blended for the F times. ``layout`` ``[S, 6, 2]``
holds offset and columns of xy, xz, yz, xt, yt, zt; the resolutions along x, y, z are the columns of the last three.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

# Not "nnan": a coordinate that is not a number must not become an index.
_FAST = {"contract", "reassoc", "nsz", "arcp"}
_jit: Any = numba.njit(fastmath=_FAST, cache=True, error_model="numpy", nogil=True)
FLUSH = 32
"""Points whose weight gradients are added up before they join the total: keeps float32 sums exact enough."""


@_jit
def _cell(point, axis, resolution):  # type: ignore[no-untyped-def]
    """Samples below and above a coordinate in -1..1 (border repeated) and their weights, in the type of ``point``."""
    number = point.dtype.type
    position = (point[axis] + 1) * 0.5 * (resolution - 1)
    if not position > 0:
        return 0, 0, number(1), number(0)
    if position >= resolution - 1:
        return resolution - 1, resolution - 1, number(1), number(0)
    lower = math.floor(position)
    return lower, lower + 1, number(1 - (position - lower)), number(position - lower)


@_jit
def _axpy(out, factor, row):  # type: ignore[no-untyped-def]
    for k in range(len(out)):
        out[k] += factor * row[k]


@_jit
def _bilinear(buffer, offset, columns, u, v, out):  # type: ignore[no-untyped-def]
    """Sample a plane at cells u (along columns) and v (along rows)."""
    channels = len(out)
    u0, u1, wu0, wu1 = u
    v0, v1, wv0, wv1 = v
    out[:] = 0
    for row, column, weight in ((v0, u0, wv0 * wu0), (v0, u1, wv0 * wu1), (v1, u0, wv1 * wu0), (v1, u1, wv1 * wu1)):
        first = offset + (row * columns + column) * channels
        _axpy(out, weight, buffer[first : first + channels])


@_jit
def _bilinear_add(buffer, offset, columns, u, v, values):  # type: ignore[no-untyped-def]
    """The transpose of `_bilinear`."""
    channels = len(values)
    u0, u1, wu0, wu1 = u
    v0, v1, wv0, wv1 = v
    for row, column, weight in ((v0, u0, wv0 * wu0), (v0, u1, wv0 * wu1), (v1, u0, wv1 * wu0), (v1, u1, wv1 * wu1)):
        first = offset + (row * columns + column) * channels
        _axpy(buffer[first : first + channels], weight, values)


@_jit
def _blend(buffer, offset, cell, out):  # type: ignore[no-untyped-def]
    """Sample a table at a cell."""
    width = len(out)
    lower, upper, w_lower, w_upper = cell
    a = buffer[offset + lower * width : offset + (lower + 1) * width]
    b = buffer[offset + upper * width : offset + (upper + 1) * width]
    for k in range(width):
        out[k] = w_lower * a[k] + w_upper * b[k]


@_jit
def _blend_add(buffer, offset, cell, values):  # type: ignore[no-untyped-def]
    """The transpose of `_blend`."""
    width = len(values)
    lower, upper, w_lower, w_upper = cell
    _axpy(buffer[offset + lower * width : offset + (lower + 1) * width], w_lower, values)
    _axpy(buffer[offset + upper * width : offset + (upper + 1) * width], w_upper, values)


@_jit
def _features(point, buffer, layout, space, moving, features):  # type: ignore[no-untyped-def]
    """All planes at one point.

    Args:
        point: ``[3]``
        buffer, layout: see the head of the module.
        space: ``[S, 3, C]`` receives the samples of the planes over space.
        moving: ``[S, 3, F * C]`` receives those of the planes with time.
        features: ``[F, S * C]`` receives the products.
    """
    channels = space.shape[2]
    for s in range(len(layout)):
        plane = layout[s]
        x, y, z = _cell(point, 0, plane[3, 1]), _cell(point, 1, plane[4, 1]), _cell(point, 2, plane[5, 1])
        _bilinear(buffer, plane[0, 0], plane[0, 1], x, y, space[s, 0])
        _bilinear(buffer, plane[1, 0], plane[1, 1], x, z, space[s, 1])
        _bilinear(buffer, plane[2, 0], plane[2, 1], y, z, space[s, 2])
        _blend(buffer, plane[3, 0], x, moving[s, 0])
        _blend(buffer, plane[4, 0], y, moving[s, 1])
        _blend(buffer, plane[5, 0], z, moving[s, 2])
        a, b, c = space[s, 0], space[s, 1], space[s, 2]
        for f in range(len(features)):
            out = features[f, s * channels : (s + 1) * channels]
            xt = moving[s, 0, f * channels : (f + 1) * channels]
            yt = moving[s, 1, f * channels : (f + 1) * channels]
            zt = moving[s, 2, f * channels : (f + 1) * channels]
            for k in range(channels):
                out[k] = xt[k] * yt[k] * zt[k]
            for k in range(channels):
                out[k] *= a[k] * b[k] * c[k]


@_jit
def _features_backward(point, layout, space, moving, grad, sums, flow, part, values):  # type: ignore[no-untyped-def]
    """Gradients of `_features` for the planes, added to ``sums`` (laid out like the buffer).

    Args:
        point, layout, space, moving: as `_features` took and left them.
        grad: ``[F, S * C]`` gradient of the features.
        sums: flat accumulator.
        flow, part: ``[F * C]`` scratch.
        values: ``[2, C]`` scratch.
    """
    channels = space.shape[2]
    total, value = values[0], values[1]
    for s in range(len(layout)):
        plane = layout[s]
        x, y, z = _cell(point, 0, plane[3, 1]), _cell(point, 1, plane[4, 1]), _cell(point, 2, plane[5, 1])
        a, b, c = space[s, 0], space[s, 1], space[s, 2]
        xt, yt, zt = moving[s, 0], moving[s, 1], moving[s, 2]
        for k in range(channels):
            value[k] = a[k] * b[k] * c[k]
        total[:] = 0
        for f in range(len(grad)):
            row, first = grad[f, s * channels : (s + 1) * channels], f * channels
            xf, yf = xt[first : first + channels], yt[first : first + channels]
            zf, out = zt[first : first + channels], flow[first : first + channels]
            for k in range(channels):
                total[k] += row[k] * xf[k] * yf[k] * zf[k]
            for k in range(channels):
                out[k] = row[k] * value[k]
        for k in range(len(flow)):
            part[k] = flow[k] * yt[k] * zt[k]
        _blend_add(sums, plane[3, 0], x, part)
        for k in range(len(flow)):
            part[k] = flow[k] * xt[k] * zt[k]
        _blend_add(sums, plane[4, 0], y, part)
        for k in range(len(flow)):
            part[k] = flow[k] * xt[k] * yt[k]
        _blend_add(sums, plane[5, 0], z, part)
        for k in range(channels):
            value[k] = total[k] * b[k] * c[k]
        _bilinear_add(sums, plane[0, 0], plane[0, 1], x, y, value)
        for k in range(channels):
            value[k] = total[k] * a[k] * c[k]
        _bilinear_add(sums, plane[1, 0], plane[1, 1], x, z, value)
        for k in range(channels):
            value[k] = total[k] * a[k] * b[k]
        _bilinear_add(sums, plane[2, 0], plane[2, 1], y, z, value)


@_jit
def _hidden(features, first, hidden):  # type: ignore[no-untyped-def]
    """ReLU layer of one point at one time: ``[D]``, ``[D, H]`` -> ``[H]``."""
    hidden[:] = 0
    for k in range(len(features)):
        _axpy(hidden, features[k], first[k])
    zero = hidden.dtype.type(0)  # an integer would make the whole loop double precision
    for j in range(len(hidden)):
        hidden[j] = max(hidden[j], zero)


@_jit
def forward(  # type: ignore[no-untyped-def]
    start, stop, xyz, buffer, layout, channels, first, last, xyz_out, rot_out, scale_out, sums
):
    """Outputs of the heads at some points and all times, and sums of the features.

    Args:
        start, stop: range of points.
        xyz: ``[N, 3]``
        buffer, layout: see the head of the module.
        channels: C.
        first: ``[D, H]`` first layers of all heads.
        last: ``[K, H]`` last layers, zero outside each head's own neurons; K = 3 + 4 + 3, or 3 + 4 without scale.
        xyz_out, rot_out, scale_out: ``[F, N, 3 | 4 | 3 or 0]``, written.
        sums: ``[F, D]`` zeros; receives the sums over the points.
    """
    frames = len(xyz_out)
    n_xyz, n_rot, n_scale = xyz_out.shape[2], rot_out.shape[2], scale_out.shape[2]
    features = np.empty((frames, first.shape[0]), xyz.dtype)
    space = np.empty((len(layout), 3, channels), xyz.dtype)
    moving = np.empty((len(layout), 3, frames * channels), xyz.dtype)
    hidden = np.empty(first.shape[1], xyz.dtype)
    total = np.empty((frames, first.shape[0]), xyz.dtype)
    for block in range(start, stop, FLUSH):
        total[:] = 0
        for p in range(block, min(block + FLUSH, stop)):
            _features(xyz[p], buffer, layout, space, moving, features)
            for f in range(frames):
                for k in range(len(first)):
                    total[f, k] += features[f, k]
                _hidden(features[f], first, hidden)
                for k in range(n_xyz):
                    xyz_out[f, p, k] = _dot(last[k], hidden)
                for k in range(n_rot):
                    rot_out[f, p, k] = _dot(last[n_xyz + k], hidden)
                for k in range(n_scale):
                    scale_out[f, p, k] = _dot(last[n_xyz + n_rot + k], hidden)
        sums += total


@_jit
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = a.dtype.type(0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@_jit
def _last_backward(gradient, last, row, hidden, g_last, g_hidden):  # type: ignore[no-untyped-def]
    """One head's last layer: adds to ``g_last`` ``[K, H]`` and ``g_hidden`` ``[H]``."""
    for k in range(len(gradient)):
        _axpy(g_last[row + k], gradient[k], hidden)
        _axpy(g_hidden, gradient[k], last[row + k])


@_jit
def backward(  # type: ignore[no-untyped-def]
    start, stop, xyz, buffer, layout, channels, first, last, g_xyz, g_rot, g_scale, g_mean, g_buffer, g_first, g_last
):
    """Gradients of `forward` for the planes and the weights, added to accumulators.

    Args:
        start, stop, xyz, buffer, layout, channels, first, last: as for `forward`.
        g_xyz, g_rot, g_scale: ``[F, N, 3 | 4 | 3 or 0]`` gradients of the outputs.
        g_mean: ``[F, D]`` gradient of the sums of the features.
        g_buffer: like ``buffer``.
        g_first: ``[D, H]``
        g_last: ``[K, H]``
    """
    frames = len(g_xyz)
    n_xyz, n_rot = g_xyz.shape[2], g_rot.shape[2]
    transposed = np.ascontiguousarray(first.T)
    features = np.empty((frames, first.shape[0]), xyz.dtype)
    grad = np.empty((frames, first.shape[0]), xyz.dtype)
    space = np.empty((len(layout), 3, channels), xyz.dtype)
    moving = np.empty((len(layout), 3, frames * channels), xyz.dtype)
    flow = np.empty(frames * channels, xyz.dtype)
    part = np.empty(frames * channels, xyz.dtype)
    values = np.empty((2, channels), xyz.dtype)
    hidden = np.empty(first.shape[1], xyz.dtype)
    g_hidden = np.empty(first.shape[1], xyz.dtype)
    block_first = np.empty(first.shape, xyz.dtype)
    block_last = np.empty(last.shape, xyz.dtype)
    for block in range(start, stop, FLUSH):
        block_first[:] = 0
        block_last[:] = 0
        for p in range(block, min(block + FLUSH, stop)):
            _features(xyz[p], buffer, layout, space, moving, features)
            for f in range(frames):
                _hidden(features[f], first, hidden)
                g_hidden[:] = 0
                _last_backward(g_xyz[f, p], last, 0, hidden, block_last, g_hidden)
                _last_backward(g_rot[f, p], last, n_xyz, hidden, block_last, g_hidden)
                _last_backward(g_scale[f, p], last, n_xyz + n_rot, hidden, block_last, g_hidden)
                grad[f] = g_mean[f]
                for j in range(len(hidden)):
                    if hidden[j] > 0:
                        _axpy(grad[f], g_hidden[j], transposed[j])
                    else:
                        g_hidden[j] = 0
                for k in range(len(block_first)):
                    _axpy(block_first[k], features[f, k], g_hidden)
            _features_backward(xyz[p], layout, space, moving, grad, g_buffer, flow, part, values)
        g_first += block_first
        g_last += block_last
