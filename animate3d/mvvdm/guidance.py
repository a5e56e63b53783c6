"""4D score distillation: pulls rendered videos towards what the video model makes of them.

In the published code: ``custom/threestudio-animate3d/guidance/animatemv_guidance.py``.

`distill` is the mathematics, on latents and with any noise predictor. `VideoGuidance` puts the models around it: from
rendered images to the loss, with gradient through the image encoder.

Latents are ``[B, V, F, C, h, w]`` here: samples, views, frames. Frame 0 is given and stays clean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from animate3d.errors import InputError
from animate3d.mvvdm.model import encoder
from animate3d.mvvdm.model.camera import normalize_camera
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline

TRAINED_SIZE = 256
"""Pixels of the videos that the released model was trained on."""
ENCODED_AT_ONCE = 16 if torch.cuda.is_available() else 8
"""Images in the autoencoder at a time, which needs far more memory than all the rest."""
EVALUATION_STRIDE = 20
"""Timesteps between the steps that denoise a video completely: 50 steps over the whole schedule."""

Predictor: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Noisy latents ``[B, V, F, C, h, w]`` and timesteps ``[B]`` to the noise with and without the text, same shape."""


# -- mathematics -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Distillation:
    """Result of `distill`; the latents ``[B, V, F, C, h, w]`` carry no gradient.

    Attributes:
        loss: scalar, differentiable in the latents that were given.
        noisy: what the predictor saw.
        noise: its guided prediction.
        target: the clean latents that the loss pulls to; frame 0 is the given one.
    """

    loss: Tensor
    noisy: Tensor
    noise: Tensor
    target: Tensor


def guided(with_text: Tensor, without: Tensor, scale: float) -> Tensor:
    """Guidance as the method's distillation writes it: text + s (text - unconditional).

    The sampler writes unconditional + s (text - unconditional): the same scale is one stronger here.
    """
    return with_text + scale * (with_text - without)


def add_noise(clean: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Latents ``[B, V, F, C, h, w]`` with noise ``[B, V, F-1, C, h, w]`` at timesteps ``[B]``; frame 0 stays clean."""
    signal, sigma = _levels(timesteps, alphas_cumprod, clean)
    return torch.cat([clean[:, :, :1], signal * clean[:, :, 1:] + sigma * noise], dim=2)


def clean_latents(noisy: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """What a predicted noise leaves of noisy latents (DDIM's estimate of the clean ones); frame 0 as given."""
    signal, sigma = _levels(timesteps, alphas_cumprod, noisy)
    estimate = (noisy[:, :, 1:] - sigma * noise[:, :, 1:]) / signal
    return torch.cat([noisy[:, :, :1], estimate], dim=2)


def rescaled(latents: Tensor, reference: Tensor, amount: float) -> Tensor:
    """Move the spread of every sample's frames 1 and later towards the reference's; guidance alone overshoots.

    The amount 0 changes nothing, 1 takes over the reference's standard deviation.
    """
    axes = tuple(range(1, latents.ndim))
    factor = reference[:, :, 1:].std(dim=axes, keepdim=True) / latents[:, :, 1:].std(dim=axes, keepdim=True)
    moved = latents[:, :, 1:] * (amount * factor + (1 - amount))
    return torch.cat([latents[:, :, :1], moved], dim=2)


def distill(
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    predict: Predictor,
    alphas_cumprod: Tensor,
    *,
    guidance_scale: float,
    std_rescale: float,
) -> Distillation:
    """Noise the latents, ask the model what they were, and pull them there.

    Args:
        latents: ``[B, V, F, C, h, w]`` of the rendered videos, with F > 1.
        noise: ``[B, V, F-1, C, h, w]`` standard normal.
        timesteps: ``[B]``
        predict: the model; called without gradient.
        alphas_cumprod: ``[T]`` of the noise schedule.
        guidance_scale: s of `guided`.
        std_rescale: amount of `rescaled`.

    Returns:
        the loss ``½ |latents - target|² / (B V F) · F / (F-1)`` and what led to it.
    """
    batch, views, frames = latents.shape[:3]
    with torch.no_grad():
        alphas_cumprod = alphas_cumprod.to(latents.device)
        noisy = add_noise(latents, noise, timesteps, alphas_cumprod)
        with_text, without = predict(noisy, timesteps)
        prediction = guided(with_text, without, guidance_scale)
        target = clean_latents(noisy, prediction, timesteps, alphas_cumprod)
        if std_rescale:
            reference = clean_latents(noisy, with_text, timesteps, alphas_cumprod)
            target = rescaled(target, reference, std_rescale)
    difference = latents[:, :, 1:] - target[:, :, 1:]
    loss = 0.5 * difference.square().sum() / (batch * views * frames) * (frames / (frames - 1))
    return Distillation(loss, noisy, prediction, target)


def denoise(
    noisy: Tensor, timesteps: Tensor, predict: Predictor, alphas_cumprod: Tensor, guidance_scale: float
) -> Tensor:
    """All the way from noisy to clean latents ``[B, V, F, C, h, w]`` with DDIM, frame 0 as given.

    Samples whose timesteps ``[B]`` start lower simply reach the end earlier.
    """
    alphas_cumprod = alphas_cumprod.to(noisy.device)
    latents, now = noisy, timesteps
    while True:
        prediction = guided(*predict(latents, now), guidance_scale)
        clean = clean_latents(latents, prediction, now, alphas_cumprod)
        if int(now.max()) < EVALUATION_STRIDE:
            return clean
        following = (now - EVALUATION_STRIDE).clamp_min(0)
        latents, now = add_noise(clean, prediction[:, :, 1:], following, alphas_cumprod), following


def _place(model: Any) -> dict[str, Any]:
    """Device and precision of a model by its first weight; diffusers' `dtype` looks at all of them, for 5 ms."""
    weight: Tensor = next(model.parameters())
    return {"device": weight.device, "dtype": weight.dtype}


def _levels(timesteps: Tensor, alphas_cumprod: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """How much of signal and of noise there is, ``[B, 1, 1, 1, 1, 1]``."""
    alpha = alphas_cumprod[timesteps].to(like.dtype)[:, None, None, None, None, None]
    return alpha.sqrt(), (1 - alpha).sqrt()


# -- models ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conditions:
    """What the videos are conditioned on; the rows are (b v).

    Attributes:
        text, without_text: ``[(b v), s, d]``
        image: ``[(b v), e]`` embeddings of frame 0; without text they are zeros.
        camera: ``[(b v), 16]``, or None for a model without cameras.
    """

    text: Tensor
    without_text: Tensor
    image: Tensor
    camera: Tensor | None

    def first_sample(self, views: int) -> Conditions:
        """The conditions of sample 0 alone."""
        camera = None if self.camera is None else self.camera[:views]
        return Conditions(self.text[:views], self.without_text[:views], self.image[:views], camera)


@dataclass(frozen=True)
class DistillationDraws:
    """The random numbers of a call; what is None is drawn.

    Attributes:
        posterior: ``[(b v f), C, h, w]`` of the image autoencoder.
        timesteps: ``[B]``
        noise: ``[B, V, F-1, C, h, w]``
    """

    posterior: Tensor | None = None
    timesteps: Tensor | None = None
    noise: Tensor | None = None


class VideoGuidance:
    """Score distillation from a multi-view video model.

    Args:
        pipeline: the model; its text encoder is not needed and may be None. Its weights are frozen.
        views, frames: V and F.
        image_size: pixels at which the model sees the videos. None: 256, or what the model is made for when that
            is less.

    Raises:
        InputError: sizes that the model cannot take.
    """

    def __init__(
        self, pipeline: MultiViewVideoPipeline, views: int, frames: int, image_size: int | None = None
    ) -> None:
        if frames < 2:
            raise InputError("The guidance needs at least 2 frames: frame 0 is given, the others are judged.")
        self.pipeline, self.views, self.frames = pipeline, views, frames
        own_size = pipeline.unet.config["sample_size"] * pipeline.vae_scale_factor
        predicts = pipeline.scheduler.config["prediction_type"]
        if predicts not in ("epsilon", "v_prediction"):
            raise InputError(f"The guidance is for models that predict epsilon or v_prediction; this one: {predicts}.")
        self.image_size = min(TRAINED_SIZE, own_size) if image_size is None else image_size
        if self.image_size < 1 or self.image_size % pipeline.size_factor:
            raise InputError(
                f"The guidance cannot look at images of {self.image_size} pixels: "
                f"this model needs a multiple of {pipeline.size_factor}."
            )
        for model in (pipeline.unet, pipeline.vae, pipeline.image_encoder):
            model.requires_grad_(False).eval()
        if pipeline.vae.device.type == "cuda":
            pipeline.vae.to(memory_format=torch.channels_last)
        self.alphas_cumprod: Tensor = pipeline.scheduler.alphas_cumprod.float()

    def __call__(
        self,
        rgb: Tensor,
        text: Tensor,
        c2w: Tensor,
        *,
        guidance_scale: float,
        step_range: tuple[float, float],
        std_rescale: float,
        draws: DistillationDraws | None = None,
        evaluate: bool = False,
    ) -> tuple[Distillation, dict[str, Tensor]]:
        """Loss of rendered videos.

        Args:
            rgb: ``[(b v f), H, W, 3]`` in 0..1.
            text: ``[2 (b v), s, d]`` embeddings per view, the conditional ones first.
            c2w: ``[(b v f), 4, 4]`` cameras, OpenGL axes, z up. Not changed.
            guidance_scale, std_rescale: as in `distill`.
            step_range: share of the noise schedule that timesteps are drawn from, both ends included.
            draws: random numbers to use instead of drawing them.
            evaluate: also show sample 0.

        Returns:
            the distillation, and with ``evaluate`` the videos ``[V, F, 3, H, W]`` in 0..1 that the model saw
            ("noisy"), its estimate in one step ("one_step") and completely denoised ("denoised").

        Raises:
            InputError: the number of images is not a multiple of V·F.
        """
        images = self.views * self.frames
        if len(rgb) % images or len(rgb) == 0:
            raise InputError(
                f"The guidance got {len(rgb)} images; it needs whole samples of {self.views} views x {self.frames} "
                f"frames = {images}."
            )
        draws = draws or DistillationDraws()
        shape = (len(rgb) // images, self.views, self.frames)
        with torch.autocast(rgb.device.type, enabled=False):
            rgb = rgb.float()
            # In this order: while the host prepares the image prompts, a GPU encodes.
            first = self.first_frames(rgb)
            latents = self.encode(rgb, draws.posterior).unflatten(0, shape)
            conditions = self.conditions(first, text, c2w)
            timesteps = self._timesteps(shape[0], step_range) if draws.timesteps is None else draws.timesteps
            noise = torch.randn_like(latents[:, :, 1:]) if draws.noise is None else draws.noise
            timesteps, noise = timesteps.to(latents.device), noise.to(latents)
            result = distill(
                latents,
                noise,
                timesteps,
                self.predictor(conditions),
                self.alphas_cumprod,
                guidance_scale=guidance_scale,
                std_rescale=std_rescale,
            )
            shown = self._show(result, timesteps, conditions, guidance_scale) if evaluate else {}
        return result, shown

    def _timesteps(self, batch: int, step_range: tuple[float, float]) -> Tensor:
        count = len(self.alphas_cumprod)
        low, high = (int(count * share) for share in step_range)
        if not 0 <= low <= high < count:
            raise InputError(
                f"Timesteps cannot be drawn from {low} to {high} of {count}: set 0 <= min_step_percent <= "
                "max_step_percent < 1."
            )
        return torch.randint(low, high + 1, (batch,))

    def first_frames(self, rgb: Tensor) -> np.ndarray:
        """Frame 0 of every view in 8 bits, as the images that the model was trained with. uint8 ``[(b v), H, W, 3]``"""
        return (rgb.detach()[:: self.frames].clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()

    @torch.no_grad()
    def conditions(self, first: np.ndarray, text: Tensor, c2w: Tensor) -> Conditions:
        """What the videos are conditioned on, from their `first_frames`; other arguments as in the call."""
        pipeline = self.pipeline
        unet, encoder = _place(pipeline.unet), pipeline.image_encoder
        pixels = pipeline.feature_extractor(images=list(first), return_tensors="pt").pixel_values
        image = encoder(pixels.to(**_place(encoder))).image_embeds.to(**unet)
        camera = None
        if pipeline.unet.config["camera_embedding_dim"] is not None:
            camera = normalize_camera(c2w[:: self.frames].float()).to(**unet)
        if len(text) != 2 * len(image):
            raise InputError(f"{len(text)} text embeddings for {len(image)} views; two are needed for each.")
        with_text, without = text.to(**unet).chunk(2)
        return Conditions(with_text, without, image, camera)

    def encode(self, rgb: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images ``[N, H, W, 3]`` to float32 latents ``[N, C, h, w]``, a draw from the autoencoder's posterior.

        A few images are encoded at a time. With gradient the encoder is computed again in the backward pass; on a GPU
        only its first levels, as many as memory asks for (`animate3d.mvvdm.model.encoder`).
        """
        vae, place = self.pipeline.vae, _place(self.pipeline.vae)
        known = rgb.device.type == "cuda" and encoder.supports(vae)
        recomputed = encoder.levels_to_recompute(vae, len(rgb), self.image_size) if known else 0

        def moments(images: Tensor) -> Tensor:
            images = images.movedim(-1, 1)
            if images.shape[-2:] != (self.image_size, self.image_size):
                images = interpolate(images, (self.image_size, self.image_size), mode="bilinear", align_corners=False)
            pixels = (images * 2 - 1).to(**place)
            if known:
                posterior = DiagonalGaussianDistribution(encoder.moments(vae, pixels, recomputed))
            else:
                posterior = vae.encode(pixels).latent_dist
            return torch.cat([posterior.mean, posterior.std], dim=1).float()

        if not known and rgb.requires_grad and torch.is_grad_enabled():
            parts = [checkpoint(moments, part, use_reentrant=False) for part in rgb.split(ENCODED_AT_ONCE)]
        else:
            parts = [moments(part) for part in rgb.split(ENCODED_AT_ONCE)]
        mean, std = torch.cat(parts).chunk(2, dim=1)
        noise = torch.randn_like(mean) if noise is None else noise.to(mean)
        return (mean + std * noise) * vae.config["scaling_factor"]

    def predictor(self, conditions: Conditions) -> Predictor:
        """The UNet under these conditions, with and without text.

        On a GPU both in one call: one sample alone does not fill it. On the CPU one after the other: half the memory.
        """
        unet, place = self.pipeline.unet, _place(self.pipeline.unet)

        @torch.no_grad()
        def predict(noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
            sample = rearrange(noisy, "b v f c h w -> (b v) c f h w").to(**place)
            rows = timesteps.to(sample.device).repeat_interleave(self.views)
            prompts = [
                (conditions.text, conditions.image),
                (conditions.without_text, torch.zeros_like(conditions.image)),
            ]
            if sample.device.type == "cuda":
                prompts = [cast(tuple[Tensor, Tensor], tuple(map(torch.cat, zip(*prompts, strict=True))))]
            outputs = [
                unet(
                    sample,
                    rows,
                    text,
                    camera=conditions.camera,
                    added_cond_kwargs={"image_embeds": image},
                    num_views=self.views,
                    return_dict=False,
                )[0]
                for text, image in prompts
            ]
            halves = torch.cat(outputs).chunk(2)
            predictions = (rearrange(out, "(b v) c f h w -> b v f c h w", v=self.views).to(noisy) for out in halves)
            with_text, without = (self._noise(out, noisy, timesteps) for out in predictions)
            return with_text, without

        return predict

    def _noise(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The noise that a prediction stands for: a velocity is √ᾱ noise - √(1-ᾱ) latents."""
        if self.pipeline.scheduler.config["prediction_type"] == "epsilon":
            return prediction
        signal, sigma = _levels(timesteps.to(noisy.device), self.alphas_cumprod.to(noisy.device), noisy)
        return signal * prediction + sigma * noisy

    @torch.no_grad()
    def _show(
        self, result: Distillation, timesteps: Tensor, conditions: Conditions, guidance_scale: float
    ) -> dict[str, Tensor]:
        noisy = result.noisy[:1]
        predict = self.predictor(conditions.first_sample(self.views))
        finished = denoise(noisy, timesteps[:1], predict, self.alphas_cumprod, guidance_scale)
        videos = {"noisy": noisy, "one_step": result.target[:1], "denoised": finished}
        return {
            name: self.pipeline.decode_latents(rearrange(video[0], "v f c h w -> v c f h w"))
            for name, video in videos.items()
        }
