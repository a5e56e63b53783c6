from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from animate3d.creatures.moves import MOVES, Manner, caption, vocabulary
from animate3d.mvvdm.model.motion_module import MotionTransformer
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model import encoders, models
from animate3d.small_model.clips import Clips
from animate3d.small_model.encoders import all_words
from animate3d.small_model.refiner import estimated_latents, train_refiner


def some_clips(count: int = 6) -> Clips:
    """Coloured squares that move."""
    pixels = torch.full((count, 4, 16, 3, 64, 64), 128, dtype=torch.uint8)
    for clip in range(count):
        for frame in range(16):
            pixels[clip, :, frame, clip % 3, 10 + frame : 40 + frame, 8 * clip : 8 * clip + 20] = 250
    return Clips(pixels, ["the thing is spinning"] * count, torch.zeros(count, 4, 16))


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return models.build_tokenizer(all_words())


def test_the_same_words_make_the_same_tokenizer(tokenizer: CLIPTokenizer) -> None:
    again = models.build_tokenizer(all_words())
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_every_word_of_the_captions_is_one_token(tokenizer: CLIPTokenizer) -> None:
    assert not [word for word in vocabulary() if len(tokenizer.tokenize(word)) != 1]
    assert len(tokenizer.tokenize("a crimson butterfly")) > 3  # pieces, not one token for all that is unknown
    ids = tokenizer("a bird flies", padding="max_length", max_length=models.MAX_TOKENS).input_ids
    assert len(ids) == models.MAX_TOKENS
    everything = [(move, Manner(1.6, 0.5, (*move.directions, "")[0])) for move in MOVES.values()]
    longest = sorted(everything, key=lambda pair: len(pair[0].phrases[0].split()))[-2:]
    sentence = caption(longest, "treasure chest", np.random.default_rng(0))
    assert len(tokenizer(sentence).input_ids) <= models.MAX_TOKENS


def test_the_tokenizer_survives_saving(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = type(tokenizer).from_pretrained(tmp_path)
    sentence = "The Dog, a puppy, is leaping up."
    assert loaded(sentence).input_ids == tokenizer(sentence).input_ids
    assert loaded.model_max_length == models.MAX_TOKENS


def test_images_are_normalised_as_by_the_feature_extractor() -> None:
    extractor = models.build_feature_extractor()
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = extractor(images=list(images.movedim(1, -1).numpy()), return_tensors="pt").pixel_values
    torch.testing.assert_close(encoders.normalized(images.float() / 127.5 - 1, extractor), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_refiner_beats_a_linear_decoding_that_is_off() -> None:
    """It takes thousands of steps to sharpen edges, but few to learn that all images come out too bright."""
    clips = some_clips(2)
    torch.manual_seed(0)
    autoencoder = models.build_autoencoder()
    autoencoder.fit(clips.images(torch.arange(64)))
    with torch.no_grad():
        autoencoder.unproject.bias.add_(0.3)
    latents = autoencoder.project.weight.clone()
    quality = train_refiner(autoencoder, clips, steps=40, batch=2)
    assert quality["refined"] > quality["linear"] + 4  # 22.3 and 16.2 dB
    assert torch.equal(autoencoder.project.weight, latents)


def test_the_unet_keeps_every_attention_of_the_full_model() -> None:
    unet = models.build_unet(8, 4)
    keys = " ".join(unet.state_dict())
    for part in ("to_q_i2v", "to_k_ip", "to_q_sp", "time_pos_embed", "alpha_blender", "camera_embedding"):
        assert part in keys
    levels = {name.split(".motion_modules")[0] for name, m in unet.named_modules() if isinstance(m, MotionTransformer)}
    assert levels == {"down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.0", "up_blocks.1"}
    assert sum(parameter.numel() for parameter in unet.parameters()) < 18e6


def test_a_new_unet_predicts_nothing() -> None:
    unet = models.build_unet(8, 4).eval()
    with torch.no_grad():
        out = unet(
            torch.randn(4, 8, 2, 16, 16),
            500,
            torch.randn(4, 5, 96),
            camera=torch.randn(4, 16),
            added_cond_kwargs={"image_embeds": torch.randn(4, 64)},
        ).sample
    assert not out.any()


@pytest.mark.slow
def test_estimates_keep_frame_0_and_come_near_the_truth(untrained: Callable[[], MultiViewVideoPipeline]) -> None:
    """A UNet that predicts no velocity leaves signal and noise as they were: the error is that of the noise."""
    clips, pipeline = some_clips(1), untrained()
    autoencoder = pipeline.vae
    autoencoder.fit(clips.images(torch.arange(64)))
    estimates = estimated_latents(pipeline, clips)
    with torch.no_grad():
        truth = autoencoder.encode(clips.images(torch.arange(64))).latent_dist.mean.view_as(estimates)
    assert torch.allclose(estimates[:, :, 0], truth[:, :, 0], atol=1e-5)
    error = ((estimates - truth)[:, :, 1:] * autoencoder.config["scaling_factor"]).square().mean()
    assert 0.01 < error.item() < 0.5
    quality = train_refiner(autoencoder, clips, estimates, steps=2, batch=2)
    assert np.isfinite(list(quality.values())).all()
