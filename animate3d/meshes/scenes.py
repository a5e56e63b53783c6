"""STL through trimesh, and joining the parts of a scene."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import numpy as np
import trimesh

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.appearance import vertex_colors
from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh


def load_stl(path: Path) -> Mesh:
    """Read binary or ascii ``.stl``, z up: three vertices per triangle, in the file's order."""
    path = existing_file(path, "mesh file")
    logger = logging.getLogger("trimesh")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = trimesh.load_mesh(io.BytesIO(path.read_bytes()), file_type="stl", process=False)
            vertices, faces = np.asarray(found.vertices, dtype=np.float64), np.asarray(found.faces, dtype=np.int64)
    except (Exception, MemoryError) as error:  # a damaged file leads the parser into errors of every type
        raise InputError(f"{path} is not a readable stl file, it may be truncated ({error}).") from error
    finally:
        logger.setLevel(level)
    if len(faces) == 0:
        raise InputError(f"{path} holds no triangles; it may be empty or truncated.")
    return Mesh.from_faces(vertices, faces, up_axis="z", source=path).check()


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to sRGB values in 0..1."""
    values = np.asarray(values, dtype=np.float32).clip(0, 1)
    curved = 1.055 * values ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, 12.92 * values, curved).clip(0, 1).astype(np.float32)


def join(parts: list[Mesh], source: Path) -> Mesh:
    """One mesh of several: vertices and faces one part after the other. Parts of the same material share it.

    Where only some parts have vertex colours, the others get those of their materials.
    """
    materials: list[Material] = []
    first_vertex = first_corner = 0
    corners, starts, slots, uvs, colors, vertices = [], [], [], [], [], []
    has_uvs = any(part.corner_uvs is not None for part in parts)
    has_colors = any(part.vertex_colors is not None for part in parts)
    for part in parts:
        slot = np.array([_slot(materials, material) for material in part.materials])
        slots.append(slot[part.face_materials])
        vertices.append(part.vertices)
        corners.append(part.corners + first_vertex)
        starts.append(part.face_starts[:-1] + first_corner)
        none = np.full((len(part.corners), 2), np.nan, dtype=np.float32)
        uvs.append(none if part.corner_uvs is None else part.corner_uvs)
        if has_colors:
            colors.append(vertex_colors(part) if part.vertex_colors is None else part.vertex_colors)
        first_vertex += part.n_vertices
        first_corner += len(part.corners)
    return Mesh(
        vertices=np.concatenate(vertices),
        corners=np.concatenate(corners),
        face_starts=np.append(np.concatenate(starts), first_corner),
        corner_uvs=np.concatenate(uvs) if has_uvs else None,
        corner_normals=None,
        face_materials=np.concatenate(slots),
        materials=materials,
        vertex_colors=np.concatenate(colors) if has_colors else None,
        up_axis=parts[0].up_axis,
        source=source,
    )


def _slot(materials: list[Material], material: Material) -> int:
    for index, known in enumerate(materials):
        same_maps = known.textures.keys() == material.textures.keys() and all(
            np.array_equal(known.textures[kind], material.textures[kind]) for kind in known.textures
        )
        values = (known.name, known.base_color, known.metallic, known.roughness)
        if same_maps and values == (material.name, material.base_color, material.metallic, material.roughness):
            return index
    materials.append(material)
    return len(materials) - 1
