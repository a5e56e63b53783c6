"""PLY and OFF meshes, with their polygons kept."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path, PurePosixPath

import numpy as np
from plyfile import PlyData, PlyElement

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.materials import Material, add_named_textures, find_texture, read_texture
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.names import encoding_of
from animate3d.meshes.ply_header import check_promises

GAUSSIAN_MARKS = frozenset({"opacity", "scale_0", "rot_0"})
"""Properties of the vertices of a ply of Gaussians, which no mesh has."""
PACKED_MARK = "packed_position"
"""The same for SuperSplat's compressed plys."""

_COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


def load_ply_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a PLY mesh, z up: polygons, colours, texture coordinates of vertices or face corners, several textures."""
    path = existing_file(path, "mesh file")
    check_promises(path)
    data, textures = _read_ply(path)
    elements = {element.name: element for element in data.elements}
    names = {p.name for p in elements["vertex"].properties} if "vertex" in elements else set()
    if names >= GAUSSIAN_MARKS or PACKED_MARK in names:
        raise InputError(gaussians_sentence(path))
    if "tristrips" in elements and "face" not in elements:
        raise InputError(f"{path} holds triangle strips (tristrips), which are not read; save it with plain faces.")
    if "vertex" not in elements or "face" not in elements:
        raise InputError(f"{path} has no faces: it is a point cloud, not a mesh; reconstruct a mesh from it.")
    vertex, face = elements["vertex"], elements["face"]
    indices = next((p.name for p in face.properties if p.name in ("vertex_indices", "vertex_index")), None)
    if not {"x", "y", "z"} <= names or indices is None:
        raise InputError(f"{path} lacks the properties x, y, z or vertex_indices.")
    try:
        vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64)
        kept, corners, face_starts = _polygons(face[indices])
        if len(kept) < face.count:
            _warn_of_small_faces(path, face.count - len(kept))
        with np.errstate(over="ignore"):
            corner_uvs = _ply_uvs(vertex, face, kept, corners, len(vertices))
            colors = _ply_colors(vertex)
            shades = None if colors is not None else _ply_colors(face)
        if corner_uvs is not None:
            corner_uvs = np.where(np.isfinite(corner_uvs), corner_uvs, np.float32(np.nan))
        slots = np.zeros(len(kept), dtype=np.int64)
        if any(p.name == "texnumber" for p in face.properties):
            slots = np.asarray(face["texnumber"])[kept].astype(np.int64)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path} is not a readable ply mesh ({error}).") from error
    materials = [Material("material")]
    if corner_uvs is not None:
        materials, slots = _ply_materials(textures, slots, path)
    else:
        slots = np.zeros_like(slots)
    mesh = Mesh(vertices, corners, face_starts, corner_uvs, None, slots, materials, colors, "z", path).check()
    if shades is not None:
        mesh.vertex_colors = _from_faces(mesh, shades[kept])
    return mesh


def gaussians_sentence(path: Path) -> str:
    """What to do with a file of Gaussians that a mesh was expected in."""
    return f"{path} has no faces: it holds Gaussians, not a mesh; animate them with `animate3d animate {path}`."


def _read_ply(path: Path) -> tuple[PlyData, list[str]]:
    """A ply file and the names of its textures. The header's bytes may be text of any encoding."""
    content = path.read_bytes()
    end = content.find(b"end_header")
    head, body = content[: max(end, 0)], content[max(end, 0) :]
    names = [match.strip() for match in re.findall(rb"(?im)^\s*comment\s+TextureFile\s+([^\r\n]+)", head)]
    encoding = encoding_of(names, lambda name: find_texture(name, path.parent) is not None)
    textures = [name.decode(encoding) for name in names]
    content = head.decode("ascii", errors="replace").replace("\ufffd", "?").encode() + body
    try:
        known = {"face": {"vertex_indices": 3, "vertex_index": 3, "texcoord": 6}}
        return PlyData.read(io.BytesIO(content), known_list_len=known), textures
    except Exception:  # not all triangles, or damaged: the slower reader tells which
        try:
            return PlyData.read(io.BytesIO(content)), textures
        except (Exception, MemoryError) as error:  # a damaged header leads the parser into errors of every type
            raise InputError(f"{path} is not a readable ply file, it may be truncated ({error}).") from error


def _polygons(lists: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are polygons ``[P]``, corners ``[K]`` and starts ``[P + 1]``; rows of fewer than 3 are dropped."""
    if lists.dtype != object:
        lists = np.asarray(lists)
        starts = np.arange(len(lists) + 1, dtype=np.int64) * lists.shape[1]
        return np.arange(len(lists)), lists.reshape(-1).astype(np.int64), starts
    kept = np.flatnonzero([len(row) >= 3 for row in lists])
    starts = np.concatenate([[0], np.cumsum([len(lists[row]) for row in kept])]).astype(np.int64)
    corners = np.concatenate([lists[row] for row in kept]) if len(kept) else np.zeros(0)
    return kept, corners.astype(np.int64), starts


def _warn_of_small_faces(path: Path, count: int) -> None:
    what, are = ("a face has", "is") if count == 1 else (f"{count} faces have", "are")
    warnings.warn(f"{path}: {what} fewer than 3 corners and {are} left out.", stacklevel=4)


def _ply_uvs(
    vertex: PlyElement, face: PlyElement, kept: np.ndarray, corners: np.ndarray, count: int
) -> np.ndarray | None:
    names = {p.name for p in vertex.properties}
    for u, v in _UV_NAMES:
        if {u, v} <= names and corners.size and corners.min() >= 0 and corners.max() < count:
            return np.stack([vertex[u], vertex[v]], axis=1).astype(np.float32)[corners]
    if any(p.name == "texcoord" for p in face.properties):
        rows = [np.asarray(face["texcoord"][row], dtype=np.float32) for row in kept]
        uvs = np.concatenate(rows).reshape(-1, 2) if rows else np.zeros((0, 2), dtype=np.float32)
        return uvs if len(uvs) == len(corners) else None
    return None


def _ply_colors(element: PlyElement) -> np.ndarray | None:
    """Colours of vertices or faces ``[I, 3]``; None without any."""
    names = {p.name for p in element.properties}
    for channels in _COLOR_NAMES:
        if names.issuperset(channels):
            values = np.stack([element[name] for name in channels], axis=1)
            if values.dtype.kind in "iu":
                full = 65535 if values.dtype == np.uint16 else 255
                return (values / full).clip(0, 1).astype(np.float32)
            return np.nan_to_num(values.astype(np.float32)).clip(0, 1)
    return None


def _from_faces(mesh: Mesh, shades: np.ndarray) -> np.ndarray:
    """Vertex colours ``[N, 3]``: the mean of the faces' ``[P, 3]`` at a vertex."""
    of_corner = np.repeat(shades, np.diff(mesh.face_starts), axis=0)
    sums = np.stack([np.bincount(mesh.corners, of_corner[:, k], mesh.n_vertices) for k in range(3)], axis=1)
    count = np.bincount(mesh.corners, minlength=mesh.n_vertices)
    return (sums / np.maximum(count, 1)[:, None]).astype(np.float32)


def _ply_materials(textures: list[str], numbers: np.ndarray, path: Path) -> tuple[list[Material], np.ndarray]:
    """A material for every texture that faces use, and the one of every face ``[P]``.

    Args:
        textures: names of the files.
        numbers: ``[P]`` the texture of every face.
    """
    used = np.unique(numbers.clip(0, max(len(textures) - 1, 0)))
    slots = np.searchsorted(used, numbers.clip(0, max(len(textures) - 1, 0)))
    materials = []
    for number in used.tolist():
        name = textures[number] if number < len(textures) else None
        several = len(used) > 1 and name is not None
        material = Material(PurePosixPath(name).stem if several and name else "material")
        found = find_texture(name, path.parent) if name else None
        if name and found is None:
            warnings.warn(f"{path}: its texture {name!r} is not there; it is left out.", stacklevel=3)
        image = read_texture(found) if found else None
        if image is not None:
            material.textures["diffuse"] = image
        materials.append(material)
    add_named_textures(materials, path.parent)
    return materials, slots.astype(np.int64)


def load_off(path: str | os.PathLike[str]) -> Mesh:
    """Read an ascii OFF (or COFF) mesh, z up, with its polygons and the colours of vertices or faces."""
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
    colors = _off_colors(values[:, 3:6]) if columns >= 6 and "C" in lines[0][0].upper() else None
    starts = np.concatenate([[0], np.cumsum(sides)]).astype(np.int64)
    slots, material = np.zeros(n_faces, dtype=np.int64), Material("material")
    mesh = Mesh(values[:, :3], flat, starts, None, None, slots, [material], colors, "z", path).check()
    if colors is None:
        shades = _off_face_colors([row[side + 1 :] for row, side in zip(face_rows, sides.tolist(), strict=True)])
        mesh.vertex_colors = None if shades is None else _from_faces(mesh, shades)
    return mesh


def _off_colors(values: np.ndarray) -> np.ndarray:
    """Colours ``[I, 3]`` of numbers up to 1 or up to 255."""
    shades = np.nan_to_num(values)
    return (shades / (255 if shades.max(initial=0) > 1 else 1)).clip(0, 1).astype(np.float32)


def _off_face_colors(rows: list[list[str]]) -> np.ndarray | None:
    """Colours of faces ``[P, 3]`` behind their corners, the material's for a face without; None where none has any."""
    colored = [len(row) >= 3 for row in rows]
    try:
        values = np.array([row[:3] for row in rows if len(row) >= 3], dtype=np.float64)
    except ValueError:  # not numbers: a comment of some program
        return None
    if not len(values):
        return None
    colors = np.full((len(rows), 3), Material("").base_color[:3], dtype=np.float32)
    colors[colored] = _off_colors(values)
    return colors
