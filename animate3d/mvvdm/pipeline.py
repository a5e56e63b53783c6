"""`MultiViewVideoPipeline`: four images and a sentence to four synchronised videos."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.free_init_utils import FreeInitMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, StableDiffusionMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.outputs import BaseOutput
from einops import rearrange
from PIL import Image
from torch import Generator, Tensor
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection
from transformers.image_processing_utils import BaseImageProcessor

from animate3d.errors import InputError
from animate3d.mvvdm.conditions import Conditions, embed_text, group_images, prepare_images, to_tensor
from animate3d.mvvdm.free_init import low_pass, mix_frequencies
from animate3d.mvvdm.model.camera import get_camera
from animate3d.mvvdm.model.origins import Origins, at_rest, paint_from_origins
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.noise import generator_list, normal, uniform
from animate3d.mvvdm.sampling import OutputType, SamplingOptions, converted
from animate3d.mvvdm.windows import Windows, continuation_of, plan_windows

logger = logging.getLogger(__name__)

_FORMER_MODULES = {f"animate3d.mvvdm.{name}": f"animate3d.mvvdm.model.{name}" for name in ("unet", "patch_autoencoder")}

ORIGIN_TIMESTEP = 400
"""Noise at which origins are read, for models that have them: it hides the sampled pattern and leaves the shape."""


@dataclass
class MultiViewVideoOutput(BaseOutput):
    """Result of `MultiViewVideoPipeline`.

    Attributes:
        frames: by output type: ``pil`` nested lists [B][V][F] of images; ``np`` ``[B, V, F, H, W, 3]`` and ``pt``
            ``[B, V, F, 3, H, W]`` float in 0..1; ``latent`` ``[(b v), c, f, h, w]``.
        origins: of the pixels of frames 1 and later; None where the frames were not painted from them.
    """

    frames: Any
    origins: Origins | None = None


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

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """The model index; folders that were written before the UNet's parts had a folder of their own still load."""
        found = super().load_config(*args, **kwargs)
        index = found[0] if isinstance(found, tuple) else found
        for name, value in index.items():
            if isinstance(value, list | tuple) and value[0] in _FORMER_MODULES:
                index[name] = [_FORMER_MODULES[value[0]], *value[1:]]
        return found

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
        """Guidance scale of the call that runs."""
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
        return_dict: bool = True,
        **options: Any,
    ) -> MultiViewVideoOutput | tuple[Any]:
        """Generate V synchronised videos of each object.

        Example::

            pipeline = MultiViewVideoPipeline.from_pretrained("weights/animate3d").to("cuda")
            images = [Image.open(f"dragon/{view}.png") for view in range(4)]
            videos = pipeline("a wooden dragon head is roaring", images, num_frames=16).frames[0]  # [view][frame]

        Args:
            prompt: what happens; one per object, or one for all.
            images: the V images of an object, in the order of the views, or a list of such lists. RGB or RGBA.
            return_dict: return an object with the name ``frames``, not a tuple.
            options: fields of `SamplingOptions`.

        Raises:
            InputError: something about the arguments, named.
        """
        call = SamplingOptions(**options)
        groups = group_images(images)
        batch, views = len(groups), len(groups[0])
        height, width = self._size(call.height), self._size(call.width)
        self._check(call, height, width)
        paints = call.output_type != "latent" and self._finds_origins(views)
        generators = generator_list(call.generator, batch)
        self._guidance_scale, self._interrupt = call.guidance_scale, False

        flat = prepare_images([image for group in groups for image in group], height, width)
        pixels = to_tensor(flat, height, width)
        text = self.encode_prompt(prompt, call.negative_prompt, batch, call.prompt_embeds, call.negative_prompt_embeds)
        conditions = Conditions(
            views,
            text.repeat_interleave(views, dim=0),
            self._image_embeds(flat),
            self._cameras(call, batch, views),
            self.encode_images(pixels, generators)[:, :, None],
        )
        encoded = conditions.first_frame
        conditions.windows = self._windows(conditions, call, batch)
        noise, sample, timesteps = self._start(conditions, generators, call)
        for repeat in range(self._free_init_num_iters if self.free_init_enabled else 1):
            if repeat:
                sample = self._renoise(sample, noise, conditions, generators)
                timesteps = self._set_timesteps(call.num_inference_steps, repeat)
            sample = self._denoise(sample, timesteps, conditions, call)

        video = torch.cat([conditions.first_frame, sample], dim=2)
        origins = self._origins(video, conditions, generators) if paints else None
        colours = pixels if conditions.first_frame is encoded else None  # a callback can replace it
        frames = self._output(video, call, conditions, colours, origins)
        self.maybe_free_model_hooks()
        return MultiViewVideoOutput(frames=frames, origins=origins) if return_dict else (frames,)

    def _denoise(self, sample: Tensor, timesteps: Tensor, conditions: Conditions, call: SamplingOptions) -> Tensor:
        """One round: latents of frames 1 and later ``[(b v), c, f-1, h, w]``, from noise to clean."""
        accepted = inspect.signature(self.scheduler.step).parameters
        extra: dict[str, Any] = {"eta": call.eta} if "eta" in accepted else {}
        if "generator" in accepted and isinstance(call.generator, Generator):
            extra["generator"] = call.generator
        self._num_timesteps = len(timesteps)
        with self.progress_bar(total=len(timesteps)) as progress:
            for index, timestep in enumerate(timesteps):
                if self.interrupt:
                    break
                guided = call.guided_steps is None or index < call.guided_steps
                prediction = self._predict(sample, timestep, conditions, call.sequential_guidance, guided=guided)
                sample = self.scheduler.step(prediction, timestep, sample, **extra).prev_sample
                if call.callback_on_step_end is not None:
                    tensors = {
                        "latents": sample,
                        "prompt_embeds": conditions.text,
                        "first_frame": conditions.first_frame,
                    }
                    given = {name: tensors[name] for name in call.callback_on_step_end_tensor_inputs}
                    tensors |= call.callback_on_step_end(self, index, timestep, given) or {}
                    sample, conditions.text = tensors["latents"], tensors["prompt_embeds"]
                    conditions.first_frame = tensors["first_frame"]
                progress.update()
        if conditions.windows is not None:
            sample[:, :, conditions.windows.copies - 1] = conditions.first_frame
        return sample

    # -- arguments ---------------------------------------------------------------------------------------------------

    def _size(self, size: int | None) -> int:
        return self.unet.config["sample_size"] * self.vae_scale_factor if size is None else size

    def _check(self, call: SamplingOptions, height: int, width: int) -> None:
        factor, longest = self.size_factor, self.unet.config["motion_max_seq_length"]
        if height % factor or width % factor or height <= 0 or width <= 0:
            raise InputError(f"Videos of {height}x{width} are not possible: both must be multiples of {factor}.")
        seen = min(call.num_frames, call.context_length or call.num_frames)
        if not 2 <= seen <= longest:
            raise InputError(f"{seen} frames asked for; this model makes 2 to {longest}, more with `context_length`.")
        if call.output_type not in get_args(OutputType):
            raise InputError(f"`output_type` is `{call.output_type}`; it can be {', '.join(get_args(OutputType))}.")
        unknown = [name for name in call.callback_on_step_end_tensor_inputs if name not in self._callback_tensor_inputs]
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
        models = self.tokenizer, self.text_encoder, self._execution_device
        positive = embed_text(*models, prompt, batch, "prompts") if prompt is not None else prompt_embeds
        assert positive is not None
        if not self.do_classifier_free_guidance:
            return self._on_unet(positive)
        if negative_prompt_embeds is None:
            negative_prompt_embeds = embed_text(*models, negative_prompt or "", batch, "negative prompts")
        if positive.shape[0] != batch or negative_prompt_embeds.shape != positive.shape:
            raise InputError(
                f"Text embeddings of shapes {list(positive.shape)} and {list(negative_prompt_embeds.shape)} do not fit "
                f"{batch} object{'s' if batch > 1 else ''}."
            )
        return self._on_unet(torch.cat([negative_prompt_embeds, positive]))

    def _on_unet(self, tensor: Tensor) -> Tensor:
        return tensor.to(device=self._execution_device, dtype=self.unet.dtype)

    def _image_embeds(self, images: Sequence[Image.Image]) -> Tensor:
        """Image prompts; the unconditional ones are zeros."""
        pixels = self.feature_extractor(images=list(images), return_tensors="pt").pixel_values
        pixels = pixels.to(device=self._execution_device, dtype=self.image_encoder.dtype)
        embeds = self._on_unet(self.image_encoder(pixels).image_embeds)
        return torch.cat([torch.zeros_like(embeds), embeds]) if self.do_classifier_free_guidance else embeds

    def _cameras(self, call: SamplingOptions, batch: int, views: int) -> Tensor | None:
        if self.unet.config["camera_embedding_dim"] is None:
            return None
        camera = get_camera(views, call.elevation, call.azimuth_start) if call.camera is None else call.camera
        if camera.shape[-2:] != (views, 16) or camera.ndim not in (2, 3):
            raise InputError(f"`camera` has the shape {list(camera.shape)}; {views} views need [{views}, 16].")
        return self._on_unet(camera.expand(batch, views, 16).flatten(0, 1))

    @torch.no_grad()
    def encode_images(self, pixels: Tensor, generators: list[Generator] | None = None) -> Tensor:
        """Images ``[N, 3, H, W]`` in -1..1 to latents ``[N, c, h, w]``, a random draw as in training.

        Args:
            generators: one per sample; N is split evenly.
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

    def _windows(self, conditions: Conditions, call: SamplingOptions, batch: int) -> Windows | None:
        """How a video is covered that is longer than what the model sees at once; None for the whole in one."""
        length = call.context_length
        if length is None or call.num_frames <= length:
            return None
        numbered, continuation = bool(self.unet.config["frame_embedding"]), call.continuation
        stride = length // 2 if call.context_stride is None else call.context_stride
        plan_windows(call.num_frames, length, stride, call.weighting_scheme)  # what cannot be is said first
        if continuation is None and numbered:
            # The motion tells: a video of the model's own length.
            short = replace(call, num_frames=length, latents=None, generator=None, callback_on_step_end=None)
            generators = generator_list(call.generator, batch)
            states = [generator.get_state() for generator in generators or ()]
            _, sample, timesteps = self._start(conditions, generators, short)
            sample = self._denoise(sample, timesteps, conditions, short)
            for generator, state in zip(generators or (), states, strict=True):
                generator.set_state(state)  # the long video begins with the same noise
            continuation = continuation_of(torch.cat([conditions.first_frame, sample], dim=2), numbered=True)
        return plan_windows(call.num_frames, length, stride, call.weighting_scheme, continuation or "free")

    def _normal(self, like: Tensor, frames: int, conditions: Conditions, generators: list[Generator] | None) -> Tensor:
        """Noise for frames 1 and later; what goes beyond a window shares that of its first frames."""
        windows = conditions.windows
        count = frames - 1 if windows is None else windows.frames.shape[1]
        shape = torch.Size((*like.shape[:2], count, *like.shape[3:]))
        noise = normal(shape, generators, like.device, like.dtype)
        return noise if windows is None else windows.share(noise, generators)

    def _start(
        self, conditions: Conditions, generators: list[Generator] | None, call: SamplingOptions
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noise, the latents to start from, and the timesteps of the first round."""
        latents, similarity, first_frame = call.latents, call.i2v_similarity_init, conditions.first_frame
        timesteps = self._set_timesteps(call.num_inference_steps, 0)
        rows, channels, _, *size = first_frame.shape
        shape = torch.Size((rows, channels, call.num_frames - 1, *size))
        device, dtype = first_frame.device, first_frame.dtype
        drawn = None if similarity is None else uniform(torch.Size((rows, 1, *shape[2:])), generators, device, dtype)
        if latents is None:
            latents = self._normal(first_frame, call.num_frames, conditions, generators)
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

    def _renoise(
        self, sample: Tensor, noise: Tensor, conditions: Conditions, generators: list[Generator] | None
    ) -> Tensor:
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
        fresh = self._normal(sample.float(), sample.shape[2] + 1, conditions, generators)
        return mix_frequencies(noised, fresh, kept.to(sample.device)).to(sample.dtype)

    def _predict(
        self, sample: Tensor, timestep: Tensor, conditions: Conditions, sequential: bool, *, guided: bool = True
    ) -> Tensor:
        """What the scheduler expects of frames 1 and later, with guidance if wanted. ``[(b v), c, f-1, h, w]``"""
        scaled = self.scheduler.scale_model_input(sample, timestep)

        def predict(part: Tensor) -> Tensor:
            video = torch.cat([conditions.first_frame, part], dim=2)
            count = len(video)

            def output(rows: slice) -> Tensor:
                return self._unet(rows, video, timestep, conditions)[0][:, :, 1:]

            if not (self.do_classifier_free_guidance and guided):
                return output(slice(-count, None))  # with guidance, the rows with the prompt come last
            if sequential:
                without, with_text = output(slice(count)), output(slice(count, None))
            else:
                without, with_text = output(slice(None)).chunk(2)
            return without + self.guidance_scale * (with_text - without)

        if conditions.windows is None:
            return predict(scaled)
        return conditions.windows.blend(lambda frames: [predict(scaled[:, :, frames - 1])])[0]

    def _unet(self, rows: slice, latents: Tensor, timestep: Tensor, conditions: Conditions, **flags: bool) -> Any:
        return self.unet(
            latents,
            timestep,
            conditions.prompt(self.unet, rows),
            camera=conditions.camera,
            num_views=conditions.views,
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

    def _origins(self, video: Tensor, conditions: Conditions, generators: list[Generator] | None) -> Origins:
        """Where the pixels of frames 1 and later of a finished video come from."""
        timestep = torch.full((len(video),), ORIGIN_TIMESTEP, device=video.device)
        noise = self._normal(video, video.shape[2], conditions, generators)
        # Not `add_noise`: some schedulers only have the timesteps that they sample with.
        signal = self.scheduler.alphas_cumprod[ORIGIN_TIMESTEP].to(video.device)
        noised = signal.sqrt() * video[:, :, 1:] + (1 - signal).sqrt() * noise
        rows = slice(-len(video), None)  # with guidance, those with the prompt come last

        def find(part: Tensor) -> tuple[Tensor, Tensor]:
            latents = torch.cat([video[:, :, :1], part], dim=2)
            found = self._unet(rows, latents, timestep, conditions, return_origins=True)[1]
            return found.places[:, :, 1:], found.sources[:, :, 1:]

        if (windows := conditions.windows) is None:
            return Origins(*find(noised))
        return at_rest(Origins(*windows.blend(lambda at: find(noised[:, :, at - 1]))), windows.copies - 1)

    # -- result ------------------------------------------------------------------------------------------------------

    def _output(
        self,
        video: Tensor,
        call: SamplingOptions,
        conditions: Conditions,
        colours: Tensor | None,
        origins: Origins | None,
    ) -> Any:
        """Frames of a type; with origins painted with ``colours`` ``[(b v), 3, H, W]`` -1..1, or with frame 0."""
        if call.output_type == "latent":
            return video
        views, windows = conditions.views, conditions.windows
        frames = rearrange(self.decode_latents(video, call.decode_chunk_size), "(b v) f c h w -> b v f c h w", v=views)
        if origins is not None:
            first = frames[:, :, 0] if colours is None else (colours.to(frames) / 2 + 0.5).unflatten(0, (-1, views))
            frames = torch.cat([first[:, :, None], paint_from_origins(frames[:, :, 1:], first, origins)], dim=2)
        if windows is not None:
            frames[:, :, windows.copies] = frames[:, :, :1]
        return converted(frames, call.output_type)

    @torch.no_grad()
    def decode_latents(self, video: Tensor, chunk: int = 16) -> Tensor:
        """Latents ``[N, c, f, h, w]`` to float32 frames ``[N, f, 3, H, W]`` in 0..1, ``chunk`` images at a time."""
        images = rearrange(video / self.vae.config["scaling_factor"], "n c f h w -> (n f) c h w").to(self.vae.dtype)
        decoded = [self.vae.decode(part, return_dict=False)[0].float() for part in images.split(chunk)]
        return rearrange((torch.cat(decoded) / 2 + 0.5).clamp(0, 1), "(n f) c h w -> n f c h w", f=video.shape[2])
