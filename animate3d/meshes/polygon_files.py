"""PLY and OFF meshes, with their polygons kept."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.materials import Material, find_texture, named_textures, read_texture
from animate3d.meshes.mesh import Mesh

_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


def load_ply_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a PLY mesh, z up: polygons, vertex colours, and texture coordinates of vertices or face corners."""
    path = existing_file(path, "mesh file")
    try:
        data = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3, "vertex_index": 3}})
    except Exception:  # not all triangles, or damaged: the slower reader tells which
        try:
            data = PlyData.read(str(path))
        except (Exception, MemoryError) as error:  # a damaged header leads the parser into errors of every type
            raise InputError(f"{path} is not a readable ply file, it may be truncated ({error}).") from error
    elements = {element.name: element for element in data.elements}
    if "vertex" not in elements or "face" not in elements:
        raise InputError(f"{path} has no faces: it is a point cloud or Gaussians, not a mesh.")
    vertex, face = elements["vertex"], elements["face"]
    names = {p.name for p in vertex.properties}
    indices = next((p.name for p in face.properties if p.name in ("vertex_indices", "vertex_index")), None)
    if not {"x", "y", "z"} <= names or indices is None:
        raise InputError(f"{path} lacks the properties x, y, z or vertex_indices.")
    try:
        vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64)
        corners, face_starts = _polygons(face[indices])
        corner_uvs = _ply_uvs(vertex, face, corners, len(vertices))
        colors = _ply_colors(vertex, names)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path} is not a readable ply mesh ({error}).") from error
    material = _ply_material(data, path) if corner_uvs is not None else Material("material")
    slots = np.zeros(len(face_starts) - 1, dtype=np.int64)
    return Mesh(vertices, corners, face_starts, corner_uvs, None, slots, [material], colors, "z", path).check()


def _polygons(lists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners ``[K]`` and starts ``[P + 1]`` of an object array of index lists; those of fewer than 3 are dropped."""
    if lists.dtype != object:
        lists = np.asarray(lists)
        return lists.reshape(-1).astype(np.int64), np.arange(len(lists) + 1, dtype=np.int64) * lists.shape[1]
    kept = [row for row in lists if len(row) >= 3]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int64)
    return np.concatenate(kept).astype(np.int64) if kept else np.zeros(0, dtype=np.int64), starts


def _ply_uvs(vertex: PlyElement, face: PlyElement, corners: np.ndarray, count: int) -> np.ndarray | None:
    names = {p.name for p in vertex.properties}
    for u, v in _UV_NAMES:
        if {u, v} <= names and corners.size and corners.min() >= 0 and corners.max() < count:
            return np.stack([vertex[u], vertex[v]], axis=1).astype(np.float32)[corners]
    if any(p.name == "texcoord" for p in face.properties):
        rows = [np.asarray(row, dtype=np.float32) for row in face["texcoord"]]
        uvs = np.concatenate(rows).reshape(-1, 2) if rows else np.zeros((0, 2), dtype=np.float32)
        return uvs if len(uvs) == len(corners) else None
    return None


def _ply_colors(vertex: PlyElement, names: set[str]) -> np.ndarray | None:
    if not {"red", "green", "blue"} <= names:
        return None
    values = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
    if values.dtype.kind == "u":
        return (values / np.iinfo(values.dtype).max).astype(np.float32)
    return np.nan_to_num(values.astype(np.float32)).clip(0, 1)


def _ply_material(data: PlyData, path: Path) -> Material:
    material = Material("material")
    for comment in data.comments:
        keyword, _, name = comment.partition(" ")
        if keyword.lower() == "texturefile":
            found = find_texture(name.strip(), path.parent)
            if found is None:
                warnings.warn(f"{path}: its texture {name.strip()!r} is not there; it is left out.", stacklevel=3)
            image = read_texture(found) if found else None
            if image is not None:
                material.textures["diffuse"] = image
            break
    for kind, file in named_textures(path.parent).items():
        image = None if kind in material.textures else read_texture(file)
        if image is not None:
            material.textures[kind] = image
    return material


def load_off(path: str | os.PathLike[str]) -> Mesh:
    """Read an ascii OFF (or COFF) mesh, z up, with its polygons and vertex colours."""
    path = existing_file(path, "mesh file")
    text = path.read_bytes().decode("utf-8", errors="replace")
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    lines = [words for words in lines if words]
    if not lines or not lines[0][0].upper().endswith("OFF"):
        raise InputError(f"{path} is not an OFF file: it does not begin with OFF.")
    head = lines[0][1:] if len(lines[0]) > 1 else (lines[1] if len(lines) > 1 else [])
    body = lines[1:] if len(lines[0]) > 1 else lines[2:]
    try:
        n_vertices, n_faces = int(head[0]), int(head[1])
        if n_vertices < 0 or n_faces < 0 or len(body) < n_vertices + n_faces:
            raise ValueError(f"{len(body)} lines for {n_vertices} vertices and {n_faces} faces")
        rows, face_rows = body[:n_vertices], body[n_vertices : n_vertices + n_faces]
        columns = min((len(row) for row in rows), default=3)
        values = np.array([row[:columns] for row in rows], dtype=np.float64).reshape(n_vertices, columns)
        if columns < 3:
            raise ValueError("a vertex has fewer than three coordinates")
        sides = np.array([int(row[0]) for row in face_rows], dtype=np.int64)
        if any(len(row) <= side or side < 3 for row, side in zip(face_rows, sides.tolist(), strict=True)):
            raise ValueError("a face has fewer corners than it says")
        corners = [row[1 : side + 1] for row, side in zip(face_rows, sides.tolist(), strict=True)]
        flat = np.array([int(word) for row in corners for word in row], dtype=np.int64)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path} is not a readable OFF file, it may be truncated ({error}).") from error
    colors = None
    if columns >= 6 and "C" in lines[0][0].upper():
        shades = np.nan_to_num(values[:, 3:6])
        colors = (shades / (255 if shades.max(initial=0) > 1 else 1)).clip(0, 1).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(sides)]).astype(np.int64)
    slots, material = np.zeros(n_faces, dtype=np.int64), Material("material")
    return Mesh(values[:, :3], flat, starts, None, None, slots, [material], colors, "z", path).check()
