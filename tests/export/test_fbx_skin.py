"""An FBX armature opened in Blender again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clips import blender_positions, relative_error, upright
from limbs import bending, finger

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.export.skeleton import find_skeleton
from animate3d.meshes import Part
from animate3d.meshes.fbx_tree import read_tree

bpy = pytest.importorskip("bpy")
pytest.importorskip("py_dem_bones")


def opened(path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(path))


@pytest.mark.parametrize(("up_axis", "fps"), [("y", 24.0), ("z", 12.0)])
def test_blender_shows_the_skinned_prediction_at_every_frame(tmp_path, up_axis, fps):
    mesh = replace(finger(), up_axis=up_axis)
    positions = bending(mesh)
    found = find_skeleton(mesh, positions, 5)
    opened(export(mesh, positions, tmp_path / "a.fbx", fps=fps, skeleton=found))
    rate = bpy.context.scene.render.fps
    shown = blender_positions([1 + rate * k / fps for k in range(6)], world=True)
    assert relative_error(shown, upright(found.rig.posed(positions[0]), up_axis)) < 1e-5


def test_it_is_one_armature_with_one_action_and_four_influences_at_most(tmp_path):
    mesh = finger()
    positions = bending(mesh)
    opened(export(mesh, positions, tmp_path / "a.fbx", fps=8, loop=True, clip_name="nod", skeleton=5))
    (armature,) = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    (item,) = [item for item in bpy.data.objects if item.type == "MESH"]
    assert item.parent is armature and item.data.shape_keys is None
    assert [bone.name for bone in armature.data.bones] == [f"bone_{k:02d}" for k in range(5)]
    assert max(len(vertex.groups) for vertex in item.data.vertices) <= 4
    (action,) = bpy.data.actions
    assert "nod-loop" in action.name
    assert action.frame_range[1] - action.frame_range[0] == pytest.approx(18)


def test_the_parts_of_a_mesh_share_the_armature_far_from_the_origin(tmp_path):
    mesh = finger()
    half = mesh.n_faces // 2
    mesh = replace(
        mesh,
        parts=[Part("hand"), Part("lower", 0), Part("upper", 0)],
        face_parts=np.repeat([1, 2], [half, mesh.n_faces - half]),
        origin=np.array([100.0, 20.0, 3.0]),
    )
    positions = bending(mesh)
    found = find_skeleton(mesh, positions, 5)
    opened(export(mesh, positions, tmp_path / "a.fbx", fps=24, skeleton=found))
    assert sorted(item.name for item in bpy.data.objects if item.type == "MESH") == ["lower", "upper"]
    expected = upright(found.rig.posed(positions[0])[3] + mesh.origin, "y")
    bpy.context.scene.frame_set(4)
    for item in bpy.data.objects:
        if item.type == "MESH":
            evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
            points = np.array([evaluated.matrix_world @ vertex.co for vertex in evaluated.data.vertices])
            distance = np.linalg.norm(points[:, None] - expected[None], axis=-1).min(axis=1)
            assert distance.max() < 1e-4


@pytest.mark.parametrize("skeleton", ["off", 5])
def test_unreal_gets_centimetres(tmp_path, skeleton):
    mesh = finger()
    positions = bending(mesh)
    path = export(mesh, positions, tmp_path / "a.fbx", fps=24, loop=True, engine="unreal", skeleton=skeleton)
    objects = {node.name: node for node in read_tree(path.read_bytes())[0].children}
    settings = objects["GlobalSettings"].first("Properties70").children
    assert [p.properties[-1][1] for p in settings if p.properties[0][1] == b"UnitScaleFactor"] == [1.0]
    points = next(g for g in objects["Objects"].all("Geometry")).first("Vertices").properties[0][1]
    assert np.ptp(np.reshape(points, (-1, 3))[:, 1]) == pytest.approx(300, rel=1e-5)
    opened(path)
    shown = blender_positions(range(1, 7), world=True)
    assert relative_error(shown, upright(positions, "y")) < (1e-5 if skeleton == "off" else 0.01)
    assert not any("-loop" in action.name for action in bpy.data.actions)


def test_bones_that_blender_would_drop_are_refused(tmp_path):
    mesh = finger()
    mesh = mesh.with_vertices(mesh.vertices * 1e-5)
    with pytest.raises(InputError, match="keeps no bones"):
        export(mesh, bending(finger()) * 1e-5, tmp_path / "a.fbx", skeleton=2)
