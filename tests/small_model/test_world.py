import numpy as np
import pytest

from animate3d.bundled_model.knowledge import World, outline, prompt_notices, read_prompt
from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.errors import InputError

CASES = [(family, motion) for family, motions in FAMILY_MOTIONS.items() for motion in motions]


@pytest.mark.parametrize(("family", "motion"), CASES)
def test_captions_of_the_data_are_understood(family, motion):
    readings = [read_prompt(sentence) for sentence in captions(family, motion, "red", "striped")]
    assert all(reading.family == family for reading in readings)
    assert all(reading.motion == motion for reading in readings)
    assert not any(notice for sentence in captions(family, motion) for notice in prompt_notices(sentence))


def test_other_creatures_are_named_as_unknown():
    (notice,) = prompt_notices("a dragon is roaring")
    assert "butterfly" in notice
    assert "--preset full" in notice


@pytest.mark.parametrize(
    ("prompt", "family"), [("two butterflies fly up", "butterfly"), ("Puppies!", "dog"), ("my goldfish swims", "fish")]
)
def test_plurals_and_other_names_are_understood(prompt, family):
    assert read_prompt(prompt).family == family


@pytest.mark.parametrize(
    "prompt",
    ["a dog is shaking its tail", "a dog is moving its head", "a dog is not walking", "a bird turns its head"],
)
def test_another_motion_with_some_of_the_words_is_not_mistaken(prompt):
    assert read_prompt(prompt).motion is None


@pytest.mark.parametrize(
    ("prompt", "family", "motion"),
    [
        ("a dog is walking towards a butterfly", "dog", "walk"),
        ("a bird is flapping", "bird", "flap"),
        ("a butterfly is flying up over a meadow", "butterfly", "rise"),
    ],
)
def test_the_one_named_first_moves_and_other_words_do_no_harm(prompt, family, motion):
    reading = read_prompt(prompt)
    assert (reading.family, reading.motion) == (family, motion)


def test_an_unknown_motion_lists_the_known():
    (notice,) = prompt_notices("a dog is reading")
    assert captions("dog", FAMILY_MOTIONS["dog"][0])[0] in notice


def test_an_outline_is_what_stands_out_from_grey_view_by_view():
    views = np.full((2, 64, 64, 3), 128, np.uint8)
    views[1, :4, :8] = (255, 128, 128)
    found = outline(views).reshape(2, 16, 16)
    assert found[1, 0, :2].tolist() == [1, 1] and found.sum() == 2


def test_a_folder_without_it_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"world\.safetensors"):
        World.load(tmp_path)
