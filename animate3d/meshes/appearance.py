"""What colour a mesh has at its corners and vertices."""

from __future__ import annotations

import numpy as np

from animate3d.meshes.materials import Material, sample_texture
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
    if len(mesh.materials) == 1:
        return _material_colors(mesh.materials[0], mesh.corner_uvs, len(mesh.corners))
    corner_materials = np.repeat(mesh.face_materials, np.diff(mesh.face_starts))
    colors = np.empty((len(mesh.corners), 3), dtype=np.float32)
    for index, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(corner_materials == index)
        uvs = None if mesh.corner_uvs is None else mesh.corner_uvs[chosen]
        colors[chosen] = _material_colors(material, uvs, len(chosen))
    return colors


def _material_colors(material: Material, uvs: np.ndarray | None, count: int) -> np.ndarray:
    """``[count, 3]`` for corners of one material; a corner whose uv ``[count, 2]`` is NaN has the base colour."""
    base = np.array(material.base_color[:3], dtype=np.float32)
    image = material.textures.get("diffuse")
    if image is None or uvs is None:
        return np.tile(base, (count, 1))
    rgb = image[..., [0, 0, 0] if image.shape[-1] == 1 else [0, 1, 2]]
    colors = sample_texture(rgb, uvs, material.wraps.get("diffuse", ("repeat", "repeat")))
    colors[np.isnan(uvs[:, 0])] = base
    return colors


def alpha_mode(mesh: Mesh, index: int) -> str:
    """How a material's alpha is meant: ``"opaque"``, ``"mask"`` or ``"blend"``.

    Where the file does not say, only what the faces show of the texture counts: what lies between the islands does
    not, an alpha of nothing but 0 and 1 is a mask, and one that would hide all of it is not meant.
    """
    material = mesh.materials[index]
    if material.alpha_mode is not None:
        return material.alpha_mode
    if material.base_color[3] < 1:
        return "blend"
    image = material.textures.get("diffuse")
    if image is None or image.shape[-1] < 4 or mesh.corner_uvs is None or image[..., 3].min() == 255:
        return "opaque"
    shown = _shown_alpha(mesh, index, image[..., 3])
    if len(shown) == 0 or shown.min() >= 250 or shown.max() <= 5:
        return "opaque"
    between = (shown > 12) & (shown < 243)
    return "blend" if between.mean() > 0.02 else "mask"


def _shown_alpha(mesh: Mesh, index: int, alpha: np.ndarray) -> np.ndarray:
    """Texels ``[S]`` at points spread evenly over the triangles of a material."""
    assert mesh.corner_uvs is not None
    _, corners, faces = mesh.triangles()
    uvs = mesh.corner_uvs[corners[mesh.face_materials[faces] == index]].astype(np.float64)
    uvs = uvs[np.isfinite(uvs).all(axis=(1, 2))]
    steps = int(np.clip(np.sqrt(400_000 / max(len(uvs), 1)), 4, 60))
    grid = (np.arange(steps) + 0.5) / steps
    a, b = (axis.reshape(-1) for axis in np.meshgrid(grid, grid))
    a, b = a[a + b < 1], b[a + b < 1]
    points = np.tensordot(np.stack([1 - a - b, a, b], axis=1), uvs, axes=([1], [1])).reshape(-1, 2)
    height, width = alpha.shape
    columns = (np.mod(points[:, 0], 1) * width).astype(np.int64).clip(0, width - 1)
    rows = (np.mod(1 - points[:, 1], 1) * height).astype(np.int64).clip(0, height - 1)
    return alpha[rows, columns]
