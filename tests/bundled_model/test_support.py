"""Sentences that are only like those of a motion."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.prompts import asked_moves, nearest_to
from animate3d.bundled_model.support import supported


@pytest.mark.parametrize(
    "prompt",
    [
        "the duck quacks",
        "the duck does a backflip",
        "the hand makes a fist",
        "the hand points with its index finger",
        "the car honks",
    ],
)
def test_what_is_only_like_a_motion_of_a_part_is_not_taken_for_it(prompt: str) -> None:
    assert asked_moves(prompt) == () and "the nearest that it can do: “" in nearest_to(prompt)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("the duck ducks", "crouch"), ("the horse is galopping", "gallop"), ("a drone whirring its rotors", "propeller")],
)
def test_a_word_of_the_motion_or_one_like_it_is_enough(prompt: str, name: str) -> None:
    assert supported(name, prompt) and [found for found, _ in asked_moves(prompt)] == [name]
    assert nearest_to(prompt) == ""


def test_who_moves_says_nothing_of_the_motion() -> None:
    assert not supported("crouch", "the duck quacks") and supported("crouch", "the duck ducks")
