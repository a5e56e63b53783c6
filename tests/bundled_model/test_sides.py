"""Which of a pair of limbs a sentence speaks of."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.knowledge import in_own_words
from animate3d.bundled_model.prompts import reading_of, understand
from animate3d.bundled_model.sides import named_limbs


@pytest.mark.parametrize(
    ("prompt", "moves"),
    [
        ("the man waves his left arm", [("wave", "left")]),
        ("the man waves with his right hand", [("wave", "right")]),
        ("waves with its left", [("wave", "left")]),
        ("his left hand is waving", [("wave", "left")]),
        ("the robot raises his right arm", [("raise_arms", "right")]),
        ("the robot raises both arms", [("raise_arms", "")]),
        ("the robot raises its left and right arms", [("raise_arms", "")]),
        ("the dog kicks with its left hind leg", [("kick", "left")]),
        ("the bird flaps its left wing", [("flap", "left")]),
        ("it waves its left arm while kicking with its right leg", [("wave", "left"), ("kick", "right")]),
        ("it turns left and raises its right arm", [("turn", ""), ("raise_arms", "right")]),
        ("it slides to the right", [("slide", "")]),
    ],
)
def test_a_limb_of_one_side_is_heard(prompt: str, moves: list[tuple[str, str]]) -> None:
    assert [(name, manner.side) for name, manner in reading_of(prompt).moves] == moves


def test_ways_are_no_limbs() -> None:
    assert named_limbs("it turns to the left and lands on the right hand side") == []
    assert reading_of("it slides to the right").moves[0][1].direction == "right"


def test_the_bundled_model_says_that_it_knows_no_sides() -> None:
    assert any("no left limb from a right one" in note for note in understand("the bird flaps its left wing").notes)
    one, both = "the bird strokes its left wing", "the bird strokes its wings"
    assert in_own_words(one) == one and in_own_words(both) != both
