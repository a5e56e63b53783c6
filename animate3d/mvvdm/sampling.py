"""The options of a call of `MultiViewVideoPipeline`, named as diffusers' pipelines name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from animate3d.mvvdm.noise import Generators
from animate3d.mvvdm.sampler import RELEASED
from animate3d.mvvdm.windows import Continuation, WeightingScheme

OutputType: TypeAlias = Literal["pil", "np", "pt", "latent"]


@dataclass(kw_only=True)
class SamplingOptions:
    """How videos are sampled.

    Attributes:
        num_frames: F, with the image as frame 0.
        context_length: frames, the image included, that the model sees at once; longer videos are made of windows of so
            many (`animate3d.mvvdm.windows`). None for the whole video in one.
        context_stride: frames from a window to the next; half of a window when None.
        weighting_scheme: "pyramid": what a window says of its middle counts most; "flat": all alike.
        continuation: how a motion goes on behind a window: "free", "cycle" or "return". None for what the motion tells
            where the model knows the numbers of frames, else "free".
        height, width: pixels; None for the size the model was trained with.
        num_inference_steps: denoising steps per round.
        guidance_scale: 1 or less turns guidance off and halves the time.
        guided_steps: as in `SamplerSettings`.
        negative_prompt: what to avoid; empty when None.
        eta: of DDIM; other schedulers ignore it.
        generator: one for all, or one per object: a sample then does not depend on what it is batched with. All
            random numbers come from it, the image autoencoder's too.
        latents: starting noise ``[(b v), c, f-1, h, w]`` of frames 1 and later.
        prompt_embeds, negative_prompt_embeds: ``[B, 77, D]`` instead of the prompts.
        camera: ``[V, 16]`` or ``[B, V, 16]`` from `animate3d.mvvdm.model.camera`; None for V even steps around the
            object from ``azimuth_start`` at ``elevation`` (degrees).
        i2v_similarity_init: ``{"strength": s, "origin_prob": p}``: start the first round from frame 0 with noise
            of strength s, a share p of its values without noise.
        sequential_guidance: predict the two halves of guidance one after the other: half the memory, same result.
        decode_chunk_size: images decoded at a time.
        output_type: see `animate3d.mvvdm.pipeline.MultiViewVideoOutput`.
        callback_on_step_end: called with (pipeline, step, timestep, tensors); may return tensors to replace.
        callback_on_step_end_tensor_inputs: tensors it is given, of ``latents``, ``prompt_embeds``, ``first_frame``.
    """

    num_frames: int = RELEASED.frames
    context_length: int | None = None
    context_stride: int | None = None
    weighting_scheme: WeightingScheme = "pyramid"
    continuation: Continuation | None = None
    height: int | None = None
    width: int | None = None
    num_inference_steps: int = RELEASED.steps
    guidance_scale: float = RELEASED.guidance_scale
    guided_steps: int | None = RELEASED.guided_steps
    negative_prompt: str | Sequence[str] | None = None
    eta: float = 0.0
    generator: Generators = None
    latents: Tensor | None = None
    prompt_embeds: Tensor | None = None
    negative_prompt_embeds: Tensor | None = None
    camera: Tensor | None = None
    elevation: float = 15.0
    azimuth_start: float = 0.0
    i2v_similarity_init: dict[str, float] | None = None
    sequential_guidance: bool = False
    decode_chunk_size: int = 16
    output_type: OutputType = "pil"
    callback_on_step_end: Callable[..., dict[str, Any]] | None = None
    callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",)


def converted(frames: Tensor, output_type: OutputType) -> Any:
    """Frames ``[B, V, F, 3, H, W]`` 0..1 in the form that a call asks for, as `MultiViewVideoOutput` says."""
    if output_type == "pt":
        return frames
    array = frames.movedim(3, -1).cpu().numpy()
    if output_type == "np":
        return array
    pixels = (array * 255).round().astype(np.uint8)
    return [[[Image.fromarray(image) for image in view] for view in sample] for sample in pixels]
