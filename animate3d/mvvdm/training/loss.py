"""The training objective as functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss


@dataclass(frozen=True)
class Denoising:
    """One batch of the denoising task. B samples, V views, F frames, C latent channels.

    Attributes:
        latents: ``[B, V, C, F, h, w]`` clean, scaled.
        noise: ``[B, V, C, F-1, h, w]`` Gaussian; frame 0 gets none.
        timesteps: ``[B]`` one for all views and frames of a sample.
        text: ``[B, 77, D]`` text embeddings.
        image_embeds: ``[B, V, E]`` of frame 0 of every view.
        camera: ``[B, V, 16]``
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: Tensor
    image_embeds: Tensor
    camera: Tensor


def noisy_latents(batch: Denoising, scheduler: Any) -> Tensor:
    """Clean frame 0, noisy later frames. ``[(b v), C, F, h, w]``"""
    clean = batch.latents.flatten(0, 1)
    noise = batch.noise.flatten(0, 1)
    timesteps = batch.timesteps.repeat_interleave(batch.latents.shape[1])
    return torch.cat([clean[:, :, :1], scheduler.add_noise(clean[:, :, 1:], noise, timesteps)], dim=2)


def call(unet: nn.Module, batch: Denoising, scheduler: Any, **flags: bool) -> tuple[Any, ...]:
    """What the model returns for a batch; its prediction, ``[(b v), C, F, h, w]``, comes first."""
    views = batch.latents.shape[1]
    return unet(
        noisy_latents(batch, scheduler),
        batch.timesteps.repeat_interleave(views),
        batch.text.repeat_interleave(views, dim=0),
        camera=batch.camera.flatten(0, 1),
        added_cond_kwargs={"image_embeds": batch.image_embeds.flatten(0, 1)},
        num_views=views,
        return_dict=False,
        **flags,
    )


def predict(unet: nn.Module, batch: Denoising, scheduler: Any) -> Tensor:
    """What the model says of every frame, frame 0 included. ``[B, V, C, F, h, w]``"""
    return call(unet, batch, scheduler)[0].unflatten(0, (-1, batch.latents.shape[1]))


def target(batch: Denoising, scheduler: Any) -> Tensor:
    """What it should say of the frames after frame 0: the noise, or the velocity √ᾱ noise - √(1-ᾱ) latents.

    ``[B, V, C, F-1, h, w]``
    """
    if scheduler.config["prediction_type"] == "v_prediction":
        return scheduler.get_velocity(batch.latents[:, :, :, 1:], batch.noise, batch.timesteps)
    return batch.noise


def denoising_loss(unet: nn.Module, batch: Denoising, scheduler: Any) -> Tensor:
    """Mean squared error over the frames after frame 0, in float32."""
    return denoising_error(predict(unet, batch, scheduler), batch, scheduler)


def denoising_error(predicted: Tensor, batch: Denoising, scheduler: Any) -> Tensor:
    """Mean squared error of a prediction ``[B, V, C, F, h, w]`` over the frames after frame 0, in float32."""
    return mse_loss(predicted[:, :, :, 1:].float(), target(batch, scheduler).float())
