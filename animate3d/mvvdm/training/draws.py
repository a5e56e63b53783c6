"""Random numbers of the training, each a function of (seed, step, place in the global batch).

Nothing is carried from step to step, so a resumed run draws what the uninterrupted one would have drawn, and a batch
spread over several processes draws what one process would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Draws:
    """Random numbers of B samples.

    Attributes:
        posterior: ``[B, V, F, C, h, w]`` Gaussian, for the image autoencoder.
        noise: ``[B, V, C, F-1, h, w]`` Gaussian.
        timesteps: ``[B]``
        drop_text: ``[B]`` bool.
    """

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor
    drop_text: Tensor


def generator(*key: int) -> Generator:
    """A CPU generator for a key of non-negative numbers; different keys give unrelated streams."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def draw(
    seed: int,
    step: int,
    places: list[int],
    latents: tuple[int, int, int, int, int],
    *,
    train_timesteps: int,
    text_dropout: float,
    strata: int = 1,
) -> Draws:
    """Draw for the samples at ``places`` of the global batch.

    Args:
        step: number of the forward pass, counted over the whole training.
        places: one per sample of this process.
        latents: ``(V, F, C, h, w)``
        train_timesteps: timesteps are drawn below this.
        text_dropout: probability of an empty prompt.
        strata: equal parts of the timesteps; the sample at place p draws from part p modulo their number.
    """
    views, frames, channels, height, width = latents
    generators = [generator(seed, step, place) for place in places]
    bounds = [part * train_timesteps // strata for part in range(strata + 1)]
    parts = [(bounds[place % strata], bounds[place % strata + 1]) for place in places]
    # On the CPU, so that the numbers are the same on every device.
    return Draws(
        timesteps=torch.cat(
            [torch.randint(*part, (1,), generator=g) for part, g in zip(parts, generators, strict=True)]
        ),
        drop_text=torch.cat([torch.rand(1, generator=g) for g in generators]) < text_dropout,
        noise=torch.stack([torch.randn(views, channels, frames - 1, height, width, generator=g) for g in generators]),
        posterior=torch.stack([torch.randn(latents, generator=g) for g in generators]),
    )
