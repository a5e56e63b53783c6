"""Meshes as parts of a whole: put together when a file is read, taken apart where a format has objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh, Part


@dataclass(frozen=True)
class Piece:
    """The faces of one part.

    Attributes:
        name: of the part; the mesh's where it has no parts.
        part: its number; None where the mesh has no parts.
        mesh: with the piece's vertices, faces and corners only, and all materials.
        vertices: ``[n]`` numbers of its vertices in the whole, ascending.
        corners: ``[k]`` numbers of its corners in the whole.
    """

    name: str
    part: int | None
    mesh: Mesh
    vertices: np.ndarray
    corners: np.ndarray


def pieces(mesh: Mesh) -> list[Piece]:
    """The parts of a mesh that have faces, in their order.

    A vertex that several parts share is in each; one that no face uses goes with the vertex before it in the file.
    """
    if mesh.face_parts is None:
        return [Piece(mesh.name, None, mesh, np.arange(mesh.n_vertices), np.arange(len(mesh.corners)))]
    numbers = np.unique(mesh.face_parts)
    if len(numbers) == 1:
        part = int(numbers[0])
        everything = np.arange(mesh.n_vertices), np.arange(len(mesh.corners))
        return [Piece(mesh.parts[part].name or mesh.name, part, mesh, *everything)]
    corner_parts = np.repeat(mesh.face_parts, np.diff(mesh.face_starts))
    owner = np.full(mesh.n_vertices, -1)
    owner[mesh.corners[::-1]] = corner_parts[::-1]
    last = np.maximum.accumulate(np.where(owner >= 0, np.arange(mesh.n_vertices), -1))
    unused = np.flatnonzero(owner < 0)
    owner_of_unused = np.where(last[unused] >= 0, owner[last[unused]], numbers[0])
    unused_of = _grouped(owner_of_unused, len(mesh.parts))
    faces_of, corners_of = _grouped(mesh.face_parts, len(mesh.parts)), _grouped(corner_parts, len(mesh.parts))
    found = []
    for part in numbers.tolist():
        corners = corners_of[part]
        vertices = np.union1d(mesh.corners[corners], unused[unused_of[part]])
        cut = _cut(mesh, faces_of[part], corners, vertices)
        found.append(Piece(mesh.parts[part].name or f"part_{part}", part, cut, vertices, corners))
    return found


def _grouped(labels: np.ndarray, count: int) -> list[np.ndarray]:
    """For each of ``count`` labels, where it occurs in ``labels [I]``, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _cut(mesh: Mesh, faces: np.ndarray, corners: np.ndarray, vertices: np.ndarray) -> Mesh:
    sides = np.diff(mesh.face_starts)[faces]
    colors = None if mesh.vertex_colors is None else mesh.vertex_colors[vertices]
    return Mesh(
        vertices=mesh.vertices[vertices],
        corners=np.searchsorted(vertices, mesh.corners[corners]),
        face_starts=np.concatenate([[0], np.cumsum(sides)]).astype(np.int64),
        corner_uvs=None if mesh.corner_uvs is None else mesh.corner_uvs[corners],
        corner_normals=None if mesh.corner_normals is None else mesh.corner_normals[corners],
        face_materials=mesh.face_materials[faces],
        materials=mesh.materials,
        vertex_colors=None if colors is None or np.isnan(colors).all() else colors,
        up_axis=mesh.up_axis,
        source=mesh.source,
        origin=mesh.origin,
    )


def join(
    meshes: list[Mesh], source: Path | None, parts: list[Part] | None = None, part_of: list[int] | None = None
) -> Mesh:
    """One mesh of several: vertices and faces one after the other. Equal materials become one.

    Where only some have vertex colours, those of the others are NaN.

    Args:
        parts: of the result.
        part_of: the part that each mesh belongs to.
    """
    materials: list[Material] = []
    first_vertex = first_corner = 0
    corners, starts, slots, uvs, normals, colors = [], [], [], [], [], []
    has_uvs = any(mesh.corner_uvs is not None for mesh in meshes)
    has_normals = any(mesh.corner_normals is not None for mesh in meshes)
    has_colors = any(mesh.vertex_colors is not None for mesh in meshes)
    for mesh in meshes:
        slots.append(np.array([_slot(materials, material) for material in mesh.materials])[mesh.face_materials])
        corners.append(mesh.corners + first_vertex)
        starts.append(mesh.face_starts[:-1] + first_corner)
        uvs.append(_or_nan(mesh.corner_uvs, len(mesh.corners), 2))
        normals.append(_or_nan(mesh.corner_normals, len(mesh.corners), 3))
        if has_colors:
            colors.append(_or_nan(mesh.vertex_colors, mesh.n_vertices, 3))
        first_vertex += mesh.n_vertices
        first_corner += len(mesh.corners)
    face_parts = None
    if parts and part_of is not None:
        face_parts = np.repeat(np.array(part_of, dtype=np.int64), [mesh.n_faces for mesh in meshes])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        corners=np.concatenate(corners),
        face_starts=np.append(np.concatenate(starts), first_corner),
        corner_uvs=np.concatenate(uvs) if has_uvs else None,
        corner_normals=np.concatenate(normals) if has_normals else None,
        face_materials=np.concatenate(slots),
        materials=materials,
        vertex_colors=np.concatenate(colors) if has_colors else None,
        up_axis=meshes[0].up_axis,
        source=source,
        parts=parts or [],
        face_parts=face_parts,
    )


def _or_nan(values: np.ndarray | None, count: int, width: int) -> np.ndarray:
    return np.full((count, width), np.nan, dtype=np.float32) if values is None else values


def _slot(materials: list[Material], material: Material) -> int:
    for index, known in enumerate(materials):
        if known is material or _equal(known, material):
            return index
    materials.append(material)
    return len(materials) - 1


def _equal(one: Material, other: Material) -> bool:
    same_maps = one.textures.keys() == other.textures.keys() and all(
        np.array_equal(one.textures[kind], other.textures[kind]) for kind in one.textures
    )
    return same_maps and replace(one, textures={}) == replace(other, textures={})
