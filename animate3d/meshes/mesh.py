"""The mesh container: vertices in the file's order, polygons as they were written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.meshes import topology
from animate3d.meshes.materials import Material
from animate3d.meshes.placement import Placement

FAR = 32.0
"""Diagonals from the origin at which a mesh is taken to its own: single precision still resolves 2e-6 of it there."""


@dataclass(frozen=True)
class Part:
    """One object of a file: a glTF node with a mesh, an OBJ object or group, an FBX model.

    Attributes:
        name: as in the file.
        parent: number of the part above it in the hierarchy; None at the top.
    """

    name: str
    parent: int | None = None


@dataclass(frozen=True)
class GltfAttributes:
    """Vertex data of a glTF file that only glTF has a place for.

    Attributes:
        uv_sets: ``[K, 2]`` float32 each, v down, before texture transforms, NaN where a corner has none; empty where
            the mesh's ``corner_uvs`` are all there is.
        colors: ``[N, 4]`` float32, linear r g b a by which materials are multiplied.
    """

    uv_sets: tuple[np.ndarray, ...] = ()
    colors: np.ndarray | None = None


@dataclass
class Mesh:
    """A polygon mesh.

    Nothing is merged, split or reordered: animation files, Gaussians and trajectories all refer to a vertex by its
    number in the file. Texture coordinates and normals belong to face *corners*, so seams need no extra vertices.
    The arrays are not to be changed in place; `with_vertices` makes another pose.

    Attributes:
        vertices: ``[N, 3]`` float64.
        corners: ``[K]`` int64, the vertex of every face corner.
        face_starts: ``[P + 1]`` int64; polygon ``p`` has the corners ``face_starts[p]:face_starts[p + 1]``.
        corner_uvs: ``[K, 2]`` float32, v up as in OBJ and OpenGL; NaN where a corner has none.
        corner_normals: ``[K, 3]`` float32; NaN where a corner has none.
        face_materials: ``[P]`` int64 index into ``materials``.
        materials: at least one.
        vertex_colors: ``[N, 3]`` float32 in 0..1, sRGB; NaN where a vertex has none. They stand in for the base colour
            of a material and multiply its texture, in linear light.
        up_axis: ``"y"`` or ``"z"``, the file format's convention.
        source: the file it was read from.
        parts: the objects of the file; empty where it is one object without a name.
        face_parts: ``[P]`` int64 index into ``parts``; None where there are none.
        origin: ``[3]`` float64, added to ``vertices`` gives the file's coordinates. Zero unless the file lies so far
            from its own origin that single precision would lose its shape.
        gltf: what further vertex data a glTF file had.
    """

    vertices: np.ndarray
    corners: np.ndarray
    face_starts: np.ndarray
    corner_uvs: np.ndarray | None
    corner_normals: np.ndarray | None
    face_materials: np.ndarray
    materials: list[Material]
    vertex_colors: np.ndarray | None
    up_axis: str
    source: Path | None
    parts: list[Part] = field(default_factory=list)
    face_parts: np.ndarray | None = None
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    gltf: GltfAttributes | None = None

    @classmethod
    def from_faces(
        cls,
        vertices: np.ndarray,
        faces: np.ndarray,
        *,
        corner_uvs: np.ndarray | None = None,
        vertex_colors: np.ndarray | None = None,
        material: Material | None = None,
        up_axis: str = "y",
        source: Path | None = None,
    ) -> Mesh:
        """A mesh of equal polygons with one material.

        Args:
            vertices: ``[N, 3]``
            faces: ``[P, 3]`` (or 4, ...) vertex numbers.
            corner_uvs: ``[P, 3, 2]`` or ``[P * 3, 2]``
            vertex_colors: ``[N, 3]`` in 0..1, sRGB.
            material: of all faces; None is a plain one.
            up_axis: ``"y"`` or ``"z"``.
            source: the file it was read from.

        Raises:
            InputError: arrays of another shape, empty, with numbers that are not finite, or faces of vertices that
                there are none of.
        """
        where = f"The mesh {source}" if source else "The mesh"
        vertices, faces = _vertices(vertices, where), _faces(faces, where)
        count, sides = faces.shape
        mesh = cls(
            vertices=vertices,
            corners=faces.reshape(-1),
            face_starts=np.arange(count + 1, dtype=np.int64) * sides,
            corner_uvs=None if corner_uvs is None else np.asarray(corner_uvs, dtype=np.float32).reshape(-1, 2),
            corner_normals=None,
            face_materials=np.zeros(count, dtype=np.int64),
            materials=[material or Material("material")],
            vertex_colors=None if vertex_colors is None else np.asarray(vertex_colors, dtype=np.float32),
            up_axis=up_axis,
            source=source,
        )
        mesh._check_numbers(where)
        return mesh

    @property
    def n_vertices(self) -> int:
        """N"""
        return len(self.vertices)

    @property
    def n_faces(self) -> int:
        """P, polygons."""
        return len(self.face_starts) - 1

    @property
    def name(self) -> str:
        """Name of the object: the file's, or its folder's for the generic ``base.obj``."""
        if self.source is None:
            return "mesh"
        generic = self.source.stem.lower() in {"base", "mesh", "model", "scene"}
        return self.source.resolve().parent.name if generic else self.source.stem

    @property
    def has_vertex_colors(self) -> bool:
        """Whether any vertex has a colour of its own."""
        return self.vertex_colors is not None and bool(np.isfinite(self.vertex_colors).any())

    def automatic_placement(self) -> Placement:
        """`Placement.automatic` of the vertices that faces use; stray ones must not shrink the object."""
        found = Placement.automatic(self.vertices[np.unique(self.corners)], self.up_axis)
        return replace(found, origin=self.origin)

    def triangles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangulation of the polygons, in their order.

        Returns:
            vertex numbers ``[T, 3]``, corner numbers ``[T, 3]`` and the polygon of every triangle ``[T]``.
        """
        triangle_corners, triangle_faces = topology.triangulate(self.vertices, self.corners, self.face_starts)
        return self.corners[triangle_corners], triangle_corners, triangle_faces

    def edges(self) -> np.ndarray:
        """Edges of the polygons (no triangulation diagonals) ``[E, 2]``: unique, sorted, smaller vertex first."""
        return topology.polygon_edges(self.corners, self.face_starts, self.n_vertices)

    def welded(self) -> np.ndarray:
        """Representative (the smallest vertex number) of each group of coincident vertices. ``[N]`` int64.

        Coincident means equal within 1e-6 of the diagonal: the copies that formats such as STL and glTF make along
        seams. Whatever moves the mesh must move them together.
        """
        return topology.weld(self.vertices, 1e-6 * self.diagonal())

    def colored_faces(self) -> np.ndarray:
        """Faces that show vertex colours: those whose corners all have one. ``[P]`` bool"""
        if self.vertex_colors is None:
            return np.zeros(self.n_faces, dtype=bool)
        known = np.isfinite(self.vertex_colors).all(axis=1)[self.corners]
        return np.logical_and.reduceat(known, self.face_starts[:-1])

    def textured_corners(self) -> np.ndarray:
        """Corners where a diffuse texture is looked up. ``[K]`` bool"""
        if self.corner_uvs is None:
            return np.zeros(len(self.corners), dtype=bool)
        has_texture = np.array(["diffuse" in material.textures for material in self.materials])
        of_corner = np.repeat(has_texture[self.face_materials], np.diff(self.face_starts))
        return of_corner & np.isfinite(self.corner_uvs).all(axis=1)

    def welded_edges(self) -> np.ndarray:
        """`edges` as if coincident vertices were one: every copy gets the neighbours of all copies. ``[E, 2]``

        Computed once: Gaussians and the edge file both need it.
        """
        return self._welded_edges

    @cached_property
    def _welded_edges(self) -> np.ndarray:
        return topology.share_edges(self.edges(), self.welded())

    def diagonal(self) -> float:
        """Length of the bounding box's diagonal."""
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def with_vertices(self, vertices: np.ndarray) -> Mesh:
        """The mesh in another pose ``[N, 3]``; stored normals are dropped because they no longer hold.

        Raises:
            InputError: another number of vertices.
        """
        vertices = np.asarray(vertices, dtype=np.float64)
        if vertices.shape != self.vertices.shape:
            raise InputError(f"The mesh has {self.n_vertices} vertices, the new positions have shape {vertices.shape}.")
        return replace(self, vertices=vertices, corner_normals=None)

    def near_origin(self) -> Mesh:
        """The mesh around its own origin, if it lies so far from the file's that single precision would spoil it.

        The offset is rounded to the grid of the coordinates, so that taking it off loses nothing.
        """
        reach, diagonal = float(np.abs(self.vertices).max(initial=0)), self.diagonal()
        if self.origin.any() or not 0 < diagonal < reach / FAR:
            return self
        grid = 2.0 ** np.floor(np.log2(diagonal))
        centre = (self.vertices.min(axis=0) + self.vertices.max(axis=0)) / 2
        origin = np.round(centre / grid) * grid
        return replace(self, vertices=self.vertices - origin, origin=origin)

    def check(self) -> Mesh:
        """Return the mesh if it can be used.

        Raises:
            InputError: empty, not finite, without area, or an index out of range; names the file.
        """
        where = f"The mesh {self.source}" if self.source else "The mesh"
        self._check_numbers(where)
        diagonal = self.diagonal()
        if not np.isfinite(diagonal) or diagonal > 1e30:
            raise InputError(f"{where} is too large for its coordinates to be used.")
        # Newell's polygon normal is the sum of cross products of consecutive corners: no triangulation is needed.
        centred = self.vertices - self.vertices.mean(axis=0)
        start, end = topology.corner_successors(self.corners, self.face_starts)
        if diagonal > 0:
            centred = centred / diagonal
        crosses = np.cross(centred[start], centred[end])
        normals = np.add.reduceat(crosses, self.face_starts[:-1], axis=0)
        if not (np.linalg.norm(normals, axis=1) > 1e-14).any():
            raise InputError(f"{where} has no face with an area.")
        return self

    def _check_numbers(self, where: str) -> None:
        if self.n_vertices == 0:
            raise InputError(f"{where} has no vertices.")
        if self.n_faces == 0:
            raise InputError(f"{where} has no faces (a point cloud cannot be animated as a mesh).")
        bad = ~np.isfinite(self.vertices).all(axis=1)
        if bad.any():
            count = "a vertex that is" if bad.sum() == 1 else f"{bad.sum()} vertices that are"
            raise InputError(f"{where} has {count} not finite, the first is {bad.argmax()}.")
        if self.corners.min() < 0 or self.corners.max() >= self.n_vertices:
            raise InputError(f"{where} has faces that refer to vertices it does not have ({self.n_vertices} vertices).")


def _vertices(given: np.ndarray, where: str) -> np.ndarray:
    try:
        vertices = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} has vertices that are not [vertices, 3] numbers ({error}).") from error
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"{where} has vertices of the shape {list(vertices.shape)}; it must be [vertices, 3].")
    return vertices


def _faces(given: np.ndarray, where: str) -> np.ndarray:
    try:
        faces = np.asarray(given)
    except ValueError as error:
        raise InputError(f"{where} has faces of different numbers of corners; they must all have as many.") from error
    if faces.size == 0:
        raise InputError(f"{where} has no faces (a point cloud cannot be animated as a mesh).")
    if faces.ndim != 2 or faces.shape[1] < 3:
        raise InputError(f"{where} has faces of the shape {list(faces.shape)}; it must be [faces, 3 or more corners].")
    if faces.dtype.kind not in "iu":
        raise InputError(f"{where} has faces of {faces.dtype} values; they must be whole numbers of vertices.")
    return faces.astype(np.int64)
