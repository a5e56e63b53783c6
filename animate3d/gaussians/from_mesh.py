"""One Gaussian per mesh vertex, as ``tools/mesh_animation/mesh2gaussian.py`` of the published code has it."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.sh import C0
from animate3d.meshes.appearance import vertex_colors
from animate3d.meshes.mesh import Mesh

OPACITY_LOGIT = math.log((1 - 1e-5) / 1e-5)
SPACING = 1.1
SMALLEST_EXTENT = 1e-6
"""Least mean extent along an axis, relative to the diagonal; flat neighbourhoods have none, and log 0 is infinite."""


def from_mesh(mesh: Mesh) -> Gaussians:
    """Gaussians at the vertices, in the file's order.

    The colour is the mean over the face corners at the vertex, the scale per axis the mean |Δ| to its neighbours
    divided by 1.1, the rotation identity, the opacity nearly 1.
    """
    extents = mean_extents(mesh.welded_edges(), mesh.vertices[None])[0]
    extents = np.maximum(extents, SMALLEST_EXTENT * mesh.diagonal())
    n = mesh.n_vertices
    quats = np.zeros((n, 4))
    quats[:, 0] = 1
    dc = (vertex_colors(mesh) - 0.5) / C0
    parts = [mesh.vertices, dc[:, None], np.full(n, OPACITY_LOGIT), np.log(extents / SPACING), quats]
    return Gaussians(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


def mean_extents(edges: NDArray[np.integer], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean |Δ| per axis from every vertex of positions ``[F, N, 3]`` to its neighbours, 0 without any. ``[F, N, 3]``"""
    n = positions.shape[1]
    start, end = edges.T
    sums = np.empty(positions.shape)
    for total, points in zip(sums, positions, strict=True):
        for axis, along in enumerate(points.T):
            apart = np.abs(along[start] - along[end])
            total[:, axis] = np.bincount(start, apart, n) + np.bincount(end, apart, n)
    return sums / np.maximum(np.bincount(edges.reshape(-1), minlength=n), 1)[:, None]
