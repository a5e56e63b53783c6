"""Rays, projection matrices and small tensor operations, on whatever device their inputs are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def dot(x: Tensor, y: Tensor) -> Tensor:
    """Dot product over the last axis, which is kept. ``[..., 1]``"""
    return (x * y).sum(-1, keepdim=True)


def perpendicular_component(x: Tensor, y: Tensor) -> Tensor:
    """The part of ``x`` that is perpendicular to ``y``, one vector per batch item. ``[B, ...]``"""
    x_flat, y_flat = x.flatten(1), y.flatten(1)
    scale = dot(x_flat, y_flat) / dot(y_flat, y_flat).clamp(min=1e-6)
    return x - scale.view(-1, *[1] * (x.dim() - 1)) * y


def get_activation(name: str | None) -> Callable[[Tensor], Tensor]:
    """Activation by its config name; None and "none" are the identity; other names are torch's.

    Raises:
        ValueError: unknown name.
    """
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "none": lambda x: x,
        "exp": torch.exp,
        "shifted_exp": lambda x: torch.exp(x - 1.0),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "shifted_softplus": lambda x: F.softplus(x - 1.0),
        "scale_-11_01": lambda x: x * 0.5 + 0.5,
        "lin2srgb": lambda x: torch.where(
            x > 0.0031308, x.clamp(min=0.0031308) ** (1 / 2.4) * 1.055 - 0.055, 12.92 * x
        ).clamp(0.0, 1.0),
    }
    name = "none" if name is None else name.lower()
    if name in known:
        return known[name]
    try:
        return getattr(F, name)
    except AttributeError as error:
        raise ValueError(f"Unknown activation function: {name}") from error


def chunk_batch(function: Callable[..., Any], chunk_size: int, *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` on pieces of at most ``chunk_size`` rows of its tensor arguments and join the results.

    Results may be a tensor, or a tuple, list or dict of tensors. ``chunk_size <= 0`` makes one call.
    """
    sizes = [x.shape[0] for x in [*args, *kwargs.values()] if isinstance(x, Tensor)]
    if chunk_size <= 0 or not sizes or sizes[0] <= chunk_size:
        return function(*args, **kwargs)

    def piece(x: Any, i: int) -> Any:
        return x[i : i + chunk_size] if isinstance(x, Tensor) else x

    results = [
        function(*[piece(x, i) for x in args], **{k: piece(v, i) for k, v in kwargs.items()})
        for i in range(0, sizes[0], chunk_size)
    ]
    if not torch.is_grad_enabled():
        results = [_map_tensors(r, torch.Tensor.detach) for r in results]
    first = results[0]
    if isinstance(first, Tensor):
        return torch.cat(results)
    if isinstance(first, dict):
        return {k: torch.cat([r[k] for r in results]) for k in first}
    return type(first)(torch.cat([r[i] for r in results]) for i in range(len(first)))


def _map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {k: function(v) for k, v in value.items()}
    return type(value)(function(v) for v in value)


def get_ray_directions(
    H: int,
    W: int,
    focal: float | tuple[float, float],
    principal: tuple[float, float] | None = None,
    use_pixel_centers: bool = True,
) -> Tensor:
    """Directions of the pixels' rays in camera space, OpenGL axes, depth 1. ``[H, W, 3]``"""
    offset = 0.5 if use_pixel_centers else 0.0
    fx, fy = (focal, focal) if isinstance(focal, int | float) else focal
    cx, cy = principal if principal is not None else (W / 2, H / 2)
    x, y = torch.meshgrid(
        torch.arange(W, dtype=torch.float32) + offset, torch.arange(H, dtype=torch.float32) + offset, indexing="xy"
    )
    return torch.stack([(x - cx) / fx, -(y - cy) / fy, -torch.ones_like(x)], dim=-1)


def get_rays(
    directions: Tensor, c2w: Tensor, keepdim: bool = False, noise_scale: float = 0.0, normalize: bool = True
) -> tuple[Tensor, Tensor]:
    """Rays in world space.

    Args:
        directions: ``[N, 3]``, ``[H, W, 3]`` or ``[B, H, W, 3]`` in camera space.
        c2w: ``[4, 4]`` (or ``[N, 4, 4]`` with ``[N, 3]`` directions), or ``[B, 4, 4]``.
        keepdim: keep the image axes; otherwise rays are ``[P, 3]``.
        noise_scale: standard deviation of noise on the origins and directions.
        normalize: unit directions.

    Returns:
        origins and directions.
    """
    extra = directions.dim() - 1 if c2w.dim() == 2 else directions.dim() - 2
    rotation = c2w[..., :3, :3]
    position = c2w[..., :3, 3]
    if c2w.dim() == 3:
        if directions.dim() == 3:
            directions = directions[None]
            extra = 2
        rotation = rotation.view(-1, *[1] * extra, 3, 3)
        position = position.view(-1, *[1] * extra, 3)
    rays_d = (directions[..., None, :] * rotation).sum(-1)
    rays_o = position.expand(rays_d.shape)
    if noise_scale > 0:
        rays_o = rays_o + torch.randn(3, device=rays_o.device) * noise_scale
        rays_d = rays_d + torch.randn(3, device=rays_d.device) * noise_scale
    if normalize:
        rays_d = F.normalize(rays_d, dim=-1)
    if not keepdim:
        rays_o, rays_d = rays_o.reshape(-1, 3), rays_d.reshape(-1, 3)
    return rays_o, rays_d


def get_projection_matrix(fovy: Tensor, aspect_wh: float, near: float, far: float) -> Tensor:
    """OpenGL perspective with image y pointing down. ``fovy [B]`` radians -> ``[B, 4, 4]``"""
    tangent = torch.tan(fovy / 2.0)
    projection = fovy.new_zeros(fovy.shape[0], 4, 4, dtype=torch.float32)
    projection[:, 0, 0] = 1.0 / (tangent * aspect_wh)
    projection[:, 1, 1] = -1.0 / tangent
    projection[:, 2, 2] = -(far + near) / (far - near)
    projection[:, 2, 3] = -2.0 * far * near / (far - near)
    projection[:, 3, 2] = -1.0
    return projection


def get_mvp_matrix(c2w: Tensor, proj_mtx: Tensor) -> Tensor:
    """World to clip space. ``[B, 4, 4]``"""
    return proj_mtx @ _inverse_rigid(c2w)


def get_full_projection_matrix(c2w: Tensor, proj_mtx: Tensor) -> Tensor:
    """World to clip space for row vectors, as Gaussian rasterisers take it. ``[B, 4, 4]``"""
    return _inverse_rigid(c2w).mT @ proj_mtx.mT


def get_cam_info_gaussian(
    c2w: Tensor, fovx: Tensor, fovy: Tensor, znear: float, zfar: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Camera as Inria's rasteriser takes it.

    Args:
        c2w: ``[4, 4]`` OpenGL.
        fovx, fovy: radians, scalars.
        znear, zfar: depth range.

    Returns:
        transposed world-to-camera (OpenCV) ``[4, 4]``, transposed full projection ``[4, 4]``, camera centre ``[3]``.
    """
    flip = c2w.new_tensor([1.0, -1.0, -1.0, 1.0])
    world_view = torch.linalg.inv(c2w * flip).mT.float()
    tan_x, tan_y = torch.tan(torch.as_tensor(fovx) / 2), torch.tan(torch.as_tensor(fovy) / 2)
    projection = world_view.new_zeros(4, 4)
    projection[0, 0] = 1.0 / tan_x
    projection[1, 1] = 1.0 / tan_y
    projection[2, 2] = zfar / (zfar - znear)
    projection[2, 3] = -(zfar * znear) / (zfar - znear)
    projection[3, 2] = 1.0
    return world_view, world_view @ projection.mT, c2w[:3, 3].float()


def _inverse_rigid(c2w: Tensor) -> Tensor:
    """World to camera of camera-to-world matrices ``[..., 4, 4]``."""
    rotation = c2w[..., :3, :3].mT
    w2c = torch.zeros_like(c2w)
    w2c[..., :3, :3] = rotation
    w2c[..., :3, 3:] = -(rotation @ c2w[..., :3, 3:])
    w2c[..., 3, 3] = 1.0
    return w2c
