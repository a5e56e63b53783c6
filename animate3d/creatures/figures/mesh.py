"""A textured mesh of a figure."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family_mesh import with_texels
from animate3d.creatures.figures.figure import Figure, Points
from animate3d.creatures.figures.sampling import surface_area
from animate3d.creatures.figures.solids import template
from animate3d.creatures.sculpt.fields import distance_and_slope
from animate3d.creatures.sculpt.surface import Quads, quad_edges, quad_surface
from animate3d.meshes import Material, Mesh
from animate3d.meshes.topology import joined

VERTICES = 3000
"""At most about how many vertices the mesh of a figure has when its spacing is not given."""

_TEXTURE_SIZE = 256
_CRUMB = 24  # vertices of the smallest closed surface that is kept


def figure_mesh(figure: Figure, spacing: float | None = None) -> Mesh:
    """A closed textured quad mesh; every loose piece is one by itself.

    Args:
        spacing: about the distance between neighbouring vertices. Solids thinner than that are made a little thicker.
    """
    points, faces = _surface(figure, spacing)
    _, slope = distance_and_slope(figure.distance, points, 2e-3)
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    base = with_texels(points, faces, normals, _TEXTURE_SIZE)
    colors = np.clip(figure.paint(base.texel_points, base.texel_normals), 0.0, 1.0)
    texture = (colors * 255 + 0.5).astype(np.uint8)[base.texels]
    material = Material(figure.kind, base_color=(1.0, 1.0, 1.0, 1.0), textures={"diffuse": texture})
    return Mesh.from_faces(points, faces, corner_uvs=base.corner_uvs, material=material)


def plain_mesh(figure: Figure, spacing: float | None = None) -> Mesh:
    """`figure_mesh` without its texture, which takes most of the time."""
    return Mesh.from_faces(*_surface(figure, spacing))


def _surface(figure: Figure, spacing: float | None) -> tuple[Points, Quads]:
    """Vertices ``[N, 3]`` and quads of all loose pieces."""
    if spacing is None:
        # A grid much coarser than a thin plate would need to thicken it too much.
        coarsest = float(np.clip(1.4 * figure.solids.thickness.min(), 0.05, 0.09))
        spacing = float(np.clip(np.sqrt(surface_area(figure) / VERTICES), 0.02, coarsest))
    vertices: list[Points] = []
    quads: list[Quads] = []
    for number, piece in enumerate(np.unique(figure.solids.piece)):
        corners, faces = _piece_surface(figure, number, int(piece), spacing)
        quads.append(faces + sum(len(v) for v in vertices))
        vertices.append(corners)
    return np.concatenate(vertices).round(6), np.concatenate(quads)


def _piece_surface(figure: Figure, number: int, piece: int, spacing: float) -> tuple[Points, Quads]:
    """The surface of one loose piece, thin solids thickened until the grid sees them."""
    solids = figure.solids
    thicker = np.maximum(0.6 * spacing - solids.thickness, 0.0)[:, None]

    def field(points: Points) -> Points:
        flat = np.asarray(points).reshape(-1, 3)
        distances = figure.piece_distances(solids.distances(flat) - thicker)[number]
        return distances.reshape(points.shape[:-1]).astype(np.float64)

    members = [solid for solid in solids.items if solid.piece == piece]
    corners = np.concatenate([template(solid, 32).reshape(-1, 3) for solid in members])
    vertices, quads = quad_surface(field, corners.min(axis=0) - spacing, corners.max(axis=0) + spacing, spacing, 12)
    return _without_crumbs(vertices, quads)


def _without_crumbs(vertices: Points, quads: Quads) -> tuple[Points, Quads]:
    """Leave out closed surfaces of a few vertices: hollows between solids, or tips that the grid cut off."""
    labels = joined(quad_edges(quads), len(vertices))
    sizes = np.bincount(labels)
    kept = sizes[labels] >= min(_CRUMB, sizes.max())
    number = np.cumsum(kept) - 1
    return vertices[kept], number[quads[kept[quads[:, 0]]]]
