"""Adverbs, numbers and directions of sentences."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.manners import GENTLE, QUICK, SLOW, STRONG, Wish, sayings
from animate3d.bundled_model.sentences import words_of

MOTIONS = {"hop", "hops", "jump", "jumps", "spin", "bow", "swing"}


def wish(sentence: str) -> Wish:
    found = Wish()
    for saying in sayings(words_of(sentence), MOTIONS.__contains__):
        found |= saying.wish
    return found


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("it hops gently", Wish(amplitude=GENTLE)),
        ("it hops a little", Wish(amplitude=GENTLE)),
        ("it jumps with great force", Wish(amplitude=STRONG)),
        ("in slow motion it jumps", Wish(speed=SLOW)),
        ("it spins at top speed", Wish(speed=QUICK)),
        ("two small jumps", Wish(0.5, count=2)),
        ("it jumps twice as high", Wish(1.6)),
        ("it makes a full turn", Wish(count=1)),
        ("it hops three times to the left", Wish(count=3, directions=("left",))),
        ("calmly", Wish(amplitude=GENTLE, speed=SLOW)),
        ("a slow spin counter-clockwise", Wish(speed=SLOW, directions=("left",))),
    ],
)
def test_words_say_how_a_motion_is_done(sentence: str, expected: Wish) -> None:
    assert wish(sentence) == expected


@pytest.mark.parametrize(
    ("motion", "thing"),
    [
        ("a big jump", "the big dog jumps"),
        ("a deep bow", "the deep well"),
        ("hops a little", "a little rabbit hops"),
        ("it jumps high", "the high tower hops"),
        ("a quick hop", "the quick fox hops"),
    ],
)
def test_an_adjective_of_the_thing_is_not_one_of_the_motion(motion: str, thing: str) -> None:
    assert wish(motion) != Wish()
    assert wish(thing) == Wish()


@pytest.mark.parametrize("sentence", ["back and forth", "from side to side", "up and down", "left and right"])
def test_there_and_back_is_no_direction(sentence: str) -> None:
    assert wish(sentence).directions == ()


def test_what_is_said_not_to_hold_asks_for_nothing() -> None:
    assert wish("jump, but not too fast") == Wish()
