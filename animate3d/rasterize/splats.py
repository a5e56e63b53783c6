"""What the rasterisers take and return, and the constants that every backend shares (Kerbl et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOW_PASS = 0.3  # px², added to both variances on the screen: no Gaussian is thinner than a pixel
ALPHA_MAX = 0.99
ALPHA_MIN = 1.0 / 255.0
# A Gaussian that would bring the transmittance down to 1e-4 is not blended and ends the pixel. Two capped alphas
# give 1e-4 exactly, so the limit lies a rounding error higher: float32 and float64 then agree.
TRANSMITTANCE_STOP = 1.0001e-4
EXTENT = 3.33  # standard deviations at which an opaque Gaussian falls under ALPHA_MIN
PIXEL_MAX = 1e9  # means further out are not drawn, radii end here
JACOBIAN_LIMIT = 1.3  # x/z and y/z in the Jacobian are clamped to this multiple of tan(fov / 2)


@dataclass(frozen=True)
class Splats:
    """Activated Gaussians of F frames; `render` broadcasts what the frames or views share.

    Attributes:
        means: ``[F, N, 3]`` world coordinates.
        quats: ``[F, N, 4]`` w x y z, any length.
        scales: ``[F, N, 3]`` standard deviations, positive.
        opacities: ``[N]`` or ``[F, N]`` in [0, 1].
        colors: ``[N, 3]``, ``[F, N, 3]`` or one per view ``[F, V, N, 3]``.
    """

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor


def without_broken(splats: Splats) -> Splats:
    """Gaussians of a frame with a number that is not finite become transparent ones, which are not drawn.

    Args:
        splats: opacities ``[F, N]``, colours ``[F | 1, V | 1, N, 3]``.
    """
    # Nought times a number is nought, if it is finite: few kernels, as every one counts in a small step.
    numbers = torch.cat([splats.means, splats.quats, splats.scales, splats.opacities[..., None]], dim=-1).detach()
    broken = ((numbers * 0).sum(-1) != 0) | ((splats.colors.detach() * 0).sum(-1) != 0).any(1)
    # Filled, not chosen with `where`: on a GPU a number in `where` is a copy that waits.
    means, quats, scales = (t.masked_fill(broken[..., None], 1.0) for t in (splats.means, splats.quats, splats.scales))
    colors = splats.colors.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return Splats(means, quats, scales, splats.opacities.masked_fill(broken, 0.0), colors)


@dataclass(frozen=True)
class Rendering:
    """Images of F frames from V views.

    Attributes:
        color: ``[F, V, H, W, 3]`` in [0, 1], background included.
        alpha: ``[F, V, H, W, 1]`` coverage, 1 minus the transmittance that is left.
        depth: ``[F, V, H, W, 1]`` blended depth, the sum of weight times depth (not divided by alpha).
        radii: ``[F, V, N]`` int32, half the side of a Gaussian's box in pixels; 0 where it was not drawn.
    """

    color: Tensor
    alpha: Tensor
    depth: Tensor
    radii: Tensor
