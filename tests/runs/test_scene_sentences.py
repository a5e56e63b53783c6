"""Which object a common sentence is for."""

from __future__ import annotations

import pytest

from animate3d.runs.sentences import in_turn, names_none, shared_out


@pytest.mark.parametrize(
    ("prompt", "names", "parts"),
    [
        ("everything is swaying", ["flower", "ball"], ["everything is swaying"] * 2),
        ("a butterfly is flying", ["dog", "butterfly_01"], [None, "a butterfly is flying"]),
        ("a dog is walking and the ball bounces", ["dog", "ball"], ["a dog is walking", "the ball bounces"]),
        ("the ball rolls while a dog runs, a dog barks", ["dog", "ball", "cat"],
         ["a dog runs and a dog barks", "the ball rolls", None]),
        ("a dog and a ball are jumping", ["dog", "ball"], ["a dog and a ball are jumping"] * 2),
        ("a dog is walking and barking", ["dog", "ball"], ["a dog is walking and barking", None]),
        ("two dogs run", ["dog", "dog_2", "ball"], ["two dogs run", "two dogs run", None]),
        ("a red thing falls", ["red dog", "red ball"], ["a red thing falls"] * 2),
    ],
)  # fmt: skip
def test_a_sentence_is_for_those_that_it_speaks_of(prompt: str, names: list[str], parts: list[str | None]) -> None:
    assert shared_out(prompt, names) == parts


def test_a_sentence_that_names_none_is_told_from_one_for_all() -> None:
    assert names_none("the robot waves and the ball bounces", ["creature", "creature_2"])
    assert not names_none("a dog and a ball are jumping", ["dog", "ball"])


@pytest.mark.parametrize(
    ("prompt", "clauses"),
    [
        ("it wobbles and then tips over", ["it wobbles", "tips over"]),
        ("First it hops, then it spins; finally it falls.", ["it hops", "it spins", "it falls"]),
        ("the dog then walks", ["the dog walks"]),
        ("after it spins, it falls", ["it spins", "it falls"]),
        ("it spins before it falls", ["it spins", "it falls"]),
        ("it hops every now and then", ["it hops every now and then"]),
        ("a dog walks and a ball rolls", ["a dog walks and a ball rolls"]),
    ],
)
def test_what_happens_in_turn_is_told_apart(prompt: str, clauses: list[str]) -> None:
    assert in_turn(prompt) == clauses
