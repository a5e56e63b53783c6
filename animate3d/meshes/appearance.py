"""What colour a mesh has at its corners and vertices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    faces = np.repeat(np.arange(mesh.n_faces), np.diff(mesh.face_starts))
    own = None if mesh.vertex_colors is None else mesh.vertex_colors[mesh.corners]
    return _shown(mesh, faces, mesh.corner_uvs, own)


def colors_at(mesh: Mesh, triangles: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
    """Colour ``[K, 3]`` float32 in 0..1 at barycentrics ``[K, 3]`` of triangles ``[K]``.

    It is that of `corner_colors` at the corners; a face that lacks some corner's uv has its base colour.
    """
    vertices, corners, faces = (part[triangles] for part in mesh.triangles())
    shares = barycentrics[..., None].astype(np.float32)
    uvs = None if mesh.corner_uvs is None else (shares * mesh.corner_uvs[corners]).sum(axis=1)
    own = None if mesh.vertex_colors is None else (shares * mesh.vertex_colors[vertices]).sum(axis=1)
    return _shown(mesh, faces, uvs, own)


def paint_of(mesh: Mesh) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """`colors_at` of a mesh with textures or several materials; None for one that shows its vertices' colours."""
    plain = not mesh.textured_corners().any() and len(np.unique(mesh.face_materials)) == 1
    return None if plain else partial(colors_at, mesh)


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two display colours 0..1 multiplied in linear light. float32"""
    return linear_to_srgb(srgb_to_linear(one) * srgb_to_linear(other))


def _shown(mesh: Mesh, faces: np.ndarray, uvs: np.ndarray | None, own: np.ndarray | None) -> np.ndarray:
    """Colour ``[K, 3]`` float32 at uvs ``[K, 2]`` and vertex colours ``[K, 3]`` of faces ``[K]``."""
    colors, textured = _of_materials(mesh, mesh.face_materials[faces], uvs)
    if own is not None:
        painted = np.flatnonzero(mesh.colored_faces()[faces])
        own, textured = own[painted].clip(0, 1), textured[painted]
        own[textured] = product(own[textured], colors[painted[textured]])
        colors[painted] = own
    return colors


def _of_materials(mesh: Mesh, materials: np.ndarray, uvs: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Colour ``[K, 3]`` float32 of materials ``[K]`` at uvs ``[K, 2]``, and where it is a texture's ``[K]``."""
    colors, textured = np.empty((len(materials), 3), dtype=np.float32), np.zeros(len(materials), dtype=bool)
    for index in np.unique(materials):
        material, chosen = mesh.materials[index], np.flatnonzero(materials == index)
        there = None if uvs is None else uvs[chosen]
        colors[chosen] = _material_colors(material, there, len(chosen))
        if there is not None and "diffuse" in material.textures:
            textured[chosen] = np.isfinite(there).all(axis=1)
    return colors, textured


def _material_colors(material: Material, uvs: np.ndarray | None, count: int) -> np.ndarray:
    """``[count, 3]`` for places of one material; one whose uv ``[count, 2]`` is NaN has the base colour."""
    base = np.array(material.base_color[:3], dtype=np.float32)
    image = material.textures.get("diffuse")
    if image is None or uvs is None:
        return np.tile(base, (count, 1))
    rgb = image[..., [0, 0, 0] if image.shape[-1] == 1 else [0, 1, 2]]
    colors = sample_texture(rgb, uvs, material.wraps.get("diffuse", ("repeat", "repeat")))
    colors[np.isnan(uvs[:, 0])] = base
    return colors
