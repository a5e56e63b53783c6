"""`MultiViewVideoPipeline`: four images and a sentence to four synchronised videos."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.free_init_utils import FreeInitMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, StableDiffusionMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.outputs import BaseOutput
from PIL import Image
from torch import Generator, Tensor
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection
from transformers.image_processing_utils import BaseImageProcessor

from animate3d.errors import InputError
from animate3d.mvvdm.conditions import group_images, prepare_images, to_tensor
from animate3d.mvvdm.free_init import low_pass, mix_frequencies
from animate3d.mvvdm.model.camera import get_camera
from animate3d.mvvdm.model.origins import Origins, paint
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.noise import Generators, generator_list, normal, uniform
from animate3d.mvvdm.sampler import RELEASED

logger = logging.getLogger(__name__)

ORIGIN_TIMESTEP = 400
"""Noise at which origins are read, for models that have them: it hides the sampled pattern and leaves the shape."""

OutputType: TypeAlias = Literal["pil", "np", "pt", "latent"]


@dataclass
class MultiViewVideoOutput(BaseOutput):
    """Result of `MultiViewVideoPipeline`.

    Attributes:
        frames: by output type: ``pil`` nested lists [B][V][F] of images; ``np`` ``[B, V, F, H, W, 3]`` and ``pt``
            ``[B, V, F, 3, H, W]`` float in 0..1; ``latent`` ``[(b v), c, f, h, w]``.
    """

    frames: Any


@dataclass
class _Conditions:
    """What the UNet needs besides latents; the rows are (b v), with guidance the unconditional ones first."""

    text: Tensor
    image: Tensor
    camera: Tensor | None


class MultiViewVideoPipeline(DiffusionPipeline, StableDiffusionMixin, FreeInitMixin):
    """Multi-view video diffusion, a diffusers pipeline.

    ``from_pretrained`` and ``save_pretrained`` work with one self-contained folder; `animate3d.mvvdm.convert` makes
    it from the released parts. FreeInit is off until `enable_free_init`.
    """

    model_cpu_offload_seq: Any = "text_encoder->image_encoder->unet->vae"
    _callback_tensor_inputs = ("latents", "prompt_embeds", "first_frame")
    _guidance_scale = 1.0
    _interrupt = False
    _num_timesteps = 0

    # Set by diffusers from the arguments of __init__; its classes are not typed.
    vae: Any
    text_encoder: Any
    tokenizer: Any
    unet: Any
    scheduler: Any
    feature_extractor: Any
    image_encoder: Any
    _free_init_method: Any

    def __init__(
        self,
        vae: AutoencoderKL | PatchAutoencoder,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: MultiViewUNet,
        scheduler: SchedulerMixin,
        feature_extractor: BaseImageProcessor,
        image_encoder: CLIPVisionModelWithProjection,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )

    def set_use_memory_efficient_attention_xformers(
        self, valid: bool, attention_op: Callable[..., Any] | None = None
    ) -> None:
        """Select xformers for the UNet and the autoencoder.

        diffusers' own version walks on into the UNet's layers and replaces their processors, and with them the model.
        """
        for model in (self.unet, self.vae):
            model.set_use_memory_efficient_attention_xformers(valid, attention_op)

    # -- state that callbacks and callers read -----------------------------------------------------------------------

    @property
    def vae_scale_factor(self) -> int:
        """Pixels per latent."""
        config = self.vae.config
        return config["patch_size"] if "patch_size" in config else 2 ** (len(config["block_out_channels"]) - 1)

    @property
    def size_factor(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.vae_scale_factor * 2 ** (len(self.unet.config["block_out_channels"]) - 1)

    @property
    def guidance_scale(self) -> float:
        """Of the call that runs."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the call that runs predicts twice per step."""
        return self._guidance_scale > 1

    @property
    def num_timesteps(self) -> int:
        """Steps of the round that runs."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Set to True in a callback to skip the steps that remain; the call returns what there is."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, value: bool) -> None:
        self._interrupt = value

    # -- call --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        images: Sequence[Image.Image] | Sequence[Sequence[Image.Image]] = (),
        *,
        num_frames: int = RELEASED.frames,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = RELEASED.steps,
        guidance_scale: float = RELEASED.guidance_scale,
        negative_prompt: str | Sequence[str] | None = None,
        eta: float = 0.0,
        generator: Generators = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        camera: Tensor | None = None,
        elevation: float = 15.0,
        azimuth_start: float = 0.0,
        i2v_similarity_init: dict[str, float] | None = None,
        sequential_guidance: bool = False,
        decode_chunk_size: int = 16,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MultiViewVideoOutput | tuple[Any]:
        """Generate V synchronised videos of each object.

        Args:
            prompt: what happens; one per object, or one for all.
            images: the V images of an object, in the order of the views, or a list of such lists. RGB or RGBA.
            num_frames: F, with the image as frame 0.
            height, width: pixels; by default the size the model was trained with.
            num_inference_steps: denoising steps per round.
            guidance_scale: 1 or less turns guidance off and halves the time.
            negative_prompt: what to avoid; empty when None.
            eta: of DDIM; other schedulers ignore it.
            generator: one for all, or one per object: a sample then does not depend on what it is batched with. All
                random numbers come from it, the image autoencoder's too.
            latents: starting noise ``[(b v), c, f-1, h, w]`` of frames 1 and later.
            prompt_embeds, negative_prompt_embeds: ``[B, 77, D]`` instead of the prompts.
            camera: ``[V, 16]`` or ``[B, V, 16]`` from `animate3d.mvvdm.model.camera`; otherwise V even steps around the
                object from ``azimuth_start`` at ``elevation`` (degrees).
            i2v_similarity_init: ``{"strength": s, "origin_prob": p}``: start the first round from frame 0 with noise
                of strength s, a share p of its values without noise.
            sequential_guidance: predict the two halves of guidance one after the other: half the memory, same result.
            decode_chunk_size: images decoded at a time.
            output_type: see `MultiViewVideoOutput`.
            callback_on_step_end: called with (pipeline, step, timestep, tensors); may return tensors to replace.
            callback_on_step_end_tensor_inputs: tensors it is given, of ``latents``, ``prompt_embeds``,
                ``first_frame``.

        Raises:
            InputError: something about the arguments, named.
        """
        groups = group_images(images)
        batch, views = len(groups), len(groups[0])
        height, width = self._size(height), self._size(width)
        self._check(num_frames, height, width, output_type, callback_on_step_end_tensor_inputs)
        paints = output_type != "latent" and self._finds_origins(views)
        generators = generator_list(generator, batch)
        self._guidance_scale, self._interrupt = guidance_scale, False

        flat = prepare_images([image for group in groups for image in group], height, width)
        pixels = to_tensor(flat, height, width)
        text = self.encode_prompt(prompt, negative_prompt, batch, prompt_embeds, negative_prompt_embeds)
        conditions = _Conditions(
            text.repeat_interleave(views, dim=0),
            self._image_embeds(flat),
            self._cameras(camera, batch, views, elevation, azimuth_start),
        )
        first_frame = encoded = self.encode_images(pixels, generators)[:, :, None]
        timesteps = self._set_timesteps(num_inference_steps, 0)
        noise, start, timesteps = self._start(
            first_frame, num_frames, timesteps, generators, latents, i2v_similarity_init
        )
        extra: dict[str, Any] = {"eta": eta} if "eta" in inspect.signature(self.scheduler.step).parameters else {}
        if "generator" in inspect.signature(self.scheduler.step).parameters and isinstance(generator, Generator):
            extra["generator"] = generator

        sample = start
        for repeat in range(self._free_init_num_iters if self.free_init_enabled else 1):
            if repeat:
                sample = self._renoise(sample, noise, generators)
                timesteps = self._set_timesteps(num_inference_steps, repeat)
            self._num_timesteps = len(timesteps)
            with self.progress_bar(total=len(timesteps)) as progress:
                for index, timestep in enumerate(timesteps):
                    if self.interrupt:
                        break
                    prediction = self._predict(sample, first_frame, timestep, conditions, views, sequential_guidance)
                    sample = self.scheduler.step(prediction, timestep, sample, **extra).prev_sample
                    if callback_on_step_end is not None:
                        tensors = {"latents": sample, "prompt_embeds": conditions.text, "first_frame": first_frame}
                        given = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                        changed = callback_on_step_end(self, index, timestep, given) or {}
                        sample = changed.get("latents", sample)
                        conditions.text = changed.get("prompt_embeds", conditions.text)
                        first_frame = changed.get("first_frame", first_frame)
                    progress.update()

        video = torch.cat([first_frame, sample], dim=2)
        origins = self._origins(video, conditions, views, generators) if paints else None
        colours = pixels if first_frame is encoded else None  # a callback can replace it
        frames = self._output(video, views, output_type, decode_chunk_size, colours, origins)
        self.maybe_free_model_hooks()
        return MultiViewVideoOutput(frames=frames) if return_dict else (frames,)

    # -- arguments ---------------------------------------------------------------------------------------------------

    def _size(self, size: int | None) -> int:
        return self.unet.config["sample_size"] * self.vae_scale_factor if size is None else size

    def _check(self, frames: int, height: int, width: int, output_type: str, tensors: Sequence[str]) -> None:
        factor, longest = self.size_factor, self.unet.config["motion_max_seq_length"]
        if height % factor or width % factor or height <= 0 or width <= 0:
            raise InputError(f"Videos of {height}x{width} are not possible: both must be multiples of {factor}.")
        if not 2 <= frames <= longest:
            raise InputError(f"{frames} frames asked for; this model makes 2 to {longest}.")
        if output_type not in get_args(OutputType):
            raise InputError(f"`output_type` is `{output_type}`; it can be {', '.join(get_args(OutputType))}.")
        unknown = [name for name in tensors if name not in self._callback_tensor_inputs]
        if unknown:
            raise InputError(
                f"A callback cannot have `{unknown[0]}`; it can have {', '.join(self._callback_tensor_inputs)}."
            )

    # -- conditions --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_prompt(
        self,
        prompt: str | Sequence[str] | None,
        negative_prompt: str | Sequence[str] | None,
        batch: int,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
    ) -> Tensor:
        """Text embeddings ``[B, 77, D]``; with guidance ``[2B, 77, D]``, the unconditional ones first."""
        if (prompt is None) == (prompt_embeds is None):
            raise InputError("Give either `prompt` or `prompt_embeds`.")
        positive = self._embed(prompt, batch, "prompts") if prompt is not None else prompt_embeds
        assert positive is not None
        if not self.do_classifier_free_guidance:
            return self._on_unet(positive)
        if negative_prompt_embeds is None:
            negative_prompt_embeds = self._embed(negative_prompt or "", batch, "negative prompts")
        if positive.shape[0] != batch or negative_prompt_embeds.shape != positive.shape:
            raise InputError(
                f"Text embeddings of shapes {list(positive.shape)} and {list(negative_prompt_embeds.shape)} do not fit "
                f"{batch} object{'s' if batch > 1 else ''}."
            )
        return self._on_unet(torch.cat([negative_prompt_embeds, positive]))

    def _embed(self, prompt: str | Sequence[str], batch: int, what: str) -> Tensor:
        prompts = [prompt] * batch if isinstance(prompt, str) else list(prompt)
        if len(prompts) == 1:
            prompts *= batch
        if len(prompts) != batch:
            raise InputError(f"{len(prompts)} {what} for {batch} objects; give one for each or one for all.")
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        for text in dict.fromkeys(prompts):
            tokens = self.tokenizer(text, add_special_tokens=False).input_ids
            if len(tokens) > length - 2:
                lost = self.tokenizer.decode(tokens[length - 2 :]).strip()
                logger.warning("The prompt is longer than %d tokens; this is cut off: %s", length, lost)
        return self.text_encoder(ids.to(self._execution_device))[0]

    def _on_unet(self, tensor: Tensor) -> Tensor:
        return tensor.to(device=self._execution_device, dtype=self.unet.dtype)

    def _image_embeds(self, images: Sequence[Image.Image]) -> Tensor:
        """Image prompts; the unconditional ones are zeros."""
        pixels = self.feature_extractor(images=list(images), return_tensors="pt").pixel_values
        pixels = pixels.to(device=self._execution_device, dtype=self.image_encoder.dtype)
        embeds = self._on_unet(self.image_encoder(pixels).image_embeds)
        return torch.cat([torch.zeros_like(embeds), embeds]) if self.do_classifier_free_guidance else embeds

    def _cameras(
        self, camera: Tensor | None, batch: int, views: int, elevation: float, azimuth_start: float
    ) -> Tensor | None:
        if self.unet.config["camera_embedding_dim"] is None:
            return None
        if camera is None:
            camera = get_camera(views, elevation, azimuth_start)
        if camera.shape[-2:] != (views, 16) or camera.ndim not in (2, 3):
            raise InputError(f"`camera` has the shape {list(camera.shape)}; {views} views need [{views}, 16].")
        cameras = self._on_unet(camera.expand(batch, views, 16).flatten(0, 1))
        return torch.cat([cameras] * 2) if self.do_classifier_free_guidance else cameras

    @torch.no_grad()
    def encode_images(self, pixels: Tensor, generators: list[Generator] | None = None) -> Tensor:
        """Images to latents, a random draw as in training.

        Args:
            pixels: ``[N, 3, H, W]`` in -1..1.
            generators: one per sample; N is split evenly.

        Returns:
            ``[N, c, h, w]``
        """
        posterior = self.vae.encode(pixels.to(device=self._execution_device, dtype=self.vae.dtype)).latent_dist
        noise = normal(posterior.mean.shape, generators, posterior.mean.device, posterior.mean.dtype)
        return self._on_unet((posterior.mean + posterior.std * noise) * self.vae.config["scaling_factor"])

    # -- latents -----------------------------------------------------------------------------------------------------

    def _set_timesteps(self, steps: int, repeat: int) -> Tensor:
        if self.free_init_enabled and self._free_init_use_fast_sampling:
            steps = max(1, int(steps / self._free_init_num_iters * (repeat + 1)))
        self.scheduler.set_timesteps(steps, device=self._execution_device)
        return self.scheduler.timesteps

    def _start(
        self,
        first_frame: Tensor,
        frames: int,
        timesteps: Tensor,
        generators: list[Generator] | None,
        latents: Tensor | None,
        similarity: dict[str, float] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noise, the latents to start from, and the timesteps of the first round."""
        rows, channels, _, *size = first_frame.shape
        shape = torch.Size((rows, channels, frames - 1, *size))
        device, dtype = first_frame.device, first_frame.dtype
        drawn = None if similarity is None else uniform(torch.Size((rows, 1, *shape[2:])), generators, device, dtype)
        if latents is None:
            latents = normal(shape, generators, device, dtype)
        elif latents.shape != shape:
            raise InputError(f"`latents` has the shape {list(latents.shape)}; frames 1 and later need {list(shape)}.")
        noise = self._on_unet(latents)
        if similarity is None or drawn is None:
            return noise, noise * self.scheduler.init_noise_sigma, timesteps
        strength, probability = float(similarity["strength"]), float(similarity["origin_prob"])
        if not 0 < strength <= 1 or not 0 <= probability <= 1:
            raise InputError("`i2v_similarity_init` needs 0 < strength <= 1 and 0 <= origin_prob <= 1.")
        skipped = len(timesteps) - min(int(len(timesteps) * strength), len(timesteps))
        timesteps = timesteps[min(skipped, len(timesteps) - 1) * self.scheduler.order :]
        origin = first_frame.expand(shape).contiguous()
        noised = self.scheduler.add_noise(origin, noise, timesteps[:1])
        return noise, torch.where(drawn < probability, origin, noised), timesteps

    def _renoise(self, sample: Tensor, noise: Tensor, generators: list[Generator] | None) -> Tensor:
        """FreeInit: the low frequencies of the last result, noised to the end, with new high ones."""
        last = torch.full((sample.shape[0],), self.scheduler.config["num_train_timesteps"] - 1, device=sample.device)
        noised = self.scheduler.add_noise(sample, noise, last).float()
        kept = low_pass(
            *sample.shape[-3:],
            method=self._free_init_method,
            order=self._free_init_order,
            spatial_stop=self._free_init_spatial_stop_frequency,
            temporal_stop=self._free_init_temporal_stop_frequency,
        )
        fresh = normal(sample.shape, generators, sample.device, torch.float32)
        return mix_frequencies(noised, fresh, kept.to(sample.device)).to(sample.dtype)

    def _predict(
        self,
        sample: Tensor,
        first_frame: Tensor,
        timestep: Tensor,
        conditions: _Conditions,
        views: int,
        sequential: bool,
    ) -> Tensor:
        """What the scheduler expects of frames 1 and later, with guidance. ``[(b v), c, f-1, h, w]``"""
        video = torch.cat([first_frame, self.scheduler.scale_model_input(sample, timestep)], dim=2)

        def output(rows: slice, latents: Tensor) -> Tensor:
            return self._unet(rows, latents, timestep, conditions, views)[0][:, :, 1:]

        if not self.do_classifier_free_guidance:
            return output(slice(None), video)
        count = len(video)
        if sequential:
            without, with_text = output(slice(count), video), output(slice(count, None), video)
        else:
            without, with_text = output(slice(None), torch.cat([video] * 2)).chunk(2)
        return without + self.guidance_scale * (with_text - without)

    def _unet(
        self, rows: slice, latents: Tensor, timestep: Tensor, conditions: _Conditions, views: int, **flags: bool
    ) -> Any:
        return self.unet(
            latents,
            timestep,
            conditions.text[rows],
            camera=None if conditions.camera is None else conditions.camera[rows],
            added_cond_kwargs={"image_embeds": conditions.image[rows]},
            num_views=views,
            return_dict=False,
            **flags,
        )

    def _finds_origins(self, views: int) -> bool:
        """Whether the UNet has a head for origins, which is for a fixed number of views."""
        head = self.unet.origin_head
        if head is not None and head.views != views:
            logger.warning(
                "This model finds the origins of pixels in %d views, not in %d: the videos keep the sampled colours.",
                head.views,
                views,
            )
        return head is not None and head.views == views

    def _origins(
        self, video: Tensor, conditions: _Conditions, views: int, generators: list[Generator] | None
    ) -> Origins:
        """Where the pixels of a finished video come from."""
        timestep = torch.full((len(video),), ORIGIN_TIMESTEP, device=video.device)
        noise = normal(video[:, :, 1:].shape, generators, video.device, video.dtype)
        # Not `add_noise`: some schedulers only have the timesteps that they sample with.
        signal = self.scheduler.alphas_cumprod[ORIGIN_TIMESTEP].to(video.device)
        noised = signal.sqrt() * video[:, :, 1:] + (1 - signal).sqrt() * noise
        rows = slice(-len(video), None)  # with guidance, those with the prompt come last
        latents = torch.cat([video[:, :, :1], noised], dim=2)
        return self._unet(rows, latents, timestep, conditions, views, return_origins=True)[1]

    # -- result ------------------------------------------------------------------------------------------------------

    def _output(
        self,
        video: Tensor,
        views: int,
        output_type: OutputType,
        chunk: int,
        colours: Tensor | None,
        origins: Origins | None,
    ) -> Any:
        """Frames of a type; with origins painted with ``colours`` ``[(b v), 3, H, W]`` -1..1, or with frame 0."""
        if output_type == "latent":
            return video
        frames = self.decode_latents(video, chunk).unflatten(0, (-1, views))
        if origins is not None:
            first = frames[:, :, 0] if colours is None else (colours.to(frames) / 2 + 0.5).unflatten(0, (-1, views))
            frames = torch.cat([first[:, :, None], paint(frames, first, origins)[:, :, 1:]], dim=2)
        if output_type == "pt":
            return frames
        array = frames.movedim(-3, -1).cpu().numpy()
        if output_type == "np":
            return array
        pixels = (array * 255).round().astype(np.uint8)
        return [[[Image.fromarray(image) for image in view] for view in sample] for sample in pixels]

    @torch.no_grad()
    def decode_latents(self, video: Tensor, chunk: int = 16) -> Tensor:
        """Latents ``[N, c, f, h, w]`` to float32 frames ``[N, f, 3, H, W]`` in 0..1, ``chunk`` images at a time."""
        images = (video / self.vae.config["scaling_factor"]).transpose(1, 2).flatten(0, 1).to(self.vae.dtype)
        decoded = [self.vae.decode(part, return_dict=False)[0].float() for part in images.split(chunk)]
        return (torch.cat(decoded) / 2 + 0.5).clamp(0, 1).unflatten(0, (-1, video.shape[2]))
