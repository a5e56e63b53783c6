import pytest

from animate3d.errors import InputError
from animate3d.mvvdm.inference import DEFAULTS, sampler_of
from animate3d.mvvdm.sampling import SamplingOptions
from animate3d.runs.presets import PRESETS, choose_preset


def test_without_weights_the_bundled_model_is_chosen_on_every_machine():
    assert choose_preset(None, weights_given=False).bundled
    assert not choose_preset(None, weights_given=True).bundled


def test_a_named_preset_wins():
    assert choose_preset("laptop", weights_given=True).bundled


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="laptop, full"):
        choose_preset("gpu", weights_given=False)


def test_full_samples_as_the_pipeline_does_by_default():
    names = {"num_frames": "frames", "num_inference_steps": "steps", "guidance_scale": "guidance_scale"}
    sampler, call = PRESETS["full"].sampler, SamplingOptions()
    assert {name: getattr(call, name) for name in names} == {k: getattr(sampler, v) for k, v in names.items()}
    assert sampler_of(DEFAULTS) == sampler


@pytest.mark.parametrize("name", list(PRESETS))
def test_more_strength_means_more_guidance_less_rigidity_fewer_rounds(name):
    preset = PRESETS[name]
    weak, strong = preset.with_motion_strength(0.5), preset.with_motion_strength(2.0)
    scales = [p.sampler.guidance_scale for p in (weak, preset, strong)]
    assert scales[0] < scales[1] < scales[2]
    assert weak.rigidity > preset.rigidity > strong.rigidity
    rounds = [p.sampler.freeinit_num_iters for p in (weak, preset, strong)]
    assert rounds == sorted(rounds, reverse=True)
    assert preset.with_motion_strength(1.0) == preset


@pytest.mark.parametrize("strength", [0.0, -1.0, 5.0, float("nan")])
def test_strengths_without_sense_are_refused(strength):
    with pytest.raises(InputError, match=r"between 0\.25 and 4"):
        PRESETS["full"].with_motion_strength(strength)
