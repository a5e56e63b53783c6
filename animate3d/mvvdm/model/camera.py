"""The camera condition: 16 numbers per view, without the distance."""

from __future__ import annotations

import torch
from torch import Tensor

from animate3d.cameras import orbit_c2w


def normalize_camera(c2w: Tensor) -> Tensor:
    """Cameras ``[..., 4, 4]`` or ``[..., 16]``, OpenGL axes, z up, with translations of unit length. ``[..., 16]``"""
    if c2w.shape[-1] == 16:
        c2w = c2w.unflatten(-1, (4, 4))
    translation = c2w[..., :3, 3]
    unit = translation / (torch.linalg.vector_norm(translation, dim=-1, keepdim=True) + 1e-8)
    normalized = c2w.clone()
    normalized[..., :3, 3] = unit
    return normalized.flatten(-2)


def get_camera(
    num_views: int, elevation: float = 15.0, azimuth_start: float = 0.0, azimuth_span: float = 360.0
) -> Tensor:
    """Conditions of evenly spaced cameras on a circle; angles in degrees. ``[num_views, 16]``"""
    azimuth = azimuth_start + azimuth_span / num_views * torch.arange(num_views, dtype=torch.float64)
    c2w = orbit_c2w(torch.full_like(azimuth, elevation), azimuth, 1.0)
    return normalize_camera(c2w).float()
