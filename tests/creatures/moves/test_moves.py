"""Moves start at the rest, return to it where they are cyclic, stay in the picture, and go where they say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.figures import Figure, draw_figure, surface_points
from animate3d.creatures.moves import (
    MOVES,
    Manner,
    Subject,
    applies,
    combine,
    draw_moves,
    move_points,
    shows,
    subject_of,
    subject_of_points,
)
from animate3d.errors import InputError
from animate3d.meshes.placement import Placement

WHOLE = [name for name, move in MOVES.items() if not move.needs]
PARTS = [name for name, move in MOVES.items() if move.needs]


def ball(sides: tuple[float, float, float]) -> Subject:
    """An ellipsoid with these diameters, off the origin."""
    points = np.random.default_rng(0).normal(size=(300, 3))
    points = 0.5 * points / np.linalg.norm(points, axis=1, keepdims=True)
    return subject_of_points(points * sides + [0.3, -0.2, 0.5])


@cache
def drawn(seed: int, kind: str) -> tuple[Figure, np.ndarray]:
    """A figure and points on it."""
    figure = draw_figure(seed, kind)
    return figure, surface_points(figure, 300, np.random.default_rng(seed))[0]


@cache
def doing(name: str) -> Subject:
    """A figure, turned, that a move shows on."""
    kinds = ("animal", "bird", "fish", "snake", "octopus", "person", "plant", "vehicle", "aircraft", "vessel")
    for seed in range(8):
        for kind in kinds:
            figure, points = drawn(seed, kind)
            if not applies(MOVES[name], figure.parts):
                continue
            subject = subject_of(figure, points, 40.0 * seed)
            if shows(subject, MOVES[name]):
                return subject
    raise AssertionError(f"no figure shows {name}")


def moved(subject: Subject, name: str, manner: Manner | None = None, frames: int = 16) -> np.ndarray:
    return move_points(subject, [(MOVES[name], manner or Manner())], frames)


def seen(subject: Subject, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``[4, F, N, 2]`` and depths ``[4, F, N]`` in the four pictures of 64 x 64, as the rest is placed."""
    placed = torch.from_numpy(Placement.automatic(subject.points, "y").apply(positions)).float()
    pixels, depths = zip(*(camera.project(placed) for camera in reconstruction_cameras(4, 64)), strict=True)  # type: ignore[attr-defined]
    return torch.stack(pixels).numpy(), torch.stack(depths).numpy()


def test_there_are_enough_of_both_sorts():
    assert len(WHOLE) >= 22
    assert len(PARTS) >= 22


@pytest.mark.parametrize("name", MOVES)
def test_a_move_starts_at_the_rest_and_a_cyclic_one_returns_to_it(name):
    subject = doing(name)
    positions = moved(subject, name)
    assert np.array_equal(positions[0], subject.points)
    assert np.isfinite(positions).all()
    for t in (0.0, 1.0) if MOVES[name].cyclic else (0.0,):
        assert np.abs(MOVES[name].pose(subject, t, Manner()) - subject.points).max() < 1e-5


@pytest.mark.parametrize("name", MOVES)
def test_a_larger_amplitude_goes_farther(name):
    if not MOVES[name].graded:
        return
    subject = doing(name)
    sizes = [np.sqrt(((moved(subject, name, Manner(a)) - subject.points) ** 2).mean()) for a in (0.5, 1.0, 1.6)]
    assert 1.2 * sizes[0] < sizes[1]
    assert 1.05 * sizes[1] < sizes[2]


@pytest.mark.parametrize("name", MOVES)
def test_a_higher_speed_is_the_same_motion_in_less_time(name):
    subject, move = doing(name), MOVES[name]
    slow = moved(subject, name, Manner(speed=0.5), 16)
    usual = moved(subject, name, Manner(), 16)
    np.testing.assert_allclose(slow[8], usual[4], atol=1e-6)
    if move.fastest == 2.0:
        np.testing.assert_allclose(moved(subject, name, Manner(speed=2.0), 16)[4], usual[8], atol=1e-6)


@pytest.mark.parametrize("sides", [(2.0, 2.0, 2.0), (0.5, 2.0, 0.5), (2.0, 0.4, 0.7), (0.6, 1.0, 2.0)])
def test_whole_body_moves_stay_in_the_picture_and_are_visible(sides):
    subject = ball(sides)
    for name in WHOLE:
        for direction in ("", *MOVES[name].directions):
            for amplitude, allowed in ((1.0, 0.04), (1.6, 0.08)):
                pixels, _ = seen(subject, moved(subject, name, Manner(amplitude, direction=direction)))
                outside = ((pixels < 0) | (pixels > 64)).any(axis=-1).mean(axis=-1).max()
                assert outside <= allowed, (name, direction, amplitude, outside)
                far = np.linalg.norm(pixels - pixels[:, :1], axis=-1).max()
                assert far > 2.0, (name, far)


@pytest.mark.parametrize("name", ["slide", "tilt", "bend", "tip", "roll"])
def test_left_and_right_are_those_of_the_first_picture(name):
    subject = ball((0.6, 1.4, 0.8))
    top = subject.points[:, 1] > subject.center[1] + 0.5
    for direction, sign in (("left", -1), ("right", 1)):
        pixels, _ = seen(subject, moved(subject, name, Manner(0.6, direction=direction)))
        across = pixels[0, 6, top, 0] - pixels[0, 0, top, 0]
        assert sign * across.mean() > 0.5


@pytest.mark.parametrize("name", ["slide", "bend", "lean", "tip"])
def test_forward_comes_towards_the_first_camera(name):
    subject = ball((0.6, 1.4, 0.8))
    top = subject.points[:, 1] > subject.center[1] + 0.5
    _, depths = seen(subject, moved(subject, name, Manner(direction="forward")))
    assert (depths[0, 8, top] - depths[0, 0, top]).mean() < -0.03


def test_up_is_up():
    subject = ball((1.0, 1.0, 1.0))
    for name, sign in (("rise", -1), ("jump", -1), ("fall", 1)):
        pixels, _ = seen(subject, moved(subject, name))
        assert sign * (pixels[:, 8, :, 1] - pixels[:, 0, :, 1]).mean() > 2


def test_to_spin_left_is_counter_clockwise_from_above():
    subject = ball((1.0, 1.0, 1.0))
    nose = int(np.argmax(subject.points[:, 2]))
    for direction, sign in (("left", 1), ("right", -1)):
        for name in ("spin", "turn"):
            pixels, _ = seen(subject, moved(subject, name, Manner(direction=direction)))
            assert sign * (pixels[0, 5, nose, 0] - pixels[0, 0, nose, 0]) > 1  # the near side goes right


def test_a_whole_body_move_does_not_depend_on_what_else_is_known():
    subject = ball((1.0, 1.5, 0.7))
    turned = subject_of_points(subject.points, facing=90.0)
    for name in WHOLE:
        if name not in ("rock", "bow", "lean", "undulate", "wiggle"):  # these go along the body
            np.testing.assert_array_equal(moved(subject, name), moved(turned, name))


def test_left_legs_and_right_legs_take_turns():
    figure = draw_figure(3, "person")
    points, _ = surface_points(figure, 600, np.random.default_rng(0))
    subject = subject_of(figure, points)
    forward = moved(subject, "walk")[4, :, 2] - points[:, 2]
    weights = figure.weights(points)
    legs = {part.side: number for number, part in enumerate(figure.parts) if part.name == "leg"}
    assert forward[weights[:, legs[1]] > 0.8].mean() > 0.05
    assert forward[weights[:, legs[-1]] > 0.8].mean() < -0.05


def test_wings_go_up_together():
    figure = draw_figure(1, "bird")
    points, _ = surface_points(figure, 600, np.random.default_rng(0))
    subject = subject_of(figure, points, 120.0)
    up = moved(subject, "flap")[4, :, 1] - points[:, 1]
    weights = figure.weights(points)
    for number, part in enumerate(figure.parts):
        if part.name == "wing":
            assert up[weights[:, number] > 0.9].mean() > 0.05


def test_children_follow_their_parents():
    subject = doing("nod")
    heads = [number for number, part in enumerate(subject.parts) if part.name == "head"]
    on_heads = [number for number, part in enumerate(subject.parts) if part.parent in heads]
    positions = moved(subject, "nod")
    for number in (*heads, *on_heads):
        chosen = subject.weights[:, number] > 0.95
        if chosen.sum() > 3:
            apart = np.linalg.norm(positions[4][chosen][0] - positions[4][chosen], axis=1)
            np.testing.assert_allclose(
                apart, np.linalg.norm(subject.points[chosen][0] - subject.points[chosen], axis=1), atol=0.05
            )


def test_two_moves_are_done_at_once():
    subject = doing("flap")
    flap, hop = MOVES["flap"], MOVES["hop"]
    both = move_points(subject, [(hop, Manner()), (flap, Manner())], 16)
    np.testing.assert_allclose(both[8], moved(subject, "flap")[8], atol=1e-6)  # between two hops
    assert np.abs(both[4] - moved(subject, "flap")[4]).max() > 0.02
    assert combine(hop, flap)
    assert not combine(hop, MOVES["jump"])
    assert not combine(MOVES["walk"], MOVES["run"])


def test_drawn_moves_show_and_go_together():
    generator = np.random.default_rng(0)
    names = set()
    for _ in range(60):
        subject = doing("walk")
        chosen = draw_moves(subject, generator, pair_share=0.5)
        assert all(shows(subject, move) for move, _ in chosen)
        assert len(chosen) == 1 or combine(chosen[0][0], chosen[1][0])
        names |= {move.name for move, _ in chosen}
    assert len(names) > 15


def test_what_lacks_the_parts_is_told_so():
    with pytest.raises(InputError, match="needs one of these parts: wing"):
        moved(ball((1, 1, 1)), "flap")
    with pytest.raises(InputError, match="no direction 'left'"):
        moved(ball((1, 1, 1)), "jump", Manner(direction="left"))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_what_is_to_be_done_so_often_is_done_so_often(count: int) -> None:
    heights = move_points(ball((1, 0.8, 0.6)), [(MOVES["hop"], Manner(count=count))], 48)[..., 1].mean(axis=1)
    inner = heights[1:-1]
    tops = (inner > heights[:-2]) & (inner >= heights[2:]) & (inner > (heights.min() + heights.max()) / 2)
    assert tops.sum() == count


@pytest.mark.parametrize("count", [1, 2])
def test_what_turns_so_often_turns_all_the_way_around(count: int) -> None:
    moved = move_points(ball((1, 0.8, 0.6)), [(MOVES["spin"], Manner(count=count))], 48)
    arm = (moved[:, 0] - moved.mean(axis=1))[:, [0, 2]]
    angle = np.unwrap(np.arctan2(arm[:, 1], arm[:, 0]))
    assert abs(angle[-1] - angle[0]) == pytest.approx(2 * np.pi * count, abs=0.05)
