"""Loss terms by the name of their weight (``system.loss.lambda_{name}``): plain functions of one step's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class StepTensors:
    """What a training step rendered, and what it should have been. Images are ``[F, V, H, W, C]``.

    Attributes:
        color: rendered rgb, C = 3.
        mask: rendered alpha, C = 1.
        target_color: rgb on the same background.
        target_mask: 0 or 1.
        means: ``[F, N, 3]``
        scales: ``[F, N, 3]`` activated.
        opacities: ``[N]`` or ``[F, N]`` in 0..1.
        depth: rendered depth, C = 1.
        normal: rendered normals, C = 3.
        first: frame 0 of the four images (color, mask, target_color, target_mask), when it was rendered too.
    """

    color: Tensor
    mask: Tensor
    target_color: Tensor
    target_mask: Tensor
    means: Tensor
    scales: Tensor
    opacities: Tensor
    depth: Tensor | None = None
    normal: Tensor | None = None
    first: tuple[Tensor, Tensor, Tensor, Tensor] | None = None


def tv_loss(images: Tensor) -> Tensor:
    """Total variation of ``[B, C, H, W]``: mean squared difference of vertical and of horizontal neighbours, times 2.

    An axis of one pixel has no neighbours and adds nothing.
    """
    loss = images.new_zeros(())
    for axis in (2, 3):
        if images.shape[axis] > 1:
            loss = loss + 2 * images.diff(dim=axis).square().mean()
    return loss


def image_tv(images: Tensor) -> Tensor:
    """`tv_loss` of ``[F, V, H, W, C]``."""
    return tv_loss(images.flatten(0, 1).movedim(-1, 1))


def needed(tensor: Tensor | None, term: str) -> Tensor:
    """``tensor``; an error that names the loss term when the step did not provide it."""
    if tensor is None:
        raise ValueError(f"lambda_{term} is not zero, but the step did not provide what this loss term needs")
    return tensor


def first_frame(step: StepTensors, term: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frame 0 of a step, which only the first-frame terms need."""
    if step.first is None:
        raise ValueError(f"lambda_{term} is not zero, but the step did not render frame 0")
    return step.first


def _first_rgb(step: StepTensors) -> Tensor:
    color, _, target, _ = first_frame(step, "first_frame_rgb")
    return F.mse_loss(color, target)


def _first_mask(step: StepTensors) -> Tensor:
    _, mask, _, target = first_frame(step, "first_frame_mask")
    return F.mse_loss(mask, target)


def _opacity(step: StepTensors) -> Tensor:
    """Size-weighted opacity: favours few, small Gaussians."""
    return (step.scales.norm(dim=-1) * step.opacities).sum() / step.scales.shape[0]


LOSSES: Mapping[str, Callable[[StepTensors], Tensor]] = {
    "rgb": lambda step: F.mse_loss(step.color, step.target_color),
    "mask": lambda step: F.mse_loss(step.mask, step.target_mask),
    "first_frame_rgb": _first_rgb,
    "first_frame_mask": _first_mask,
    "position": lambda step: step.means.norm(dim=-1).mean(),
    "opacity": _opacity,
    "scales": lambda step: step.scales.sum() / step.scales.shape[0],
    "sparsity": lambda step: (step.mask.square() + 0.01).sqrt().mean(),
    "tv_loss": lambda step: image_tv(step.color),
    "depth_tv_loss": lambda step: image_tv(needed(step.depth, "depth_tv_loss")),
    "normal_tv": lambda step: image_tv(needed(step.normal, "normal_tv")),
}
"""Terms that depend on one step's renders and Gaussians; ARAP and SDS have inputs of their own."""
