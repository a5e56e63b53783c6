"""A skeleton of a scene: every object has its own bones below a root of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from animate3d.export.skeleton.find import find_skeleton
from animate3d.export.skeleton.rig import INFLUENCES, Rig, Skinned, judged
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.scene import Scene
from animate3d.motion.surfaces import Array


def scene_skeleton(scene: Scene, positions: Array, bones: int | str = "auto") -> Skinned:
    """`find_skeleton` of every object by itself; no bone moves two objects.

    Args:
        positions: ``[F, N, 3]``
        bones: of every object.
    """
    triangles, count = scene.triangles()[0], scene.n_vertices
    influences, weights = np.zeros((count, INFLUENCES), np.int64), np.zeros((count, INFLUENCES), np.float32)
    rigs: list[Rig] = []
    for number, name in enumerate(scene.names):
        own = np.flatnonzero(scene.objects == number)
        place = np.full(count, -1)
        place[own] = np.arange(len(own))
        faces = place[triangles[scene.objects[triangles[:, 0]] == number]]
        alone = Mesh.from_faces(scene.vertices[own], faces)
        rig = find_skeleton(alone, positions[:, own], bones).rig
        first = sum(map(len, rigs))
        influences[own], weights[own] = np.where(rig.weights > 0, rig.influences + first, 0), rig.weights
        parents = np.where(rig.parents < 0, -1, rig.parents + first)
        rigs.append(replace(rig, names=[f"{name}_{bone}" for bone in rig.names], parents=parents))
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
    return judged(whole, positions)
