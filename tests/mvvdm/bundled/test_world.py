import pytest
import torch

from animate3d.errors import InputError
from animate3d.mvvdm.bundled.world import World, fit_world, prompt_notices, read_prompt
from animate3d.synthetic.captions import MOTIONS, captions

CASES = [(family, motion) for family, motions in MOTIONS.items() for motion in motions]


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


def test_an_unknown_motion_lists_the_known():
    (notice,) = prompt_notices("a dog is reading")
    assert captions("dog", MOTIONS["dog"][0])[0] in notice


@pytest.fixture(scope="module")
def world():
    generator = torch.Generator().manual_seed(0)
    names = [name for name in MOTIONS for _ in range(40)]
    centres = 4 * torch.randn(len(MOTIONS), 8, generator=generator)
    embeds = torch.cat([centre + 0.5 * torch.randn(40, 8, generator=generator) for centre in centres])
    return fit_world(embeds, names), centres


def test_known_creatures_pass_without_a_word(world):
    fitted, centres = world
    for index, (family, motions) in enumerate(MOTIONS.items()):
        assert fitted.notices(centres[index] + 0.1, captions(family, motions[0])[0]) == []


def test_a_model_unlike_all_is_told_so(world):
    fitted, centres = world
    (notice,) = fitted.notices(centres[0] + 40.0, captions("fish", MOTIONS["fish"][0])[0])
    assert "none of the creatures" in notice


def test_a_prompt_for_another_creature_is_told_so(world):
    fitted, centres = world
    index = list(MOTIONS).index("dog")
    (notice,) = fitted.notices(centres[index], captions("fish", MOTIONS["fish"][0])[0])
    assert "looks more like a dog" in notice


def test_it_is_written_and_read(world, tmp_path):
    fitted, centres = world
    fitted.save(tmp_path)
    loaded = World.load(tmp_path)
    assert torch.allclose(loaded.distances(centres), fitted.distances(centres))
    assert loaded.reach == pytest.approx(fitted.reach)


def test_a_folder_without_it_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"world\.safetensors"):
        World.load(tmp_path)
