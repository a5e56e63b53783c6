"""Rasterisation on the CPU: compiled with numba, parallel over tiles of all images, exact backward pass.

The result does not depend on the number of threads: every sum has one owner and a fixed order.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize import cpu_blend, cpu_project
from animate3d.rasterize.splats import Splats


def rasterize(
    splats: Splats, cameras: Cameras, background: Tensor, grad_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Render every frame from every view; arguments and results as `reference.rasterize`, float32 only."""
    exact = cameras.to(torch.float64)
    views, focals = exact.viewmats, exact.focal
    settings = (views, focals, background, grad_mask, cameras.height, cameras.width, cameras.near, cameras.far)
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
        views, focals, background, _, height, width, near, far = settings
        shape = focals.shape
        geometry = [_array(t) for t in (means, quats, scales, opacities)]
        camera = (_array(views), _array(focals))
        screen, boxes, radii, touched = cpu_project.project(
            *geometry, _array(colors), *camera, height, width, float(near), float(far)
        )
        starts = np.concatenate([[0], touched.sum(axis=1).cumsum()]).astype(np.int64)
        grid = (-(-width // cpu_project.TILE_W), -(-height // cpu_project.TILE_H))
        lists = cpu_blend.tile_lists(screen, boxes, starts, *grid)
        color, transmittance, depth, last, seen = cpu_blend.blend(
            screen, boxes, *lists, _array(background), height, width, *grid, numba.get_num_threads()
        )
        ctx.saved = (geometry, camera, screen, boxes, lists, grid, transmittance, last, seen)
        ctx.settings, ctx.color_shape = settings, colors.shape
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
        geometry, camera, screen, boxes, lists, grid, transmittance, last, seen = ctx.saved
        _, _, background, grad_mask, height, width, _, _ = ctx.settings
        images = transmittance.shape
        color_grad = _flat(d_color, (*images, 3), zeros=(*images, 3))
        alpha_grad = _flat(d_alpha, images, zeros=images)
        depth_grad = _flat(d_depth, images, zeros=(0, 0, 0))
        mask = np.empty((0, 0, 0), np.bool_) if grad_mask is None else _array(grad_mask)
        shared = any(ctx.needs_input_grad[3:5])
        moments = cpu_blend.blend_backward(
            screen, boxes, *lists, _array(background), transmittance, last, seen, color_grad, alpha_grad, depth_grad,
            mask.reshape(mask.shape[0] * mask.shape[1], mask.shape[2]), shared, *grid, numba.get_num_threads(),
        )  # fmt: skip
        *d_inputs, d_colors = cpu_project.project_backward(
            *geometry, *camera, height, width, boxes, lists[2], seen, moments, mask, ctx.color_shape[1] > 1
        )
        gradients = [torch.from_numpy(d) for d in (*d_inputs, d_colors)]
        if ctx.color_shape[0] == 1:
            gradients[4] = gradients[4].sum(dim=0, keepdim=True)
        needed = zip(gradients, ctx.needs_input_grad, strict=False)
        return (*(g if needs else None for g, needs in needed), None)


def _flat(grad: Tensor | None, shape: tuple[int, ...], zeros: tuple[int, ...]) -> np.ndarray:
    return np.zeros(zeros, np.float32) if grad is None else _array(grad.reshape(shape))
