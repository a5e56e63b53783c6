"""Fewer Gaussians that look like many: those of a cell of a grid become one, with their mean, spread and colour.

What is fitted to pictures of a few hundred pixels gains nothing from a million Gaussians. A motion that was fitted to
the merged ones is a function of space and holds for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from animate3d.gaussians.gaussians import Gaussians
from animate3d.rotations import matrix_to_quaternion, quaternion_to_matrix

_SPREAD = 3.0  # times the variance of the centres: with 1 the surface between cells would show holes
_OPAQUE = 0.99
_THIN = 1e-4  # of a cell's side: no merged Gaussian is thinner
_ROWS_AT_ONCE = 1 << 16
_FINEST = 1 << 20  # cells along an axis, whose numbers fit 64 bits together


def merged(gaussians: Gaussians, count: int) -> tuple[Gaussians, Tensor]:
    """About ``count`` Gaussians that look like the model from where single ones cannot be told apart.

    Returns:
        the merged Gaussians, and ``[N]`` which of them every Gaussian went into. A model of no more than ``count`` is
        returned as it is.
    """
    if len(gaussians) <= count:
        return gaussians, torch.arange(len(gaussians))
    owner, side = cells(gaussians.means, count)
    size, dtype = int(owner.max()) + 1, gaussians.means.dtype
    sigmas = gaussians.scales.double().sort(dim=1).values
    # How much a Gaussian hides: its opacity times the area of its two longer axes.
    weights = gaussians.opacities.double() * sigmas[:, 1] * sigmas[:, 2] + 1e-30
    mass = torch.zeros(size, dtype=torch.float64).index_add_(0, owner, weights)

    def mean(values: Callable[[slice], Tensor]) -> Tensor:
        return _weighted_mean(values, weights, owner, mass)

    centres = mean(lambda rows: gaussians.means[rows].double())
    variances, turn = torch.linalg.eigh(mean(lambda rows: _spread(gaussians, rows, centres[owner[rows]])))  # ascending
    turn = torch.cat([turn[..., :2], turn[..., 2:] * torch.det(turn)[:, None, None].sign()], dim=-1)
    scales = variances.clamp_min((_THIN * side) ** 2).sqrt()
    opacities = (mass / (scales[:, 1] * scales[:, 2])).clamp(1e-6, _OPAQUE)
    result = Gaussians(
        centres.to(dtype),
        mean(lambda rows: gaussians.sh[rows].double()).to(dtype),
        torch.logit(opacities).to(dtype),
        scales.log().to(dtype),
        matrix_to_quaternion(turn).to(dtype),
    )
    return result, owner


def _spread(gaussians: Gaussians, rows: slice, centres: Tensor) -> Tensor:
    """Covariances about the centres of the cells ``[R, 3, 3]``."""
    apart = gaussians.means[rows].double() - centres
    axes = quaternion_to_matrix(gaussians.quats[rows].double()) * gaussians.scales[rows].double()[:, None, :]
    return axes @ axes.mT + _SPREAD * apart[:, :, None] * apart[:, None, :]


def cells(points: Tensor, count: int) -> tuple[Tensor, float]:
    """The cell of a cubic grid that every point lies in ``[N]`` (full cells are numbered from 0), and a cell's side.

    The grid is as fine as ``count`` full cells allow.
    """
    positions = points.double().cpu().numpy()
    low = positions.min(axis=0)
    extent = max(float(np.ptp(positions, axis=0).max()), 1e-12)
    coarse, fine = 1.0, float(_FINEST)  # cells along the longest side: few enough .. too many
    for _ in range(14):
        middle = math.sqrt(coarse * fine)
        if len(np.unique(_cell_numbers(positions, low, extent, middle))) <= count:
            coarse = middle
        else:
            fine = middle
    numbers = _cell_numbers(positions, low, extent, coarse)
    return torch.from_numpy(np.unique(numbers, return_inverse=True)[1].reshape(-1)), extent / coarse


def _cell_numbers(positions: np.ndarray, low: np.ndarray, extent: float, along: float) -> np.ndarray:
    index = ((positions - low) * (along / extent)).astype(np.int64)
    return (index[:, 0] << 42) | (index[:, 1] << 21) | index[:, 2]


def _weighted_mean(values: Callable[[slice], Tensor], weights: Tensor, owner: Tensor, mass: Tensor) -> Tensor:
    """The mean of values ``[N, …]`` within every cell; they are asked for a block of rows at a time."""
    total = torch.zeros(0)
    for start in range(0, len(owner), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        block = values(rows)
        share = block.shape[1:]
        if start == 0:
            total = block.new_zeros(len(mass), *share)
        total.index_add_(0, owner[rows], block * weights[rows].reshape(-1, *[1] * len(share)))
    return total / mass.reshape(-1, *[1] * (total.ndim - 1))
