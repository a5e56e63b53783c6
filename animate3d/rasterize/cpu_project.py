"""Compiled projection of Gaussians to the screen and its derivative (float64; see `reference.project`).

A Gaussian falls off on the screen as exp(-(falloff_x·u² + falloff_y·dy²)) with u = dx + shear·dy, which is the usual
quadratic form with the square completed. It is never positive through rounding, and along a row of pixels only u moves.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from animate3d.rasterize.splats import ALPHA_MIN, EXTENT, JACOBIAN_LIMIT, LOW_PASS, PIXEL_MAX

# Columns of a projected Gaussian. The falloffs are in powers of two: 2^-(...) is cheaper than exp. The mean is split
# into a whole number and the rest: distances to pixels are then exact to 1e-7 pixels anywhere in the image.
WHOLE_X, WHOLE_Y, REST_X, REST_Y, FALLOFF_X, SHEAR, FALLOFF_Y, OPACITY = range(8)
REACH, DEPTH, RED, GREEN, BLUE, HALF_X, HALF_Y = range(8, 15)
COLUMNS = 16  # padded to a cache line
# Columns of its gradient, summed over pixels: moments of G = dL/d(exponent), and plain gradients.
G, G_U, G_UU, G_UY, G_Y, G_YY, G_RED, G_GREEN, G_BLUE, G_DEPTH = range(10)
MOMENTS = 10

TILE_W, TILE_H = 32, 32  # pixels
REACH_MARGIN = 1e-3  # the pixels that a Gaussian visits are chosen generously, the exact test comes later
CHUNK = 256  # Gaussians projected by one task


@njit(inline="always")
def _rotation(q):  # type: ignore[no-untyped-def]
    """Rotation matrix (row by row), unit quaternion and length."""
    w, x, y, z = np.float64(q[0]), np.float64(q[1]), np.float64(q[2]), np.float64(q[3])
    length = max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    w, x, y, z = w / length, x / length, y / length, z / length
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        w, x, y, z, length,
    )  # fmt: skip


@njit(inline="always")
def _covariance(q, s):  # type: ignore[no-untyped-def]
    """World covariance: xx, xy, xz, yy, yz, zz."""
    r0, r1, r2, r3, r4, r5, r6, r7, r8, _, _, _, _, _ = _rotation(q)
    a, b, c = np.float64(s[0]) ** 2, np.float64(s[1]) ** 2, np.float64(s[2]) ** 2
    return (
        a * r0 * r0 + b * r1 * r1 + c * r2 * r2,
        a * r0 * r3 + b * r1 * r4 + c * r2 * r5,
        a * r0 * r6 + b * r1 * r7 + c * r2 * r8,
        a * r3 * r3 + b * r4 * r4 + c * r5 * r5,
        a * r3 * r6 + b * r4 * r7 + c * r5 * r8,
        a * r6 * r6 + b * r7 * r7 + c * r8 * r8,
    )


@njit(inline="always")
def _apply(cov, x, y, z):  # type: ignore[no-untyped-def]
    """Symmetric matrix times vector."""
    return (
        cov[0] * x + cov[1] * y + cov[2] * z,
        cov[1] * x + cov[3] * y + cov[4] * z,
        cov[2] * x + cov[4] * y + cov[5] * z,
    )


@njit(inline="always")
def _screen(m, cov, view, f, limit_x, limit_y):  # type: ignore[no-untyped-def]
    """Camera coordinates, clamped slopes, the rows of Jacobian times rotation, and the screen covariance."""
    mx, my, mz = np.float64(m[0]), np.float64(m[1]), np.float64(m[2])
    x = view[0, 0] * mx + view[0, 1] * my + view[0, 2] * mz + view[0, 3]
    y = view[1, 0] * mx + view[1, 1] * my + view[1, 2] * mz + view[1, 3]
    z = view[2, 0] * mx + view[2, 1] * my + view[2, 2] * mz + view[2, 3]
    slope_x = min(max(x / z, -limit_x), limit_x)
    slope_y = min(max(y / z, -limit_y), limit_y)
    h = f / z
    a0 = h * (view[0, 0] - slope_x * view[2, 0])
    a1 = h * (view[0, 1] - slope_x * view[2, 1])
    a2 = h * (view[0, 2] - slope_x * view[2, 2])
    b0 = h * (view[1, 0] - slope_y * view[2, 0])
    b1 = h * (view[1, 1] - slope_y * view[2, 1])
    b2 = h * (view[1, 2] - slope_y * view[2, 2])
    ca0, ca1, ca2 = _apply(cov, a0, a1, a2)
    cb0, cb1, cb2 = _apply(cov, b0, b1, b2)
    xx = a0 * ca0 + a1 * ca1 + a2 * ca2 + LOW_PASS
    xy = a0 * cb0 + a1 * cb1 + a2 * cb2
    yy = b0 * cb0 + b1 * cb1 + b2 * cb2 + LOW_PASS
    return x, y, z, slope_x, slope_y, a0, a1, a2, b0, b1, b2, ca0, ca1, ca2, cb0, cb1, cb2, xx, xy, yy


@njit(inline="always")
def _pixel_range(centre, half, size):  # type: ignore[no-untyped-def]
    """First and one past the last pixel whose centre lies within ``half`` of ``centre``."""
    first = math.ceil(min(max(centre - half - 0.5, 0.0), float(size)))
    last = math.floor(min(max(centre + half + 0.5, 0.0), float(size)))
    return int(first), int(last)


@njit(nogil=True, fastmath={"contract"}, error_model="numpy", cache=True)
def project(  # type: ignore[no-untyped-def]
    part, parts, means, quats, scales, opacities, colors, views, focals, height, width, near, far,
    screen, boxes, radii, touched,
):  # fmt: skip
    """Project F frames of Gaussians into V views each.

    Args:
        part, parts: which of the F·`chunks` items to do (see `threads.run_parts`).
        means, quats, scales, opacities: ``[F, N, 3 | 4 | 3]``, ``[F, N]`` float32.
        colors: ``[F | 1, V | 1, N, 3]`` float32.
        views: ``[F, V, 4, 4]`` float64 world to camera; focals ``[F, V]`` float64 pixels.
        screen: out, ``[F·V, N, COLUMNS]``
        boxes: out, zeros ``[F·V, N, 4]``; first and one past the last tile in x, then in y.
        radii: out, zeros ``[F·V, N]``
        touched: out, zeros ``[F·V, chunks]``; tiles touched.
    """
    frames, gaussians = opacities.shape
    n_views = focals.shape[1]
    chunks = touched.shape[1]
    for task in range(part, frames * chunks, parts):
        frame, chunk = task // chunks, task % chunks
        color_frame = frame if colors.shape[0] > 1 else 0
        for g in range(chunk * CHUNK, min((chunk + 1) * CHUNK, gaussians)):
            mean, opacity = means[frame, g], opacities[frame, g]
            total = np.float64(opacity)
            for k in range(3):
                total += mean[k] + quats[frame, g, k] + scales[frame, g, k]
            total += quats[frame, g, 3]
            for v in range(colors.shape[1]):
                for k in range(3):
                    total += colors[color_frame, v, g, k]
            if not math.isfinite(total) or opacity < np.float32(ALPHA_MIN):
                continue
            cov = _covariance(quats[frame, g], scales[frame, g])
            log_peak = math.log(max(float(opacity) / ALPHA_MIN, 1.0))
            extent = min(EXTENT, math.sqrt(2 * log_peak))
            reach = log_peak + REACH_MARGIN
            for v in range(n_views):
                image, f = frame * n_views + v, focals[frame, v]
                color = colors[color_frame, v if colors.shape[1] > 1 else 0, g]
                limit_x, limit_y = JACOBIAN_LIMIT * 0.5 * width / f, JACOBIAN_LIMIT * 0.5 * height / f
                x, y, z, _, _, _, _, _, _, _, _, _, _, _, _, _, _, xx, xy, yy = _screen(
                    mean, cov, views[frame, v], f, limit_x, limit_y
                )
                determinant = xx * yy - xy * xy
                if not (z > near and z < far and determinant > 0):
                    continue
                px, py = f * x / z + 0.5 * width, f * y / z + 0.5 * height
                if not (abs(px) < PIXEL_MAX and abs(py) < PIXEL_MAX):
                    continue
                radius_x, radius_y = math.ceil(extent * math.sqrt(xx)), math.ceil(extent * math.sqrt(yy))
                if not (
                    radius_x > 0
                    and radius_y > 0
                    and px + radius_x > 0
                    and px - radius_x < width
                    and py + radius_y > 0
                    and py - radius_y < height
                ):
                    continue
                radii[image, g] = int(min(max(radius_x, radius_y), PIXEL_MAX))
                half_x, half_y = math.sqrt(2 * reach * xx), math.sqrt(2 * reach * yy)
                x0, x1 = _pixel_range(px, half_x, width)
                y0, y1 = _pixel_range(py, half_y, height)
                if x0 >= x1 or y0 >= y1:
                    continue
                box = boxes[image, g]
                box[0], box[1] = x0 // TILE_W, (x1 - 1) // TILE_W + 1
                box[2], box[3] = y0 // TILE_H, (y1 - 1) // TILE_H + 1
                touched[image, chunk] += (box[1] - box[0]) * (box[3] - box[2])
                row = screen[image, g]
                row[WHOLE_X], row[WHOLE_Y] = math.floor(px), math.floor(py)
                row[REST_X], row[REST_Y] = px - np.float64(row[WHOLE_X]), py - np.float64(row[WHOLE_Y])
                row[DEPTH] = z
                to_log2 = 0.5 / math.log(2.0)
                row[FALLOFF_X] = to_log2 * yy / max(determinant, 1e-10)
                row[SHEAR] = -xy / yy
                row[FALLOFF_Y] = to_log2 / yy
                row[OPACITY] = opacity
                row[HALF_X], row[HALF_Y] = half_x, half_y
                row[REACH] = reach / math.log(2.0)
                row[RED], row[GREEN], row[BLUE] = color[0], color[1], color[2]


@njit(nogil=True, fastmath={"contract"}, error_model="numpy", cache=True)
def project_backward(  # type: ignore[no-untyped-def]
    part, parts, means, quats, scales, opacities, views, focals, height, width, boxes, slots, seen, moments, mask,
    d_means, d_quats, d_scales, d_opacities, d_colors,
):  # fmt: skip
    """Chain rule from the summed moments of every (Gaussian, tile) to the Gaussians; views of a frame are added up.

    Args:
        slots: ``[F·V, N]`` where a Gaussian's tiles begin in ``seen [E]`` and ``moments [E, MOMENTS]``.
        mask: ``[F, V, N]`` or ``[0, 0, 0]``, Gaussians whose geometry receives gradient.
        d_means, d_quats, d_scales, d_opacities: out, zeros ``[F, N, ·]``
        d_colors: out, zeros ``[F, V | 1, N, 3]``
    """
    frames, gaussians = opacities.shape
    n_views = focals.shape[1]
    masked = mask.shape[0] > 0
    view_colors = d_colors.shape[1] > 1
    chunks = (gaussians + CHUNK - 1) // CHUNK
    for task in range(part, frames * chunks, parts):
        frame, chunk = task // chunks, task % chunks
        total = np.empty(MOMENTS, np.float64)
        for g in range(chunk * CHUNK, min((chunk + 1) * CHUNK, gaussians)):
            mean = means[frame, g]
            have_cov = False
            cov = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
            gm0, gm1, gm2 = 0.0, 0.0, 0.0  # gradient of the mean
            s0, s1, s2, s3, s4, s5 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0  # of the covariance, as a symmetric matrix
            for v in range(n_views):
                image = frame * n_views + v
                box = boxes[image, g]
                n_tiles = (box[1] - box[0]) * (box[3] - box[2])
                if n_tiles == 0:
                    continue
                total[:] = 0.0
                any_seen = False
                for e in range(slots[image, g], slots[image, g] + n_tiles):
                    if seen[e]:
                        any_seen = True
                        for k in range(MOMENTS):
                            total[k] += moments[e, k]
                if not any_seen:
                    continue
                d_opacities[frame, g] += total[G] / opacities[frame, g]
                for k in range(3):
                    d_colors[frame, v if view_colors else 0, g, k] += total[G_RED + k]
                if masked and not mask[frame, v, g]:
                    continue
                if not have_cov:
                    have_cov = True
                    cov = _covariance(quats[frame, g], scales[frame, g])
                view, f = views[frame, v], focals[frame, v]
                limit_x, limit_y = JACOBIAN_LIMIT * 0.5 * width / f, JACOBIAN_LIMIT * 0.5 * height / f
                (
                    x, y, z, slope_x, slope_y, a0, a1, a2, b0, b1, b2, ca0, ca1, ca2, cb0, cb1, cb2, xx, xy, yy
                ) = _screen(mean, cov, view, f, limit_x, limit_y)  # fmt: skip
                # From moments to the screen mean and the three shape numbers.
                conic = yy / max(xx * yy - xy * xy, 1e-10)
                shear, inverse = -xy / yy, 1.0 / yy
                g_px = conic * total[G_U]
                g_py = conic * shear * total[G_U] + inverse * total[G_Y]
                g_conic = -0.5 * total[G_UU]
                g_shear = -conic * total[G_UY]
                g_inverse = -0.5 * total[G_YY]
                # conic = 1 / (xx - xy² / yy)
                g_xx = -conic * conic * g_conic
                g_xy = 2 * shear * g_xx - g_shear * inverse
                g_yy = shear * shear * g_xx - shear * inverse * g_shear - g_inverse * inverse * inverse
                # Covariance on the screen = rows a, b applied to the world covariance from both sides.
                s0 += g_xx * a0 * a0 + g_yy * b0 * b0 + g_xy * a0 * b0
                s1 += g_xx * a0 * a1 + g_yy * b0 * b1 + 0.5 * g_xy * (a0 * b1 + a1 * b0)
                s2 += g_xx * a0 * a2 + g_yy * b0 * b2 + 0.5 * g_xy * (a0 * b2 + a2 * b0)
                s3 += g_xx * a1 * a1 + g_yy * b1 * b1 + g_xy * a1 * b1
                s4 += g_xx * a1 * a2 + g_yy * b1 * b2 + 0.5 * g_xy * (a1 * b2 + a2 * b1)
                s5 += g_xx * a2 * a2 + g_yy * b2 * b2 + g_xy * a2 * b2
                da0, da1, da2 = 2 * g_xx * ca0 + g_xy * cb0, 2 * g_xx * ca1 + g_xy * cb1, 2 * g_xx * ca2 + g_xy * cb2
                db0, db1, db2 = 2 * g_yy * cb0 + g_xy * ca0, 2 * g_yy * cb1 + g_xy * ca1, 2 * g_yy * cb2 + g_xy * ca2
                h = f / z
                g_h = (da0 * a0 + da1 * a1 + da2 * a2 + db0 * b0 + db1 * b1 + db2 * b2) / h
                g_slope_x = -h * (da0 * view[2, 0] + da1 * view[2, 1] + da2 * view[2, 2])
                g_slope_y = -h * (db0 * view[2, 0] + db1 * view[2, 1] + db2 * view[2, 2])
                gx, gy = h * g_px, h * g_py
                gz = -(g_h + x * g_px + y * g_py) * h / z + total[G_DEPTH]
                if abs(x / z) < limit_x:
                    gx += g_slope_x / z
                    gz -= g_slope_x * slope_x / z
                if abs(y / z) < limit_y:
                    gy += g_slope_y / z
                    gz -= g_slope_y * slope_y / z
                gm0 += view[0, 0] * gx + view[1, 0] * gy + view[2, 0] * gz
                gm1 += view[0, 1] * gx + view[1, 1] * gy + view[2, 1] * gz
                gm2 += view[0, 2] * gx + view[1, 2] * gy + view[2, 2] * gz
            if not have_cov:
                continue
            d_means[frame, g, 0], d_means[frame, g, 1], d_means[frame, g, 2] = gm0, gm1, gm2
            r0, r1, r2, r3, r4, r5, r6, r7, r8, qw, qx, qy, qz, length = _rotation(quats[frame, g])
            sym = (s0, s1, s2, s3, s4, s5)
            scale_x, scale_y, scale_z = scales[frame, g, 0], scales[frame, g, 1], scales[frame, g, 2]
            # covariance = M Mᵀ with M = R·diag(scale): dM = 2·dΣ·M, column by column.
            m0, m3, m6 = _apply(sym, r0, r3, r6)
            m1, m4, m7 = _apply(sym, r1, r4, r7)
            m2, m5, m8 = _apply(sym, r2, r5, r8)
            d_scales[frame, g, 0] = 2 * scale_x * (m0 * r0 + m3 * r3 + m6 * r6)
            d_scales[frame, g, 1] = 2 * scale_y * (m1 * r1 + m4 * r4 + m7 * r7)
            d_scales[frame, g, 2] = 2 * scale_z * (m2 * r2 + m5 * r5 + m8 * r8)
            vx, vy, vz = 2.0 * scale_x * scale_x, 2.0 * scale_y * scale_y, 2.0 * scale_z * scale_z
            m0, m3, m6 = m0 * vx, m3 * vx, m6 * vx
            m1, m4, m7 = m1 * vy, m4 * vy, m7 * vy
            m2, m5, m8 = m2 * vz, m5 * vz, m8 * vz
            dw = 2 * (qz * (m3 - m1) + qy * (m2 - m6) + qx * (m7 - m5))
            dx = 2 * (qy * (m1 + m3) + qz * (m2 + m6) - 2 * qx * (m4 + m8) + qw * (m7 - m5))
            dy = 2 * (qx * (m1 + m3) + qz * (m5 + m7) - 2 * qy * (m0 + m8) + qw * (m2 - m6))
            dz = 2 * (qx * (m2 + m6) + qy * (m5 + m7) - 2 * qz * (m0 + m4) + qw * (m3 - m1))
            along = qw * dw + qx * dx + qy * dy + qz * dz
            d_quats[frame, g, 0], d_quats[frame, g, 1] = (dw - qw * along) / length, (dx - qx * along) / length
            d_quats[frame, g, 2], d_quats[frame, g, 3] = (dy - qy * along) / length, (dz - qz * along) / length
    return d_means, d_quats, d_scales, d_opacities, d_colors
