"""Models that predict velocities: training, sampling and distillation agree with those that predict noise."""

from __future__ import annotations

import types

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn

from animate3d.errors import InputError
from animate3d.mvvdm.guidance import Conditions, VideoGuidance
from animate3d.mvvdm.tiny import NOISE_SCHEDULE, tiny_pipeline
from animate3d.mvvdm.training.loss import Denoising, denoising_loss, noisy_latents, target

VIEWS = 2


def scheduler(prediction: str) -> DDIMScheduler:
    return DDIMScheduler(**{**NOISE_SCHEDULE, "prediction_type": prediction})


def batch() -> Denoising:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return Denoising(
        latents=normal(3, VIEWS, 4, 5, 6, 6),
        noise=normal(3, VIEWS, 4, 4, 6, 6),
        timesteps=torch.tensor([20, 500, 900]),
        text=normal(3, 5, 8),
        image_embeds=normal(3, VIEWS, 6),
        camera=normal(3, VIEWS, 16),
    )


class Says(nn.Module):
    """A model whose answer is a function of its noisy latents."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, sample: Tensor, timesteps: Tensor, *args: object, **kwargs: object) -> tuple[Tensor]:
        return (self.answer(sample, timesteps),)  # type: ignore[operator]


def levels(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    alpha = scheduler("epsilon").alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
    return alpha.sqrt(), (1 - alpha).sqrt()


def test_the_target_is_the_velocity() -> None:
    data = batch()
    signal, sigma = (level[..., None] for level in levels(data.timesteps))
    expected = signal * data.noise - sigma * data.latents[:, :, :, 1:]
    torch.testing.assert_close(target(data, scheduler("v_prediction")), expected)
    assert target(data, scheduler("epsilon")) is data.noise


def test_the_loss_is_that_of_the_noise_weighted_by_the_noise_level() -> None:
    """For one prediction of the clean latents x: v - v' = -(x - x') / σ, e - e' = -(x - x') √ᾱ / σ."""
    data = batch()

    def clean(sample: Tensor) -> Tensor:
        return 0.3 * sample

    def noise(sample: Tensor, timesteps: Tensor) -> Tensor:
        signal, sigma = levels(timesteps)
        return (sample - signal * clean(sample)) / sigma

    def velocity(sample: Tensor, timesteps: Tensor) -> Tensor:
        signal, sigma = levels(timesteps)
        return signal * noise(sample, timesteps) - sigma * clean(sample)

    for index in range(3):
        fields = ("latents", "noise", "timesteps", "text", "image_embeds", "camera")
        one = Denoising(**{name: getattr(data, name)[index : index + 1] for name in fields})
        by_noise = denoising_loss(Says(noise), one, scheduler("epsilon"))
        by_velocity = denoising_loss(Says(velocity), one, scheduler("v_prediction"))
        signal, _ = levels(one.timesteps)
        assert float(by_velocity) == pytest.approx(float(by_noise / signal.square()), rel=1e-3)


def test_sampling_with_the_true_velocity_finds_the_clean_latents() -> None:
    settings = {**NOISE_SCHEDULE, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    sampler = DDIMScheduler(**settings)
    sampler.set_timesteps(8)
    clean = torch.randn(2, 4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    sample = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    for timestep in sampler.timesteps:
        signal, sigma = levels(timestep[None])
        noise = (sample - signal * clean) / sigma
        sample = sampler.step(signal * noise - sigma * clean, timestep, sample).prev_sample
    torch.testing.assert_close(sample, clean, atol=5e-2, rtol=0)


def test_the_guidance_gets_noise_from_a_velocity() -> None:
    data, schedule = batch(), scheduler("v_prediction")
    pipeline = tiny_pipeline()
    pipeline.register_modules(scheduler=schedule)
    guidance = VideoGuidance(pipeline, VIEWS, 5, image_size=64)
    clean = data.latents.transpose(2, 3)  # [B, V, F, C, h, w]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    signal, sigma = (level[..., None] for level in levels(data.timesteps))
    noisy = signal * clean + sigma * noise

    def velocity(sample: Tensor, timesteps: Tensor, *args: object, **kwargs: object) -> tuple[Tensor]:
        return ((signal * noise - sigma * clean).flatten(0, 1).transpose(1, 2),)

    fake = type("Fake", (), {"__call__": staticmethod(velocity), "parameters": lambda self: iter([torch.zeros(1)])})
    guidance.pipeline = types.SimpleNamespace(unet=fake(), scheduler=schedule)  # type: ignore[assignment]
    rows = 3 * VIEWS
    conditions = Conditions(torch.zeros(rows, 5, 8), torch.zeros(rows, 5, 8), torch.zeros(rows, 6), None)
    for answer in guidance.predictor(conditions)(noisy, data.timesteps):
        torch.testing.assert_close(answer, noise, atol=1e-4, rtol=0)


def test_the_guidance_refuses_what_it_cannot_convert() -> None:
    pipeline = tiny_pipeline()
    pipeline.register_modules(scheduler=scheduler("sample"))
    with pytest.raises(InputError, match="this one: sample"):
        VideoGuidance(pipeline, VIEWS, 5, image_size=64)


def test_noisy_latents_do_not_depend_on_what_is_predicted() -> None:
    data = batch()
    assert torch.equal(noisy_latents(data, scheduler("epsilon")), noisy_latents(data, scheduler("v_prediction")))
