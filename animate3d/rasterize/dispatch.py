"""`render`: checks the arguments, chooses the backend, bounds the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.frames import GREY
from animate3d.rasterize import cpu, cuda, reference
from animate3d.rasterize.splats import Rendering, Splats

Backend = Literal["auto", "reference", "cpu", "cuda"]
BACKENDS: tuple[str, ...] = get_args(Backend)
_RASTERIZERS = {"reference": reference.rasterize, "cpu": cpu.rasterize, "cuda": cuda.rasterize}


def render(
    splats: Splats,
    cameras: Cameras,
    *,
    background: Tensor | float | None = None,
    grad_mask: Tensor | None = None,
    backend: Backend = "auto",
    chunk_views: int | None = None,
) -> Rendering:
    """Render F frames of Gaussians from V views; differentiable in everything that `Splats` holds.

    Gaussians with a number that is not finite are not drawn.

    Args:
        splats: the Gaussians of every frame.
        cameras: ``[V]`` for all frames or ``[F, V]``.
        background: colour ``[3]`` or grey level behind the Gaussians; None is mid-grey. Constant.
        grad_mask: bool ``[F, V, N]``; in image (f, v) only Gaussians with True receive gradient in their mean,
            rotation and scale. The image does not depend on it.
        backend: "reference", "cpu" or "cuda"; "auto" takes cuda for tensors on a GPU, the reference for float64
            and cpu otherwise.
        chunk_views: at most this many images at once. Lowers the peak memory; when gradients are needed the
            images are rendered again in the backward pass.

    Returns:
        images in the dtype of ``splats.means`` (float32 if that is a half precision).

    Raises:
        InputError: shapes that do not fit together, an unknown or impossible backend.
    """
    splats, cameras, background, grad_mask = _checked(splats, cameras, background, grad_mask)
    name = _chosen_backend(backend, splats.means)
    frames, views = cameras.shape
    if chunk_views is not None and chunk_views < 1:
        raise InputError(f"chunk_views must be at least 1, got {chunk_views}")
    with torch.autocast(splats.means.device.type, enabled=False):  # half precision cannot place a pixel
        if chunk_views is None or chunk_views >= frames * views:
            outputs: tuple[Tensor, ...] = _RASTERIZERS[name](splats, cameras, background, grad_mask)
        else:
            outputs = _in_chunks(name, splats, cameras, background, grad_mask, chunk_views)
    color, alpha, depth, radii = outputs
    return Rendering(color.clamp(0.0, 1.0), alpha, depth, radii)


def _checked(
    splats: Splats, cameras: Cameras, background: Tensor | float | None, grad_mask: Tensor | None
) -> tuple[Splats, Cameras, Tensor, Tensor | None]:
    """Checked arguments, broadcasts made explicit: opacities [F, N], colours [F | 1, V | 1, N, 3], cameras [F, V]."""
    means = splats.means
    if means.ndim != 3 or means.shape[-1] != 3:
        raise InputError(f"means must be [F, N, 3], got {list(means.shape)}")
    if not means.is_floating_point():
        raise InputError(f"means must be floating point, got {means.dtype}")
    frames, gaussians = means.shape[:2]
    dtype = means.dtype if means.dtype in (torch.float32, torch.float64) else torch.float32
    if cameras.c2w.shape[-2:] != (4, 4) or len(cameras.shape) not in (1, 2) or cameras.fovy.shape != cameras.shape:
        raise InputError(
            f"cameras must have c2w [V, 4, 4] or [F, V, 4, 4] and fovy to match, "
            f"got {list(cameras.c2w.shape)} and {list(cameras.fovy.shape)}"
        )
    if cameras.height < 1 or cameras.width < 1:
        raise InputError(f"the image size must be positive, got {cameras.height} x {cameras.width}")
    if len(cameras.shape) == 1:
        cameras = cameras.at_frames(frames)
    elif cameras.shape[0] != frames:
        raise InputError(f"cameras have {cameras.shape[0]} frames, means have {frames}")
    views = cameras.shape[1]

    def fit(name: str, value: Tensor, *shapes: tuple[int, ...]) -> Tensor:
        if tuple(value.shape) not in shapes:
            wanted = " or ".join(str(list(shape)) for shape in shapes)
            raise InputError(f"{name} must be {wanted} for {frames} frames and {views} views, got {list(value.shape)}")
        if value.device != means.device:
            raise InputError(f"{name} is on {value.device}, means are on {means.device}")
        return value

    quats = fit("quats", splats.quats, (frames, gaussians, 4))
    scales = fit("scales", splats.scales, (frames, gaussians, 3))
    opacities = fit("opacities", splats.opacities, (gaussians,), (frames, gaussians)).expand(frames, gaussians)
    color_shapes = ((gaussians, 3), (frames, gaussians, 3), (frames, views, gaussians, 3))
    colors = fit("colors", splats.colors, *color_shapes)
    colors = colors[None, None] if colors.ndim == 2 else colors[:, None] if colors.ndim == 3 else colors
    if grad_mask is not None:
        grad_mask = fit("grad_mask", grad_mask, (frames, views, gaussians))
        if grad_mask.dtype != torch.bool:
            raise InputError(f"grad_mask must be boolean, got {grad_mask.dtype}")
    ground = torch.as_tensor(GREY if background is None else background, dtype=dtype, device=means.device).detach()
    if ground.ndim == 0:
        ground = ground.expand(3)
    if ground.shape != (3,):
        raise InputError(f"background must be a number or [3], got {list(ground.shape)}")
    tensors = (t.to(dtype) for t in (means, quats, scales, opacities, colors))
    return Splats(*tensors), cameras.to(means.device), ground, grad_mask


def _chosen_backend(backend: str, means: Tensor) -> str:
    if backend not in BACKENDS:
        raise InputError(f"unknown rasteriser backend {backend!r}: use one of {', '.join(BACKENDS)}")
    if backend == "auto":
        if means.device.type == "cuda":
            return "cuda"
        return "cpu" if means.device.type == "cpu" and means.dtype == torch.float32 else "reference"
    if backend == "cpu" and (means.device.type != "cpu" or means.dtype != torch.float32):
        raise InputError(f"the cpu rasteriser takes float32 tensors on the CPU, got {means.dtype} on {means.device}")
    if backend == "cuda" and (means.device.type != "cuda" or means.dtype != torch.float32):
        raise InputError(f"the cuda rasteriser takes float32 tensors on a GPU, got {means.dtype} on {means.device}")
    return backend


def _in_chunks(
    name: str, splats: Splats, cameras: Cameras, background: Tensor, grad_mask: Tensor | None, images: int
) -> tuple[Tensor, ...]:
    """Blocks of whole frames, or of views of one frame; their activations live only while a block is rendered."""
    inputs = (splats.means, splats.quats, splats.scales, splats.opacities, splats.colors)
    needs_grad = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)

    def block(f: slice, v: slice, *tensors: Tensor) -> tuple[Tensor, ...]:
        means, quats, scales, opacities, colors = tensors
        frame_colors = colors if colors.shape[0] == 1 else colors[f]
        block_colors = frame_colors if colors.shape[1] == 1 else frame_colors[:, v]
        part = Splats(means[f], quats[f], scales[f], opacities[f], block_colors)
        mask = None if grad_mask is None else grad_mask[f, v]
        return _RASTERIZERS[name](part, cameras[f, v], background, mask)

    def run(f: slice, v: slice) -> tuple[Tensor, ...]:
        if needs_grad:
            return checkpoint(block, f, v, *inputs, use_reentrant=False)
        return block(f, v, *inputs)

    frames, views = cameras.shape
    rows = []
    for f in _slices(frames, max(1, images // views)):
        columns = [run(f, v) for v in _slices(views, images)]
        rows.append([torch.cat(parts, dim=1) for parts in zip(*columns, strict=True)])
    return tuple(torch.cat(parts, dim=0) for parts in zip(*rows, strict=True))


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
