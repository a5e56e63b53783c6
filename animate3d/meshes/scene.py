"""Several objects in one mesh: each knows its own vertices, its name and its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.meshes.mesh import GltfAttributes, Mesh, Part
from animate3d.meshes.pieces import join, pieces
from animate3d.meshes.placement import Placement
from animate3d.meshes.topology import weld

GAP = 0.2
"""Of the objects' mean width: the space between neighbours that nobody placed."""
_Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Member:
    """One object of a scene.

    Attributes:
        name: no two in a scene are the same.
        placement: from the coordinates of the object's own file to those of the scene.
        up_axis: of its own file, ``"y"`` or ``"z"``.
        prompt: what it does, if it has a sentence of its own.
        source: its own file, if the scene is made of several.
    """

    name: str
    placement: Placement = field(default_factory=Placement.identity)
    up_axis: str = "y"
    prompt: str | None = None
    source: Path | None = None


@dataclass
class Scene(Mesh):
    """A mesh of several objects, none of which is glued to another.

    Attributes:
        members: the objects.
        objects: ``[N]`` int64, the object of every vertex.
    """

    members: tuple[Member, ...] = ()
    objects: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def name(self) -> str:
        """The scene file's name, or those of the objects."""
        return "_".join(self.names) if self.source is None else super().name

    @property
    def names(self) -> list[str]:
        """Of the objects, in their order."""
        return [member.name for member in self.members]

    def welded(self) -> np.ndarray:
        """`Mesh.welded` of every object by itself: what merely touches another object does not move with it."""
        groups = np.arange(self.n_vertices)
        for number in range(len(self.members)):
            own = np.flatnonzero(self.objects == number)
            tolerance = 1e-6 * float(np.linalg.norm(np.ptp(self.vertices[own], axis=0)))
            groups[own] = own[weld(self.vertices[own], tolerance)]
        return groups

    def alone(self, number: int) -> tuple[Mesh, np.ndarray]:
        """One object in the coordinates of its own file, and the numbers of its vertices in the scene ``[n]``."""
        member = self.members[number]
        of_face = self.objects[self.corners[self.face_starts[:-1]]]
        parts = [Part(name) for name in self.names]
        whole = Mesh(**_values(self) | {"parts": parts, "face_parts": of_face})
        cut = next(piece for piece in pieces(whole) if piece.part == number)
        own = member.placement.invert(cut.mesh.vertices)
        mesh = replace(cut.mesh.with_vertices(own), up_axis=member.up_axis, source=None)
        return mesh, cut.vertices


def scene_of(mesh: Mesh, members: Sequence[Member], objects: np.ndarray) -> Scene:
    """A mesh whose vertices ``[N]`` belong to these objects."""
    return Scene(**_values(mesh), members=tuple(members), objects=np.asarray(objects, dtype=np.int64))


def _values(mesh: Mesh) -> dict[str, Any]:
    return {name: getattr(mesh, name) for name in Mesh.__dataclass_fields__}


def upright(up_axis: str) -> np.ndarray:
    """The rotation ``[3, 3]`` of a file's coordinates to y up, with the front to +z."""
    return _Z_UP_TO_Y_UP if up_axis == "z" else np.eye(3)


def side_by_side(boxes: Sequence[np.ndarray], fixed: Sequence[bool]) -> list[np.ndarray]:
    """Where objects go that nobody placed: in a row along x, on the ground, in the order given.

    Args:
        boxes: ``[2, 3]`` lowest and highest corner of each as it lies now, y up.
        fixed: which of them have their place; the row begins right of these, or is centred where there are none.

    Returns:
        a step ``[3]`` for each; zero for the fixed ones.
    """
    loose = [box for box, held in zip(boxes, fixed, strict=True) if not held]
    gap = GAP * float(np.mean([box[1, 0] - box[0, 0] for box in boxes]))
    held = [box[1, 0] for box, stays in zip(boxes, fixed, strict=True) if stays]
    length = sum(float(box[1, 0] - box[0, 0]) for box in loose) + gap * (len(loose) - 1)
    at = max(held) + gap if held else -length / 2
    steps = []
    for box, stays in zip(boxes, fixed, strict=True):
        if stays:
            steps.append(np.zeros(3))
            continue
        steps.append(np.array([at - box[0, 0], -box[0, 1], -(box[0, 2] + box[1, 2]) / 2]))
        at += box[1, 0] - box[0, 0] + gap
    return steps


def assemble(meshes: Sequence[Mesh], members: Sequence[Member], source: Path | None = None) -> Scene:
    """One mesh of objects that are placed by their members; y up.

    Each object is a part of its name; one that has several parts keeps them below it.
    """
    parts: list[Part] = []
    placed, pieces_of = [], []
    for mesh, member in zip(meshes, members, strict=True):
        top = len(parts)
        parts.append(Part(member.name))
        several = len(mesh.parts) > 1
        if several:
            parts += [Part(p.name, top if p.parent is None else top + 1 + p.parent) for p in mesh.parts]
        owners = mesh.face_parts if several and mesh.face_parts is not None else np.full(mesh.n_faces, -1)
        pieces_of.append(owners + top + 1)
        placed.append(_placed(mesh, member.placement))
    whole = join(placed, source, parts, [0] * len(placed))
    whole.face_parts = np.concatenate(pieces_of).astype(np.int64)
    whole.gltf = _gltf_attributes(meshes)
    objects = np.repeat(np.arange(len(meshes)), [mesh.n_vertices for mesh in meshes])
    known = [replace(member, up_axis=mesh.up_axis) for mesh, member in zip(meshes, members, strict=True)]
    return scene_of(whole, known, objects)


def _placed(mesh: Mesh, placement: Placement) -> Mesh:
    normals = None if mesh.corner_normals is None else mesh.corner_normals @ placement.rotation.T.astype(np.float32)
    vertices = placement.apply(mesh.vertices)
    return replace(mesh, vertices=vertices, corner_normals=normals, up_axis="y", origin=np.zeros(3))


def _gltf_attributes(meshes: Sequence[Mesh]) -> GltfAttributes | None:
    """What glTF files have beyond the others, of all objects one after the other."""
    if all(mesh.gltf is None for mesh in meshes):
        return None
    count = max(len(mesh.gltf.uv_sets) if mesh.gltf else 0 for mesh in meshes)
    sets = tuple(np.concatenate([_uv_set(mesh, number) for mesh in meshes]) for number in range(count))
    colors = None
    if any(mesh.gltf is not None and mesh.gltf.colors is not None for mesh in meshes):
        own = [None if mesh.gltf is None else mesh.gltf.colors for mesh in meshes]
        colors = np.concatenate(
            [np.ones((m.n_vertices, 4), np.float32) if c is None else c for m, c in zip(meshes, own, strict=True)]
        )
    return GltfAttributes(sets, colors) if sets or colors is not None else None


def _uv_set(mesh: Mesh, number: int) -> np.ndarray:
    """One set of texture coordinates ``[K, 2]``, v down; the mesh's only ones are set 0."""
    if mesh.gltf is not None and mesh.gltf.uv_sets:
        if number < len(mesh.gltf.uv_sets):
            return mesh.gltf.uv_sets[number]
    elif number == 0 and mesh.corner_uvs is not None:
        return (mesh.corner_uvs * [1, -1] + [0, 1]).astype(np.float32)
    return np.full((len(mesh.corners), 2), np.nan, dtype=np.float32)
