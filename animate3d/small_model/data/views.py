"""Pictures of a moving creature as the pipeline sees them: Gaussians at the vertices, before mid-grey."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import reconstruction_cameras
from animate3d.gaussians import from_mesh
from animate3d.gaussians.from_mesh import SPACING, mean_extents
from animate3d.meshes import Mesh
from animate3d.rasterize import Splats, render

ELEVATION = 15.0
"""Elevation of `reconstruction_cameras` in degrees; view k of V looks from azimuth 360 k / V."""


def render_views(mesh: Mesh, placed: NDArray[np.float64], *, views: int, size: int) -> NDArray[np.uint8]:
    """A mesh at ``placed [F, N, 3]``, as its static render in these poses would be. ``[V, F, size, size, 3]``"""
    splats = _splats(mesh, placed)
    with torch.inference_mode():
        color = render(splats, reconstruction_cameras(views, size)).color
    return (color * 255).round().to(torch.uint8).transpose(0, 1).contiguous().numpy()


def _splats(mesh: Mesh, placed: NDArray[np.float64]) -> Splats:
    gaussians = from_mesh(mesh)
    means = torch.from_numpy(placed.astype(np.float32))
    frames, n = means.shape[:2]
    quats = torch.zeros(frames, n, 4)
    quats[..., 0] = 1
    scales = torch.from_numpy(mean_extents(mesh.welded_edges(), placed).astype(np.float32) / SPACING)
    return Splats(means, quats, scales, gaussians.opacities, gaussians.colors)
