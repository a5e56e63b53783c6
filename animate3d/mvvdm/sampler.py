"""How videos are sampled, from the command line to the pipeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplerSettings:
    """Settings of the sampler; the defaults are the released model's and stand here only.

    Attributes:
        steps: denoising steps of a round.
        guidance_scale: strength of the prompt; 1 turns guidance off.
        guided_steps: steps of a round, the first ones, that have guidance; None for all. What happens is decided early.
        freeinit_num_iters: rounds of FreeInit; 0 turns it off.
        size: height in pixels.
        width: in pixels; None for square videos.
        frames: of every video, the image included.
        context_length: frames that the model was trained with; longer videos are made of windows of so many.
        seed: of all random numbers.
    """

    steps: int = 25
    guidance_scale: float = 7.5
    guided_steps: int | None = None
    freeinit_num_iters: int = 3
    size: int = 256
    width: int | None = None
    frames: int = 16
    context_length: int = 16
    seed: int = 8673


RELEASED = SamplerSettings()
"""What the released model is used with."""
