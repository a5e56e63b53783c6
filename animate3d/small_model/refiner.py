"""Training of the autoencoder's refiner: clean images from latents as a sampler leaves them."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss
from tqdm import tqdm, trange

from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training.draws import draw
from animate3d.mvvdm.training.encode import Encoder
from animate3d.mvvdm.training.loss import predict
from animate3d.small_model.clips import Clips
from animate3d.small_model.half import half_products

MOST_NOISE = 0.3
"""Deviation of the noise on scaled latents: a sampler's latents are never clean."""
LAST_TIMESTEPS = (20, 260)
"""Noise levels of a sampler's last step, which decides the errors of its result; 125 with eight steps."""


@torch.no_grad()
def estimated_latents(pipeline: MultiViewVideoPipeline, clips: Clips, seed: int = 0) -> Tensor:
    """Unscaled latents ``[N, V, F, C, h, w]`` with the UNet's own kind of errors: one-step estimates of noisy clips.

    Those of frame 0 are exact.
    """
    encoder, scheduler = Encoder(pipeline), pipeline.scheduler
    scale = pipeline.vae.config["scaling_factor"]
    generator = torch.Generator().manual_seed(seed)
    found: list[Tensor] = []
    for pixels, text, camera in tqdm(
        zip(clips.pixels, clips.texts, clips.cameras, strict=True), total=len(clips.texts), desc="estimates"
    ):
        views, frames, _, height, width = pixels.shape
        channels, factor = pipeline.vae.config["latent_channels"], pipeline.vae_scale_factor
        latents = (views, frames, channels, height // factor, width // factor)
        timesteps = torch.randint(*LAST_TIMESTEPS, (1,), generator=generator)
        draws = draw(seed, len(found), [0], latents, train_timesteps=1, text_dropout=0)
        clip = pixels.float() / 127.5 - 1
        batch = encoder(clip[None], [text], camera[None], dataclasses.replace(draws, timesteps=timesteps))
        with half_products(batch.latents.device):
            velocity = predict(pipeline.unet, batch, scheduler)[:, :, :, 1:].float()
        alpha = scheduler.alphas_cumprod[timesteps]
        noisy = scheduler.add_noise(batch.latents[:, :, :, 1:], batch.noise, timesteps)
        clean = alpha.sqrt() * noisy - (1 - alpha).sqrt() * velocity
        found.append(torch.cat([batch.latents[:, :, :, :1], clean], dim=3)[0].transpose(1, 2) / scale)
    return torch.stack(found)


def train_refiner(
    autoencoder: PatchAutoencoder,
    clips: Clips,
    estimates: Tensor | None = None,
    *,
    steps: int = 2000,
    batch: int = 16,
    seed: int = 0,
) -> dict[str, float]:
    """Train the refiner in place; returns PSNR (dB) without and with it on clean latents of these images.

    Args:
        estimates: of `estimated_latents`, of the first clips: half of every batch; the other half, or all of it, has
            Gaussian noise.
    """
    assert autoencoder.refiner is not None
    generator = torch.Generator().manual_seed(seed)
    scale = autoencoder.config["scaling_factor"]
    autoencoder.requires_grad_(False)
    autoencoder.refiner.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(autoencoder.refiner.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.05)
    count = clips.pixels.flatten(0, 2).shape[0]
    for _ in (bar := trange(steps, desc="refiner")):
        index = torch.randint(count, (batch,), generator=generator)
        if estimates is not None:
            index[: batch // 2] %= estimates.flatten(0, 2).shape[0]
        images = clips.images(index)
        latents = autoencoder.encode(images).latent_dist.mean
        noise = torch.randn(latents.shape, generator=generator) / scale
        latents = latents + MOST_NOISE * torch.rand(batch, 1, 1, 1, generator=generator) * noise
        if estimates is not None:
            latents[: batch // 2] = estimates.flatten(0, 2)[index[: batch // 2]]
        with half_products(latents.device):
            decoded = autoencoder.decode(latents).sample.float()
        loss = l1_loss(decoded, images) + 2 * mse_loss(decoded, images)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(autoencoder.refiner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.4f}")
    autoencoder.refiner.eval()
    return decoding_quality(autoencoder, clips)


@torch.no_grad()
def decoding_quality(autoencoder: PatchAutoencoder, clips: Clips) -> dict[str, float]:
    """PSNR (dB) of 256 decoded images, without and with the refiner."""
    count = clips.pixels.flatten(0, 2).shape[0]
    shown = clips.images(torch.linspace(0, count - 1, min(256, count)).long())
    latents = autoencoder.encode(shown).latent_dist.mean
    decoded = {"linear": autoencoder.unproject(latents), "refined": autoencoder.decode(latents).sample}
    return {
        name: round(float(-10 * (image.clamp(-1, 1) - shown).square().mean().div(4).log10()), 2)
        for name, image in decoded.items()
    }
