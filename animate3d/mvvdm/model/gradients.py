"""Backward passes of what lies between the UNet's large products, each in few passes over memory.

Every one keeps what it was given and computes the rest again. Convolutions that do not learn keep nothing.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, conv_transpose2d

from animate3d.mvvdm.model import launches
from animate3d.mvvdm.model.launches import Places, Readers, Table, kernels_for

# -- group norm ------------------------------------------------------------------------------------------------------


class GroupNormGradients:
    """Gradients of a group norm, from that of its result.

    With the mean m, the deviation d and n numbers of a group: ``gain g - (sum(gain g) + x̂ sum(gain g x̂)) / n``, where
    ``gain = weight / d``, ``x̂ = (x - m) / d`` and g is the gradient before SiLU.

    Args:
        x: ``[images, pixels, C]``, images (b, f, v).
        gradient: like x, of ``silu(norm(x + addend))``, or of the norm alone without ``activate``.
        addend: ``[images, C]``

    Attributes:
        of_x: like x.
    """

    def __init__(
        self,
        x: Tensor,
        gradient: Tensor,
        norm: nn.GroupNorm,
        places: Places = Places(),  # noqa: B008  # a tuple
        activate: bool = True,
        addend: Tensor | None = None,
    ) -> None:
        self.places, self.groups = places, norm.num_groups
        _, self.pixels, channels = x.shape
        count = places.frames * self.pixels * (channels // self.groups)
        fused = kernels_for(x) is not None
        self.shift = None if addend is None else addend.float()
        self.total, square = launches.channel_sums(x) if fused else (x.float().sum(1), x.float().square().sum(1))
        total = self.total
        if self.shift is not None:
            square = square + 2 * self.shift * total + self.pixels * self.shift.square()
            total = total + self.pixels * self.shift
        self.mean = self._of_groups(self._of_samples(total)) / count
        variance = self._of_groups(self._of_samples(square)) / count - self.mean.square()
        self.inverse = variance.clamp_min(0).add(norm.eps).rsqrt()
        gain = self.inverse * norm.weight.float()
        gains, offsets = self._of_images(gain), self._of_images(norm.bias.float() - self.mean * gain)
        if self.shift is not None:
            offsets = offsets + gains * self.shift
        if fused:
            self.sums, products = launches.gradient_sums(x, gradient, gains, offsets, activate)
        else:
            before = gradient.float()
            if activate:
                before = _silu_backward(x.float() * gains[:, None] + offsets[:, None], before)
            self.sums, products = before.sum(1), (before * x.float()).sum(1)
        if self.shift is not None:
            products = products + self.shift * self.sums
        self.sample_sums = self._of_samples(self.sums)
        self.against = self._of_samples(products) - self.mean * self.sample_sums  # g times what the mean is taken from
        weighted = self._of_groups(gain * self.sample_sums)
        slope = -self._of_groups(gain * self.against) * self.inverse.square() / count
        self.slopes = self._of_images(slope)
        self.constants = self._of_images(-weighted / count - self.mean * slope)
        self.gains = gains
        if self.shift is not None:
            self.constants = self.constants + self.slopes * self.shift
        numbers = (gains, offsets, self.constants, self.slopes)
        if fused:
            self.of_x = launches.gradient_of_input(x, gradient, numbers, activate)
        else:
            of_x = before * gains[:, None] + self.constants[:, None] + self.slopes[:, None] * x.float()
            self.of_x = of_x.to(x.dtype)

    @property
    def of_weight(self) -> Tensor:
        """``[C]``"""
        return (self.inverse * self.against).sum(0)

    @property
    def of_bias(self) -> Tensor:
        """``[C]``"""
        return self.sample_sums.sum(0)

    @property
    def of_addend(self) -> Tensor:
        """``[images, C]``, the sum of that of x over the pixels."""
        return self.gains * self.sums + self.pixels * self.constants + self.slopes * self.total

    def _of_groups(self, per_channel: Tensor) -> Tensor:
        """``[samples, C]`` summed over each group, for every channel of it."""
        grouped = per_channel.unflatten(1, (self.groups, -1))
        return grouped.sum(-1, keepdim=True).expand_as(grouped).flatten(1)

    def _of_samples(self, per_image: Tensor) -> Tensor:
        """``[images, C]`` summed over the frames of every sample."""
        if self.places.frames == 1:
            return per_image
        return per_image.unflatten(0, (-1, *self.places)).sum(1).flatten(0, 1)

    def _of_images(self, per_sample: Tensor) -> Tensor:
        """The numbers ``[samples, C]`` of every image's sample."""
        if self.places.frames == 1:
            return per_sample
        samples = per_sample.unflatten(0, (-1, 1, self.places.views))
        return samples.expand(-1, self.places.frames, -1, -1).flatten(0, 2)


def _silu_backward(value: Tensor, gradient: Tensor) -> Tensor:
    share = value.sigmoid()
    return gradient * share * (1 + value * (1 - share))


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
        ctx.save_for_backward(x, addend)
        ctx.norm, ctx.places, ctx.activate = norm, places, activate
        return launches.group_norm(x, norm, places, activate, addend)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, addend = ctx.saved_tensors
        found = GroupNormGradients(x, gradient.contiguous(), ctx.norm, ctx.places, ctx.activate, addend)
        weight = found.of_weight.to(ctx.norm.weight.dtype) if ctx.needs_input_grad[1] else None
        bias = found.of_bias.to(ctx.norm.bias.dtype) if ctx.needs_input_grad[2] else None
        moved = found.of_addend.to(addend.dtype) if ctx.needs_input_grad[3] else None
        return found.of_x, weight, bias, moved, None, None, None


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
        blended = () if share is None else (first, second, share)
        ctx.save_for_backward(total, *blended)
        ctx.norm, ctx.addends = norm, len(addends)
        ctx.set_materialize_grads(False)
        return (total, *normed) if addends else tuple(normed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        total, *blended = ctx.saved_tensors
        onward, normed = (gradients[0], gradients[1:]) if ctx.addends else (None, gradients)
        given = [gradient.contiguous() for gradient in normed if gradient is not None] or [torch.zeros_like(total)]
        learns = ctx.needs_input_grad[4] or ctx.needs_input_grad[5]
        of_sum, of_blend, of_norm = launches.add_norm_backward(
            total, None if onward is None else onward.contiguous(), given, ctx.norm, tuple(blended) or None, learns
        )
        first, second, share = of_blend or (of_sum, of_sum, None)
        weight, bias = of_norm or (None, None)
        return (
            of_sum,
            first if ctx.addends > 0 else None,
            second if ctx.addends > 1 else None,
            None if share is None else share.to(blended[2].dtype).view_as(blended[2]),
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
