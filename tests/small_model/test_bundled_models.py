from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from animate3d.creatures.captions import captions, vocabulary
from animate3d.mvvdm.model.motion_module import MotionTransformer
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model import encoders, models
from animate3d.small_model.clips import Clips
from animate3d.small_model.encoders import ALL_MOTIONS, all_words, embed, train_image_encoder, train_text_encoder
from animate3d.small_model.refiner import estimated_latents, train_refiner


def some_clips(count: int = 6) -> Clips:
    """Coloured squares that move, with captions of as many families."""
    pixels = torch.full((count, 4, 8, 3, 64, 64), 128, dtype=torch.uint8)
    for clip in range(count):
        for frame in range(8):
            pixels[clip, :, frame, clip % 3, 10 + frame : 40 + frame, 8 * clip : 8 * clip + 20] = 250
    texts = [captions(*ALL_MOTIONS[3 * clip])[0] for clip in range(count)]
    return Clips(pixels, texts, torch.zeros(count, 4, 16))


def test_the_same_words_make_the_same_tokenizer() -> None:
    first, second = (models.build_tokenizer(all_words()).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


def test_every_word_of_the_captions_is_one_token() -> None:
    tokenizer = models.build_tokenizer(all_words())
    assert not [word for word in vocabulary() if len(tokenizer.tokenize(word)) != 1]
    assert len(tokenizer.tokenize("a crimson butterfly")) > 3  # pieces, not one token for all that is unknown
    ids = tokenizer("a bird flies", padding="max_length", max_length=models.MAX_TOKENS).input_ids
    assert len(ids) == models.MAX_TOKENS
    longest = max((sentence for pair in ALL_MOTIONS for sentence in captions(*pair, "orange", "striped")), key=len)
    assert len(tokenizer(longest).input_ids) < models.MAX_TOKENS


def test_the_tokenizer_survives_saving(tmp_path: Path) -> None:
    tokenizer = models.build_tokenizer(all_words())
    tokenizer.save_pretrained(tmp_path)
    loaded = type(tokenizer).from_pretrained(tmp_path)
    sentence = "The Dog, a puppy, is leaping up."
    assert loaded(sentence).input_ids == tokenizer(sentence).input_ids
    assert loaded.model_max_length == models.MAX_TOKENS


def test_the_text_encoder_pulls_phrases_of_a_motion_together() -> None:
    tokenizer = models.build_tokenizer(all_words())
    torch.manual_seed(0)
    encoder = models.build_text_encoder(tokenizer)
    train_text_encoder(encoder, tokenizer, steps=60, batch=24)
    with torch.no_grad():
        one, same, other = embed(
            encoder, tokenizer, ["a bird is pecking", "the bird bows its head", "a snake is crawling"]
        ).mean(dim=1)
    assert (one - same).norm() < 0.5 * (one - other).norm()


def test_the_image_encoder_learns_the_family() -> None:
    torch.manual_seed(0)
    encoder = models.build_image_encoder()
    learned = train_image_encoder(encoder, models.build_feature_extractor(), some_clips(), steps=80, batch=16)
    assert learned["family"] > 0.9


def test_images_are_normalised_as_by_the_feature_extractor() -> None:
    extractor = models.build_feature_extractor()
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = extractor(images=list(images.movedim(1, -1).numpy()), return_tensors="pt").pixel_values
    torch.testing.assert_close(encoders.normalized(images.float() / 127.5 - 1, extractor), expected, atol=1e-4, rtol=0)


def test_the_refiner_beats_a_linear_decoding_that_is_off() -> None:
    """It takes thousands of steps to sharpen edges, but few to learn that all images come out too bright."""
    clips = some_clips(2)
    torch.manual_seed(0)
    autoencoder = models.build_autoencoder()
    autoencoder.fit(clips.images(torch.arange(32)))
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
    assert sum(parameter.numel() for parameter in unet.parameters()) < 8e6


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


@pytest.mark.parametrize("family", encoders.FAMILIES)
def test_families_have_other_names_that_are_tokens(family: str) -> None:
    assert set(encoders.OTHER_NAMES[family]) <= set(all_words())


def test_estimates_keep_frame_0_and_come_near_the_truth(untrained: Callable[[], MultiViewVideoPipeline]) -> None:
    """A UNet that predicts no velocity leaves signal and noise as they were: the error is that of the noise."""
    clips, pipeline = some_clips(2), untrained()
    autoencoder = pipeline.vae
    autoencoder.fit(clips.images(torch.arange(64)))
    estimates = estimated_latents(pipeline, clips)
    with torch.no_grad():
        truth = autoencoder.encode(clips.images(torch.arange(64))).latent_dist.mean.view_as(estimates)
    assert torch.allclose(estimates[:, :, 0], truth[:, :, 0], atol=1e-5)
    error = ((estimates - truth)[:, :, 1:] * autoencoder.config["scaling_factor"]).square().mean()
    assert 0.01 < error.item() < 0.5
    quality = train_refiner(autoencoder, clips, estimates, steps=5, batch=4)
    assert np.isfinite(list(quality.values())).all()
