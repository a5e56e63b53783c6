"""A scene in FBX, read by Blender: every object is a node that moves by itself."""

from __future__ import annotations

import numpy as np
import pytest
from clips import awkward_mesh, motion, relative_error

from animate3d.export import export
from animate3d.meshes import Placement
from animate3d.meshes.scene import Member, assemble

bpy = pytest.importorskip("bpy", reason="bpy is not installed")


def shown(name: str, frame: int) -> np.ndarray:
    """Vertices of an object as Blender shows them, y up."""
    bpy.context.scene.frame_set(frame)
    item = bpy.data.objects[name]
    seen = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh, world = seen.to_mesh(), np.array(seen.matrix_world)
    points = np.array([vertex.co[:] for vertex in mesh.vertices]) @ world[:3, :3].T + world[:3, 3]
    return points[:, [0, 2, 1]] * [1, 1, -1]


def test_objects_of_a_scene_are_nodes_with_a_motion_each(tmp_path) -> None:
    one = awkward_mesh()
    moves = motion(one)
    away = Placement(np.eye(3), 0.5, np.array([3.0, 0.0, 1.0]))
    members = [Member("flower"), Member("red ball", away), Member("still", Placement(np.eye(3), 1.0, np.full(3, 4.0)))]
    scene = assemble([one] * 3, members)
    still = np.repeat(scene.vertices[None, scene.objects == 2], len(moves), axis=0)
    positions = np.concatenate([moves, away.apply(moves[::-1]) + moves[0, 0] - moves[-1, 0], still], axis=1)
    positions[0] = scene.vertices
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(export(scene, positions, tmp_path / "scene.fbx")))
    assert {item.name for item in bpy.data.objects if item.type == "MESH"} == {"flower", "red ball", "still"}
    keys = {item.name: item.data.shape_keys for item in bpy.data.objects}
    assert keys["flower"].animation_data.action != keys["red ball"].animation_data.action
    assert keys["still"] is None and len(bpy.data.actions) == 2  # what rests has no action
    for number, name in enumerate(scene.names):
        own = scene.objects == number
        found = np.stack([shown(name, 1 + frame) for frame in range(len(positions))])
        assert relative_error(found, positions[:, own]) < 1e-4
