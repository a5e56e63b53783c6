"""4D score distillation against the reference's recorded numbers, and what it must do whatever the model."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from golden.subset import kept
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from animate3d.errors import InputError
from animate3d.mvvdm.guidance import (
    Conditions,
    DistillationDraws,
    VideoGuidance,
    add_noise,
    clean_latents,
    denoise,
    distill,
    guided,
    rescaled,
)
from animate3d.mvvdm.model.camera import normalize_camera
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import NOISE_SCHEDULE, tiny_pipeline
from animate3d.mvvdm.weights import unet_arguments

VIEWS = FRAMES = 4
SETTINGS = {"guidance_scale": 5.0, "step_range": (0.02, 0.2), "std_rescale": 0.25}
SCHEDULE = DDIMScheduler(**NOISE_SCHEDULE).alphas_cumprod


@pytest.fixture(scope="module")
def reference(golden: Path) -> VideoGuidance:
    """The recorded model."""
    parts = golden / "tiny_components"
    settings = json.loads((golden / "unet_tiny" / "config.json").read_text())
    # The other recordings come from eight spatial heads whatever `attention_head_dim` says; the guidance took it for
    # the number of heads. At full size both are eight.
    arguments = {**unet_arguments(settings["unet"], settings["motion_adapter"]), "num_attention_heads": 4}
    unet = MultiViewUNet(**arguments, image_embed_dim=settings["ip"]["image_embed_dim"])
    unet.load_state_dict(load_file(parts / "unet" / "diffusion_pytorch_model.safetensors"))
    pipeline = MultiViewVideoPipeline(
        vae=AutoencoderKL.from_pretrained(parts / "vae"),
        text_encoder=None,  # type: ignore[arg-type]
        tokenizer=None,  # type: ignore[arg-type]
        unet=unet,
        scheduler=DDIMScheduler(**NOISE_SCHEDULE),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(parts / "feature_extractor"),
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(parts / "image_encoder"),
    )
    return VideoGuidance(pipeline, VIEWS, FRAMES)


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "guidance_tiny" / "cases.safetensors")


@pytest.fixture(scope="module")
def cases(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "guidance_tiny" / "cases.json").read_text())


@pytest.fixture(scope="module")
def text(recorded: dict[str, Tensor]) -> Tensor:
    """Embeddings of V views, the conditional ones first."""
    return torch.cat([recorded[name].expand(VIEWS, -1, -1) for name in ("text_embeddings", "uncond_text_embeddings")])


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", ["recon.std0", "recon.std025", "recon.std025_t20_gs2"])
def test_loss_and_gradient_are_the_recorded_ones(
    reference: VideoGuidance, recorded: dict[str, Tensor], cases: dict[str, Any], text: Tensor, name: str
) -> None:
    latents = recorded["latents"].clone().requires_grad_()
    camera = normalize_camera(recorded["c2w"][::FRAMES])
    result = distill(
        latents.unflatten(0, (1, VIEWS, FRAMES)),
        recorded[f"{name}.rng.00.torch.randn_like"].transpose(2, 3),
        recorded[f"{name}.t"],
        reference.predictor(Conditions(*text.chunk(2), recorded["image_embeds"], camera)),
        reference.alphas_cumprod,
        guidance_scale=cases[name]["guidance_scale"],
        std_rescale=cases[name]["recon_std_rescale"],
    )
    result.loss.backward()
    assert abs(result.loss.item() / cases[name]["loss"] - 1) < 1e-5
    assert latents.grad is not None
    assert relative(latents.grad, recorded[f"{name}.grad_latents"]) < 1e-3
    for found, key in ((result.noisy, "latents_noisy"), (result.noise, "noise_pred"), (result.target, "latents_recon")):
        expected = recorded[f"{name}.{key}"]
        torch.testing.assert_close(kept(found.flatten(0, 2), expected), expected, atol=1e-4, rtol=1e-4)


def needs_images(recorded: dict[str, Tensor]) -> None:
    if "rgb" not in recorded:
        pytest.skip("these images are in the large set only")


def test_from_images_to_the_recorded_loss_and_back_through_the_encoder(
    reference: VideoGuidance, recorded: dict[str, Tensor], cases: dict[str, Any], text: Tensor
) -> None:
    needs_images(recorded)
    rgb, c2w = recorded["rgb"].clone().requires_grad_(), recorded["c2w"].clone()
    draws = DistillationDraws(
        recorded["call.rng.00.vae_posterior"],
        recorded["call.rng.01.torch.randint"],
        recorded["call.rng.02.torch.randn_like"].transpose(2, 3),
    )
    result, videos = reference(rgb, text, c2w, draws=draws, **SETTINGS)
    result.loss.backward()
    assert abs(result.loss.item() / cases["call"]["loss_sds"] - 1) < 1e-5
    assert rgb.grad is not None
    assert relative(rgb.grad, recorded["call.grad_rgb"]) < 1e-3
    assert torch.equal(c2w, recorded["c2w"]), "the original normalises the caller's cameras in place"
    assert videos == {}


def test_conditions_are_the_recorded_ones(reference: VideoGuidance, recorded: dict[str, Tensor], text: Tensor) -> None:
    needs_images(recorded)
    conditions = reference.conditions(reference.first_frames(recorded["rgb"]), text, recorded["c2w"])
    torch.testing.assert_close(conditions.image, recorded["call.image_embeds"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(conditions.camera, recorded["get_camera_cond"])


# What holds for any model


@pytest.fixture(scope="module")
def tiny() -> VideoGuidance:
    return VideoGuidance(tiny_pipeline(), views=2, frames=3)


def orbit(samples: int) -> dict[str, Tensor]:
    """Inputs of a call with ``samples`` samples of 2 views and 3 frames."""
    count = samples * 2 * 3
    c2w = torch.eye(4).repeat(count, 1, 1)
    c2w[:, :3, 3] = torch.randn(count, 3)
    return {"rgb": torch.rand(count, 64, 64, 3), "text": torch.randn(2 * samples * 2, 77, 32), "c2w": c2w}


def test_two_samples_give_the_mean_of_each_alone(tiny: VideoGuidance) -> None:
    """The original can only take one."""
    both = orbit(2)
    draws = DistillationDraws(torch.randn(12, 4, 8, 8), torch.tensor([30, 170]), torch.randn(2, 2, 2, 4, 8, 8))
    together, _ = tiny(**both, draws=draws, **SETTINGS)
    alone = []
    for i in range(2):
        images, views = slice(6 * i, 6 * i + 6), slice(2 * i, 2 * i + 2)
        text = torch.cat([half[views] for half in both["text"].chunk(2)])
        one = DistillationDraws(draws.posterior[images], draws.timesteps[i : i + 1], draws.noise[i : i + 1])  # type: ignore[index]
        alone.append(tiny(both["rgb"][images], text, both["c2w"][images], draws=one, **SETTINGS)[0].loss)
    torch.testing.assert_close(together.loss, torch.stack(alone).mean(), rtol=1e-5, atol=0)


def test_draws_stay_inside_the_range_and_the_models_get_no_gradient(tiny: VideoGuidance) -> None:
    drawn = torch.cat([tiny._timesteps(64, (0.02, 0.03)) for _ in range(4)])
    assert drawn.min() == 20 and drawn.max() == 30
    inputs = orbit(1)
    tiny(inputs["rgb"].requires_grad_(), inputs["text"], inputs["c2w"], **SETTINGS)[0].loss.backward()
    assert inputs["rgb"].grad is not None and inputs["rgb"].grad.isfinite().all()
    assert not inputs["rgb"].grad[[0, 3]].any(), "frame 0 is given"
    models = (tiny.pipeline.unet, tiny.pipeline.vae, tiny.pipeline.image_encoder)
    assert not any(parameter.requires_grad for model in models for parameter in model.parameters())


def test_evaluation_shows_what_the_model_sees(tiny: VideoGuidance) -> None:
    _, videos = tiny(**orbit(2), evaluate=True, **SETTINGS)
    assert set(videos) == {"noisy", "one_step", "denoised"}
    for video in videos.values():
        assert video.shape == (2, 3, 3, 64, 64)
        assert video.min() >= 0 and video.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rgb": torch.rand(5, 64, 64, 3)}, "got 5 images; it needs whole samples of 2 views x 3 frames = 6"),
        ({"text": torch.rand(3, 77, 32)}, "3 text embeddings for 2 views"),
        ({"step_range": (0.5, 0.2)}, "min_step_percent <= max_step_percent"),
        ({"step_range": (0.5, 1.0)}, "max_step_percent < 1"),
    ],
)
def test_unusable_inputs_are_named(tiny: VideoGuidance, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        tiny(**{**orbit(1), **SETTINGS, **change})
    assert message in str(error.value)


def test_unusable_sizes_are_named(tiny: VideoGuidance) -> None:
    with pytest.raises(InputError, match="at least 2 frames"):
        VideoGuidance(tiny.pipeline, views=2, frames=1)
    with pytest.raises(InputError, match="multiple of 64"):
        VideoGuidance(tiny.pipeline, views=2, frames=3, image_size=100)


# Mathematics


def exact_prior(video: Tensor) -> Any:
    """The predictor of a model that knows one video only: the noise that is left when it is taken away."""

    def predict(noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        alpha = SCHEDULE[timesteps][:, None, None, None, None, None]
        noise = (noisy - alpha.sqrt() * video) / (1 - alpha).sqrt()
        noise[:, :, 0] = 0
        return noise, noise

    return predict


@pytest.mark.parametrize("std_rescale", [0.0, 0.25])
def test_distillation_walks_to_the_video_of_an_exact_prior(std_rescale: float) -> None:
    """Fifty steps, each closer to the video that the prior knows; frame 0 stays."""
    video, start = torch.randn(2, 1, 3, 5, 4, 6, 6)
    latents = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([latents], lr=1.0)
    distances = [(latents - video)[:, :, 1:].norm().item()]
    for _ in range(50):
        optimizer.zero_grad()
        noise, timesteps = torch.randn_like(video[:, :, 1:]), torch.randint(20, 201, (1,))
        result = distill(
            latents,
            noise,
            timesteps,
            exact_prior(video),
            SCHEDULE,
            guidance_scale=5.0,
            std_rescale=std_rescale,
        )
        result.loss.backward()
        optimizer.step()
        distances.append((latents - video).detach()[:, :, 1:].norm().item())
    assert all(after < before for before, after in itertools.pairwise(distances))
    assert distances[-1] < 0.1 * distances[0]
    assert torch.equal(latents[:, :, 0], start[:, :, 0])


def test_images_walk_to_the_video_of_an_exact_prior_through_the_encoder(
    tiny: VideoGuidance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with the gradient that a renderer gets: through the image encoder."""
    inputs = orbit(1)
    with torch.no_grad():
        target = tiny.encode(torch.rand(6, 64, 64, 3), torch.zeros(6, 4, 8, 8)).unflatten(0, (1, 2, 3))
    monkeypatch.setattr(tiny, "predictor", lambda conditions: exact_prior(target))
    rgb = inputs["rgb"].requires_grad_()
    optimizer = torch.optim.SGD([rgb], lr=0.2)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        draws = DistillationDraws(posterior=torch.zeros(6, 4, 8, 8))
        result, _ = tiny(rgb, inputs["text"], inputs["c2w"], draws=draws, **SETTINGS)
        result.loss.backward()
        optimizer.step()
        losses.append(result.loss.item())
    assert all(after < before for before, after in itertools.pairwise(losses)), losses


def test_the_loss_is_zero_at_the_video_the_prior_knows() -> None:
    video = torch.randn(1, 2, 3, 4, 5, 5)
    noise, timesteps = torch.randn_like(video[:, :, 1:]), torch.tensor([100])
    result = distill(video, noise, timesteps, exact_prior(video), SCHEDULE, guidance_scale=5.0, std_rescale=0.25)
    assert result.loss < 1e-9
    torch.testing.assert_close(result.target, video, atol=1e-5, rtol=0)


def test_the_loss_is_half_the_squared_distance_per_image_of_the_judged_frames() -> None:
    latents, video = torch.zeros(2, 3, 4, 1, 1, 1), torch.ones(2, 3, 4, 1, 1, 1)
    noise, timesteps = torch.randn_like(video[:, :, 1:]), torch.tensor([20, 200])
    result = distill(latents, noise, timesteps, exact_prior(video), SCHEDULE, guidance_scale=5.0, std_rescale=0.0)
    torch.testing.assert_close(result.loss, torch.tensor(0.5))


def test_an_exact_prior_denoises_completely_to_its_video() -> None:
    video = torch.randn(2, 2, 3, 4, 5, 5)
    timesteps = torch.tensor([37, 200])
    noisy = add_noise(video, torch.randn_like(video[:, :, 1:]), timesteps, SCHEDULE)
    torch.testing.assert_close(denoise(noisy, timesteps, exact_prior(video), SCHEDULE, 5.0), video, atol=1e-4, rtol=0)


def test_noise_and_its_removal_are_inverse_and_leave_frame_0() -> None:
    clean, noise = torch.randn(2, 3, 4, 2, 2, 2), torch.randn(2, 3, 3, 2, 2, 2)
    timesteps = torch.tensor([20, 200])
    noisy = add_noise(clean, noise, timesteps, SCHEDULE)
    assert torch.equal(noisy[:, :, 0], clean[:, :, 0])
    full = torch.cat([torch.zeros_like(noise[:, :, :1]), noise], dim=2)
    torch.testing.assert_close(clean_latents(noisy, full, timesteps, SCHEDULE), clean, atol=1e-5, rtol=0)


def test_guidance_starts_from_the_conditional_prediction() -> None:
    assert guided(torch.tensor(2.0), torch.tensor(1.0), 5.0) == 7.0


def test_rescaling_takes_over_the_spread_of_each_sample() -> None:
    latents, reference = 3 * torch.randn(2, 2, 3, 4, 5, 5), torch.randn(2, 2, 3, 4, 5, 5)
    moved = rescaled(latents, reference, 1.0)
    for i in range(2):
        torch.testing.assert_close(moved[i, :, 1:].std(), reference[i, :, 1:].std())
    assert torch.equal(moved[:, :, 0], latents[:, :, 0])
    torch.testing.assert_close(rescaled(latents, reference, 0.0), latents)
