"""The mesh that all creatures of a family share: vertices, faces, texture coordinates, and what the texels lie on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from animate3d.creatures.family import Family
from animate3d.creatures.sculpt.atlas import bake, unwrap
from animate3d.creatures.sculpt.fields import Points, distance_and_slope
from animate3d.creatures.sculpt.surface import Quads, quad_surface

TEXTURE_SIZE = 160


@dataclass(frozen=True, eq=False)
class FamilyMesh:
    """The mesh of a family and where its texels lie.

    Attributes:
        vertices: ``[N, 3]``
        quads: ``[P, 4]`` that face outwards.
        corner_uvs: ``[P, 4, 2]``, v up.
        texel_points, texel_normals: ``[M, 3]`` the places on the surface that texels show.
        texels: ``[H, W]`` which of them every texel shows; those outside of faces show the nearest.
    """

    vertices: Points
    quads: Quads
    corner_uvs: Points
    texel_points: Points
    texel_normals: Points
    texels: NDArray[np.int64]


@cache
def family_mesh(family: Family) -> FamilyMesh:
    """A closed mesh of a family's solid with an atlas; made once per process, in a second or two."""
    vertices, quads = quad_surface(family.solid, family.low, family.high, family.spacing, relax_steps=12)
    # A hair of rounding makes the numbers independent of the last bits of the linear algebra.
    vertices = vertices.round(6)
    _, slope = distance_and_slope(family.solid, vertices)
    return with_texels(vertices, quads, slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9))


def with_texels(vertices: Points, quads: Quads, normals: Points, size: int = TEXTURE_SIZE) -> FamilyMesh:
    """Unwrap a closed mesh into a square atlas of ``size`` texels, and find what every texel shows.

    Args:
        vertices, normals: ``[N, 3]``
        quads: ``[P, 4]`` that face outwards.
    """
    groups = np.zeros(len(quads), dtype=np.int64)
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    uvs = unwrap(vertices, quads, groups, {0: axes}, size)
    split = np.array([[0, 1, 2], [0, 2, 3]])
    values = np.concatenate([vertices, normals], axis=1)[quads[:, split].reshape(-1, 3)]
    baked, covered, _ = bake(uvs[:, split].reshape(-1, 3, 2), values, size)
    rows, columns = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    texels = (np.cumsum(covered).reshape(covered.shape) - 1)[rows, columns]
    points, across = np.split(baked[covered], 2, axis=1)
    return FamilyMesh(vertices, quads, uvs.round(5), points, across, texels)
