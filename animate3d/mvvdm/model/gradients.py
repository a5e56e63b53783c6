"""Backward passes of what lies between the UNet's large products, each in few passes over memory.

Every one keeps what it was given and computes the rest again. Convolutions that do not learn keep nothing.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, conv_transpose2d, linear

from animate3d.mvvdm.model import launches
from animate3d.mvvdm.model.launches import Blend, Places, Readers, Statistics, Table

# -- group norm ------------------------------------------------------------------------------------------------------


def norm_backward(x: Tensor, gradient: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Gradient of images x ``[N, P, C]`` from that of ``silu(norm(x))``.

    With the mean m, the deviation d and n numbers of a group: ``gain g - (sum(gain g) + x̂ sum(gain g x̂)) / n``, where
    ``gain = weight / d``, ``x̂ = (x - m) / d`` and g is the gradient before SiLU.
    """
    groups = x.float().unflatten(2, (norm.num_groups, -1))
    variance, mean = torch.var_mean(groups, dim=(1, 3), keepdim=True, correction=0)
    inverse = (variance + norm.eps).rsqrt()
    normal = (groups - mean) * inverse
    weight, bias = (side.float().view(norm.num_groups, -1) for side in (norm.weight, norm.bias))
    value = weight * normal + bias
    share = value.sigmoid()
    before = gradient.float().view_as(groups) * share * (1 + value * (1 - share))
    scaled = before * weight
    even = scaled.mean(dim=(1, 3), keepdim=True)
    along = (scaled * normal).mean(dim=(1, 3), keepdim=True)
    return (inverse * (scaled - even - along * normal)).view_as(x).to(x.dtype)


class GroupNorm(torch.autograd.Function):
    """`fused.group_norm` by its kernels; keeps x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        addend: Tensor | None,
        norm: nn.GroupNorm,
        places: Places,
        activate: bool,
    ) -> Tensor:
        out, found = launches.group_norm(x, norm, places, activate, addend)
        ctx.save_for_backward(x, addend, *found)
        ctx.norm, ctx.places, ctx.activate = norm, places, activate
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, addend, *found = ctx.saved_tensors
        of_x, of_norm = launches.group_norm_backward(
            x,
            gradient.contiguous(),
            Statistics(*found),
            ctx.places,
            activate=ctx.activate,
            addend=addend,
            learns=ctx.needs_input_grad[1] or ctx.needs_input_grad[2],
        )
        weight, bias = of_norm or (None, None)
        return (
            of_x,
            None if weight is None else weight.to(ctx.norm.weight.dtype),
            None if bias is None else bias.to(ctx.norm.bias.dtype),
            of_x.sum(1, dtype=torch.float32).to(addend.dtype) if ctx.needs_input_grad[3] else None,
            None,
            None,
            None,
        )


# -- layer norm ------------------------------------------------------------------------------------------------------


class AddNorm(torch.autograd.Function):
    """`fused.add_norm` by its kernel, without the sum where nothing is added; keeps the sum."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first: Tensor | None,
        second: Tensor | None,
        share: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: nn.LayerNorm,
        tables: tuple[Table | None, ...],
    ) -> tuple[Tensor, ...]:
        addends = tuple(addend for addend in (first, second) if addend is not None)
        total, *normed = launches.add_norm(x, addends, norm, tables, share)
        blend = () if first is None or second is None or share is None else (second - first, share)
        ctx.save_for_backward(total, *blend)
        ctx.norm, ctx.addends = norm, len(addends)
        ctx.set_materialize_grads(False)
        return (total, *normed) if addends else tuple(normed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        total, *kept = ctx.saved_tensors
        blend = Blend(*kept) if kept else None
        onward, normed = (gradients[0], gradients[1:]) if ctx.addends else (None, gradients)
        given = [gradient.contiguous() for gradient in normed if gradient is not None] or [torch.zeros_like(total)]
        learns = ctx.needs_input_grad[4] or ctx.needs_input_grad[5]
        of_sum, of_blend, of_norm = launches.add_norm_backward(
            total, None if onward is None else onward.contiguous(), given, ctx.norm, blend, learns
        )
        first, second, share = of_blend or (of_sum, of_sum, None)
        weight, bias = of_norm or (None, None)
        return (
            of_sum,
            first if ctx.addends > 0 else None,
            second if ctx.addends > 1 else None,
            None if share is None or blend is None else share.to(blend.share.dtype).view_as(blend.share),
            None if weight is None else weight.to(ctx.norm.weight.dtype),
            None if bias is None else bias.to(ctx.norm.bias.dtype),
            None,
            None,
        )


# -- feed-forward ----------------------------------------------------------------------------------------------------


class Gate(torch.autograd.Function):
    """One half of ``[..., 2 W]`` gated by the GELU of the other."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        return launches.gated_gelu(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (hidden,) = ctx.saved_tensors
        return launches.gated_gelu_backward(hidden, gradient.contiguous())


class GatedLinear(torch.autograd.Function):
    """`Gate` and a linear layer that learns; keeps what is gated, and gates it again for the weight's gradient."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        half = weight.to(hidden.dtype)
        ctx.save_for_backward(hidden, half)
        ctx.kinds = weight.dtype, bias.dtype
        return linear(launches.gated_gelu(hidden), half, bias.to(hidden.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        hidden, half = ctx.saved_tensors
        gradient = gradient.contiguous()
        rows = gradient.flatten(0, -2)
        of_weight = rows.t() @ launches.gated_gelu(hidden).flatten(0, -2)
        of_hidden = launches.gated_gelu_backward(hidden, gradient @ half)
        return of_hidden, of_weight.to(ctx.kinds[0]), rows.sum(0).to(ctx.kinds[1])


# -- attention -------------------------------------------------------------------------------------------------------


class FramesAttention(torch.autograd.Function):
    """`fused.attend_frames` by its kernel; keeps query, key and value."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.heads = heads
        return launches.frames_attention(qkv, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (qkv,) = ctx.saved_tensors
        return launches.frames_attention_backward(qkv, gradient.contiguous(), ctx.heads), None


class PromptAttention(torch.autograd.Function):
    """`fused.attend_prompt` by its kernel, to keys and values that do not learn."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, readers: Readers, *tokens: Tensor | None) -> Tensor:
        ctx.save_for_backward(query, *tokens)
        ctx.readers = readers
        return launches.prompt_attention(query, tokens, readers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, *tokens = ctx.saved_tensors
        found = launches.prompt_attention_backward(query, gradient.contiguous(), tuple(tokens), ctx.readers)
        return found, None, *[None] * len(tokens)


# -- convolutions that do not learn ----------------------------------------------------------------------------------


class FrozenConv(torch.autograd.Function):
    """A convolution of frozen weights, which does not keep its input."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, conv: nn.Conv2d, bias: bool) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.conv, ctx.shape = conv, images.shape
        offset = conv.bias if bias and conv.bias is not None else None
        return conv2d(
            images, weight, None if offset is None else offset.to(weight.dtype), conv.stride, cast(Any, conv.padding)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        return conv_backward(ctx.conv, gradient, ctx.shape, weight.to(gradient.dtype)), None, None, None


def conv_backward(conv: nn.Conv2d, gradient: Tensor, shape: torch.Size, weight: Tensor) -> Tensor:
    """Gradient of a convolution's input; which needs the input's shape, and not the input."""
    rest = [
        size - ((out - 1) * stride - 2 * padding + kernel)
        for size, out, stride, padding, kernel in zip(
            shape[2:],
            gradient.shape[2:],
            conv.stride,
            cast(tuple[int, ...], conv.padding),
            conv.kernel_size,
            strict=True,
        )
    ]
    return conv_transpose2d(gradient, weight, None, conv.stride, cast(Any, conv.padding), rest)
