"""The start of a training from the released parts, and its random numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from animate3d.errors import InputError
from animate3d.mvvdm.model.unet import is_trained
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import tiny_pipeline
from animate3d.mvvdm.training.config import TrainingConfig
from animate3d.mvvdm.training.draws import draw
from animate3d.mvvdm.training.model import load_models
from animate3d.mvvdm.training.trainable import keep_norms_in_half, recompute_activations

LATENTS = (4, 3, 4, 2, 2)


def training_config(config: dict[str, object], **values: object) -> TrainingConfig:
    return TrainingConfig(train_data={"info_path": "unused"}, **config, **values)  # type: ignore[arg-type]


def test_starts_from_the_released_parts(whole: MultiViewVideoPipeline, config: dict[str, object]) -> None:
    pipeline = load_models(training_config(config, i2v_cond_time_zero=True))
    assert pipeline.unet.config["i2v_cond_time_zero"]
    expected = whole.unet.state_dict()
    for key, value in pipeline.unet.state_dict().items():
        if not is_trained(key) or ("motion_modules." in key and "processor." not in key):
            assert torch.equal(value, expected[key]), key
        elif "to_out_i2v" in key or "mix_factor" in key:
            assert not value.any(), key
        elif "to_q_i2v" in key:
            assert torch.equal(value, expected[key.replace("processor.to_q_i2v", "to_q")]), key
    assert not any(p.requires_grad for p in pipeline.vae.parameters())


def test_continues_from_the_released_motion_checkpoint(
    whole: MultiViewVideoPipeline, config: dict[str, object], releases: Path
) -> None:
    pipeline = load_models(training_config(config, unet_checkpoint_path=str(releases / "motion.ckpt")))
    expected = whole.unet.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in pipeline.unet.state_dict().items())


def test_a_model_that_predicts_something_else_is_refused(config: dict[str, object]) -> None:
    schedule = {**config["noise_scheduler_kwargs"], "prediction_type": "sample"}  # type: ignore[dict-item]
    with pytest.raises(InputError, match="predicts `sample`"):
        load_models(training_config({**config, "noise_scheduler_kwargs": schedule}))


@pytest.mark.slow
def test_a_head_for_origins_is_left_behind(
    config: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the training reaches it, and it does not fit what the UNet becomes."""
    tiny_pipeline(unet={"origin_factor": 4}).save_pretrained(tmp_path)
    own = {**config, "pretrained_model_path": str(tmp_path)}
    unet = load_models(training_config(own)).unet
    assert unet.origin_head is None and unet.config["origin_factor"] is None
    assert "head for origins" in caplog.text
    save_file(tiny_pipeline(unet={"origin_factor": 4}).unet.state_dict(), tmp_path / "whole.safetensors")
    own["unet_checkpoint_path"] = str(tmp_path / "whole.safetensors")  # has a head of its own
    assert load_models(training_config(own)).unet.origin_head is None


def test_random_numbers_do_not_depend_on_how_a_batch_is_spread() -> None:
    settings = {"train_timesteps": 1000, "text_dropout": 0.5}
    together = draw(42, 7, [0, 1, 2], LATENTS, **settings)
    for place in range(3):
        alone = draw(42, 7, [place], LATENTS, **settings)
        for name in ("posterior", "noise", "timesteps", "drop_text"):
            assert torch.equal(getattr(together, name)[place], getattr(alone, name)[0])


def test_random_numbers_differ_between_steps_places_and_seeds() -> None:
    keys = [(42, 0, 0), (42, 1, 0), (42, 0, 1), (43, 0, 0)]
    noise = [
        draw(seed, step, [place], LATENTS, train_timesteps=1000, text_dropout=0.1).noise for seed, step, place in keys
    ]
    assert all(not torch.equal(one, other) for i, one in enumerate(noise) for other in noise[:i])


def test_texts_and_timesteps_are_drawn_evenly() -> None:
    draws = draw(0, 0, list(range(2000)), (1, 2, 1, 1, 1), train_timesteps=10, text_dropout=0.1)
    assert 0.07 < draws.drop_text.float().mean() < 0.13
    assert torch.bincount(draws.timesteps, minlength=10).min() > 140
    assert abs(draws.noise.mean()) < 0.1 and 0.9 < draws.noise.std() < 1.1


def test_stratified_timesteps_come_from_a_part_each() -> None:
    for step in range(20):
        timesteps = draw(0, step, [0, 1, 2, 3], LATENTS, train_timesteps=1000, text_dropout=0, strata=4).timesteps
        assert (timesteps // 250).tolist() == [0, 1, 2, 3]


def test_only_named_blocks_are_recomputed() -> None:
    unet = tiny_pipeline().unet
    restore = recompute_activations(unet, ["down_blocks.0", "up_blocks.3"])
    changed = {name for name, module in unet.named_modules() if "forward" in vars(module)}
    assert changed and all(name.startswith(("down_blocks.0", "up_blocks.3")) for name in changed)
    restore()
    assert not any("forward" in vars(module) for module in unet.modules())
    with pytest.raises(InputError, match="no block of the model"):
        recompute_activations(unet, ["down_block.9"])


def test_norms_hand_on_half_precision_under_autocast() -> None:
    norms = nn.ModuleList([nn.LayerNorm(8), nn.GroupNorm(2, 8)])
    x = torch.randn(3, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        exact = [norm(x.float()) for norm in norms]
        keep_norms_in_half(norms)
        found = [norm(x) for norm in norms]
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.float(), theirs.float(), atol=0.02, rtol=0.01)
