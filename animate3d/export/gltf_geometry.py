"""The surface of a mesh as glTF has it: primitives of one part and one material, a vertex for every kind of corner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from animate3d.meshes.gltf_materials import Lookup, lookup_of, texture_infos
from animate3d.meshes.mesh import Mesh


@dataclass(frozen=True)
class Primitive:
    """The triangles of one part and one material.

    Attributes:
        part: number of the part; 0 for a mesh without parts.
        material: number of the material.
        corners: ``[S]`` a face corner of the mesh for every vertex of the primitive: vertex number, texture
            coordinates and normal group are its own.
        triangles: ``[T, 3]`` into ``corners``.
        mirrored: ``[S]`` whether the texture is mirrored there; None where tangents are not needed.
    """

    part: int
    material: int
    corners: np.ndarray
    triangles: np.ndarray
    mirrored: np.ndarray | None


def primitives(mesh: Mesh, groups: np.ndarray) -> list[Primitive]:
    """Take a mesh apart by part and material; vertices are split at texture seams and hard edges.

    Args:
        mesh: gives faces, texture coordinates, materials and parts.
        groups: ``[K]`` normal group of every corner.
    """
    _, triangles, faces = mesh.triangles()
    kinds = _kinds_of_corner(mesh, groups)
    owners = np.zeros(mesh.n_faces, dtype=np.int64) if mesh.face_parts is None else mesh.face_parts
    places = owners[faces] * len(mesh.materials) + mesh.face_materials[faces]
    found = []
    order = np.argsort(places, kind="stable")
    firsts = np.unique(places[order], return_index=True)[1]
    for numbers in np.split(order, firsts[1:]):
        part, material = divmod(int(places[numbers[0]]), len(mesh.materials))
        chosen = triangles[numbers]
        keys = kinds[chosen]
        mirrored = None
        if wants_tangents(mesh, material):
            mirrored = _uv_areas(normal_map_uvs(mesh, material, chosen)) < 0
            keys = 2 * keys + mirrored[:, None]
        _, first, entry = np.unique(keys, return_index=True, return_inverse=True)
        corners = chosen.reshape(-1)[first]
        flipped = None if mirrored is None else np.repeat(mirrored, 3)[first]
        found.append(Primitive(part, material, corners, entry.reshape(-1, 3), flipped))
    return found


def uv_sets(mesh: Mesh, material: int, corners: np.ndarray) -> list[np.ndarray]:
    """Texture coordinates that a material's JSON refers to, by set, v down; an empty list for a mesh without any.

    Args:
        corners: ``[...]`` numbers of face corners.

    Returns:
        ``[..., 2]`` float32 each.
    """
    if mesh.corner_uvs is None:
        return []
    source = mesh.materials[material].gltf
    if source is None or mesh.gltf is None or not mesh.gltf.uv_sets:
        sets = [mesh.corner_uvs[corners] * [1, -1] + [0, 1]]
    else:
        sets = [uvs[corners] for uvs in mesh.gltf.uv_sets]
    wanted = 1 + max((lookup_of(info).uv_set for info in texture_infos(source.entry)), default=0) if source else 1
    none = np.zeros((*corners.shape, 2))
    return [np.nan_to_num(uvs).astype(np.float32) for uvs in (*sets, *[none] * (wanted - len(sets)))]


def wants_tangents(mesh: Mesh, material: int) -> bool:
    """Whether a material has a normal map that is shown."""
    source = mesh.materials[material].gltf
    mapped = "normal" in mesh.materials[material].textures or (source is not None and "normalTexture" in source.entry)
    return mapped and mesh.corner_uvs is not None


def normal_map_uvs(mesh: Mesh, material: int, corners: np.ndarray) -> np.ndarray:
    """Where the normal map is looked up at face corners ``[...]``, v up. ``[..., 2]``"""
    source = mesh.materials[material].gltf
    lookup = Lookup() if source is None else lookup_of(source.entry.get("normalTexture", {}))
    return lookup.apply(uv_sets(mesh, material, corners)[lookup.uv_set]) * [1, -1] + [0, 1]


def moving_tangents(
    uvs: np.ndarray, primitive: Primitive, positions: Iterable[np.ndarray], normals: np.ndarray
) -> np.ndarray:
    """Unit tangents of a primitive's vertices: the direction in which u grows, across the normal.

    Args:
        uvs: ``[S, 2]`` v up.
        primitive: with S vertices.
        positions: ``[S, 3]`` of each of F frames.
        normals: ``[F, S, 3]``

    Returns:
        ``[F, S, 3]`` float32
    """
    triangles, count = primitive.triangles, len(primitive.corners)
    (u1, v1), (u2, v2) = (uvs[triangles[:, k]].T - uvs[triangles[:, 0]].T for k in (1, 2))
    sign = np.sign(u1 * v2 - u2 * v1)
    flat = triangles.reshape(-1)
    tangents = np.empty(normals.shape, dtype=np.float32)
    for frame, points in enumerate(positions):
        first = points[triangles[:, 1]] - points[triangles[:, 0]]
        second = points[triangles[:, 2]] - points[triangles[:, 0]]
        along = (first * v2[:, None] - second * v1[:, None]) * sign[:, None]
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-30)
        along *= np.linalg.norm(np.cross(first, second), axis=1, keepdims=True)  # large triangles count more
        spread = np.repeat(along, 3, axis=0)
        summed = np.stack([np.bincount(flat, spread[:, axis], count) for axis in range(3)], axis=1)
        tangents[frame] = _across(summed, normals[frame])
    return tangents


def _across(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Unit vectors perpendicular to the normals, close to ``vectors``, or anywhere where these say nothing."""
    flat = vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    lost = length[:, 0] <= 1e-6 * np.linalg.norm(vectors, axis=1)
    if lost.any():
        axes = np.eye(3)[np.abs(normals[lost]).argmin(axis=1)]
        flat[lost] = np.cross(normals[lost], axes)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, 1e-30)


def _uv_areas(uvs: np.ndarray) -> np.ndarray:
    """Signed area of triangles ``[T, 3, 2]`` in the texture. ``[T]``"""
    (a, b), (c, d) = (uvs[:, 1] - uvs[:, 0]).T, (uvs[:, 2] - uvs[:, 0]).T
    return (a * d - b * c) / 2


def _kinds_of_corner(mesh: Mesh, groups: np.ndarray) -> np.ndarray:
    """A number for every corner, equal where vertex, normal group and texture coordinates are. ``[K]``, by vertex"""
    sets = [] if mesh.corner_uvs is None else [mesh.corner_uvs]
    sets += list(mesh.gltf.uv_sets) if mesh.gltf is not None else []
    kinds = mesh.corners
    for values in (groups, *(_bits(uvs) for uvs in sets)):
        _, numbers = np.unique(values, return_inverse=True)
        _, kinds = np.unique(kinds * (numbers.max(initial=0) + 1) + numbers.reshape(-1), return_inverse=True)
        kinds = kinds.reshape(-1)
    return kinds


def _bits(uvs: np.ndarray) -> np.ndarray:
    """Pairs of floats ``[K, 2]`` as one integer each."""
    values = np.nan_to_num(uvs).astype(np.float32) + np.float32(0)  # + 0 makes -0 and 0 the same bits
    return np.ascontiguousarray(values).view(np.int64).reshape(-1)
