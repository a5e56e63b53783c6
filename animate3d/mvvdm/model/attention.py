"""Attention processors: multi-view spatial, text and image prompt, spatiotemporal.

No processor repeats what the frames or views of a sample share: queries of several
frames that see the same keys are laid end to end, and frames that see different keys are laid beside the heads, so
that most of the re-arranging is a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn

from animate3d.errors import InputError, require
from animate3d.mvvdm.model.attention_kernels import fused_attention
from animate3d.mvvdm.model.positions import LearnedEncoding, LearnedEncoding2D, SinusoidalEncoding, SinusoidalEncoding2D

Backend: TypeAlias = Literal["sdpa", "xformers"]
BACKENDS: tuple[Backend, ...] = ("sdpa", "xformers")
MOST_SCORES = 2**26
"""Attention weights of a layer that may be held for the backward pass where that is faster."""


KeysAndValues: TypeAlias = tuple[Tensor, Tensor]
PromptKeys: TypeAlias = tuple[KeysAndValues, list[KeysAndValues]]


class Layout(NamedTuple):
    """What the flat batch axis of a call is made of."""

    views: int
    frames: int
    height: int
    width: int


@dataclass
class Prompt:
    """Text and image tokens of a call, and the keys and values that every layer makes of them.

    Attributes:
        text: ``[n, s, d]``
        images: one ``[n, images, tokens, d]`` per IP-Adapter.
        embeds: image embeddings of which the model makes ``images`` when it is called; None when there are none left.
        kept: by layer, what `PromptProcessor.keys` made; None to make it anew in every call. Calls that share a prompt
            share it, as long as the weights stay what they are.
    """

    text: Tensor
    images: list[Tensor] = field(default_factory=list)
    embeds: list[Tensor] | None = None
    kept: dict[int, PromptKeys] | None = None


def attend(query: Tensor, key: Tensor, value: Tensor, backend: Backend = "sdpa") -> Tensor:
    """Softmax attention of ``[N, S, H, D]``, S tokens and H heads, to keys and values ``[N, T, H, D]``."""
    if backend == "xformers":
        ops = require("xformers.ops", feature="The xformers attention backend", extra="cuda")
        return ops.memory_efficient_attention(query, key, value)
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if _products_are_faster(query, key):
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
        return torch.matmul(scores.softmax(dim=-1), value).transpose(1, 2)
    return fused_attention(query, key, value).transpose(1, 2)


def _products_are_faster(query: Tensor, key: Tensor) -> bool:
    """On CPUs the backward pass of the fused kernel takes three times as long in bfloat16 as two plain products."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not query.requires_grad:
        return False
    return query.shape[:-1].numel() * key.shape[-2] <= MOST_SCORES


def _heads(tokens: Tensor, heads: int) -> Tensor:
    return tokens.unflatten(-1, (heads, -1))


def _output(attn: Attention, hidden_states: Tensor) -> Tensor:
    for layer in attn.to_out:  # a linear layer and a dropout
        hidden_states = layer(hidden_states)
    return hidden_states


class Processor(nn.Module):
    """Base of the processors: holds the backend, which can be changed after construction."""

    backend: Backend = "sdpa"


class MultiViewProcessor(Processor):
    """Spatial self-attention over all views of a frame and, with ``image_attn``, the MV2V adapter.

    The adapter is a second query that reads the keys and values of frame 0.
    """

    def __init__(self, channels: int, image_attn: bool = True) -> None:
        super().__init__()
        self.image_attn = image_attn
        if image_attn:
            self.to_q_i2v = nn.Linear(channels, channels, bias=False)
            self.to_out_i2v = _zero_linear(channels)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        layout: Layout,
    ) -> Tensor:
        """``[(b v f), l, c]`` to the same shape."""
        views, frames = layout.views, layout.frames
        # Tokens of all views side by side: one copy here instead of three after the projections.
        tokens = rearrange(hidden_states, "(b v f) l c -> b f (v l) c", v=views, f=frames)
        query, key, value = (_heads(layer(tokens), attn.heads) for layer in (attn.to_q, attn.to_k, attn.to_v))
        out = attend(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), self.backend)
        out = out.flatten(2).view_as(tokens)
        if self.image_attn:
            # All frames read frame 0, so their queries are one long row per sample.
            query = _heads(self.to_q_i2v(tokens), attn.heads).flatten(1, 2)
            reference = attend(query, key[:, 0], value[:, 0], self.backend)
            out = out + self.to_out_i2v(reference.flatten(2)).view_as(tokens)
        return rearrange(_output(attn, out), "b f (v l) c -> (b v f) l c", v=views)


class PromptProcessor(Processor):
    """Cross-attention to the text and, where there is an IP-Adapter, to the image tokens.

    Frames of a view share their prompt: its keys and values are computed once, not once per frame. ``scale`` is the
    weight of the image prompt.
    """

    def __init__(self, channels: int, cross_channels: int, image_prompt: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        adapters = 1 if image_prompt else 0
        self.to_k_ip = nn.ModuleList(nn.Linear(cross_channels, channels, bias=False) for _ in range(adapters))
        self.to_v_ip = nn.ModuleList(nn.Linear(cross_channels, channels, bias=False) for _ in range(adapters))

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | tuple[Tensor, list[Tensor]] | Prompt,
        attention_mask: Tensor | None = None,
        *,
        layout: Layout | None = None,
    ) -> Tensor:
        """``[(n f), l, c]`` to the same shape.

        Args:
            encoder_hidden_states: the prompt of n views, or its text ``[n, s, d]``, alone or with the image tokens, one
                ``[n, images, tokens, d]`` per IP-Adapter.
        """
        prompt = as_prompt(encoder_hidden_states)
        query = rearrange(attn.to_q(hidden_states), "(n f) l (h d) -> n (f l) h d", n=len(prompt.text), h=attn.heads)
        text, images = self.keys(attn, prompt)

        def read(pair: KeysAndValues) -> Tensor:
            key, value = (_heads(side, attn.heads) for side in pair)
            return attend(query, key, value, self.backend)

        out = read(text)
        for image in images:
            out = out + self.scale * read(image)
        return _output(attn, out.flatten(2).view_as(hidden_states))

    def keys(self, attn: Attention, prompt: Prompt) -> PromptKeys:
        """Keys and values ``[n, tokens, c]`` of the text, and of the images that count."""
        if prompt.kept is not None and (found := prompt.kept.get(id(self))) is not None:
            return found
        images: list[KeysAndValues] = []
        if self.scale != 0:
            for image, to_k, to_v in zip(prompt.images, self.to_k_ip, self.to_v_ip, strict=False):
                tokens = image.flatten(1, 2)
                images.append((to_k(tokens), to_v(tokens)))
        made = (attn.to_k(prompt.text), attn.to_v(prompt.text)), images
        if prompt.kept is not None and not torch.is_grad_enabled():
            prompt.kept[id(self)] = made
        return made


def as_prompt(given: Tensor | tuple[Tensor, list[Tensor]] | Prompt) -> Prompt:
    """A prompt from what diffusers' blocks hand on."""
    if isinstance(given, Prompt):
        return given
    return Prompt(*given) if isinstance(given, tuple) else Prompt(given)


class AlphaBlender(nn.Module):
    """Learned mixture of the branches: a sigmoid for two, a softmax for three. Starts at equal shares."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.zeros(1 if branches == 2 else branches))

    def forward(self, branches: list[Tensor]) -> Tensor:
        """The temporal branch is the second of the list."""
        if len(branches) == 2:
            other, temporal = branches
            return torch.lerp(temporal, other, torch.sigmoid(self.mix_factor).to(temporal.dtype))
        shares = torch.softmax(self.mix_factor, dim=0)
        mixed = shares[0] * branches[0]
        for share, branch in zip(shares[1:], branches[1:], strict=True):
            mixed = mixed + share * branch
        return mixed


class SpatioTemporalProcessor(Processor):
    """Attention of a motion module: over frames, over the views and pixels of a frame, and over frame 0.

    Args:
        channels: width of the layer.
        config: ``motion_module_attn_cfg`` of the model.
        max_frames: length of the frame encoding.
        num_views: length of the camera encoding.
        feature_size: edge of the learned two-axis table; only ``spatial_encoding_type: learnable`` uses it.
    """

    def __init__(
        self, channels: int, config: Mapping[str, Any], *, max_frames: int, num_views: int, feature_size: int
    ) -> None:
        super().__init__()
        enabled = bool(config.get("enabled", True))
        spatial: Mapping[str, Any] = config.get("spatial_attn") or {}
        self.spatial_attn = enabled and bool(spatial.get("enabled", False))
        self.image_attn = enabled and bool((config.get("image_attn") or {}).get("enabled", False))
        blend = bool(config.get("use_alpha_blender", True))
        encodings: Mapping[str, Any] = spatial.get("attn_cfg") or {}

        self.spatial_pos_embed: SinusoidalEncoding2D | LearnedEncoding2D | None = None
        self.camera_embed: SinusoidalEncoding | LearnedEncoding | None = None
        self.time_pos_embed: SinusoidalEncoding | None = None
        self.alpha_blender: AlphaBlender | None = None
        if self.spatial_attn:
            self.to_q_sp = nn.Linear(channels, channels, bias=False)
            self.to_k_sp = nn.Linear(channels, channels, bias=False)
            self.to_v_sp = nn.Linear(channels, channels, bias=False)
            self.to_out_sp = nn.Linear(channels, channels) if blend else _zero_linear(channels)
            if encodings.get("use_spatial_encoding", False):
                if _learnable(encodings, "spatial_encoding_type"):
                    self.spatial_pos_embed = LearnedEncoding2D(feature_size, channels)
                else:
                    self.spatial_pos_embed = SinusoidalEncoding2D(channels)
            if encodings.get("use_camera_encoding", False):
                learnable = _learnable(encodings, "camera_encoding_type")
                self.camera_embed = (LearnedEncoding if learnable else SinusoidalEncoding)(num_views, channels)
        if self.image_attn:
            self.to_q_i2v = nn.Linear(channels, channels, bias=False)
            self.to_k_i2v = nn.Linear(channels, channels, bias=False)
            self.to_v_i2v = nn.Linear(channels, channels, bias=False)
            self.to_out_i2v = nn.Linear(channels, channels) if blend else _zero_linear(channels)
        if encodes_frames(config):
            self.time_pos_embed = SinusoidalEncoding(max_frames, channels)
        if blend and (self.spatial_attn or self.image_attn):
            self.alpha_blender = AlphaBlender(1 + self.spatial_attn + self.image_attn)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        layout: Layout,
    ) -> Tensor:
        """``[(b v h w), f, c]`` to the same shape."""
        branches = [self._temporal(attn, hidden_states)]
        if self.spatial_attn:
            branches.insert(0, self._spatial(attn.heads, hidden_states, layout))
        if self.image_attn:
            image = self._image(attn.heads, hidden_states, layout)
            branches.insert(2 if self.spatial_attn else 0, image)  # the order of the three shares
        if self.alpha_blender is not None:
            return self.alpha_blender(branches)
        return sum(branches[1:], start=branches[0])

    def _temporal(self, attn: Attention, hidden_states: Tensor) -> Tensor:
        if self.time_pos_embed is not None:
            hidden_states = hidden_states + self.time_pos_embed(hidden_states.shape[1]).to(hidden_states.dtype)
        query, key, value = (_heads(layer(hidden_states), attn.heads) for layer in (attn.to_q, attn.to_k, attn.to_v))
        return _output(attn, attend(query, key, value, self.backend).flatten(2))

    def _spatial(self, heads: int, hidden_states: Tensor, layout: Layout) -> Tensor:
        views, frames, height, width = layout
        # Every frame attends within itself, so frames stand beside the heads and nothing moves.
        tokens = rearrange(hidden_states, "(b v y x) f c -> b v y x f c", v=views, y=height, x=width)
        encoding = self._spatial_encoding(layout, hidden_states)
        if encoding is not None:
            tokens = tokens + encoding[..., None, :].to(tokens.dtype)
        tokens = rearrange(tokens, "b v y x f c -> b (v y x) f c")
        query, key, value = (
            rearrange(layer(tokens), "b s f (h d) -> b s (f h) d", h=heads)
            for layer in (self.to_q_sp, self.to_k_sp, self.to_v_sp)
        )
        out = attend(query, key, value, self.backend)
        return self.to_out_sp(rearrange(out, "b s (f h) d -> (b s) f (h d)", f=frames))

    def _spatial_encoding(self, layout: Layout, like: Tensor) -> Tensor | None:
        """``[v, h, w, c]``, or with ones for axes that do not matter; None when there is nothing to add."""
        encoding: Tensor | None = None
        if self.spatial_pos_embed is not None:
            encoding = self.spatial_pos_embed(layout.height, layout.width, like)[None]
        if self.camera_embed is not None:
            camera = self.camera_embed(layout.views)[:, None, None]
            encoding = camera if encoding is None else encoding + camera
        return encoding

    def _image(self, heads: int, hidden_states: Tensor, layout: Layout) -> Tensor:
        # Pixels and frames of a view end to end read the pixels of its frame 0.
        tokens = rearrange(hidden_states, "(n s) f c -> n s f c", s=layout.height * layout.width)
        first = tokens[:, :, 0]
        query = _heads(self.to_q_i2v(tokens.flatten(1, 2)), heads)
        key, value = _heads(self.to_k_i2v(first), heads), _heads(self.to_v_i2v(first), heads)
        return self.to_out_i2v(attend(query, key, value, self.backend).flatten(2).view_as(hidden_states))


def encodes_frames(config: Mapping[str, Any]) -> bool:
    """Whether the frame encoding lives in the processors; otherwise it stays in the transformer block.

    The spatial branch must not see the frame encoding when it has encodings of its own.
    """
    spatial: Mapping[str, Any] = config.get("spatial_attn") or {}
    encodings: Mapping[str, Any] = spatial.get("attn_cfg") or {}
    used = encodings.get("use_spatial_encoding", False) or encodings.get("use_camera_encoding", False)
    return bool(config.get("enabled", True) and spatial.get("enabled", False) and used)


def _learnable(encodings: Mapping[str, Any], key: str) -> bool:
    kind = encodings.get(key, "sinusoid")
    if kind not in ("sinusoid", "learnable"):
        raise InputError(f"`{key}` is `{kind}`; it can be `sinusoid` or `learnable`.")
    return kind == "learnable"


def _zero_linear(channels: int) -> nn.Linear:
    layer = nn.Linear(channels, channels)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
