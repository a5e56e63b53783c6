"""The definition of rasterisation in plain torch: slow, differentiable by autograd, any floating dtype.

The projection is always evaluated in float64 and rounded to the dtype of the inputs. Blending has hard thresholds
(alpha under 1/255, transmittance under 1e-4); the CPU backend projects in float64 too, so both see the same numbers
and take the same side of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize.splats import (
    ALPHA_MAX,
    ALPHA_MIN,
    EXTENT,
    JACOBIAN_LIMIT,
    LOW_PASS,
    PIXEL_MAX,
    TRANSMITTANCE_STOP,
    Splats,
    without_broken,
)
from animate3d.rotations import quaternion_to_matrix

TILE = 16  # pixels: only bounds memory and work, the image does not depend on it


@dataclass(frozen=True)
class Projection:
    """Gaussians on the screen.

    Attributes:
        means: ``[..., N, 2]`` pixels.
        conics: ``[..., N, 3]`` inverse covariance: xx, xy, yy.
        depths: ``[..., N]`` along the camera's axis.
        radii: ``[..., N, 2]`` int32 half sizes of the box beyond which alpha is under 1/255; 0 if not drawn.
    """

    means: Tensor
    conics: Tensor
    depths: Tensor
    radii: Tensor

    @property
    def squares(self) -> Tensor:
        """The quadratic form of the conic with its square completed: ``[..., N, 3]`` p, s, q.

        a·dx² + 2b·dx·dy + c·dy² = p·(dx + s·dy)² + q·dy². Unlike the left side, the right one does not cancel for
        thin slanted Gaussians and is never negative.
        """
        a, b, c = self.conics.unbind(-1)
        return torch.stack([a, b / a, c - b * b / a], dim=-1)


def project(
    means: Tensor, quats: Tensor, scales: Tensor, cameras: Cameras, *, opacities: Tensor | None = None
) -> Projection:
    """EWA projection of Gaussians to the screen.

    Args:
        means, quats, scales: ``[..., N, 3 | 4 | 3]`` with the batch shape of the cameras.
        cameras: ``[...]``.
        opacities: ``[..., N]``; makes the boxes as tight as the opacity allows, and empty under 1/255.

    Returns:
        everything in the dtype of the inputs; entries that are not drawn hold finite but meaningless numbers.
    """
    height, width = cameras.height, cameras.width
    viewmats, focal = cameras.viewmats, cameras.focal[..., None]
    rotation = viewmats[..., :3, :3]
    local = means @ rotation.mT + viewmats[..., None, :3, 3]
    x, y, z = local.unbind(-1)
    valid = (z > cameras.near) & (z < cameras.far)
    z = torch.where(valid, z, 1.0)

    factor = rotation[..., None, :, :] @ quaternion_to_matrix(quats) * scales[..., None, :]
    covariance = factor @ factor.mT  # in the camera's axes
    limit_x = JACOBIAN_LIMIT * 0.5 * width / focal
    limit_y = JACOBIAN_LIMIT * 0.5 * height / focal
    slope_x = torch.minimum(torch.maximum(x / z, -limit_x), limit_x)
    slope_y = torch.minimum(torch.maximum(y / z, -limit_y), limit_y)
    zero = torch.zeros_like(z)
    row_x = torch.stack([focal / z, zero, -focal * slope_x / z], dim=-1)
    row_y = torch.stack([zero, focal / z, -focal * slope_y / z], dim=-1)
    jacobian = torch.stack([row_x, row_y], dim=-2)  # [..., N, 2, 3]
    screen = jacobian @ covariance @ jacobian.mT
    xx, xy, yy = screen[..., 0, 0] + LOW_PASS, screen[..., 0, 1], screen[..., 1, 1] + LOW_PASS
    determinant = xx * yy - xy * xy
    valid = valid & (determinant > 0)
    determinant = determinant.clamp_min(1e-10)

    centre = torch.stack([focal * x / z + 0.5 * width, focal * y / z + 0.5 * height], dim=-1)
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[..., None]
    with torch.no_grad():
        extent = torch.full_like(z, EXTENT)
        if opacities is not None:
            valid = valid & (opacities >= ALPHA_MIN)
            extent = extent.minimum((2 * torch.log(opacities.clamp_min(ALPHA_MIN) / ALPHA_MIN)).sqrt())
        radii = torch.ceil(extent[..., None] * torch.stack([xx, yy], dim=-1).sqrt())
        valid = valid & (centre.abs() < PIXEL_MAX).all(dim=-1)
        size = torch.tensor([width, height], dtype=centre.dtype, device=centre.device)
        valid = valid & ((centre + radii > 0) & (centre - radii < size)).all(dim=-1)
        radii = torch.where(valid[..., None], radii, 0.0).clamp_max(PIXEL_MAX).to(torch.int32)
    return Projection(centre, conics, local[..., 2], radii)


def blend(means: Tensor, squares: Tensor, opacities: Tensor, features: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Front-to-back blending of depth-sorted Gaussians at some pixels.

    Args:
        means, squares: ``[K, 2]`` float64, ``[K, 3]`` of a `Projection`, nearest first.
        opacities: ``[K]``
        features: ``[K, C]`` what is blended.
        pixels: ``[P, 2]`` x, y of pixel centres, float64.

    Returns:
        blended features ``[P, C]`` and the transmittance that is left ``[P]``.
    """
    dx, dy = (pixels[:, None] - means).to(features.dtype).unbind(-1)  # [P, K]
    p, s, q = squares.unbind(-1)
    sigma = 0.5 * (p * (dx + s * dy) ** 2 + q * dy**2)
    alpha = (opacities * torch.exp(-sigma)).clamp_max(ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
    # Without the stop the transmittance only falls, so a pixel is open exactly as long as it is above the limit.
    is_open = torch.cumprod(1 - alpha.detach(), dim=-1) > TRANSMITTANCE_STOP
    alpha = torch.where(is_open, alpha, 0.0)
    after = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=-1)
    return (alpha * before) @ features, after[:, -1]


def rasterize(
    splats: Splats, cameras: Cameras, background: Tensor, grad_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Render every frame from every view; see `render`.

    Args:
        splats: opacities ``[F, N]``, colours ``[F | 1, V | 1, N, 3]``.
        cameras: ``[F, V]``.
        background: ``[3]``
        grad_mask: ``[F, V, N]`` or None.

    Returns:
        colour before clamping, alpha, depth and radii in the shapes of `Rendering`.
    """
    frames, views = cameras.shape
    shape = (frames, views, splats.means.shape[1])
    dtype, double = splats.means.dtype, torch.float64
    splats = without_broken(splats)
    geometry = [t[:, None].expand(*shape, t.shape[-1]) for t in (splats.means, splats.quats, splats.scales)]
    if grad_mask is not None:
        geometry = [torch.where(grad_mask[..., None], t, t.detach()) for t in geometry]
    opacities, colors = splats.opacities[:, None].expand(shape), splats.colors.expand(*shape, 3)

    means, quats, scales = (t.to(double) for t in geometry)
    exact = project(means, quats, scales, cameras.to(double), opacities=opacities.to(double))
    drawn = exact.radii.amin(-1) > 0
    # Sorted by the float32 depth, ties by index, as the keys of the CUDA rasteriser.
    order = torch.where(drawn, exact.depths.detach().float(), math.inf).argsort(dim=-1, stable=True)
    squares, depths = exact.squares.to(dtype), exact.depths.to(dtype)
    features = torch.cat([colors, depths[..., None]], dim=-1)
    images = []
    for at in ((frame, view) for frame in range(frames) for view in range(views)):
        chosen = order[at][: int(drawn[at].sum())]
        centres, forms, boxes = exact.means[at][chosen], squares[at][chosen], exact.radii[at][chosen]
        weights, values = opacities[at][chosen], features[at][chosen]
        images.append(_image(centres, forms, boxes, weights, values, background, cameras.height, cameras.width))
    image = torch.stack(images).unflatten(0, (frames, views))
    return image[..., :3], image[..., 4:5], image[..., 3:4], torch.where(drawn, exact.radii.amax(-1), 0)


def _image(
    means: Tensor,
    squares: Tensor,
    radii: Tensor,
    opacities: Tensor,
    features: Tensor,
    background: Tensor,
    height: int,
    width: int,
) -> Tensor:
    """One image ``[H, W, 5]``, colour, depth and alpha, from depth-sorted Gaussians."""
    low, high = means.detach() - radii, means.detach() + radii
    rows = []
    for top in range(0, height, TILE):
        tiles = []
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            ys = torch.arange(top, bottom, dtype=means.dtype, device=means.device) + 0.5
            xs = torch.arange(left, right, dtype=means.dtype, device=means.device) + 0.5
            pixels = torch.cartesian_prod(ys, xs).flip(-1)
            here = (low[:, 0] < right) & (high[:, 0] > left) & (low[:, 1] < bottom) & (high[:, 1] > top)
            if here.any():
                blended, left_over = blend(means[here], squares[here], opacities[here], features[here], pixels)
            else:
                blended, left_over = features.new_zeros(len(pixels), 4), features.new_ones(len(pixels))
            color = blended[:, :3] + left_over[:, None] * background
            tile = torch.cat([color, blended[:, 3:], 1 - left_over[:, None]], dim=-1)
            tiles.append(tile.reshape(bottom - top, right - left, 5))
        rows.append(torch.cat(tiles, dim=1))
    return torch.cat(rows, dim=0)
