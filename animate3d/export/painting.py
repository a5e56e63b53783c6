"""Vertex colours as the formats have them: in place of a material's colour, or multiplying its texture."""

from __future__ import annotations

import numpy as np

from animate3d.export.transparency import alpha_mode
from animate3d.meshes.mesh import Mesh

_NAMES = {"fbx": "FBX", "obj": "OBJ"}


def painted_materials(mesh: Mesh) -> np.ndarray:
    """Materials with faces that show vertex colours. ``[M]`` bool"""
    painted = np.zeros(len(mesh.materials), dtype=bool)
    painted[mesh.face_materials[mesh.colored_faces()]] = True
    return painted


def corner_paint(mesh: Mesh) -> np.ndarray:
    """What stands in for the colour of a material or multiplies its texture at every corner ``[K, 3]``, sRGB.

    Where a vertex has no colour it is that of the material, white where there is a texture.
    """
    base = np.array([material.base_color[:3] for material in mesh.materials], dtype=np.float32)
    paint = base[np.repeat(mesh.face_materials, np.diff(mesh.face_starts))]
    paint[mesh.textured_corners()] = 1
    if mesh.vertex_colors is not None:
        own = mesh.vertex_colors[mesh.corners]
        known = np.isfinite(own).all(axis=1)
        paint[known] = own[known]
    return paint


def left_out(mesh: Mesh, suffix: str) -> list[str]:
    """What a format has no place for, each as the end of a sentence that begins with the file."""
    if suffix not in ("fbx", "obj") and not suffix.startswith("usd"):
        return []
    name = _NAMES.get(suffix, "USD")
    found = []
    tinted = np.repeat(mesh.colored_faces(), np.diff(mesh.face_starts)) & mesh.textured_corners()
    if suffix != "obj" and mesh.vertex_colors is not None and (mesh.vertex_colors[mesh.corners[tinted]] != 1).any():
        found.append(
            f"{name} shows textures without the vertex colours that multiply them, which are in the file all the same; "
            "GLB multiplies them"
        )
    if mesh.gltf is not None and mesh.gltf.colors is not None:
        seen = [index for index in range(len(mesh.materials)) if alpha_mode(mesh, index)[0] != "opaque"]
        corners = mesh.corners[np.repeat(np.isin(mesh.face_materials, seen), np.diff(mesh.face_starts))]
        if (mesh.gltf.colors[corners, 3] < 1).any():
            found.append(f"{name} has no place for the opacity of vertex colours, which is left out; GLB keeps it")
    return found
