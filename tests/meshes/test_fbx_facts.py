"""FBX files whose order, wraps, shapes and motion Blender's importer does not tell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from animate3d.export import export
from animate3d.meshes import Material, Mesh, Part, load_mesh
from animate3d.meshes.fbx_facts import in_file_order
from animate3d.meshes.fbx_tree import Node

bpy = pytest.importorskip("bpy")


def test_objects_come_in_the_order_of_the_file():
    names = ["zebra", "ant", "zebra", "ö" * 40]
    models = [Node("Model", [("L", k), ("S", f"{name}\0\1Model".encode())]) for k, name in enumerate(names)]
    made = [SimpleNamespace(name=name) for name in ("other", "ö" * 31, "ant", "zebra", "zebra.001")]
    found = in_file_order(made, Node("", [], [Node("Objects", [], models)]))
    assert [item.name for item in found] == ["zebra", "ant", "zebra.001", "ö" * 31, "other"]


def test_order_and_wraps_are_kept_and_motion_is_said_to_be_left_out(tmp_path):
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [3, 0, 0], [2, 1, 0]])
    skin = Material("m", textures={"diffuse": np.zeros((2, 2, 3), np.uint8)}, wraps={"diffuse": ("repeat", "clamp")})
    mesh = Mesh.from_faces(corners, [[0, 1, 2], [3, 4, 5]], corner_uvs=np.zeros((6, 2)), material=skin, up_axis="z")
    mesh.parts, mesh.face_parts = [Part("zebra"), Part("ant")], np.arange(2)
    path = export(mesh, np.stack([corners, corners + 1]), tmp_path / "a.fbx")
    with pytest.warns(UserWarning, match=r"a\.fbx: its animation and shape keys are left out; the mesh is taken as"):
        again = load_mesh(path)
    assert [part.name for part in again.parts] == ["zebra", "ant"]
    np.testing.assert_allclose(again.vertices, corners, atol=1e-6)
    assert again.materials[0].wraps == {"diffuse": ("repeat", "clamp")}


def test_shapes_that_are_on_count(tmp_path):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add(size=1)
    item = bpy.context.object
    item.shape_key_add(name="Basis")
    key = item.shape_key_add(name="Big")
    for point in key.data:
        point.co *= 2
    key.value = 0.5
    bpy.ops.export_scene.fbx(filepath=str(tmp_path / "a.fbx"), bake_anim=False)
    with pytest.warns(UserWarning, match="its shape keys are left out"):
        mesh = load_mesh(tmp_path / "a.fbx")
    np.testing.assert_allclose(np.abs(mesh.vertices), 0.75, atol=1e-5)
    assert mesh.corner_normals is None
