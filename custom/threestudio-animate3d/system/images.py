"""The image terms of a step, a few images at a time.

Every chunk is drawn, compared and taken back to the Gaussians at once, so only one chunk of images is ever in memory.
What remains is a gradient per Gaussian and frame, which goes through the deformation field in one backward pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.motion.losses import StepTensors
from animate3d.rasterize import Rendering, Splats

from ..renderer.base import float32
from .losses import ImageTerm

Draw = Callable[[Splats, Cameras], Rendering]
Targets = Callable[[slice, slice], tuple[Tensor, Tensor]]
"""Frames and views to colour ``[F, V, H, W, 3]`` on the background and mask ``[F, V, H, W, 1]``."""


def image_losses(
    splats: Splats,
    cameras: Cameras,
    draw: Draw,
    targets: Targets,
    terms: Mapping[str, ImageTerm],
    weights: Mapping[str, float],
    chunk_views: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of image terms over F frames and V views.

    Args:
        splats: F frames.
        cameras: ``[V]``
        draw: renders splats from cameras.
        targets: what the images should be.
        terms: by name, each a mean over images.
        weights: by name, of the terms to take.
        chunk_views: images in memory at a time.

    Returns:
        the sum, differentiable in the means, rotations and scales of ``splats``, and the value of every term.
    """
    inputs = (splats.means, splats.quats, splats.scales)
    differentiable = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    gradients: list[Tensor | None] = [None, None, None]
    values: dict[str, Tensor] = {}
    count = len(splats.means) * len(cameras.c2w)
    with float32(splats.means):
        for f, v in chunks(len(splats.means), len(cameras.c2w), chunk_views):
            leaves = [tensor[f].detach().requires_grad_(differentiable) for tensor in inputs]
            part = part_of(splats, f, v, leaves)
            tensors = _compared(part, draw(part, cameras[v]), targets(f, v))
            share = tensors.color.shape[0] * tensors.color.shape[1] / count
            losses = {name: terms[name](tensors) for name in weights}
            for name, loss in losses.items():
                value = loss.detach() if share == 1 else share * loss.detach()
                values[name] = values[name] + value if name in values else value
            if differentiable:
                whole = torch.stack([weights[name] * share * loss for name, loss in losses.items()]).sum()
                new = torch.autograd.grad(whole, leaves, allow_unused=True)
                gradients = [_added(*pair, f, like) for *pair, like in zip(gradients, new, inputs, strict=True)]
    total = sum((weights[name] * value for name, value in values.items()), start=splats.means.new_zeros(()))
    if differentiable:
        known = [torch.zeros_like(i) if g is None else g for g, i in zip(gradients, inputs, strict=True)]
        total = _Known.apply(total, known, *inputs)
    return total, values


def _added(gradient: Tensor | None, new: Tensor | None, f: slice, like: Tensor) -> Tensor | None:
    """The gradient ``[F, …]`` and that of some frames, which terms that do not reach the Gaussians do not give."""
    if new is None:
        return gradient
    if gradient is None:
        if len(new) == len(like):
            return new
        gradient = torch.zeros_like(like)
    gradient[f] += new
    return gradient


def chunks(frames: int, views: int, images: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of at most ``images`` images: whole frames where they fit, otherwise views of one frame."""
    across, along = min(images, views), max(1, images // views)
    for f in range(0, frames, along):
        for v in range(0, views, across):
            yield slice(f, min(f + along, frames)), slice(v, min(v + across, views))


def part_of(splats: Splats, f: slice, v: slice = slice(None), geometry: Sequence[Tensor] = ()) -> Splats:
    """Some frames, in the colours of some views; with other means, rotations and scales if they are given."""
    opacities, colors = splats.opacities, splats.colors
    if opacities.ndim == 2:
        opacities = opacities[f]
    if colors.ndim == 3:
        colors = colors[f]
    elif colors.ndim == 4:
        colors = colors[f, v]
    means, quats, scales = geometry or (splats.means[f], splats.quats[f], splats.scales[f])
    return Splats(means, quats, scales, opacities, colors)


def _compared(splats: Splats, images: Rendering, targets: tuple[Tensor, Tensor]) -> StepTensors:
    four = (images.color, images.alpha, *targets)
    return StepTensors(
        *four,
        means=splats.means,
        scales=splats.scales,
        opacities=splats.opacities,
        depth=images.depth,
        first=tuple(image[0] for image in four),  # read by the terms of the first frame, which get nothing else
    )


class _Known(torch.autograd.Function):
    """A value whose gradients with respect to its inputs have been computed already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return (None, None, *(incoming * gradient for gradient in ctx.saved_tensors))
