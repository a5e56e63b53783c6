"""Prompts for the shipped model, which knows the families' captions only."""

from __future__ import annotations

import pytest
import torch

from animate3d.bundled_model.knowledge import World, in_own_words, read_prompt, shown_faintly
from animate3d.creatures.captions import FAMILY_MOTIONS, captions


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


def test_of_all_captions_only_a_dogs_walk_shows_too_little_in_videos() -> None:
    faint = {
        (family, motion)
        for family, motions in FAMILY_MOTIONS.items()
        for motion in motions
        if all(map(shown_faintly, captions(family, motion)))
    }
    assert faint == {("dog", "walk")}
    assert shown_faintly("a puppy strolls along")


def test_an_odd_creature_is_known_where_its_family_and_a_motion_of_it_are_named() -> None:
    families = list(FAMILY_MOTIONS)
    count, fish = len(families), families.index("fish")
    apart = torch.eye(count + 1)[:count]  # every family has an outline of its own, and one cell is nobody's
    world = World(apart, torch.zeros(count, 1, count + 1), torch.full((count,), 0.5))

    def notices(prompt: str, odd: float) -> list[str]:
        outline = apart[fish].clone()
        outline[-1] = odd
        return world.notices(outline, prompt)

    assert notices("a fish is swimming", 0.1) == []
    assert notices("a fish is swimming", 0.7) == []  # at 1.15 of the reach
    assert notices("a fish is reading", 0.7)[-1].startswith("This model looks like none")
    assert notices("a dog is walking", 0.7)[-1].startswith("This model looks like none")
    assert notices("a fish is swimming", 1.5)[-1].startswith("This model looks like none")
