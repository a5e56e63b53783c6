"""What colour a mesh has at its corners and vertices."""

from __future__ import annotations

import numpy as np

from animate3d.meshes.materials import Material, linear_to_srgb, sample_texture, srgb_to_linear
from animate3d.meshes.mesh import Mesh


def vertex_colors(mesh: Mesh) -> np.ndarray:
    """Colour of every vertex ``[N, 3]`` float32 in 0..1: the mean over its face corners.

    A vertex of no face has no colour of its own and is black, as in the reference.
    """
    n = mesh.n_vertices
    own = mesh.vertex_colors
    colors = corner_colors(mesh)
    sums = np.stack([np.bincount(mesh.corners, colors[:, k], n) for k in range(3)], axis=1)
    count = np.bincount(mesh.corners, minlength=n)
    means: np.ndarray = (sums / np.maximum(count, 1)[:, None]).astype(np.float32)
    if own is not None:
        plain = np.isfinite(own).all(axis=1)
        plain[mesh.corners[mesh.textured_corners()]] = False
        means[plain] = own[plain].clip(0, 1)
    return means


def corner_colors(mesh: Mesh) -> np.ndarray:
    """Colour of every face corner ``[K, 3]`` float32 in 0..1, as the mesh shows it.

    It is that of the material's diffuse texture, times the vertex colour where the face has them; without a texture it
    is the vertex colour, without that the base colour.
    """
    colors = _corner_materials(mesh)
    painted = np.flatnonzero(np.repeat(mesh.colored_faces(), np.diff(mesh.face_starts)))
    if mesh.vertex_colors is not None and len(painted):
        own = mesh.vertex_colors[mesh.corners[painted]].clip(0, 1)
        textured = mesh.textured_corners()[painted]
        own[textured] = product(own[textured], colors[painted[textured]])
        colors[painted] = own
    return colors


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two display colours 0..1 multiplied in linear light. float32"""
    return linear_to_srgb(srgb_to_linear(one) * srgb_to_linear(other))


def _corner_materials(mesh: Mesh) -> np.ndarray:
    """Colour of every corner's material there ``[K, 3]`` float32."""
    if len(mesh.materials) == 1:
        return material_colors(mesh.materials[0], mesh.corner_uvs, len(mesh.corners))
    corner_materials = np.repeat(mesh.face_materials, np.diff(mesh.face_starts))
    colors = np.empty((len(mesh.corners), 3), dtype=np.float32)
    for index, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(corner_materials == index)
        uvs = None if mesh.corner_uvs is None else mesh.corner_uvs[chosen]
        colors[chosen] = material_colors(material, uvs, len(chosen))
    return colors


def material_colors(material: Material, uvs: np.ndarray | None, count: int) -> np.ndarray:
    """``[count, 3]`` for corners of one material; a corner whose uv ``[count, 2]`` is NaN has the base colour."""
    base = np.array(material.base_color[:3], dtype=np.float32)
    image = material.textures.get("diffuse")
    if image is None or uvs is None:
        return np.tile(base, (count, 1))
    rgb = image[..., [0, 0, 0] if image.shape[-1] == 1 else [0, 1, 2]]
    colors = sample_texture(rgb, uvs, material.wraps.get("diffuse", ("repeat", "repeat")))
    colors[np.isnan(uvs[:, 0])] = base
    return colors
