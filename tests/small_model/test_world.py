import numpy as np
import pytest
import torch

from animate3d.bundled_model.knowledge import World, outline, prompt_notices, read_prompt
from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.errors import InputError
from animate3d.small_model.world import fit_world

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


@pytest.fixture(scope="module")
def world():
    """Families whose members differ along two directions of 64, and a bit everywhere; one more member of each."""
    generator = torch.Generator().manual_seed(0)
    names = [name for name in FAMILY_MOTIONS for _ in range(40)]
    centres = torch.rand(len(FAMILY_MOTIONS), 64, generator=generator)
    ways = torch.randn(len(FAMILY_MOTIONS), 2, 64, generator=generator) / 8
    members = [
        centre + torch.randn(41, 2, generator=generator) @ way + 0.02 * torch.randn(41, 64, generator=generator)
        for centre, way in zip(centres, ways, strict=True)
    ]
    return fit_world(torch.cat([own[:40] for own in members]), names), torch.stack([own[40] for own in members])


def test_known_creatures_pass_without_a_word(world):
    fitted, others = world
    for index, (family, motions) in enumerate(FAMILY_MOTIONS.items()):
        assert fitted.notices(others[index], captions(family, motions[0])[0]) == []


def test_a_model_unlike_all_is_told_so(world):
    fitted, others = world
    (notice,) = fitted.notices(others[0].flip(0), captions("fish", FAMILY_MOTIONS["fish"][0])[0])
    assert "none of the creatures" in notice


def test_a_prompt_for_another_creature_is_told_so(world):
    fitted, others = world
    index = list(FAMILY_MOTIONS).index("dog")
    (notice,) = fitted.notices(others[index], captions("fish", FAMILY_MOTIONS["fish"][0])[0])
    assert "looks more like a dog" in notice


def test_it_is_written_and_read(world, tmp_path):
    fitted, others = world
    fitted.save(tmp_path)
    assert torch.allclose(World.load(tmp_path).distances(others), fitted.distances(others))


def test_an_outline_is_what_stands_out_from_grey_view_by_view():
    views = np.full((2, 64, 64, 3), 128, np.uint8)
    views[1, :4, :8] = (255, 128, 128)
    found = outline(views).reshape(2, 16, 16)
    assert found[1, 0, :2].tolist() == [1, 1] and found.sum() == 2


def test_a_folder_without_it_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"world\.safetensors"):
        World.load(tmp_path)
