"""How videos are sampled, from the command line to the pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from animate3d.errors import InputError

LARGEST_SEED = 2**32 - 1
"""Of what numpy, torch and the host of the fits take, the least: that is numpy's ``seed``."""


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

    Raises:
        InputError: no videos can be made so.
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

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise InputError(f"A video needs at least 2 frames, got {self.frames}.")
        if self.steps < 1:
            raise InputError(f"The denoising steps must be at least 1, got {self.steps}.")
        for pixels in (self.size, self.width):
            if pixels is not None and (pixels < 1 or pixels % 8):
                raise InputError(f"The size of the videos must be a multiple of 8 pixels, at least 8, got {pixels}.")
        if not math.isfinite(self.guidance_scale):
            raise InputError(f"The guidance scale must be a number, got {self.guidance_scale}.")
        if self.freeinit_num_iters < 0:
            raise InputError(
                f"The rounds of FreeInit must be at least 0, which turns it off, got {self.freeinit_num_iters}."
            )


RELEASED = SamplerSettings()
"""What the released model is used with."""
