"""What the video model is given for a prompt, and what its user is told."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.prompts import asked_moves, reading_of, understand
from animate3d.creatures.moves import FAMILY_MOVES, MOVES, STILL, Manner, allowed_adverbs, canonical, manner_of


def test_a_prompt_in_the_words_of_the_captions_is_taken_at_them_whoever_moves() -> None:
    for move in MOVES.values():
        for word in ("", *allowed_adverbs(move)):
            caption = canonical([(move, manner_of(move, word.split()))])
            understood = understand(f"The butterfly is {caption}.")
            assert (understood.caption, understood.notes, understood.known) == (caption, (), True)


@pytest.mark.parametrize("family", list(FAMILY_MOVES))
def test_the_motions_of_the_families_are_understood(family: str) -> None:
    for name, manner in FAMILY_MOVES[family].values():
        ((found, _),) = asked_moves(f"the {family} is {canonical([(MOVES[name], manner)])}")
        assert found == name


def test_another_wording_is_put_into_the_words_of_the_captions_which_is_said() -> None:
    understood = understand("my old fridge hops around very gently")
    assert understood.caption == "hopping low" and understood.known
    assert understood.notes == ("The prompt is read as “hopping low”.",)


def test_two_moves_at_once_are_one_caption() -> None:
    assert understand("a bird is hopping while flapping its wings").caption == "hopping while flapping its wings"


def test_what_is_unknown_becomes_the_nearest_and_is_said() -> None:
    understood = understand("the teapot is reading a book about tax law")
    assert not understood.known and understood.caption in {move.phrases[0] for move in MOVES.values()}
    assert "does not know" in understood.notes[0] and f"“{understood.caption}”" in understood.notes[0]
    assert asked_moves("the teapot is reading a book about tax law") == ()


def test_no_motion_is_standing_still() -> None:
    assert understand("the dog does not move").caption == STILL


def test_of_moves_that_exclude_each_other_the_first_is_done_which_is_said() -> None:
    understood = understand("the dog is walking while wagging its tail")
    assert understood.caption == "walking" and "not wagging its tail" in understood.notes[0]


def test_adverbs_that_a_move_does_not_have_are_no_part_of_its_caption() -> None:
    assert asked_moves("the car is spinning backward") == (("spin", Manner()),)


@pytest.mark.parametrize(
    "prompt, moves",
    [
        ("the propeller is spinning", ["propeller"]),
        ("the robot's head is turning", ["turn_head"]),
        ("the plane is spinning", ["spin"]),
        ("a dog is walking while it is nodding", ["walk", "nod"]),
    ],
)
def test_what_moves_may_be_a_part(prompt: str, moves: list[str]) -> None:
    reading = reading_of(prompt)
    assert sorted([*(name for name, _ in reading.moves), *reading.left_out]) == sorted(moves)


@pytest.mark.parametrize(
    ("prompt", "direction"),
    [("it bends down", "forward"), ("it bends down to the left", "left"), ("it bends over", "")],
)
def test_what_bends_down_bends_forward_unless_another_way_is_said(prompt: str, direction: str) -> None:
    assert asked_moves(prompt) == (("bend", Manner(direction=direction)),)
