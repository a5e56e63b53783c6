"""Rasterisation on the CPU: compiled with numba, parallel over tiles of all images, exact backward pass.

The result does not depend on the number of threads: every sum has one owner and a fixed order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize import cpu_blend, cpu_project
from animate3d.rasterize.splats import Splats
from animate3d.rasterize.threads import run_parts


def rasterize(
    splats: Splats, cameras: Cameras, background: Tensor, grad_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Render every frame from every view; arguments and results as `reference.rasterize`, float32 only."""
    exact = cameras.to(torch.float64)
    views, focals = exact.viewmats, exact.focal
    settings = (
        views,
        focals,
        background,
        grad_mask,
        cameras.height,
        cameras.width,
        float(cameras.near),
        float(cameras.far),
    )
    color, alpha, depth, radii = _Rasterize.apply(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.colors, settings
    )
    return color, alpha[..., None], depth[..., None], radii


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        colors: Tensor,
        settings: tuple[Tensor, Tensor, Tensor, Tensor | None, int, int, float, float],
    ) -> tuple[Tensor, ...]:
        views, focals, background, grad_mask, height, width, near, far = settings
        shape, gaussians = focals.shape, means.shape[1]
        images, chunks = shape.numel(), -(-gaussians // cpu_project.CHUNK)
        geometry = [_array(t) for t in (means, quats, scales, opacities)]
        camera = (_array(views), _array(focals))
        screen = np.empty((images, gaussians, cpu_project.COLUMNS), np.float32)
        boxes = np.zeros((images, gaussians, 4), np.int32)
        radii = np.zeros((images, gaussians), np.int32)
        touched = np.zeros((images, chunks), np.int64)
        run_parts(
            cpu_project.project, shape[0] * chunks, *geometry, _array(colors), *camera, height, width, near, far,
            screen, boxes, radii, touched,
        )  # fmt: skip

        tiles_x, tiles_y = -(-width // cpu_project.TILE_W), -(-height // cpu_project.TILE_H)
        starts = np.concatenate([[0], touched.sum(axis=1).cumsum()])
        offsets = np.empty((images, tiles_x * tiles_y + 1), np.int64)
        entries = np.empty(starts[-1], np.int32)
        slots = np.empty((images, gaussians), np.int64)
        run_parts(cpu_blend.tile_lists, images, screen, boxes, starts, tiles_x, offsets, entries, slots)

        lists = (screen, boxes, offsets, entries, slots, _array(background), tiles_x)
        color = np.empty((images, height, width, 3), np.float32)
        transmittance, depth = np.empty((2, images, height, width), np.float32)
        last = np.empty((images, height, width), np.int32)
        seen = np.zeros(len(entries), np.uint8)
        run_parts(cpu_blend.blend, images * tiles_x * tiles_y, *lists, color, transmittance, depth, last, seen)

        mask = torch.empty(0, 0, gaussians, dtype=torch.bool) if grad_mask is None else grad_mask
        # Saved through autograd, so that checkpointing can drop and recompute all of it.
        work = (screen, boxes, offsets, entries, slots, transmittance, last, seen)
        inputs = (means, quats, scales, opacities, views, focals, background, mask)
        ctx.save_for_backward(*inputs, *(torch.from_numpy(a) for a in work))
        ctx.tiles_x, ctx.color_views = tiles_x, colors.shape[:2]
        ctx.set_materialize_grads(False)
        outputs = (color, 1 - transmittance, depth, radii)
        color_t, alpha_t, depth_t, radii_t = (torch.from_numpy(a).unflatten(0, shape) for a in outputs)
        ctx.mark_non_differentiable(radii_t)
        return color_t, alpha_t, depth_t, radii_t

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        d_color, d_alpha, d_depth, _ = grads
        if d_color is None and d_alpha is None and d_depth is None:
            return (None,) * 6
        arrays = [_array(t) for t in ctx.saved_tensors]
        geometry, camera, (background, mask), work = arrays[:4], arrays[4:6], arrays[6:8], arrays[8:]
        screen, boxes, offsets, entries, slots, transmittance, last, seen = work
        frames, gaussians = geometry[3].shape
        pixels = images, height, width = transmittance.shape
        color_grad = _flat(d_color, (*pixels, 3), absent=(*pixels, 3))
        alpha_grad = _flat(d_alpha, pixels, absent=pixels)
        depth_grad = _flat(d_depth, pixels, absent=(0, 0, 0))
        moments = np.zeros((len(entries), cpu_project.MOMENTS), np.float32)
        run_parts(
            cpu_blend.blend_backward, images * (offsets.shape[1] - 1), screen, boxes, offsets, entries, slots,
            background, ctx.tiles_x, transmittance, last, seen, color_grad, alpha_grad, depth_grad,
            mask.reshape(mask.shape[0] * mask.shape[1], gaussians), any(ctx.needs_input_grad[3:5]), moments,
        )  # fmt: skip
        inputs = [np.zeros(a.shape, np.float32) for a in geometry]
        d_colors = np.zeros((frames, ctx.color_views[1], gaussians, 3), np.float32)
        run_parts(
            cpu_project.project_backward, frames * -(-gaussians // cpu_project.CHUNK), *geometry, *camera,
            height, width, boxes, slots, seen, moments, mask, *inputs, d_colors,
        )  # fmt: skip
        gradients = [torch.from_numpy(d) for d in (*inputs, d_colors)]
        if ctx.color_views[0] == 1:
            gradients[4] = gradients[4].sum(dim=0, keepdim=True)
        needed = zip(gradients, ctx.needs_input_grad, strict=False)
        return (*(g if needs else None for g, needs in needed), None)


def _flat(grad: Tensor | None, shape: tuple[int, ...], absent: tuple[int, ...]) -> np.ndarray:
    return np.zeros(absent, np.float32) if grad is None else _array(grad.reshape(shape))
