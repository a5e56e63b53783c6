"""A rig that the input has already: its joints are fitted, everything else stays."""

from __future__ import annotations

import numpy as np
import pytest
from clips import awkward_mesh, motion, relative_error
from limbs import SkinPlayer, bending, finger, played
from scipy.spatial.transform import Rotation

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.export.skeleton import check_rig, find_skeleton, keep, skeleton_for
from animate3d.meshes import load_mesh
from animate3d.meshes.joints import Joints
from animate3d.meshes.scene_file import Entry, placed_scene

pytest.importorskip("py_dem_bones")


@pytest.fixture
def rigged(tmp_path):
    """A finger with three bones in a file, and the motion of its vertices ``[F, N, 3]`` that the bones can do."""
    mesh = finger()
    positions = bending(mesh)
    found = find_skeleton(mesh, positions, 3)
    path = export(mesh, positions, tmp_path / "rigged.glb", fps=8, skeleton=found)
    ids = SkinPlayer(path).ids()
    with pytest.warns(UserWarning, match="rig"):
        read = load_mesh(path)
    return path, read, found, found.rig.posed(positions[0])[:, ids]


def test_names_hierarchy_and_weights_stay_and_the_motion_is_met(rigged):
    _, mesh, found, positions = rigged
    kept = skeleton_for(mesh, positions, "keep")
    assert kept.rig.names == found.rig.names
    np.testing.assert_array_equal(kept.rig.parents, found.rig.parents)
    np.testing.assert_allclose(kept.rig.joints, found.rig.joints, atol=1e-5)
    assert kept.mean_error < 5e-4 and kept.max_error < 4e-3  # the bones that were found slide a little
    arms = kept.rig.channels()[1]
    np.testing.assert_allclose(arms[:, 1:], np.broadcast_to(arms[:1, 1:], arms[:, 1:].shape), atol=1e-9)
    assert "joints stay in their places" in kept.summary


def test_the_kept_rig_is_written_and_plays(rigged, tmp_path):
    _, mesh, _, positions = rigged
    kept = skeleton_for(mesh, positions, "keep")
    path = export(mesh, positions, tmp_path / "again.glb", fps=8, skeleton=kept)
    shown = played(path, len(positions), 8)
    assert relative_error(shown, kept.rig.posed(positions[0])) < 1e-5
    nodes = SkinPlayer(path).document.nodes
    assert {"bone_00", "bone_01", "bone_02"} <= {node.name for node in nodes}


def test_the_rig_of_an_fbx_file_is_kept_and_nobody_says_that_it_is_left_out(tmp_path):
    pytest.importorskip("bpy")
    mesh = finger()
    positions = bending(mesh)
    found = find_skeleton(mesh, positions, 3)
    path = export(mesh, positions, tmp_path / "rigged.fbx", fps=8, skeleton=found)
    with pytest.warns(UserWarning, match="rig"):
        load_mesh(path)
    with pytest.warns(UserWarning, match="its animation is left out") as told:
        read = load_mesh(path, keeps_rig=True)
    assert len(told) == 1 and "rig " not in str(told[0].message)
    upright = np.eye(3) if mesh.up_axis == "z" else np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    truth = found.rig.posed(positions[0]) @ upright.T
    kept = skeleton_for(read, truth, "keep")
    assert kept.rig.names == found.rig.names
    np.testing.assert_array_equal(kept.rig.parents, found.rig.parents)
    np.testing.assert_allclose(kept.rig.joints, found.rig.joints @ upright.T, atol=1e-5)
    assert kept.mean_error < 5e-4 and kept.max_error < 4e-3


def test_a_scene_keeps_the_rig_of_each_object_where_it_stands(rigged, tmp_path):
    path, read, found, positions = rigged
    plain = export(read, read.vertices[None], tmp_path / "plain.glb")
    entries = [Entry(plain, position=(-3, 0, 0)), Entry(path, position=(2, 0, 1), rotation_degrees=(0, 0, 90), scale=2)]
    with pytest.warns(UserWarning, match="animation"):
        scene = placed_scene(entries, None, keeps_rig=True)
    moved = np.repeat(scene.vertices[None], len(positions), axis=0)
    moved[:, scene.objects == 1] = scene.members[1].placement.apply(positions)
    with pytest.warns(UserWarning, match="animation"):
        kept = skeleton_for(scene, moved, "keep")
    assert kept.rig.names[-3:] == [f"rigged_{name}" for name in found.rig.names]
    there = scene.members[1].placement.apply(found.rig.joints)
    np.testing.assert_allclose(kept.rig.joints[-3:], there, atol=1e-4)
    assert kept.mean_error < 5e-4


def test_what_no_rig_is_in_is_refused_before_the_work(tmp_path):
    mesh = awkward_mesh()
    read = load_mesh(export(mesh, mesh.vertices[None], tmp_path / "plain.glb"))
    with pytest.raises(InputError, match="has no rig to keep"):
        check_rig(read)
    with pytest.raises(InputError, match="None of the models has a rig"):
        check_rig(placed_scene([Entry(read.source), Entry(read.source)], None))


def test_bones_that_share_all_vertices_come_to_agree(rigged, monkeypatch):
    _, mesh, found, _ = rigged
    centers = np.array([0.5, 1.5, 2.5])
    wide = np.exp(-(((mesh.vertices[:, 1:2] - centers) / 1.2) ** 2))
    wide = wide / wide.sum(axis=1, keepdims=True)
    influences = np.broadcast_to(np.arange(4) % 3, (mesh.n_vertices, 4)).copy()
    matrices = np.tile(np.eye(4), (3, 1, 1))
    matrices[:, 1, 3] = 1
    joints = Joints(
        list(found.rig.names),
        found.rig.parents,
        matrices,
        influences,
        np.pad(wide, ((0, 0), (0, 1))),
    )
    monkeypatch.setattr(keep, "load_joints", lambda path: joints)
    angles = np.linspace(0, 1.2, 4)[:, None] * [0.0, 0.5, 1.0]
    turns = Rotation.from_rotvec(angles.reshape(-1, 1) * [0, 0, 1.0]).as_matrix().reshape(4, 3, 3, 3)
    ends = np.einsum("fbij,nj->fbni", turns, mesh.vertices - [0, 1, 0]) + [0, 1, 0]
    kept = skeleton_for(mesh, np.einsum("nb,fbni->fni", wide, ends), "keep")
    assert kept.mean_error < 2e-4


def test_the_rig_of_a_gltf_file_is_not_called_dropped_where_it_is_kept(rigged):
    path = rigged[0]
    with pytest.warns(UserWarning) as told:
        load_mesh(path, keeps_rig=True)
    assert ["rig (" in str(each.message) for each in told] == [False]  # the animation is


def test_what_has_no_rig_says_what_to_do(tmp_path):
    mesh = awkward_mesh()
    with pytest.raises(InputError, match="keeps the rig of a glTF or FBX file"):
        skeleton_for(mesh, motion(mesh), "keep")
    path = export(mesh, mesh.vertices[None], tmp_path / "plain.glb")
    read = load_mesh(path)
    with pytest.raises(InputError, match="has no rig to keep"):
        skeleton_for(read, read.vertices[None], "keep")
