"""Normals of a moving mesh."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_matrix

from animate3d.meshes.mesh import Mesh


def moving_normals(
    mesh: Mesh, positions: Iterable[np.ndarray], count: int | None = None, kind: type[np.floating] = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals in every frame.

    Corners share a normal when they meet in one point and the file gave them the same normal (or none): hard edges
    stay hard, and a mesh without normals is smooth. The normal of such a group is the area-weighted mean of its
    faces; where the file has a normal, the rotation that takes the group's mean in the rest pose to its mean in the
    frame is applied to the file's.

    Args:
        mesh: in the rest pose that its stored normals belong to.
        positions: ``[F, N, 3]``; frames that are made one after the other are never held together.
        count: F, where the positions do not know it.
        kind: of number of the normals.

    Returns:
        group of every face corner ``[K]`` int64, and the groups' normals ``[F, G, 3]``.
    """
    groups, stored = _corner_groups(mesh)
    faces = np.repeat(np.arange(len(mesh.face_starts) - 1), np.diff(mesh.face_starts))
    ones = np.ones(len(groups))
    incidence = csr_matrix((ones, (groups, faces)), shape=(len(stored), len(mesh.face_starts) - 1))
    triangles, _, polygon = mesh.triangles()
    incidence = incidence[:, polygon]  # a polygon's area vector is the sum of its triangles'
    has_normal = np.isfinite(stored).all(axis=1) & (np.linalg.norm(np.nan_to_num(stored), axis=1) > 1e-6)
    fallback = np.where(has_normal[:, None], stored, [0.0, 0.0, 1.0])
    rest = _unit(incidence @ _area_vectors(triangles, mesh.vertices), fallback)[has_normal]
    kept = _unit(stored[has_normal], fallback[has_normal])
    normals = np.empty((len(positions) if count is None else count, len(stored), 3), kind)  # type: ignore[arg-type]
    for f, points in enumerate(positions):
        means = _unit(incidence @ _area_vectors(triangles, points), fallback)
        means[has_normal] = _turn(rest, means[has_normal], kept)
        normals[f] = means
    return groups, normals


def _corner_groups(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Group of every corner ``[K]`` and the groups' normals in the file ``[G, 3]``, NaN where it has none."""
    points = mesh.welded()[mesh.corners]
    if mesh.corner_normals is None:
        kept, groups = np.unique(points, return_inverse=True)
        return groups.reshape(-1), np.full((len(kept), 3), np.nan)
    # Files round normals; the last digits must not split a group.
    rounded = np.round(np.nan_to_num(mesh.corner_normals, nan=9.0).astype(np.float64), 4)
    _, kinds = np.unique(rounded, axis=0, return_inverse=True)
    keys = points * (kinds.max() + 1) + kinds.reshape(-1)
    _, first, groups = np.unique(keys, return_index=True, return_inverse=True)
    return groups.reshape(-1), mesh.corner_normals[first].astype(np.float64)


def _area_vectors(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Normal times twice the area of every triangle. ``[T, 3]``"""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def _unit(vectors: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Normalise ``[G, 3]``; vectors without a direction become the fallback's ``[G, 3]``."""
    vectors = np.where(np.linalg.norm(vectors, axis=-1, keepdims=True) > 1e-30, vectors, fallback)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _turn(start: np.ndarray, end: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Apply the smallest rotation from ``start`` to ``end`` to ``vectors``, ``[G, 3]`` each.

    Rodrigues' formula for unit vectors: v + a x v + a x (a x v) / (1 + c), with a = start x end and c = start . end.
    """
    axis = np.cross(start, end)
    cosine = (start * end).sum(axis=-1, keepdims=True)
    once = np.cross(axis, vectors)
    turned = vectors + once + np.cross(axis, once) / np.maximum(1 + cosine, 1e-9)
    # Opposite directions have no smallest rotation; a half turn keeps the normal on the right side at least.
    return _unit(np.where(cosine < -1 + 1e-9, -vectors, turned), vectors)
