"""Sentences that are understood at the second try."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.mending import is_slip, mended
from animate3d.bundled_model.prompts import asked_moves, directions_of


@pytest.mark.parametrize(
    ("word", "other", "is_one"),
    [
        ("tial", "tail", True),
        ("jups", "jumps", True),
        ("jummps", "jumps", True),
        ("jumbs", "jumps", True),
        ("jumps", "jumps", False),
        ("pjums", "jumps", False),
    ],
)
def test_one_slip_of_the_pen_is_known(word: str, other: str, is_one: bool) -> None:
    assert is_slip(word, other) is is_one


def test_only_words_that_nobody_knows_are_mended() -> None:
    assert list(mended("the dog wags its tial", frozenset())) == ["the dog wags its tail"]
    assert list(mended("the dog wags its tial", frozenset(["tial"]))) == []
    assert list(mended("the drone hugds", frozenset(["hugd"]))) == []  # a word that nobody knows in one of its forms
    assert list(mended("he goes forward", frozenset()))[-1] == "the person goes forward"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("he waves", "wave"),
        ("the dog is waging its tial", "wag"),
        ("he says no", "shake_head"),
        ("the drone lands", "fall"),
    ],
)
def test_what_was_misread_is_read(prompt: str, name: str) -> None:
    assert [found for found, _ in asked_moves(prompt)] == [name]


def test_ways_are_heard_whatever_moves() -> None:
    assert directions_of("it walks backwards") == ("backward",)
    assert directions_of("it walks back and forth") == ()
