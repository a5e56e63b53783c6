import pytest

from animate3d.errors import InputError
from animate3d.runs.presets import PRESETS, choose_preset


def test_without_cuda_and_weights_the_bundled_model_is_taken():
    assert choose_preset(None, weights_given=False, cuda=False).bundled
    assert not choose_preset(None, weights_given=False, cuda=True).bundled
    assert not choose_preset(None, weights_given=True, cuda=False).bundled


def test_a_named_preset_wins():
    assert choose_preset("laptop", weights_given=True, cuda=True).bundled


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="laptop, full"):
        choose_preset("gpu", weights_given=False, cuda=False)


def test_full_has_the_documented_settings():
    full = PRESETS["full"]
    assert (full.size, full.frames, full.steps, full.guidance_scale, full.freeinit_num_iters) == (256, 16, 25, 7.5, 3)


@pytest.mark.parametrize("name", list(PRESETS))
def test_more_strength_means_more_guidance_less_rigidity_fewer_rounds(name):
    preset = PRESETS[name]
    weak, strong = preset.with_motion_strength(0.5), preset.with_motion_strength(2.0)
    assert weak.guidance_scale < preset.guidance_scale < strong.guidance_scale
    assert weak.rigidity > preset.rigidity > strong.rigidity
    assert weak.freeinit_num_iters >= preset.freeinit_num_iters >= strong.freeinit_num_iters
    assert preset.with_motion_strength(1.0) == preset


@pytest.mark.parametrize("strength", [0.0, -1.0, 5.0, float("nan")])
def test_strengths_without_sense_are_refused(strength):
    with pytest.raises(InputError, match=r"between 0\.25 and 4"):
        PRESETS["full"].with_motion_strength(strength)
