"""Long videos from a prompt: their laps follow each other without a jerk."""

from __future__ import annotations

import numpy as np

from animate3d.motion.seams import find_seams, smooth_seams

LAP = 8


def laps(count: int) -> np.ndarray:
    """A point that goes round and is late in the last frame of every lap. ``[F, 1, 3]``"""
    phase = (np.arange(count) % LAP).astype(float)
    phase[phase == LAP - 1] -= 0.7
    turn = 2 * np.pi * phase / LAP
    return np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)[:, None]


def test_the_frames_that_show_the_first_one_again_are_found() -> None:
    frames = np.random.default_rng(0).random((2, 6, 3, 3, 4), np.float32)
    frames[:, 4, ..., :3] = frames[:, 0, ..., :3]  # the masks may differ
    frames[0, 2] = frames[0, 0]  # in one view only
    assert find_seams(frames) == [4]


def test_no_step_at_a_seam_is_much_larger_than_the_others() -> None:
    positions = laps(4 * LAP)
    rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (len(positions), 1, 3, 3))
    seams = [LAP, 2 * LAP, 3 * LAP]

    def largest(motion: np.ndarray) -> float:
        steps = np.linalg.norm(np.diff(motion, axis=0), axis=2).mean(axis=1)
        return max(steps[s + k] for s in seams for k in (-1, 0)) / float(np.median(steps))

    smooth, turned = smooth_seams(positions, rotations, seams)
    assert largest(positions) > 1.5 and largest(smooth) < 1.1
    far = [f for f in range(len(positions)) if min(abs(f - s) for s in seams) > 1]
    np.testing.assert_array_equal(smooth[far], positions[far])
    np.testing.assert_allclose(turned, rotations, atol=1e-6)
    assert turned.dtype == rotations.dtype


def test_a_motion_without_seams_and_its_ends_stay() -> None:
    positions, rotations = laps(LAP), np.broadcast_to(np.eye(3), (LAP, 1, 3, 3))
    assert smooth_seams(positions, rotations, [])[0] is positions
    ended = smooth_seams(positions, rotations, [LAP - 1])[0]
    np.testing.assert_array_equal(ended[[0, -1]], positions[[0, -1]])
