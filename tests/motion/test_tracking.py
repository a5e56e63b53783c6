from __future__ import annotations

import numpy as np
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.motion.tracking import track

FRAMES = 5


def relative_error(positions: np.ndarray, truth: np.ndarray) -> float:
    """Mean error over the mean displacement, frames after the first."""
    return float(
        np.linalg.norm(positions[1:] - truth[1:], axis=-1).mean() / np.linalg.norm(truth[1:] - truth[0], axis=-1).mean()
    )


def test_a_bending_body_is_followed() -> None:
    mesh = patterned_capsule()
    truth = bending(mesh, FRAMES)
    positions, rotations, _ = track(template_of(mesh), *footage(mesh, truth, size=128))
    assert relative_error(positions, truth) < 0.2
    np.testing.assert_array_equal(positions[0], mesh.vertices)
    # The surroundings turn with the bend: about y, by more than the angle at their height and less than twice that.
    upper = mesh.vertices[:, 2] > 0.3
    angles = np.arctan2(rotations[-1, upper, 0, 2], rotations[-1, upper, 2, 2])
    assert 1.0 < angles.mean() / (0.7 * mesh.vertices[upper, 2].mean()) < 2.0


def test_a_jump_of_the_whole_object_is_followed() -> None:
    mesh = patterned_capsule(2)
    truth = mesh.vertices + np.linspace(0, 1, FRAMES)[:, None, None] * np.array([0.15, 0.1, 0.2])
    positions, *_ = track(template_of(mesh), *footage(mesh, truth))
    assert relative_error(positions, truth) < 0.1


def test_a_thinned_template_moves_all_vertices() -> None:
    mesh = patterned_capsule()
    truth = bending(mesh, FRAMES)
    template = template_of(mesh, nodes=150)
    assert 75 < template.n_nodes <= 150
    positions, rotations, confidence = track(template, *footage(mesh, truth, size=128))
    assert positions.shape == truth.shape and rotations.shape == (*truth.shape, 3)
    assert confidence.shape == truth.shape[:2]
    assert relative_error(positions, truth) < 0.2


def test_nothing_moves_when_the_frames_stand_still() -> None:
    mesh = patterned_capsule(2)
    truth = np.repeat(mesh.vertices[None], 3, axis=0)
    positions, *_ = track(template_of(mesh), *footage(mesh, truth))
    assert np.abs(positions - truth).max() < 1e-2


def test_empty_frames_leave_the_object_where_it_was() -> None:
    mesh = patterned_capsule(2)
    frames, cameras = footage(mesh, np.repeat(mesh.vertices[None], 3, axis=0))
    frames[:, 1:] = 0
    positions, *_ = track(template_of(mesh), frames, cameras)
    assert np.isfinite(positions).all()
    assert np.abs(positions - mesh.vertices).max() < 0.2
