from pathlib import Path

import numpy as np
import pytest

from animate3d.bundled_model.knowledge import read_prompt
from animate3d.creatures.captions import FAMILY_MOTIONS
from animate3d.creatures.creatures import move
from animate3d.errors import InputError
from animate3d.meshes import load_mesh
from animate3d.runs.demo import usual_prompt, write_prompted_creature


@pytest.mark.parametrize("family", list(FAMILY_MOTIONS))
def test_the_usual_sentence_names_creature_and_motion(family: str) -> None:
    reading = read_prompt(usual_prompt(family))
    assert (reading.family, reading.motion) == (family, FAMILY_MOTIONS[family][0])


def test_the_intended_motion_belongs_to_the_written_mesh(tmp_path: Path) -> None:
    subject = write_prompted_creature(tmp_path, "fish", "the fish is turning left", seed=2)
    intended = subject.intended(4)
    assert intended is not None
    assert np.allclose(intended[0], load_mesh(subject.folder).vertices, atol=1e-5)
    assert np.array_equal(intended, move(subject.creature, read_prompt(subject.prompt).motion or "", 4))


@pytest.mark.parametrize("prompt", ["a dog is walking", "a fish is reading", "hello"])
def test_nothing_is_intended_by_other_sentences(tmp_path: Path, prompt: str) -> None:
    assert write_prompted_creature(tmp_path, "fish", prompt).intended(4) is None


def test_creatures_are_not_among_those_of_the_training(tmp_path: Path) -> None:
    seeds = [write_prompted_creature(tmp_path / str(seed), "ball", seed=seed).creature.seed for seed in range(3)]
    assert all(seed % 2 for seed in seeds) and len(set(seeds)) == 3  # theirs are even, see `CreaturePlan`


def test_a_repeated_demo_finds_the_same_mesh(tmp_path: Path) -> None:
    first = load_mesh(write_prompted_creature(tmp_path, "dog", seed=5).folder)
    assert np.array_equal(first.vertices, load_mesh(write_prompted_creature(tmp_path, "dog", seed=5).folder).vertices)


def test_an_unknown_creature_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="butterfly, "):
        write_prompted_creature(tmp_path, "unicorn")
