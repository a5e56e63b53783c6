"""Morph targets and their compression."""

from __future__ import annotations

import numpy as np
import pytest
from clips import awkward_mesh, motion, relative_error

from animate3d.export.clip import checked_clip
from animate3d.export.morphs import morph_targets


def clip(frames: int = 10, seed: int | None = None):
    mesh = awkward_mesh()
    positions = motion(mesh, frames)
    if seed is not None:
        positions[1:] += np.random.default_rng(seed).normal(scale=0.3, size=positions[1:].shape)
    return checked_clip(mesh, positions, 24)


def test_one_target_per_frame_is_exact():
    morphs = morph_targets(clip())
    assert morphs.weights.tolist() == np.eye(10, 9, k=-1).tolist()
    assert relative_error(np.stack(list(morphs.frames())), clip().positions) < 1e-6
    assert (morphs.max_error, morphs.mean_error) == (0, 0)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_components_have_at_most_the_error_of_key_frames(count):
    data = clip(seed=0)
    morphs = morph_targets(data, count)
    assert len(morphs) == count and np.abs(morphs.weights).max() == pytest.approx(1)
    assert not morphs.weights[0].any()
    kept = np.linspace(0, 9, count + 1).round().astype(int)
    flat = data.positions.reshape(10, -1)
    thinned = np.stack([np.interp(range(10), kept, column) for column in flat[kept].T], axis=1)
    assert np.square(np.stack(list(morphs.frames())).reshape(10, -1) - flat).sum() <= np.square(thinned - flat).sum()


def test_the_error_falls_with_more_targets_and_the_last_is_exact():
    errors = [morph_targets(clip(seed=1), count).mean_error for count in range(1, 9)]
    assert errors == sorted(errors, reverse=True) and errors[-1] > 0
    assert morph_targets(clip(seed=1), 9).mean_error == 0


def test_a_motion_of_low_rank_needs_few_targets():
    mesh = awkward_mesh()
    positions = mesh.vertices + np.linspace(0, 1, 30)[:, None, None] * [0.3, 0.1, -0.2]
    morphs = morph_targets(checked_clip(mesh, positions, 24), 2)
    assert morphs.max_error < 1e-6 and np.isfinite(morphs.deltas).all() and np.isfinite(morphs.weights).all()


def test_a_clip_without_motion_can_be_limited():
    mesh = awkward_mesh()
    morphs = morph_targets(checked_clip(mesh, np.repeat(mesh.vertices[None], 5, axis=0), 24), 2)
    assert morphs.max_error < 1e-6 and np.isfinite(morphs.deltas).all()


@pytest.mark.parametrize("limit", [None, 3])
def test_what_only_rounding_moves_has_no_displacement(limit):
    data = clip()
    data.positions[:, ::2] = data.positions[0, ::2]
    data.positions[1:, ::2] += 1e-7 * data.diagonal * np.random.default_rng(0).uniform(-1, 1, (9, 1, 1))
    deltas = morph_targets(data, limit).deltas
    assert not deltas[:, ::2].any() and deltas[:, 1::2].any(axis=(0, 2)).all()
