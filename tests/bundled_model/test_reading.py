"""Prompts in free wording, read by the reader that ships."""

from __future__ import annotations

import time

import pytest

from animate3d.bundled_model.manners import Wish
from animate3d.bundled_model.reading import asked, read, reading_notices
from animate3d.creatures.moves import MOVES, Manner


def names(prompt: str) -> list[str]:
    return [name for name, _ in read(prompt).moves]


@pytest.mark.parametrize("noun", ["fridge", "dragon", "rabbit", "teapot", "skyscraper", "quokka"])
@pytest.mark.parametrize(("doing", "move"), [("is hopping", "hop"), ("spins around", "spin"), ("falls down", "fall")])
def test_who_moves_does_not_decide(noun: str, doing: str, move: str) -> None:
    assert names(f"the {noun} {doing}") == [move]


def test_every_move_is_known_by_its_own_name() -> None:
    missed = [name for name, move in MOVES.items() if names(f"it is {move.phrases[0]}") != [name]]
    assert missed == []


@pytest.mark.parametrize(
    "prompt", ["the dog is not moving", "a lamp that doesn't hop", "the statue stands still", "nothing moves"]
)
def test_what_does_not_happen_is_no_motion(prompt: str) -> None:
    reading = read(prompt)
    assert reading.known and reading.moves == ()


def test_what_does_not_stop_goes_on() -> None:
    assert names("the wheel never stops spinning") == ["spin"]


def test_one_of_two_moves_that_is_denied_is_left_out() -> None:
    assert names("it jumps without spinning") == ["jump"]


@pytest.mark.parametrize(
    ("prompt", "moves"),
    [
        ("the bird hops while flapping its wings", {"hop", "flap"}),
        ("a robot jumps and waves its arm", {"jump", "wave"}),
    ],
)
def test_two_moves_at_once(prompt: str, moves: set[str]) -> None:
    assert set(names(prompt)) == moves


def test_moves_that_exclude_each_other_are_named() -> None:
    reading = read("it jumps and then it bounces")
    assert len(reading.moves) == len(reading.left_out) == 1
    assert {reading.moves[0][0], *reading.left_out} == {"jump", "bounce"}


def test_each_of_two_moves_has_its_own_manner() -> None:
    manners = dict(read("the bird hops high while slowly flapping its wings").moves)
    assert manners["hop"].amplitude > 1 and manners["hop"].speed == 1
    assert manners["flap"].speed < 1 and manners["flap"].amplitude == 1


@pytest.mark.parametrize("prompt", ["", "12345", "a tax report", "the theory of democracy", "xqzt vbnm"])
def test_a_prompt_far_from_everything_says_so_with_the_nearest(prompt: str) -> None:
    reading = read(prompt)
    assert not reading.known and reading.moves == ()
    assert set(reading.nearest) <= set(MOVES) and len(reading.nearest) == 3


def test_a_move_is_done_as_it_can() -> None:
    assert asked("hop", Wish(directions=("left",))) == ("hop", Manner())
    assert asked("tremble", Wish(count=5)) == ("tremble", Manner(speed=MOVES["tremble"].fastest))
    assert asked("lean", Wish(directions=("left",))) == ("tilt", Manner(direction="left"))


def test_reading_takes_no_time_to_speak_of() -> None:
    read("warm up")
    start = time.process_time()
    for count in range(10):
        read(f"the {'very ' * count}big robot slowly hops twice and waves")
    assert (time.process_time() - start) / 10 < 0.2  # seconds; about 0.01 on an idle machine


@pytest.mark.parametrize(
    ("prompt", "notice"),
    [
        ("a tax report", "nearest that it can do: “"),
        ("nothing moves", "asks for no motion"),
        ("it jumps and then it bounces", "at once"),
        ("a fridge is hopping", None),
    ],
)
def test_the_user_is_told_what_is_not_done(prompt: str, notice: str | None) -> None:
    notices = reading_notices(prompt, read(prompt))
    assert notices == [] if notice is None else len(notices) == 1 and notice in notices[0]
