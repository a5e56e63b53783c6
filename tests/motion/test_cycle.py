import numpy as np
import pytest

from animate3d.creatures.creatures import make_creature, move
from animate3d.motion.cycle import close_cycle
from animate3d.motion.trajectory import Trajectory


def swing(heights):
    rest = np.random.default_rng(0).normal(size=(1, 5, 3))
    lift = np.zeros((1, 5, 3))
    lift[:, 2:, 2] = 1.0
    return Trajectory(rest + np.asarray(heights, dtype=float)[:, None, None] * lift, fps=12.0)


def largest_step(trajectory):
    closed = np.concatenate([trajectory.positions, trajectory.positions[:1]])
    return np.abs(np.diff(closed, axis=0)).max()


def test_a_motion_that_returns_is_cut_at_its_return():
    angles = 2 * np.pi * np.arange(12) / 10  # one round is 10 frames, two frames of the next follow
    motion = swing(np.sin(angles))
    closed = close_cycle(motion)
    assert closed.n_frames == 10
    assert np.allclose(closed.positions, motion.positions[:10], atol=1e-6)


def test_a_motion_that_passes_its_start_goes_on_to_the_other_side():
    """Two strokes to a beat, the first the larger: after it the wings are at rest, but on their way down."""
    for count in (10, 11):  # the frame that would complete the beat may be missing
        angles = 2 * np.pi * np.arange(count) / 10
        heights = np.where(np.sin(angles) > 0, 1.0, 0.8) * np.sin(angles)
        closed = close_cycle(swing(heights))
        assert closed.n_frames == 10
        assert largest_step(closed) < 1.2 * largest_step(swing(np.sin(2 * np.pi * np.arange(10) / 10)))


def test_a_hop_is_cut_where_it_lands_though_it_goes_up_again():
    for speed in (0.9, 1.0, 1.1):
        share = speed * np.arange(9) / 8
        motion = swing(np.maximum(4 * share * (1 - share), 0))
        closed = close_cycle(motion)
        assert closed.n_frames >= 8
        assert np.abs(closed.positions - motion.positions[: closed.n_frames]).max() < 0.1


def test_a_whole_cycle_stays_as_it_is():
    motion = swing(np.sin(2 * np.pi * np.arange(8) / 8))
    assert np.array_equal(close_cycle(motion).positions, motion.positions)


def test_a_loop_of_a_creature_is_the_whole_beat():
    creature = make_creature("butterfly", 5)
    for speed in (0.95, 1.0, 1.1):
        motion = Trajectory(move(creature, "flap", 8, 1.0, speed), 8.0)
        closed = close_cycle(motion)
        reach = np.abs(motion.positions - motion.positions[0]).max()
        assert closed.n_frames == 8
        assert np.abs(closed.positions - motion.positions).max() < 0.2 * reach


def test_the_gap_of_an_incomplete_return_is_spread_over_the_frames():
    motion = swing(np.sin(2 * np.pi * np.arange(9) / 10))
    closed = close_cycle(motion)
    assert np.allclose(closed.positions[0], motion.positions[0])
    assert largest_step(closed) < 1.2 * largest_step(swing(np.sin(2 * np.pi * np.arange(10) / 10)))


def test_a_motion_that_does_not_return_plays_forward_and_back():
    motion = swing(np.linspace(0, 1, 6))
    closed = close_cycle(motion)
    assert closed.n_frames == 10
    assert largest_step(closed) == pytest.approx(largest_step(swing([0, 0.2])), rel=1e-5)


@pytest.mark.parametrize(
    "heights",
    [[0, 0.5, 1, 0.99, 1, 0.99, 1, 0.99], [0, 0.6, 0.9, 1, 0.99, 0.98, 0.99, 0.98], [0, 0, 0, 0.6, 1, 0.98, 1, 0.98]],
)
def test_a_motion_that_opens_fast_and_stays_open_closes_again(heights):
    closed = close_cycle(swing(heights))
    assert closed.n_frames == 14
    assert np.array_equal(closed.positions[8:], closed.positions[6:0:-1])


@pytest.mark.parametrize("heights", [[0, 0, 0, 0], [0, 1]])
def test_nothing_to_close_is_left_alone(heights):
    motion = swing(heights)
    assert close_cycle(motion).n_frames == motion.n_frames


def test_the_rate_and_the_first_frame_stay():
    motion = swing([0, 0.5, 1, 0.4, 0.1])
    closed = close_cycle(motion)
    assert closed.fps == 12.0
    assert np.array_equal(closed.positions[0], motion.positions[0])
