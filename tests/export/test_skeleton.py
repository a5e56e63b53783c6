"""Bones found in motions whose bones are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from limbs import bending, finger

from animate3d.errors import InputError
from animate3d.export.skeleton import Rig, find_skeleton, judged
from animate3d.export.skeleton.find import LADDER, MAX_ERROR, MEAN_ERROR
from animate3d.meshes import Mesh

pytest.importorskip("py_dem_bones")


def test_auto_takes_as_few_bones_as_keep_within_the_bars():
    mesh = finger()
    positions = bending(mesh)
    found = find_skeleton(mesh, positions)
    assert found.mean_error <= MEAN_ERROR and found.max_error <= MAX_ERROR
    fewer = LADDER[LADDER.index(len(found.rig)) - 1]
    coarse = find_skeleton(mesh, positions, fewer)
    assert coarse.mean_error > MEAN_ERROR or coarse.max_error > MAX_ERROR


def test_a_motion_of_the_whole_is_one_bone_and_exact():
    mesh = finger()
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    positions = np.stack([mesh.vertices, mesh.vertices @ turn.T + [1, 2, 3]])
    found = find_skeleton(mesh, positions)
    assert len(found.rig) == 1 and found.max_error < 1e-9
    np.testing.assert_allclose(found.rig.rotations[1, 0], turn, atol=1e-9)


def test_bones_are_rigid_and_weights_are_what_engines_take():
    mesh = finger()
    rig = find_skeleton(mesh, bending(mesh), 6).rig
    turned = rig.rotations @ rig.rotations.transpose(0, 1, 3, 2)
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-9)
    assert (np.linalg.det(rig.rotations) > 0).all()
    assert rig.weights.shape == rig.influences.shape == (mesh.n_vertices, 4)
    assert (rig.weights >= 0).all() and rig.influences.max() < len(rig)
    np.testing.assert_allclose(rig.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(rig.rotations[0], np.broadcast_to(np.eye(3), (len(rig), 3, 3)))
    assert not rig.translations[0].any()


def test_copies_along_seams_get_the_same_weights():
    mesh = finger()
    rig = find_skeleton(mesh, bending(mesh), 5).rig
    same = mesh.welded()
    assert (same != np.arange(mesh.n_vertices)).any()
    np.testing.assert_array_equal(rig.weights, rig.weights[same])
    np.testing.assert_array_equal(rig.influences, rig.influences[same])


def test_the_bones_of_a_finger_hang_one_below_the_other_at_its_joints():
    mesh = finger()
    rig = find_skeleton(mesh, bending(mesh), 3).rig
    assert sorted(np.bincount(rig.parents + 1, minlength=4).tolist())[-1] <= 2 and rig.parents[0] == -1
    assert (rig.parents[1:] < np.arange(1, 3)).all()
    heights = sorted(rig.joints[1:, 1])
    assert abs(heights[0] - 1) < 0.3 and abs(heights[1] - 2) < 0.3
    np.testing.assert_allclose(rig.joints[1:, [0, 2]], 0, atol=0.1)


def test_a_symmetric_motion_is_parted_too():
    """Two wings that beat alike: the solver's own start finds one bone."""
    x, z = (grid.reshape(-1) for grid in np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-0.4, 0.4, 7), indexing="ij"))
    numbers = np.arange(21 * 7).reshape(21, 7)
    faces = np.stack([numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]], axis=-1).reshape(-1, 4)
    mesh = Mesh.from_faces(np.stack([x, np.zeros_like(x), z], axis=1), faces)
    angles = np.sin(2 * np.pi * np.arange(8) / 8)[:, None] * np.clip(np.abs(x) / 0.1, 0, 1)
    positions = np.stack([x * np.cos(angles), np.abs(x) * np.sin(angles), np.broadcast_to(z, angles.shape)], axis=-1)
    found = find_skeleton(mesh, positions)
    assert 2 <= len(found.rig) <= 12 and found.mean_error <= MEAN_ERROR


def test_a_large_mesh_is_decomposed_at_some_vertices_and_fits_at_all(monkeypatch):
    monkeypatch.setattr("animate3d.export.skeleton.find._NODES", 300)
    monkeypatch.setattr("animate3d.export.skeleton.find._FRAMES", 4)
    mesh = finger(rings=120, around=24)
    found = find_skeleton(mesh, bending(mesh, 12))
    assert found.mean_error <= MEAN_ERROR and found.max_error <= MAX_ERROR


def test_vertices_without_faces_move_with_the_nearest():
    mesh = finger()
    mesh = replace(mesh, vertices=np.concatenate([mesh.vertices, [[0.0, 2.9, 0.0]]]))
    found = find_skeleton(mesh, bending(mesh))
    assert found.max_error <= MAX_ERROR


def test_the_error_is_that_of_the_positions_an_engine_shows():
    mesh = finger()
    positions = bending(mesh)
    rig: Rig = find_skeleton(mesh, positions, 2).rig
    shown = np.zeros_like(positions)
    for k in range(4):
        for frame in range(len(positions)):
            turns, moves = (values[frame][rig.influences[:, k]] for values in (rig.rotations, rig.translations))
            shown[frame] += rig.weights[:, k, None] * (np.einsum("nij,nj->ni", turns, mesh.vertices) + moves)
    distance = np.linalg.norm(shown - positions, axis=-1) / mesh.diagonal()
    found = judged(rig, positions)
    assert found.mean_error == pytest.approx(distance.mean()) and found.max_error == pytest.approx(distance.max())
    assert found.mean_errors.shape == (6,) and found.max_errors[0] < 1e-6


@pytest.mark.parametrize("bones", [0, -1, 257, "many", 2.5])
def test_a_number_of_bones_that_cannot_be_made_is_refused(bones):
    mesh = finger()
    with pytest.raises(InputError, match="1 to 256 bones"):
        find_skeleton(mesh, bending(mesh), bones)


def test_a_still_mesh_is_one_bone():
    mesh = finger()
    assert len(find_skeleton(mesh, mesh.vertices[None]).rig) == 1
    assert len(find_skeleton(mesh, np.stack([mesh.vertices] * 3)).rig) == 1
