"""A small awkward mesh in motion, and positions read back from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from animate3d.meshes import Material, Mesh, Part


def texture(seed: int, height: int = 8, width: int = 16, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


LINEAR_BARE = (0.033105, 0.132868, 0.318547)
"""The colour 0.2, 0.4, 0.6 of the material `Bare` in linear light, as the formats want it."""


def awkward_mesh(up_axis: str = "y", *, colors: bool = False, normals: bool = False) -> Mesh:
    """A box of quads with a triangle, a pentagon, an isolated vertex, UV seams and two materials, one bare."""
    box = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-0.5, 0.5)], dtype=np.float64)
    pentagon = np.array([[2 + np.cos(a), 0.3 * a, np.sin(a)] for a in np.linspace(0, 4.5, 5)])
    vertices = np.concatenate([box, pentagon, [[3.0, 3.0, 3.0]]])
    polygons = [
        [0, 1, 3, 2],
        [4, 6, 7, 5],
        [0, 4, 5, 1],
        [2, 3, 7, 6],
        [0, 2, 6, 4],
        [1, 5, 7],
        [1, 7, 3],
        [8, 9, 10, 11, 12],
    ]
    corners = np.concatenate(polygons).astype(np.int64)
    rng = np.random.default_rng(1)
    maps = {"diffuse": texture(1), "metallic": texture(2, channels=1), "roughness": texture(3, channels=1)}
    maps["normal"] = texture(4)
    corner_normals = None
    if normals:
        corner_normals = rng.normal(size=(len(corners), 3)).astype(np.float32)
        corner_normals /= np.linalg.norm(corner_normals, axis=1, keepdims=True)
    return Mesh(
        vertices=vertices,
        corners=corners,
        face_starts=np.concatenate([[0], np.cumsum([len(p) for p in polygons])]).astype(np.int64),
        corner_uvs=rng.random((len(corners), 2)).astype(np.float32).round(2),
        corner_normals=corner_normals,
        face_materials=np.array([0, 0, 0, 1, 1, 0, 0, 1], dtype=np.int64),
        materials=[Material("Painted", textures=maps), Material("Bare", (0.2, 0.4, 0.6, 1.0), 0.25, 0.75, {})],
        vertex_colors=rng.random((len(vertices), 3)).astype(np.float32) if colors else None,
        up_axis=up_axis,
        source=None,
    )


def two_parts() -> Mesh:
    """A triangle of a blue material beside one of another, whose vertices are dark red."""
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [3, 0, 0], [2, 1, 0]])
    colors = np.full((6, 3), np.nan, dtype=np.float32)
    colors[3:] = [0.5, 0, 0]
    mesh = Mesh.from_faces(corners, [[0, 1, 2], [3, 4, 5]], vertex_colors=colors)
    mesh.materials, mesh.face_materials = [Material("Bare", (0.2, 0.4, 0.6, 1.0)), Material("Colours")], np.arange(2)
    mesh.parts, mesh.face_parts = [Part("plain"), Part("coloured")], np.arange(2)
    return mesh


def motion(mesh: Mesh, frames: int = 5) -> np.ndarray:
    """Bending, turning and a hop; frame 2 equals the rest pose. ``[F, N, 3]``"""
    result = []
    for k in range(frames):
        t = 0.0 if k == 2 else k / 3
        x, y, z = mesh.vertices.T
        bent = np.stack([x + 0.2 * t * y**2, y, z + 0.3 * np.sin(t * x)], axis=1)
        c, s = np.cos(t), np.sin(t)
        result.append(bent @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [0, t, 0.1 * t])
    result[0] = mesh.vertices.copy()
    return np.stack(result)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest distance as a fraction of the diagonal."""
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected, axis=-1).max() / np.linalg.norm(np.ptp(expected[0], axis=0)))


def blender_positions(frames: Iterable[float], *, world: bool = False) -> np.ndarray:
    """Coordinates of the only mesh of the open Blender scene at some of its frames. ``[F, N, 3]``"""
    import bpy

    (item,) = [item for item in bpy.context.scene.objects if item.type == "MESH"]
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame), subframe=frame % 1)
        evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
        points = np.zeros(3 * len(evaluated.data.vertices), dtype=np.float32)
        evaluated.data.vertices.foreach_get("co", points)
        points = points.reshape(-1, 3).astype(np.float64)
        if world:
            matrix = np.array(evaluated.matrix_world)
            points = points @ matrix[:3, :3].T + matrix[:3, 3]
        found.append(points)
    return np.stack(found)


def upright(positions: np.ndarray, up_axis: str) -> np.ndarray:
    """File coordinates as Blender's z-up world shows them."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return positions if up_axis == "z" else np.stack([x, -z, y], axis=-1)


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
