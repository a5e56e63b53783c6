"""Cuts and moving cameras are told; what merely moves is not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.runs.clip import read_clip
from animate3d.runs.shot import Shot, WrongClip

SIZE = 96
RNG = np.random.default_rng(0)
OBJECT = RNG.integers(0, 255, (12, 12, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)  # a patchwork
WALL = np.clip(120 + 40 * RNG.standard_normal((30, 40, 3)), 0, 255).astype(np.uint8).repeat(6, 0).repeat(6, 1)


def scene(x: float, background: np.ndarray, picture: np.ndarray = OBJECT) -> np.ndarray:
    """The object ``x`` pixels from the left. ``[SIZE, SIZE, 4]``"""
    image = np.dstack([background, np.full((SIZE, SIZE), 255, np.uint8)])
    image[24:72, round(x) : round(x) + 48, :3] = picture
    return image


def plain(level: int = 200) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), level, np.uint8)


def wall(at: int) -> np.ndarray:
    return WALL[40 : 40 + SIZE, at : at + SIZE]


def checked(folder: Path, frames: Iterable[np.ndarray], *, background: bool = True) -> None:
    """Look at a clip of these frames."""
    for f, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{f}.png")
    shot = Shot()
    mask = np.zeros((SIZE, SIZE), bool)
    mask[24:72, 10:58] = True

    def look(number: int, frame: np.ndarray) -> None:
        if number == 0 and background:
            shot.background(frame, mask)
        shot.look(frame)

    shot.check(read_clip(folder, None, look))


def test_a_cut_is_named_with_the_frames_around_it(tmp_path: Path) -> None:
    other = np.ascontiguousarray(OBJECT[::-1, :, ::-1])
    frames = [scene(10 + f, plain(), OBJECT if f < 8 else other) for f in range(14)]
    with pytest.raises(WrongClip, match=r"has a cut at 0.33 s \(frame 8\): .* --end 0.33 or --start 0.33") as told:
        checked(tmp_path, frames)
    assert np.array_equal(told.value.frames, frames[7:9])


@pytest.mark.parametrize("step", [1, 6])
def test_an_object_that_moves_at_any_pace_is_one_shot(tmp_path: Path, step: int) -> None:
    checked(tmp_path, [scene(10 + step * min(f, 6), plain()) for f in range(14)])


def test_a_change_of_light_is_no_cut(tmp_path: Path) -> None:
    checked(tmp_path, [scene(10 + f, plain(200 if f < 7 else 150)) for f in range(14)])


def test_a_camera_that_pans_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongClip, match=r"camera of .* moves: at 0\.\d\d s \(frame \d\) the background has shifted by"):
        checked(tmp_path, [scene(10, wall(2 * f)) for f in range(10)])


@pytest.mark.parametrize("still", [True, False])
def test_a_camera_that_stands_still_before_a_wall_is_not(tmp_path: Path, still: bool) -> None:
    checked(tmp_path, [scene(10 if still else 10 + 2 * f, wall(5)) for f in range(10)])


def test_two_frames_are_not_compared_with_anything(tmp_path: Path) -> None:
    checked(tmp_path, [scene(10, plain()), scene(30, plain())])


def test_a_cut_to_another_object_is_told_however_fast_things_move(tmp_path: Path) -> None:
    def shuffled(seed: int, other: bool) -> np.ndarray:
        """The patches at other places in every frame, which no flow explains."""
        patches = np.random.default_rng(seed).permutation(OBJECT[::4, ::4].reshape(-1, 3)).reshape(12, 12, 3)
        dark = patches // 4 + np.array([190, 0, 0], np.uint8)
        return (dark if other else patches).repeat(4, 0).repeat(4, 1)

    (tmp_path / "one").mkdir()
    checked(tmp_path / "one", [scene(20, plain(), shuffled(f, False)) for f in range(14)])
    (tmp_path / "two").mkdir()
    with pytest.raises(WrongClip, match=r"\(frame 8\)"):
        checked(tmp_path / "two", [scene(20, plain(), shuffled(f, f >= 8)) for f in range(14)])
