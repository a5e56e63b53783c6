from __future__ import annotations

import numpy as np
import torch
import trimesh
from moving_shapes import bending, footage, patterned_capsule

from animate3d.cameras import reconstruction_cameras
from animate3d.meshes import Mesh
from animate3d.motion.harmless import _wanted, keep_what_explains, surface_parts

FRAMES, SIZE = 3, 64


def two_capsules() -> Mesh:
    one = patterned_capsule(2)
    faces = one.triangles()[0]
    vertices = np.concatenate([one.vertices * 0.6 - [0, 0.35, 0], one.vertices * 0.6 + [0, 0.35, 0]])
    assert one.vertex_colors is not None
    colors = np.concatenate([one.vertex_colors, one.vertex_colors])
    return Mesh.from_faces(vertices, np.concatenate([faces, faces + one.n_vertices]), vertex_colors=colors, up_axis="z")


def lifted(mesh: Mesh, left: float, right: float) -> np.ndarray:
    """Both capsules rise or sink. ``[F, N, 3]``"""
    height = np.where(mesh.vertices[:, 1] < 0, left, right)
    steps = np.linspace(0, 1, FRAMES)[:, None, None]
    return mesh.vertices + steps * height[:, None] * np.array([0.0, 0.0, 1.0])


def test_a_right_motion_is_kept_as_it_is() -> None:
    mesh = patterned_capsule(2)
    truth = bending(mesh, FRAMES)
    frames, cameras = footage(mesh, truth, SIZE)
    kept = keep_what_explains(mesh, truth, torch.from_numpy(frames), cameras)
    np.testing.assert_allclose(kept.positions, truth)
    assert kept.explained.total > 0.99
    assert kept.moving.min() == 1.0 and kept.gains.min() >= 0


def test_a_piece_that_moves_against_the_frames_is_held_still_and_the_other_one_moves_on() -> None:
    mesh = two_capsules()
    frames, cameras = footage(mesh, lifted(mesh, 0.3, 0.3), SIZE)
    wrong = lifted(mesh, 0.3, -0.3)
    kept = keep_what_explains(mesh, wrong, torch.from_numpy(frames), cameras)
    left = mesh.vertices[:, 1] < 0
    np.testing.assert_allclose(kept.positions[:, left], wrong[:, left])
    np.testing.assert_allclose(kept.positions[:, ~left], np.repeat(mesh.vertices[None, ~left], FRAMES, axis=0))


def test_a_wrong_motion_is_never_worse_than_standing_still() -> None:
    mesh = patterned_capsule(2)
    frames, cameras = footage(mesh, bending(mesh, FRAMES), SIZE)
    kept = keep_what_explains(mesh, bending(mesh, FRAMES, angle=-0.7), torch.from_numpy(frames), cameras)
    assert kept.explained.total >= 0
    assert kept.moving.mean() < 0.5


def test_a_wrong_part_of_a_piece_that_moves_goes_along_with_it() -> None:
    mesh = patterned_capsule(2)
    truth = mesh.vertices + np.linspace(0, 1, FRAMES)[:, None, None] * np.array([0.0, 0.0, 0.3])
    frames, cameras = footage(mesh, truth, SIZE)
    top = mesh.vertices[:, 2] > np.quantile(mesh.vertices[:, 2], 0.85)
    wrong = truth.copy()
    wrong[1:, top] += [0.5, 0.0, 0.0]
    kept = keep_what_explains(mesh, wrong, torch.from_numpy(frames), cameras)
    found, before = (np.linalg.norm(x - truth, axis=-1)[1:, top].mean() for x in (kept.positions, wrong))
    assert kept.moving[top].mean() < 0.5
    assert found < 0.5 * before
    still = np.linalg.norm(mesh.vertices[top] - truth[1:, top], axis=-1).mean()
    assert found < still


def test_parts_do_not_span_loose_pieces_and_copies_along_seams_share_theirs() -> None:
    box = trimesh.creation.box(extents=[1, 1, 1]).subdivide_to_size(0.3)
    other = box.copy()
    other.apply_translation([1.01, 0, 0])
    both = trimesh.util.concatenate([box, other])
    vertices, faces = np.array(both.vertices), np.array(both.faces)
    parts = surface_parts(vertices, faces, np.arange(len(vertices)))
    assert not set(parts[: len(box.vertices)]) & set(parts[len(box.vertices) :])
    twice = np.concatenate([vertices, vertices])
    welded = np.tile(np.arange(len(vertices)), 2)
    parts = surface_parts(twice, np.concatenate([faces, faces + len(vertices)]), welded)
    np.testing.assert_array_equal(parts[: len(vertices)], parts[len(vertices) :])


def test_frames_of_any_even_size_are_compared_smaller() -> None:
    frames = np.zeros((1, 2, 386, 386, 4), np.float32)  # three times 128, but not a multiple of three
    assert _wanted(frames, reconstruction_cameras(1, 386))[1].height == 193


def test_a_right_motion_is_kept_where_the_border_of_the_picture_cuts_it() -> None:
    mesh = patterned_capsule(2)
    truth = bending(mesh, FRAMES)
    frames, cameras = footage(mesh, truth, SIZE)
    known = np.ones((len(frames), SIZE, SIZE), bool)
    known[:, :24] = False
    frames *= known[:, None, :, :, None]
    kept = keep_what_explains(mesh, truth, torch.from_numpy(frames), cameras, known)
    assert kept.explained.total > 0.99 and kept.moving.min() == 1.0
    assert keep_what_explains(mesh, truth, torch.from_numpy(frames), cameras).explained.total < 0.9
