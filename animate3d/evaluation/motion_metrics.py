"""How far and how rigidly Gaussians move."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.motion import arap_energy, knn_graph

NEIGHBOURS = 8
VISIBLE = 0.1
"""Opacity from which on a Gaussian counts: reconstructions have faint ones far out."""


def shown(positions: Tensor, opacities: Tensor) -> Tensor:
    """Of positions ``[F, N, 3]`` those of the Gaussians that can be seen ``[F, M, 3]``; of all when none can."""
    kept = opacities >= VISIBLE
    return positions[:, kept] if kept.any() else positions


def mean_displacement(positions: Tensor) -> float:
    """Mean distance from frame 0 of positions ``[F, N, 3]``, as a fraction of the bounding box's diagonal at rest.

    Raises:
        InputError: a single frame.
    """
    _require_motion(positions)
    rest = positions[0]
    diagonal = (rest.amax(dim=0) - rest.amin(dim=0)).norm()
    return float((positions[1:] - rest).norm(dim=-1).mean() / diagonal.clamp_min(1e-12))


def relative_arap_energy(positions: Tensor) -> float:
    """As-rigid-as-possible energy of positions ``[F, N, 3]`` between nearest neighbours, relative to their distances.

    The sum over frames 1…, Gaussians i and neighbours j of ``|e_ij - R_i e0_ij|²`` over the sum of ``|e0_ij|²``, with
    e the edges, e0 those of frame 0 and R_i the best rotation. 0 is rigid everywhere; a uniform growth by s has
    (s - 1)²; it does not depend on the size of the model or the number of Gaussians.
    """
    _require_motion(positions)
    positions = positions.float()
    n = positions.shape[1]
    if n < 2:
        return 0.0
    others, valid = knn_graph(positions[0], min(NEIGHBOURS, n - 1), math.inf)
    energy = float(arap_energy(positions, others, valid))
    edges = positions[0][:, None] - positions[0][others]
    rest = float((edges.square().sum(dim=-1) * valid).sum()) * (len(positions) - 1)
    return energy / max(rest, torch.finfo(torch.float32).tiny)


def _require_motion(positions: Tensor) -> None:
    if len(positions) < 2:
        raise InputError("Motion needs at least 2 frames.")
