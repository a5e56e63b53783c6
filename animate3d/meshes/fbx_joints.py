"""The rig of an FBX file through Blender's Python package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from animate3d.meshes.fbx import imported_objects
from animate3d.meshes.joints import Joints


def load_fbx_joints(path: Path) -> Joints | None:
    """The rig of ``.fbx`` at rest for the vertices that `load_fbx` reads; None where it has none.

    Raises:
        InputError: damaged.
        MissingDependencyError: Blender's Python package is not installed.
    """
    meshes, armatures, _ = imported_objects(path)
    bones = [(armature, bone) for armature in armatures for bone in _downwards(armature)]
    if not bones:
        return None
    number = {(armature.name, bone.name): k for k, (armature, bone) in enumerate(bones)}
    parents = [-1 if b.parent is None else number[a.name, b.parent.name] for a, b in bones]
    matrices = [np.array(a.matrix_world, np.float64) @ np.array(b.matrix_local, np.float64) for a, b in bones]
    blocks = [_influences(item, number) for item in meshes]
    influences, weights = (np.concatenate(part) for part in zip(*blocks, strict=True))
    names = [bone.name for _, bone in bones]
    return Joints(names, np.array(parents, dtype=np.int64), np.stack(matrices), influences, weights)


def _downwards(armature: Any) -> list[Any]:
    """Bones, each after the one above it."""
    waiting = [bone for bone in armature.data.bones if bone.parent is None]
    found = []
    while waiting:
        bone = waiting.pop(0)
        found.append(bone)
        waiting += list(bone.children)
    return found


def _influences(item: Any, number: dict[tuple[str, str], int]) -> tuple[np.ndarray, np.ndarray]:
    """Joints and weights ``[n, 4]`` of an object's vertices, the strongest first."""
    count = len(item.data.vertices)
    influences, weights = np.zeros((count, 4), np.int64), np.zeros((count, 4))
    armature = next((m.object for m in item.modifiers if m.type == "ARMATURE" and m.object is not None), None)
    if armature is None:
        above = item
        while above is not None and above.parent_type != "BONE":
            above = above.parent
        influences[:, 0] = 0 if above is None else number.get((above.parent.name, above.parent_bone), 0)
        weights[:, 0] = 1.0
        return influences, weights
    joint = {group.index: number.get((armature.name, group.name)) for group in item.vertex_groups}
    for vertex in item.data.vertices:
        shares = [(group.weight, bone) for group in vertex.groups if (bone := joint.get(group.group)) is not None]
        for place, (weight, bone) in enumerate(sorted(shares, reverse=True)[:4]):
            influences[vertex.index, place], weights[vertex.index, place] = bone, weight
    return influences, weights
