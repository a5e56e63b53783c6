"""One Gaussian per mesh vertex (section 3 of the method)."""

from __future__ import annotations

import math

import numpy as np
import torch

from animate3d.gaussians import sh
from animate3d.gaussians.gaussians import Gaussians
from animate3d.meshes.materials import sample_texture
from animate3d.meshes.mesh import Mesh

OPACITY_LOGIT = math.log((1 - 1e-5) / 1e-5)
SPACING = 1.1
SMALLEST_EXTENT = 1e-6
"""Least mean extent along an axis, relative to the diagonal: flat neighbourhoods have none, and log 0 is no scale."""


def from_mesh(mesh: Mesh) -> Gaussians:
    """Gaussians at the vertices, in the file's order.

    The colour is the mean over the face corners at the vertex, the scale per axis the mean |Δ| to its neighbours
    divided by 1.1, the rotation identity, the opacity nearly 1.
    """
    extents = np.maximum(mean_extents(mesh), SMALLEST_EXTENT * mesh.diagonal())
    n = mesh.n_vertices
    return Gaussians(
        means=torch.from_numpy(mesh.vertices.astype(np.float32)),
        sh=sh.from_rgb(torch.from_numpy(vertex_colors(mesh)))[:, None],
        opacity_logits=torch.full((n,), OPACITY_LOGIT),
        log_scales=torch.from_numpy(np.log(extents / SPACING).astype(np.float32)),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
    )


def mean_extents(mesh: Mesh) -> np.ndarray:
    """Mean |Δ| per axis from every vertex to its neighbours, 0 without any. ``[N, 3]``"""
    edges, n = mesh.welded_edges(), mesh.n_vertices
    ends = edges.T.reshape(-1)
    apart = np.abs(mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]])
    sums = np.stack([np.bincount(ends, np.tile(apart[:, k], 2), n) for k in range(3)], axis=1)
    return sums / np.maximum(np.bincount(ends, minlength=n), 1)[:, None]


def vertex_colors(mesh: Mesh) -> np.ndarray:
    """Colour of every vertex ``[N, 3]`` float32 in 0..1: the mean over its face corners.

    A vertex of no face has no colour of its own and is black, as in the reference.
    """
    n = mesh.n_vertices
    if mesh.has_vertex_colors:
        assert mesh.vertex_colors is not None
        return mesh.vertex_colors.clip(0, 1)
    colors = corner_colors(mesh)
    sums = np.stack([np.bincount(mesh.corners, colors[:, k], n) for k in range(3)], axis=1)
    count = np.bincount(mesh.corners, minlength=n)
    return (sums / np.maximum(count, 1)[:, None]).astype(np.float32)


def corner_colors(mesh: Mesh) -> np.ndarray:
    """Colour of every face corner ``[K, 3]`` float32: its material's diffuse texture, or base colour without one."""
    corner_materials = np.repeat(mesh.face_materials, np.diff(mesh.face_starts))
    base = np.array([material.base_color[:3] for material in mesh.materials], dtype=np.float32)
    colors = base[corner_materials]
    if mesh.corner_uvs is None:
        return colors
    textured = ~np.isnan(mesh.corner_uvs[:, 0])
    for index, material in enumerate(mesh.materials):
        image = material.textures.get("diffuse")
        if image is None:
            continue
        chosen = textured if len(mesh.materials) == 1 else textured & (corner_materials == index)
        colors[chosen] = sample_texture(image, mesh.corner_uvs[chosen])[
            :, [0, 0, 0] if image.shape[-1] == 1 else [0, 1, 2]
        ]
    return colors
