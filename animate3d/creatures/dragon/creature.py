"""The demo asset: a small textured dragon as a `Mesh`, and its object folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from animate3d.creatures.dragon import shape as dragon
from animate3d.creatures.dragon.paint import paint_dragon
from animate3d.creatures.dragon.shape import Part
from animate3d.creatures.sculpt.atlas import bake, unwrap
from animate3d.creatures.sculpt.fields import Points, distance_and_slope
from animate3d.creatures.sculpt.surface import quad_surface
from animate3d.meshes import Material, Mesh, save_obj

NAME = "little_dragon"
ASSET = Path(__file__).parent / "assets" / NAME
_SPACING = 0.0415  # gives about 5000 vertices
_TEXTURE_SIZE = 512
_BUMP = 0.012  # height of the relief in the normal map, in the mesh's units


def make_dragon(seed: int = 0) -> Mesh:
    """A closed quad mesh of about 5000 evenly spread vertices, y up, facing +z, with UVs and PBR textures.

    Args:
        seed: places the spots of the skin; the same seed gives the same mesh.
    """
    vertices, quads = quad_surface(dragon.solid, dragon.LOW, dragon.HIGH, _SPACING, relax_steps=8)
    vertices = vertices.round(5)  # short numbers in the file, and the file says the same as the mesh
    groups, directions = _chart_groups(vertices, quads)
    corner_uvs = unwrap(vertices, quads, groups, directions, _TEXTURE_SIZE)

    _, slope = distance_and_slope(dragon.solid, vertices)
    normals = slope / np.linalg.norm(slope, axis=1, keepdims=True)
    split = np.array([[0, 1, 2], [0, 2, 3]])
    triangles = quads[:, split].reshape(-1, 3)
    uvs = corner_uvs[:, split].reshape(-1, 3, 2)
    baked, covered, _ = bake(uvs, np.concatenate([vertices, normals], axis=1)[triangles], _TEXTURE_SIZE)
    surface = paint_dragon(baked[..., :3], baked[..., 3:], seed)
    texel = np.sqrt(_area(vertices, triangles) / covered.sum())
    mesh = Mesh.from_faces(
        vertices,
        quads,
        corner_uvs=corner_uvs.round(5),
        material=Material(
            NAME,
            base_color=(1.0, 1.0, 1.0, 1.0),
            textures={
                "diffuse": _bytes(surface.color),
                "roughness": _bytes(surface.roughness),
                "metallic": _bytes(surface.metallic),
                "normal": _bytes(0.5 + 0.5 * _normal_map(surface.height * _BUMP / texel)),
                # Occlusion, roughness, metallic in the channels glTF expects.
                "pbr": _bytes(np.stack([np.ones_like(surface.height), surface.roughness, surface.metallic], axis=-1)),
            },
        ),
    )
    mesh.corner_normals = normals[mesh.corners].round(3).astype(np.float32)
    return mesh


def write_dragon(folder: str | os.PathLike[str], seed: int = 0) -> Path:
    """Make the creature and save it as ``<folder>/base.obj`` with ``base.mtl`` and textures; returns the OBJ."""
    return save_obj(make_dragon(seed), Path(folder))


def _chart_groups(vertices: Points, quads: np.ndarray) -> tuple[np.ndarray, dict[int, Points]]:
    """The part of every face, left and right wing apart, and the directions its charts may be projected along."""
    centers = vertices[quads].mean(axis=1)
    distance = dragon.parts(centers)
    groups = np.stack([distance[part] for part in Part]).argmin(axis=0)
    merged = [Part.HEAD, Part.HORN, Part.EYE, Part.SPIKE, Part.BODY, Part.TAIL]
    groups[np.isin(groups, merged)] = Part.BODY
    right_wing = len(Part)
    groups[(groups == Part.WING) & (centers[:, 0] < 0)] = right_wing
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    front = dragon.WING_AXES[2]
    mirrored = front * [-1, 1, 1]
    directions = {int(Part.BODY): axes, int(Part.LEGS): axes}
    directions[int(Part.WING)] = np.stack([front, -front])
    directions[right_wing] = np.stack([mirrored, -mirrored])
    return groups, directions


def _area(vertices: Points, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def _normal_map(height_texels: Points) -> Points:
    """Tangent-space normals (+x right, +y up in the texture) of a height field given in texels."""
    down, right = np.gradient(height_texels)
    normals = np.stack([-right, down, np.ones_like(right)], axis=-1)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _bytes(values: Points) -> np.ndarray:
    return (np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
