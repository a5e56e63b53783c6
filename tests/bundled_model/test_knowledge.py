"""Prompts for the shipped model, which knows the families' captions only."""

from __future__ import annotations

import pytest

from animate3d.bundled_model.knowledge import in_own_words, read_prompt


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("the dog leaps into the air", "a dog is jumping"),
        ("a puppy strolls along", "a dog is walking"),
        ("the flower blossoms", "a flower is opening"),
    ],
)
def test_other_words_for_a_familys_motion_become_its_caption(prompt: str, caption: str) -> None:
    assert read_prompt(prompt).motion is None
    assert in_own_words(prompt) == caption


@pytest.mark.parametrize(
    "prompt", ["the butterfly beats its wings", "the dog does not jump", "a fish is reading", "a fridge is hopping"]
)
def test_own_words_denials_and_what_a_family_cannot_do_stay_as_they_are(prompt: str) -> None:
    assert in_own_words(prompt) == prompt
