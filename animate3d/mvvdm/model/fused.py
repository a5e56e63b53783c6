"""What lies between the large products of the UNet, each in one pass over memory.

Every function is a formula in torch; on a GPU, in half precision and where Triton is there, a kernel of
`animate3d.mvvdm.model.kernels` computes the same with float32 inside, and so its gradient (`gradients`). Images come
in the order (b, f, v), so that frames, views and pixels of a sample can be read as one row of tokens; channels are
last and contiguous.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

from animate3d.mvvdm.model import gradients, launches
from animate3d.mvvdm.model.launches import Places, Readers, Table, kernels_for


def _learns(*tensors: Tensor | None) -> bool:
    """Whether a gradient to one of these is wanted."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


# -- normalisation ---------------------------------------------------------------------------------------------------


def group_norm(
    x: Tensor, norm: nn.GroupNorm, *, frames: int = 1, views: int = 1, activate: bool, addend: Tensor | None = None
) -> Tensor:
    """Group norm of tokens ``[images, pixels, C]``, then SiLU when ``activate``.

    Args:
        frames, views: statistics go over the F images (b, f, v) of every (b, v).
        addend: ``[images, C]``, added to x beforehand; for ``frames`` = 1.
    """
    places = Places(frames, views)
    if kernels_for(x) is not None:
        if _learns(x, norm.weight, norm.bias, addend):
            return gradients.GroupNorm.apply(x, norm.weight, norm.bias, addend, norm, places, activate)  # type: ignore[no-untyped-call]
        return launches.group_norm(x, norm, places, activate, addend)[0]
    if addend is not None:
        x = x + addend[:, None]
    images, pixels, channels = x.shape
    groups = x.view(-1, frames, views, pixels, norm.num_groups, channels // norm.num_groups)
    variance, mean = torch.var_mean(groups.float(), dim=(1, 3, 5), keepdim=True, correction=0)
    out = ((groups - mean) * torch.rsqrt(variance + norm.eps)).view(images, pixels, channels)
    out = torch.addcmul(norm.bias.float(), out, norm.weight.float())
    return (silu(out) if activate else out).to(x.dtype)


def add_norm(
    x: Tensor,
    addends: tuple[Tensor, ...],
    norm: nn.LayerNorm,
    tables: tuple[Table | None, ...] = (None,),
    share: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """``x + addends`` (none, one or two), and its layer norm plus a table, once for every table; all ``[..., C]`` as x.

    Args:
        share: of the second of two addends; None adds both.
    """
    rows = [table.rows for table in tables if table is not None]
    if kernels_for(x) is not None and not _learns(*rows):
        if not _learns(x, *addends, share, norm.weight, norm.bias):
            return launches.add_norm(x, addends, norm, tables, share)
        first, second = (*addends, None, None)[:2]
        found = gradients.AddNorm.apply(x, first, second, share, norm.weight, norm.bias, norm, tables)  # type: ignore[no-untyped-call]
        return tuple(found) if addends else (x, *found)
    if share is not None:
        first, second = addends
        x = x + torch.lerp(first, second, share.to(x.dtype))
    else:
        for addend in addends:
            x = x + addend
    plain = layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    outs = []
    for table in tables:
        if table is None:
            outs.append(plain)
        else:
            period, channels = table.rows.shape
            outs.append((plain.view(-1, period, table.step, channels) + table.rows[:, None]).view_as(plain))
    return (x, *outs)


# -- feed-forward ----------------------------------------------------------------------------------------------------


def gated_linear(x: Tensor, gate: nn.Linear, out: nn.Linear) -> Tensor:
    """A linear layer to twice the width, one half gated by the GELU of the other, and a second one."""
    hidden = gate(x)
    if kernels_for(hidden) is None:
        value, opening = hidden.chunk(2, dim=-1)
        return out(value * gelu(opening))
    if out.bias is not None and _learns(out.weight, out.bias):
        return gradients.GatedLinear.apply(hidden, out.weight, out.bias)  # type: ignore[no-untyped-call]
    return out(gradients.Gate.apply(hidden) if _learns(hidden) else launches.gated_gelu(hidden))  # type: ignore[no-untyped-call]


# -- attention -------------------------------------------------------------------------------------------------------


def attend_frames(qkv: Tensor, heads: int) -> Tensor:
    """Attention of every place over the frames, ``[B, F, P, C]``, from query, key and value side by side."""
    samples, frames, places, triple = qkv.shape
    head = triple // (3 * heads)
    if kernels_for(qkv) is not None and launches.frames_attention_fits(frames, head):
        if _learns(qkv):
            return gradients.FramesAttention.apply(qkv, heads)  # type: ignore[no-untyped-call]
        return launches.frames_attention(qkv, heads)
    query, key, value = qkv.unflatten(-1, (3, heads, head)).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # [B P, H, F, D]
    out = scaled_dot_product_attention(query, key, value)
    return out.unflatten(0, (samples, places)).permute(0, 3, 1, 2, 4).flatten(3)


def attend_prompt(
    query: Tensor,
    text: tuple[Tensor, Tensor],
    image: tuple[Tensor, Tensor] | None,
    *,
    heads: int,
    frames: int,
    views: int,
    image_scale: float,
) -> Tensor:
    """Attention of images ``[(b f v), pixels, C]`` to the text, plus ``image_scale`` times that to the image tokens.

    Both are keys and values ``[(b v), tokens, C]`` of their view.
    """
    images, pixels, channels = query.shape
    head = channels // heads
    tokens = (*text, *(image or (None, None)))
    counts = text[0].shape[1], 0 if image is None else image[0].shape[1]
    if kernels_for(query) is not None and launches.prompt_attention_fits(*counts, head) and not _learns(*tokens):
        readers = Readers(heads, frames, views, image_scale)
        if _learns(query):
            return gradients.PromptAttention.apply(query, readers, *tokens)  # type: ignore[no-untyped-call]
        return launches.prompt_attention(query, tokens, readers)
    rows_of = query.view(-1, frames, views, pixels, heads, head).permute(0, 2, 4, 1, 3, 5)  # b v h f s d
    queries = rows_of.flatten(0, 1).flatten(2, 3)

    def read(pair: tuple[Tensor, Tensor]) -> Tensor:
        key, value = (side.unflatten(-1, (heads, head)).transpose(1, 2) for side in pair)
        return scaled_dot_product_attention(queries, key, value)

    out = read(text) if image is None else read(text) + image_scale * read(image)
    out = out.view(-1, views, heads, frames, pixels, head).permute(0, 3, 1, 4, 2, 5)
    return out.reshape(images, pixels, channels)


def side_by_side(layers: list[nn.Linear], x: Tensor) -> Tensor:
    """Several linear layers without bias that read the same tokens, as one product. ``[..., C]`` to ``[..., sum]``"""
    weights = [layer.weight for layer in layers]
    # Neither the compiler nor a gradient can follow addresses; a copy of weights costs them little.
    if torch.compiler.is_compiling() or _learns(*weights):
        return linear(x, torch.cat(weights))
    return linear(x, joint_weight(layers))


def joint_weight(layers: list[nn.Linear]) -> Tensor:
    """The weights of the layers below one another, in memory that they share with the layers.

    The first call moves the layers' weights into one tensor; their names and values stay.
    """
    weights = [layer.weight for layer in layers]
    first, at = weights[0], weights[0].data_ptr()
    for weight in weights:
        if weight.data_ptr() != at or not weight.is_contiguous() or weight.dtype != first.dtype:
            break
        at += weight.nbytes
    else:
        if first.untyped_storage().data_ptr() + first.untyped_storage().nbytes() >= at:
            rows = sum(len(weight) for weight in weights)
            return first.detach().as_strided((rows, first.shape[1]), (first.shape[1], 1))
    joint = torch.cat([weight.detach() for weight in weights])
    start = 0
    for weight in weights:
        weight.data = joint[start : start + len(weight)]
        start += len(weight)
    return joint
