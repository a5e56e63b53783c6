"""A skeleton of a scene: every object has its own bones below a root of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from animate3d.errors import InputError
from animate3d.export.skeleton.find import find_skeleton
from animate3d.export.skeleton.keep import fitted_rig, placed_joints, rig_of
from animate3d.export.skeleton.rig import INFLUENCES, Rig, Skinned, judged
from animate3d.meshes.joints import Joints
from animate3d.meshes.load import load_mesh
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.scene import Scene
from animate3d.motion.surfaces import Array, Ids


def scene_skeleton(scene: Scene, positions: Array, bones: int | str = "auto") -> Skinned:
    """`find_skeleton` of every object by itself; no bone moves two objects.

    Args:
        positions: ``[F, N, 3]``
        bones: of every object.
    """
    return _together(scene, positions, lambda number, own: _found(scene, positions, number, own, bones))


def kept_scene_skeleton(scene: Scene, positions: Array) -> Skinned:
    """The rigs of the objects' own files, fitted; objects without one get bones like `scene_skeleton`.

    Args:
        positions: ``[F, N, 3]``

    Raises:
        InputError: see `rigs_of`.
    """
    rigs, same = rigs_of(scene), scene.welded()

    def make(number: int, own: Ids) -> Skinned:
        found = rigs[number]
        if found is None:
            return _found(scene, positions, number, own, "auto")
        place = np.full(scene.n_vertices, -1)
        place[own] = np.arange(len(own))
        return fitted_rig(found, place[same[own]], positions[:, own])

    return _together(scene, positions, make)


def rigs_of(scene: Scene) -> list[Joints | None]:
    """The rig of every object's own file where it stands in the scene; None where there is none.

    Raises:
        InputError: no object has one.
    """
    found: list[Joints | None] = []
    for member in scene.members:
        try:
            mesh = None if member.source is None else load_mesh(member.source, keeps_rig=True)
            found.append(None if mesh is None else placed_joints(rig_of(mesh), mesh.origin, member.placement))
        except InputError:
            found.append(None)
    if all(rig is None for rig in found):
        raise InputError("None of the models has a rig to keep; take --skeleton auto.")
    return found


def _found(scene: Scene, positions: Array, number: int, own: Ids, bones: int | str) -> Skinned:
    triangles = scene.triangles()[0]
    place = np.full(scene.n_vertices, -1)
    place[own] = np.arange(len(own))
    faces = place[triangles[scene.objects[triangles[:, 0]] == number]]
    return find_skeleton(Mesh.from_faces(scene.vertices[own], faces), positions[:, own], bones)


def _together(scene: Scene, positions: Array, make: Callable[[int, Ids], Skinned]) -> Skinned:
    """The bones that ``make`` gives for every object and the numbers of its vertices, as one rig."""
    count = scene.n_vertices
    influences, weights = np.zeros((count, INFLUENCES), np.int64), np.zeros((count, INFLUENCES), np.float32)
    rigs: list[Rig] = []
    notes = []
    for number, name in enumerate(scene.names):
        own = np.flatnonzero(scene.objects == number)
        found = make(number, own)
        rig, first = found.rig, sum(map(len, rigs))
        influences[own], weights[own] = np.where(rig.weights > 0, rig.influences + first, 0), rig.weights
        parents = np.where(rig.parents < 0, -1, rig.parents + first)
        rigs.append(replace(rig, names=[f"{name}_{bone}" for bone in rig.names], parents=parents))
        notes += [f"{name}: {found.note}"] if found.note else []
    whole = Rig(
        [name for rig in rigs for name in rig.names],
        np.concatenate([rig.parents for rig in rigs]),
        np.concatenate([rig.joints for rig in rigs]),
        np.concatenate([rig.axes for rig in rigs]),
        np.concatenate([rig.rotations for rig in rigs], axis=1),
        np.concatenate([rig.translations for rig in rigs], axis=1),
        influences,
        weights,
    )
    return replace(judged(whole, positions), note="; ".join(notes))
