"""Which frames a step trains."""

from __future__ import annotations

import pytest
import torch

from animate3d.errors import InputError
from animate3d.motion import FrameSchedule


def test_normal_trains_all_frames_that_have_entered() -> None:
    schedule = FrameSchedule(5, 10, "normal")
    expected = {0: [1], 9: [1], 10: [1, 2], 25: [1, 2, 3], 39: [1, 2, 3, 4], 40: [1, 2, 3, 4], 1000: [1, 2, 3, 4]}
    assert {step: schedule.frames(step).tolist() for step in expected} == expected


def test_light_trains_the_newest_and_one_earlier_frame_then_all() -> None:
    schedule, generator = FrameSchedule(5, 10, "light"), torch.Generator().manual_seed(0)
    assert schedule.frames(5, generator).tolist() == [1]
    assert schedule.frames(15, generator).tolist() == [1, 2]
    earlier = set()
    for step in [30, 39] * 30:
        frames = schedule.frames(step, generator).tolist()
        assert frames[1:] == [4]
        earlier.add(frames[0])
    assert earlier == {1, 2, 3}
    assert schedule.frames(40, generator).tolist() == [1, 2, 3, 4]


def test_the_generator_decides() -> None:
    schedule = FrameSchedule(50, 1, "light")
    draws = [[schedule.frames(40, g).tolist() for _ in range(9)] for g in map(torch.Generator().manual_seed, (1, 1))]
    assert draws[0] != draws[1] or draws[0][0] != draws[0][1]
    again = [schedule.frames(40, torch.Generator().manual_seed(7)).tolist() for _ in range(3)]
    assert again[0] == again[1] == again[2]


@pytest.mark.parametrize("strategy", ["normal", "light"])
def test_frames_are_sorted_distinct_and_never_the_static_one(strategy: str) -> None:
    schedule = FrameSchedule(16, 3, strategy)  # type: ignore[arg-type]
    for step in range(60):
        frames = schedule.frames(step)
        assert frames.dtype == torch.long
        assert torch.equal(frames, frames.unique())
        assert frames[0] >= 1
        assert frames[-1] == min(step // 3, 14) + 1


@pytest.mark.parametrize("strategy", ["normal", "light"])
def test_two_frames_are_enough(strategy: str) -> None:
    schedule = FrameSchedule(2, 50, strategy)  # type: ignore[arg-type]
    assert [schedule.frames(step).tolist() for step in (0, 49, 50, 99)] == [[1]] * 4


def test_no_interval_means_all_frames_from_the_start() -> None:
    assert FrameSchedule(4, 0, "light").frames(0).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 50, "normal"), "at least 2 frames"), ((4, 50, "heavy"), "'normal' or 'light'"), ((4, -1), "negative")],
)
def test_unusable_settings_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FrameSchedule(*arguments)
