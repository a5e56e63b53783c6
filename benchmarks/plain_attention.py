"""The attention of the motion UNet written plainly: everything repeated and re-arranged, then one fused call.

The baseline of mvvdm_attention.py; takes the weights of the package's own processors.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from einops import rearrange, repeat
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from animate3d.mvvdm.model.attention import Layout, MultiViewProcessor, PromptProcessor, SpatioTemporalProcessor


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Tokens ``[N, S, C]`` to ``[N, S, C]``."""
    query, key, value = (rearrange(x, "n s (h d) -> n h s d", h=heads).contiguous() for x in (query, key, value))
    return rearrange(scaled_dot_product_attention(query, key, value), "n h s d -> n s (h d)")


def multi_view(processor: MultiViewProcessor, attn: Attention, hidden: Tensor, layout: Layout) -> Tensor:
    """Spatial attention over the views, and over frame 0."""
    axes = {"v": layout.views, "f": layout.frames}
    query, key, value = (layer(hidden) for layer in (attn.to_q, attn.to_k, attn.to_v))
    query, key, value = (rearrange(x, "(b v f) l c -> (b f) (v l) c", **axes) for x in (query, key, value))
    out = attend(query, key, value, attn.heads)
    first_key, first_value = (
        repeat(rearrange(x, "(b f) l c -> b f l c", f=layout.frames)[:, 0], "b l c -> (b f) l c", f=layout.frames)
        for x in (key, value)
    )
    query = rearrange(processor.to_q_i2v(hidden), "(b v f) l c -> (b f) (v l) c", **axes)
    out = out + processor.to_out_i2v(attend(query, first_key, first_value, attn.heads))
    return attn.to_out[0](rearrange(out, "(b f) (v l) c -> (b v f) l c", **axes))


def prompt(processor: PromptProcessor, attn: Attention, hidden: Tensor, text: Tensor, image: Tensor) -> Tensor:
    """Cross-attention with the prompt repeated for every frame."""
    frames = hidden.shape[0] // text.shape[0]
    text, image = (x.repeat_interleave(frames, dim=0) for x in (text, image.flatten(1, 2)))
    query = attn.to_q(hidden)
    out = attend(query, attn.to_k(text), attn.to_v(text), attn.heads)
    key, value = processor.to_k_ip[0](image), processor.to_v_ip[0](image)
    return attn.to_out[0](out + processor.scale * attend(query, key, value, attn.heads))


def motion(processor: SpatioTemporalProcessor, attn: Attention, hidden: Tensor, layout: Layout) -> Tensor:
    """Temporal and spatial branch, blended."""
    axes = {"v": layout.views, "h": layout.height, "w": layout.width}
    assert processor.time_pos_embed is not None and processor.spatial_pos_embed is not None
    assert processor.alpha_blender is not None
    timed = hidden + processor.time_pos_embed(hidden.shape[1])
    temporal = attend(attn.to_q(timed), attn.to_k(timed), attn.to_v(timed), attn.heads)
    temporal = attn.to_out[0](temporal)
    encoding = processor.spatial_pos_embed(layout.height, layout.width, hidden)
    tokens = rearrange(hidden, "(b v h w) f c -> (b f) v h w c", **axes) + encoding
    tokens = rearrange(tokens, "n v h w c -> n (v h w) c")
    spatial = attend(processor.to_q_sp(tokens), processor.to_k_sp(tokens), processor.to_v_sp(tokens), attn.heads)
    spatial = rearrange(
        processor.to_out_sp(spatial), "(b f) (v h w) c -> (b v h w) f c", f=layout.frames, **axes
    ).contiguous()
    alpha = torch.sigmoid(processor.alpha_blender.mix_factor)
    return alpha * spatial + (1 - alpha) * temporal
