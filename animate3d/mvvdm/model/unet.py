"""The multi-view video UNet: Stable Diffusion as MVDream tuned it, with motion modules and adapters.

A subclass of diffusers' `UNetMotionModel`: the blocks and their names are diffusers'. What is added: the camera
embedding, the attention processors of `animate3d.mvvdm.model.attention`, the IP-Adapter projection.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection, TimestepEmbedding
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  # diffusers looks for it here to load pipelines
from diffusers.models.unets.unet_motion_model import UNetMotionModel, UNetMotionOutput, UpBlockMotion
from einops import rearrange
from torch import Tensor, nn

from animate3d.errors import InputError, require
from animate3d.mvvdm.model import streamlined
from animate3d.mvvdm.model.attention import (
    BACKENDS,
    Backend,
    Layout,
    MultiViewProcessor,
    Processor,
    Prompt,
    PromptProcessor,
    SpatioTemporalProcessor,
    encodes_frames,
)
from animate3d.mvvdm.model.compiled import Compiler
from animate3d.mvvdm.model.launches import kernels
from animate3d.mvvdm.model.motion_module import MotionTransformer, NoMotion
from animate3d.mvvdm.model.origins import OriginHead, Origins

DEFAULT_MVDREAM_ATTN: dict[str, Any] = {"image_attn": {"enabled": True}}
DEFAULT_MOTION_ATTN: dict[str, Any] = {
    "enabled": True,
    "spatial_attn": {
        "enabled": True,
        "attn_cfg": {
            "use_spatial_encoding": True,
            "spatial_encoding_type": "sinusoid",
            "use_camera_encoding": False,
            "camera_encoding_type": "sinusoid",
        },
    },
    "image_attn": {"enabled": False},
    "use_alpha_blender": True,
}
TRAINED = ("i2v.", "motion_modules.")
"""A state-dict key that contains one of these belongs to what the method trains; the rest is frozen."""

logger = logging.getLogger(__name__)


def is_trained(key: str) -> bool:
    """Whether a state-dict key belongs to the motion checkpoint."""
    return any(part in key for part in TRAINED)


class MultiViewUNet(UNetMotionModel):
    """Noise prediction for V videos of one object at once.

    ``config.json`` rebuilds everything. Arguments that diffusers' class has too mean the same here. The numbers of
    views and frames and the image size come from the call; construction only sizes stored tables.

    Args:
        num_views: views per sample when a call does not say; length of camera encodings, if there are any.
        camera_embedding_dim: numbers per camera; None for a model without camera condition.
        i2v_cond_time_zero: give frame 0, which is clean, the embedding of timestep 0.
        image_embed_dim: width of the image embedding; None for a model without IP-Adapter.
        image_tokens: tokens the IP-Adapter makes of one image.
        image_scale: weight of the image prompt.
        mvdream_attn_cfg, motion_module_attn_cfg: as in ``configs/inference/inference.yaml``.
        learned_encoding_size: latent edge that learned two-axis encodings cover.
        up_block_motion_norm_num_groups: groups in the motion modules of up blocks without cross-attention. The
            released weights were trained with 32 there, whatever ``norm_num_groups`` is.

    What follows is off in the full model; it lets a small one learn from scratch.

    Args:
        concat_first_frame: every frame's latents come with those of frame 0, as further input channels.
        pooled_text: add the mean of the text embeddings to the time embedding.
        frame_embedding: add the number of the frame to the time embedding.
        position_embedding: add a learned map after the first convolution; stretched to other sizes than
            ``sample_size``.
        levels_without_motion: resolutions, 0 the finest, whose blocks have no motion modules; of the block types
            without cross-attention only convolutions remain.
        origin_factor: pixels per latent; gives the model a head that finds the `Origins` of every pixel.
    """

    streamlined: bool | None = None
    """Compute calls by `animate3d.mvvdm.model.streamlined`; None: on a GPU, or with a compiler."""
    compiler: Compiler | None = None
    """Compiles what `streamlined` computes; None leaves it as it is."""

    @register_to_config
    def __init__(
        self,
        sample_size: int | None = 32,
        in_channels: int = 4,
        out_channels: int = 4,
        down_block_types: tuple[str, ...] = (*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"),
        up_block_types: tuple[str, ...] = ("UpBlockMotion", *["CrossAttnUpBlockMotion"] * 3),
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int | tuple[int, ...] = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: float = 1,
        act_fn: str = "silu",
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int = 768,
        use_linear_projection: bool = False,
        num_attention_heads: int | tuple[int, ...] = 8,
        motion_max_seq_length: int = 32,
        motion_num_attention_heads: int | tuple[int, ...] = 8,
        use_motion_mid_block: bool = True,
        num_views: int = 4,
        camera_embedding_dim: int | None = 16,
        i2v_cond_time_zero: bool = False,
        image_embed_dim: int | None = 1024,
        image_tokens: int = 4,
        image_scale: float = 1.0,
        mvdream_attn_cfg: dict[str, Any] | None = None,
        motion_module_attn_cfg: dict[str, Any] | None = None,
        learned_encoding_size: int = 32,
        up_block_motion_norm_num_groups: int = 32,
        concat_first_frame: bool = False,
        pooled_text: bool = False,
        frame_embedding: bool = False,
        position_embedding: bool = False,
        levels_without_motion: tuple[int, ...] = (),
        origin_factor: int | None = None,
    ) -> None:
        # `register_to_config` has stored every argument in the config already.
        shared = set(inspect.signature(UNetMotionModel.__init__).parameters) & set(self.config)
        arguments = {name: self.config[name] for name in shared}
        # The parent's decorator would add its own arguments to the config; its plain __init__ does not.
        UNetMotionModel.__init__.__wrapped__(  # type: ignore[attr-defined]
            self, **{**arguments, "in_channels": in_channels * (2 if concat_first_frame else 1)}
        )
        self.register_to_config(
            mvdream_attn_cfg=DEFAULT_MVDREAM_ATTN if mvdream_attn_cfg is None else mvdream_attn_cfg,
            motion_module_attn_cfg=DEFAULT_MOTION_ATTN if motion_module_attn_cfg is None else motion_module_attn_cfg,
        )
        self._build_conditions()
        self._build_motion_transformers()
        self._build_processors()
        self.reset_adapter()

    def _build_conditions(self) -> None:
        config = self.config
        width, prompt_width = config["block_out_channels"][0], config["cross_attention_dim"]

        def embedding(numbers: int | None) -> TimestepEmbedding | None:
            return None if numbers is None else TimestepEmbedding(numbers, 4 * width)

        self.camera_embedding = embedding(config["camera_embedding_dim"])
        if config["image_embed_dim"] is not None:
            projection = ImageProjection(config["image_embed_dim"], prompt_width, config["image_tokens"])
            self.encoder_hid_proj = MultiIPAdapterImageProjection([projection])
        self.text_embedding = embedding(prompt_width if config["pooled_text"] else None)
        self.frame_number_embedding = embedding(width if config["frame_embedding"] else None)
        self.positions: nn.Parameter | None = None
        if config["position_embedding"]:
            size = config["sample_size"]
            if size is None:
                raise InputError("`position_embedding` needs a `sample_size`.")
            self.positions = nn.Parameter(0.02 * torch.randn(1, width, size, size))
        factor = config["origin_factor"]
        self.origin_head = None if factor is None else OriginHead(width, config["num_views"], factor)

    def _build_motion_transformers(self) -> None:
        frame_encoding = None if encodes_frames(self.config["motion_module_attn_cfg"]) else "sinusoidal"
        levels = len(self.down_blocks)
        without_motion = set(self.config["levels_without_motion"])
        if not without_motion <= set(range(levels)):
            raise InputError(
                f"`levels_without_motion` is {sorted(without_motion)}; this model has the levels 0 to {levels - 1}."
            )
        down = zip(range(levels), self.down_blocks, strict=True)
        up = zip(reversed(range(levels)), self.up_blocks, strict=True)
        for level, block in [*down, (None, self.mid_block), *up]:
            modules: Any = getattr(block, "motion_modules", [])
            for index, old in enumerate(modules):
                if level in without_motion:
                    modules[index] = NoMotion()
                    continue
                without_attention = isinstance(block, UpBlockMotion)
                modules[index] = MotionTransformer(
                    num_attention_heads=old.num_attention_heads,
                    attention_head_dim=old.attention_head_dim,
                    in_channels=old.in_channels,
                    num_layers=len(old.transformer_blocks),
                    norm_num_groups=(
                        self.config["up_block_motion_norm_num_groups"] if without_attention else old.norm.num_groups
                    ),
                    positional_embeddings=frame_encoding,
                    num_positional_embeddings=self.config["motion_max_seq_length"],
                )

    def _build_processors(self) -> None:
        config = self.config
        image_attn = bool(config["mvdream_attn_cfg"]["image_attn"]["enabled"])
        sizes = self._learned_sizes()
        for name, attn in self._attentions():
            processor: Processor
            if "motion_modules." in name:
                processor = SpatioTemporalProcessor(
                    attn.query_dim,
                    config["motion_module_attn_cfg"],
                    max_frames=config["motion_max_seq_length"],
                    num_views=config["num_views"],
                    feature_size=sizes[".".join(name.split(".")[: 1 if name.startswith("mid") else 2])],
                )
            elif name.endswith("attn1"):
                processor = MultiViewProcessor(attn.query_dim, image_attn)
            else:
                image_prompt = config["image_embed_dim"] is not None
                processor = PromptProcessor(
                    attn.query_dim, attn.cross_attention_dim, image_prompt, config["image_scale"]
                )
            attn.set_processor(processor)  # type: ignore[arg-type]

    def _learned_sizes(self) -> dict[str, int]:
        levels = len(self.down_blocks)
        size = self.config["learned_encoding_size"]
        sizes = {"mid_block": size >> (levels - 1)}
        for level in range(levels):
            sizes[f"down_blocks.{level}"] = sizes[f"up_blocks.{levels - 1 - level}"] = size >> level
        return sizes

    def _attentions(self) -> Iterator[tuple[str, Attention]]:
        for name, module in self.named_modules():
            if isinstance(module, Attention):
                yield name, module

    @torch.no_grad()
    def reset_adapter(self) -> None:
        """Start the MV2V adapter where it changes nothing: its query equals the layer's, its output is zero."""
        for _, attn in self._attentions():
            processor = attn.processor
            if isinstance(processor, MultiViewProcessor) and processor.image_attn:
                processor.to_q_i2v.weight.copy_(attn.to_q.weight)
                nn.init.zeros_(processor.to_out_i2v.weight)
                nn.init.zeros_(processor.to_out_i2v.bias)

    # -- attention backends --------------------------------------------------------------------------------------

    def set_attention_backend(self, backend: str) -> None:
        """Choose ``"sdpa"`` (PyTorch's fused attention, the default) or ``"xformers"`` for every layer."""
        if backend not in BACKENDS:
            raise InputError(f"The attention backend `{backend}` is not known; it can be {' or '.join(BACKENDS)}.")
        if backend == "xformers":
            require("xformers.ops", feature="The xformers attention backend", extra="cuda")
        chosen: Backend = "xformers" if backend == "xformers" else "sdpa"
        for module in self.modules():
            if isinstance(module, Processor):
                module.backend = chosen

    def set_use_memory_efficient_attention_xformers(
        self, valid: bool, attention_op: Callable[..., Any] | None = None
    ) -> None:
        """Select the backend. diffusers' own version would replace the processors, and with them the model."""
        self.set_attention_backend("xformers" if valid else "sdpa")

    def set_default_attn_processor(self) -> None:
        """Use PyTorch's attention; the processors hold weights and stay."""
        self.set_attention_backend("sdpa")

    def set_attn_processor(self, processor: Any) -> None:
        """Set processors of this package; others would drop weights without a word."""
        given = list(processor.values()) if isinstance(processor, dict) else [processor]
        foreign = [type(item).__name__ for item in given if not isinstance(item, Processor)]
        if foreign:
            raise InputError(f"{foreign[0]} cannot replace this model's attention processors: they hold its weights.")
        super().set_attn_processor(processor)

    def fuse_qkv_projections(self) -> None:
        """Not possible: the processors read the separate projections."""
        raise InputError("This model's attention processors hold weights of their own; its projections do not fuse.")

    # -- forward -------------------------------------------------------------------------------------------------

    def forward(  # type: ignore[override]
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor | Prompt,
        camera: Tensor | None = None,
        added_cond_kwargs: dict[str, Any] | None = None,
        num_views: int | None = None,
        return_dict: bool = True,
        return_origins: bool = False,
    ) -> UNetMotionOutput | tuple[Tensor] | tuple[Tensor, Origins]:
        """Predict the noise.

        Args:
            sample: ``[(b v), c, f, h, w]`` noisy latents; frame 0 is clean.
            timestep: one number for all, or ``[(b v)]``.
            encoder_hidden_states: ``[(b v), s, d]`` text, not repeated over frames, or what `prompt` made of text and
                images. It can have k times as many rows, k prompts for every sample with all first ones in front:
                then so has the result.
            camera: ``[(b v), 16]`` from `animate3d.mvvdm.model.camera`; None leaves the camera embedding out.
            added_cond_kwargs: ``{"image_embeds": [(b v), e]}`` (or a list with one ``[(b v), images, e]``), needed
                by a model with IP-Adapter; not with a `Prompt`.
            num_views: V; the config's when None.
            return_origins: return the pair of the prediction and the origins.

        Raises:
            InputError: origins are asked of a model without a head for them, the batch is not a multiple of V, there
                are too many frames, or h or w cannot be halved as often as the model does.
        """
        views = num_views or self.config["num_views"]
        self._check(sample, views, return_origins)
        layout = Layout(views, sample.shape[2], *sample.shape[-2:])
        given = encoder_hidden_states
        prompt = given if isinstance(given, Prompt) else self.prompt(given, added_cond_kwargs, keep=False)
        if prompt.embeds is not None:  # only now are the weights sure to be where the call is
            prompt.images, prompt.embeds = cast(nn.Module, self.encoder_hid_proj)(prompt.embeds), None
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(len(sample))
        if self._streamlines(sample, len(prompt.text) // len(sample)):
            out, features = self._streamlined(sample, timesteps, camera, prompt, layout)
        else:
            out, features = self._modular(sample, timesteps, camera, prompt, layout)
        if return_origins:
            return out, cast(OriginHead, self.origin_head)(features(), layout.frames)
        return UNetMotionOutput(sample=out) if return_dict else (out,)

    def prompt(self, text: Tensor, added_cond_kwargs: dict[str, Any] | None = None, *, keep: bool = True) -> Prompt:
        """Text ``[n, s, d]`` and image embeddings as all calls of a video take them.

        Args:
            keep: let every layer make its keys and values once, not once per call; while the weights do not change.
        """
        embeds = None if self.encoder_hid_proj is None else self._image_embeds(added_cond_kwargs)
        return Prompt(text, embeds=embeds, kept={} if keep else None)

    def _streamlines(self, sample: Tensor, prompts: int = 1) -> bool:
        """Whether `streamlined` computes this call: on a GPU, with gradient in half precision, if nothing forbids."""
        device = sample.device
        learns = torch.is_grad_enabled()
        # Asking about a device that never casts, such as one without memory, is an error.
        casts = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
        preferred = device.type == "cuda" and (not learns or (self._in_half(sample) and kernels() is not None))
        wanted = preferred or self.compiler is not None if self.streamlined is None else self.streamlined
        if not wanted or (learns and prompts > 1) or (casts and not learns) or (learns and self.compiler is not None):
            return False
        return next(iter(self._processors())).backend == "sdpa" and streamlined.supports(self, device, learns=learns)

    @staticmethod
    def _in_half(sample: Tensor) -> bool:
        casts = torch.is_autocast_enabled(sample.device.type)
        return (torch.get_autocast_dtype(sample.device.type) if casts else sample.dtype) != torch.float32

    def _processors(self) -> Iterator[Processor]:
        return (attn.processor for _, attn in self._attentions())  # type: ignore[misc]

    def _modular(
        self, sample: Tensor, timesteps: Tensor, camera: Tensor | None, prompt: Prompt, layout: Layout
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """The prediction ``[(k b v), c, f, h, w]``, and a function that gives the features it was made of."""
        for module in self.modules():
            if isinstance(module, MotionTransformer):
                module.num_views = layout.views
        sample, timesteps, camera = _for_every_prompt(prompt, sample, timesteps, camera)
        embedding = self._condition(sample, timesteps, prompt.text, camera)
        sample = self._with_first_frame(sample)
        hidden_states = self.conv_in(rearrange(sample, "n c f h w -> (n f) c h w"))
        if self.positions is not None:
            hidden_states = hidden_states + self.position_map(*hidden_states.shape[-2:])
        hidden_states = self._blocks(hidden_states, embedding, prompt, layout)
        norm = cast(nn.Module, self.conv_norm_out)
        features = nn.functional.silu(norm(hidden_states))
        out = rearrange(self.conv_out(features), "(n f) c h w -> n c f h w", f=layout.frames)
        return out, lambda: features

    def _streamlined(
        self, sample: Tensor, timesteps: Tensor, camera: Tensor | None, prompt: Prompt, layout: Layout
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """As `_modular`, with what the prompts share computed once."""
        if self.text_embedding is not None:
            sample, timesteps, camera = _for_every_prompt(prompt, sample, timesteps, camera)
        embedding = self._condition(sample, timesteps, prompt.text, camera)
        found = streamlined.features(self, self._with_first_frame(sample), embedding, prompt, layout)

        def features() -> Tensor:
            return rearrange(found, "(b f v) h w c -> (b v f) c h w", f=layout.frames, v=layout.views)

        return streamlined.prediction(self, found, layout), features

    def _with_first_frame(self, sample: Tensor) -> Tensor:
        if not self.config["concat_first_frame"]:
            return sample
        return torch.cat([sample, sample[:, :, :1].expand_as(sample)], dim=1)

    def drop_origin_head(self) -> None:
        """Forget how to find origins: the head fits the features of the weights that it was trained with only."""
        if self.origin_head is not None:
            logger.warning("The head for origins belongs to the weights before; the videos keep the sampled colours.")
            self.origin_head = None
            self.register_to_config(origin_factor=None)

    def _check(self, sample: Tensor, views: int, origins: bool) -> None:
        if origins and (self.origin_head is None or views != self.origin_head.views):
            raise InputError(f"This model cannot find the origins of {views} views (`origin_factor`, `num_views`).")
        batch, _, frames, height, width = sample.shape
        factor = 2 ** (len(self.down_blocks) - 1)
        if batch % views:
            raise InputError(f"A batch of {batch} videos cannot be split into samples of {views} views.")
        if frames > self.config["motion_max_seq_length"]:
            raise InputError(f"{frames} frames asked for; this model goes to {self.config['motion_max_seq_length']}.")
        if height % factor or width % factor:
            raise InputError(f"Latents of {height}x{width} do not fit: both must be multiples of {factor}.")

    def position_map(self, height: int, width: int) -> Tensor:
        """The learned map at a size. ``[1, c, h, w]``"""
        positions = cast(Tensor, self.positions)
        if positions.shape[-2:] == (height, width):
            return positions
        return nn.functional.interpolate(positions, (height, width), mode="bilinear", align_corners=False)

    def _condition(self, sample: Tensor, timesteps: Tensor, text: Tensor, camera: Tensor | None) -> Tensor:
        """Time, camera, text and frame embedding of every image. ``[(b v f), t]``"""
        batch, frames = sample.shape[0], sample.shape[2]
        embedding = self.time_embedding(self.time_proj(timesteps).to(sample.dtype))[:, None].expand(-1, frames, -1)
        if self.config["i2v_cond_time_zero"]:
            start = self.time_proj(timesteps.new_zeros(1)).to(sample.dtype)
            first = self.time_embedding(start)[:, None].expand(batch, 1, -1)
            embedding = torch.cat([first, embedding[:, 1:]], dim=1)
        if camera is not None:
            if self.camera_embedding is None:
                raise InputError("This model has no camera condition (`camera_embedding_dim` is null); pass no camera.")
            embedding = embedding + self.camera_embedding(camera.to(sample.dtype))[:, None]
        if self.text_embedding is not None:
            embedding = embedding + self.text_embedding(text.mean(dim=1))[:, None]
        if self.frame_number_embedding is not None:
            numbers = torch.arange(frames, device=sample.device)
            embedding = embedding + self.frame_number_embedding(self.time_proj(numbers).to(sample.dtype))
        return embedding.flatten(0, 1)

    def _image_embeds(self, added_cond_kwargs: dict[str, Any] | None) -> list[Tensor]:
        image_embeds = (added_cond_kwargs or {}).get("image_embeds")
        if image_embeds is None:
            raise InputError("This model has an IP-Adapter: pass `added_cond_kwargs={'image_embeds': ...}`.")
        if isinstance(image_embeds, Tensor):
            image_embeds = [image_embeds[:, None]]
        return image_embeds

    def _blocks(self, hidden_states: Tensor, embedding: Tensor, prompt: Prompt, layout: Layout) -> Tensor:
        plain = {"temb": embedding, "num_frames": layout.frames}
        crossing = {**plain, "encoder_hidden_states": prompt, "cross_attention_kwargs": {"layout": layout}}

        def arguments(block: nn.Module) -> dict[str, Any]:
            return crossing if getattr(block, "has_cross_attention", False) else plain

        skips = [hidden_states]
        for block in self.down_blocks:
            hidden_states, outputs = block(hidden_states=hidden_states, **arguments(block))
            skips.extend(outputs)
        if not self.config["use_motion_mid_block"]:
            crossing_mid = {key: value for key, value in crossing.items() if key != "num_frames"}
            hidden_states = self.mid_block(hidden_states, **crossing_mid)
        else:
            hidden_states = self.mid_block(hidden_states, **crossing)
        for block in self.up_blocks:
            count = len(block.resnets)  # type: ignore[arg-type]
            hidden_states = block(
                hidden_states=hidden_states, res_hidden_states_tuple=tuple(skips[-count:]), **arguments(block)
            )
            del skips[-count:]
        return hidden_states


def _for_every_prompt(
    prompt: Prompt, sample: Tensor, timesteps: Tensor, camera: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a call without shared parts computes: every sample once per prompt."""
    copies = len(prompt.text) // len(sample)
    if copies == 1:
        return sample, timesteps, camera
    camera = None if camera is None else camera.repeat(copies, 1)
    return sample.repeat(copies, 1, 1, 1, 1), timesteps.repeat(copies), camera
