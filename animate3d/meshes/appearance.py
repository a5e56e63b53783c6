"""What colour a mesh has at its corners and vertices."""

from __future__ import annotations

import numpy as np

from animate3d.meshes.materials import sample_texture
from animate3d.meshes.mesh import Mesh


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
    base = np.array([material.base_color[:3] for material in mesh.materials], dtype=np.float32)
    corner_materials = np.repeat(mesh.face_materials, np.diff(mesh.face_starts))
    colors = base[corner_materials]
    if mesh.corner_uvs is None:
        return colors
    textured = ~np.isnan(mesh.corner_uvs[:, 0])
    for index, material in enumerate(mesh.materials):
        image = material.textures.get("diffuse")
        if image is None:
            continue
        channels = [0, 0, 0] if image.shape[-1] == 1 else [0, 1, 2]
        chosen = textured & (corner_materials == index)
        if chosen.all():
            return sample_texture(image[..., channels], mesh.corner_uvs)
        colors[chosen] = sample_texture(image[..., channels], mesh.corner_uvs[chosen])
    return colors
