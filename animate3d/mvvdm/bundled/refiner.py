"""Training of the autoencoder's refiner: clean images from noisy latents."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from tqdm import trange

from animate3d.mvvdm.bundled.clips import Clips
from animate3d.mvvdm.patch_autoencoder import PatchAutoencoder

MOST_NOISE = 0.3
"""Deviation of the noise on latents of unit variance: a sampler's latents are never clean."""


def train_refiner(
    autoencoder: PatchAutoencoder, clips: Clips, *, steps: int = 2000, batch: int = 16, seed: int = 0
) -> dict[str, float]:
    """Train it in place; returns PSNR (dB) without and with it on clean latents of these images."""
    assert autoencoder.refiner is not None
    generator = torch.Generator().manual_seed(seed)
    scale = autoencoder.config["scaling_factor"]
    autoencoder.requires_grad_(False)
    autoencoder.refiner.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(autoencoder.refiner.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.05)
    count = clips.pixels.flatten(0, 2).shape[0]
    for _ in (bar := trange(steps, desc="refiner")):
        images = clips.images(torch.randint(count, (batch,), generator=generator))
        latents = autoencoder.encode(images).latent_dist.mean
        noise = torch.randn(latents.shape, generator=generator) / scale
        deviation = MOST_NOISE * torch.rand(batch, 1, 1, 1, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = autoencoder.decode(latents + deviation * noise).sample.float()
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
def decoding_quality(autoencoder: PatchAutoencoder, clips: Clips, images: int = 256) -> dict[str, float]:
    """PSNR (dB) of decoded images, without and with the refiner."""
    count = clips.pixels.flatten(0, 2).shape[0]
    shown = clips.images(torch.linspace(0, count - 1, min(images, count)).long())
    latents = autoencoder.encode(shown).latent_dist.mean
    decoded = {"linear": autoencoder.unproject(latents), "refined": autoencoder.decode(latents).sample}
    return {
        name: round(float(-10 * (image.clamp(-1, 1) - shown).square().mean().div(4).log10()), 2)
        for name, image in decoded.items()
    }
