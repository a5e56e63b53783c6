"""How transparent a material is where the mesh shows its texture."""

from __future__ import annotations

import numpy as np

from animate3d.meshes.mesh import Mesh

_MOST_STEPS = 256  # samples along the edge of a triangle
_BETWEEN = 8  # levels from 0 or 255 at which a texel counts as neither of them
_SOFT_EDGE = 0.1  # share of the transparent texels that the smooth edge of a cut-out takes up at most


def alpha_mode(mesh: Mesh, index: int) -> tuple[str, float]:
    """How the alpha of a material is meant: ``"opaque"``, ``"mask"`` or ``"blend"``, and the cutoff of a mask.

    What the file says is kept. Without a word only the texels under texture coordinates count: none transparent is
    opaque, almost all of them 0 or 255 is a mask.
    """
    material = mesh.materials[index]
    if material.alpha_mode is not None:
        return material.alpha_mode, material.alpha_cutoff
    if material.base_color[3] < 1:
        return "blend", 0.5
    texture = material.textures.get("diffuse")
    if texture is None or mesh.corner_uvs is None or texture.shape[-1] != 4 or (texture[..., 3] == 255).all():
        return "opaque", 0.5
    alpha = texture[..., 3][shown_texels(mesh, index, texture.shape[0], texture.shape[1])]
    transparent = int((alpha < 255 - _BETWEEN).sum())
    if transparent == 0:
        return "opaque", 0.5
    between = int(((alpha > _BETWEEN) & (alpha < 255 - _BETWEEN)).sum())
    return ("mask", 0.5) if between <= _SOFT_EDGE * transparent else ("blend", 0.5)


def shown_texels(mesh: Mesh, index: int, height: int, width: int) -> np.ndarray:
    """Texels of a texture that triangles of a material lie on. ``[H, W]`` bool"""
    assert mesh.corner_uvs is not None
    shown = np.zeros((height, width), dtype=bool)
    _, corners, faces = mesh.triangles()
    uvs = mesh.corner_uvs[corners[mesh.face_materials[faces] == index]].astype(np.float64)
    uvs = uvs[np.isfinite(uvs).all(axis=(1, 2))]
    if len(uvs) == 0:
        return shown
    size = np.array([width, height])
    edges = np.abs(uvs - np.roll(uvs, 1, axis=1)) * size
    steps = np.ceil(np.log2(edges.max(axis=(1, 2)).clip(1, _MOST_STEPS))).astype(int)
    wraps = mesh.materials[index].wraps.get("diffuse", ("repeat", "repeat"))
    for power in np.unique(steps):
        weights = _inner_points(2 ** int(power))
        triangles = uvs[steps == power]
        for start in range(0, len(triangles), max(1, 2**20 // len(weights))):
            points = weights @ triangles[start : start + max(1, 2**20 // len(weights))]
            x, y = (_texel(points[..., k], wraps[k], int(size[k]), flip=k == 1) for k in (0, 1))
            shown[y, x] = True
    return shown


def _inner_points(steps: int) -> np.ndarray:
    """Barycentric coordinates inside a triangle cut into ``steps`` squared equal ones. ``[P, 3]``"""
    i, j = (index.reshape(-1) for index in np.meshgrid(np.arange(steps), np.arange(steps), indexing="ij"))
    a, b = (i + 1 / 3) / steps, (j + 1 / 3) / steps
    c, d = (i + 2 / 3) / steps, (j + 2 / 3) / steps
    a, b = (
        np.concatenate([a[i + j < steps], c[i + j < steps - 1]]),
        np.concatenate([b[i + j < steps], d[i + j < steps - 1]]),
    )
    return np.stack([a, b, 1 - a - b], axis=1)


def _texel(values: np.ndarray, wrap: str, count: int, *, flip: bool) -> np.ndarray:
    """Number of the texel at texture coordinates along one axis; rows count from the top."""
    if wrap == "clamp":
        values = values.clip(0, 1)
    elif wrap == "mirror":
        values = 1 - np.abs(np.mod(values, 2) - 1)
    else:
        values = np.mod(values, 1)
    return ((1 - values if flip else values) * count).astype(int).clip(0, count - 1)
