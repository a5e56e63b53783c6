"""The UNet's forward pass, also with gradient: the same numbers as its modules, in few passes over memory.

The modules are diffusers' and keep their weights; here they are only read. Images stand in the order (b, f, v) with
channels last, from the first convolution to the last, so that no attention moves its tokens: over the views and pixels
of a frame, over frame 0 of a sample and over the frames of a pixel, all are views of one tensor.

Where a call asks for several prompts per sample (guidance), they share what comes before the first prompt is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, linear, silu
from torch.utils.checkpoint import checkpoint

from animate3d.mvvdm.model.attention import (
    Layout,
    MultiViewProcessor,
    Prompt,
    PromptKeys,
    PromptProcessor,
    SpatioTemporalProcessor,
    attend,
)
from animate3d.mvvdm.model.compiled import Compiler, run_plainly
from animate3d.mvvdm.model.fused import add_norm, attend_frames, attend_prompt, gated_linear, group_norm, side_by_side
from animate3d.mvvdm.model.gradients import FrozenConv
from animate3d.mvvdm.model.launches import Table
from animate3d.mvvdm.model.motion_module import MotionTransformer, NoMotion

_Tables: TypeAlias = tuple[Table | None, Table | None]


@dataclass
class _Call:
    """What the blocks of a call share; ``copies`` of every sample are still to be made for its prompts."""

    batch: int
    frames: int
    views: int
    embedding: Tensor  # [(b f v), t], after SiLU
    prompt: Prompt
    copies: int
    run: Callable[..., Tensor] = run_plainly  # what calls the functions of the blocks: as they are, or compiled

    def expand(self, tensor: Tensor) -> Tensor:
        return tensor.repeat(self.copies, *[1] * (tensor.ndim - 1))

    def through(self, function: Callable[..., Tensor], module: nn.Module, *arguments: Any) -> Tensor:
        """Call the function of a block, whose activations are computed again in the backward pass where it says so."""
        if torch.is_grad_enabled() and getattr(module, "recomputed", False):
            again = partial(function, module, *arguments)
            # Nothing is drawn in there, and nothing depends on chance: what would be checked costs the host's time.
            found = checkpoint(again, use_reentrant=False, preserve_rng_state=False, determinism_check="none")
            return cast(Tensor, found)
        return self.run(function, module, *arguments)

    def shared(self) -> None:
        """From here on every prompt has its own tokens."""
        self.embedding = self.expand(self.embedding)
        self.batch, self.copies = self.batch * self.copies, 1


def supports(unet: nn.Module, device: torch.device, *, learns: bool = False) -> bool:
    """Whether this file can compute the model: known kinds of layers with plain weights on the device.

    Args:
        learns: with gradient, for which nothing may hang on the layers that only their own call would see.
    """
    for layer in _layers_of(unet):
        for parameter in layer._parameters.values():
            if parameter is not None and (type(parameter) is not nn.Parameter or parameter.device != device):
                return False  # spread over processes, quantised, or waiting on the CPU
        if layer is not unet and (not _known(layer) or (learns and _called_for_more(layer))):
            return False
    return True


def _called_for_more(module: nn.Module) -> bool:
    """Whether a layer's own call does more than its formula: hooks, a compiler's version, dropout."""
    if isinstance(module, nn.Dropout):
        return module.training and module.p > 0
    compiled = vars(module).get("_compiled_call_impl") is not None
    return compiled or bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The module and all in it: `modules` takes 20 ms for them, which every call would wait for."""
    left = [module]
    while left:
        yield (layer := left.pop())
        left.extend(part for part in layer._modules.values() if part is not None)


def _known(module: nn.Module) -> bool:
    if "_hf_hook" in vars(module) or type(module).__module__.startswith("peft"):
        return False
    if isinstance(module, SpatioTemporalProcessor):
        return module.spatial_attn and not module.image_attn
    if isinstance(module, ResnetBlock2D):
        return not (module.up or module.down) and module.time_embedding_norm == "default"
    if isinstance(module, Downsample2D):
        return module.padding == 1 and module.use_conv
    return True


def features(unet: Any, sample: Tensor, embedding: Tensor, prompt: Prompt, layout: Layout) -> Tensor:
    """What the UNet's last convolution reads.

    Args:
        sample: ``[(b v), c, f, h, w]``, with every input channel.
        embedding: ``[(b v f), t]``
        prompt: of ``k b`` samples, all first prompts first.
        layout: of the call.

    Returns:
        ``[(k b f v), h, w, c]``
    """
    x = rearrange(sample, "(b v) c f h w -> (b f v) h w c", v=layout.views).contiguous()
    embedding = rearrange(embedding, "(b v f) t -> (b f v) t", v=layout.views, f=layout.frames)
    x = _conv(x, unet.conv_in)
    if unet.positions is not None:
        x = x + unet.position_map(*x.shape[1:3]).permute(0, 2, 3, 1).to(x.dtype)
    compiler: Compiler | None = unet.compiler
    if compiler is None:
        x = _blocks(unet, x, embedding, prompt, layout)
    else:
        with compiler.announced():
            x = _blocks(unet, x, embedding, prompt, layout, compiler)
    return group_norm(x.flatten(1, 2), unet.conv_norm_out, activate=True).view_as(x)


def prediction(unet: Any, found: Tensor, layout: Layout) -> Tensor:
    """The last convolution. ``[(b f v), h, w, c]`` to ``[(b v), c, f, h, w]``"""
    return rearrange(_conv(found, unet.conv_out), "(b f v) h w c -> (b v) c f h w", f=layout.frames, v=layout.views)


def _blocks(
    unet: Any, x: Tensor, embedding: Tensor, prompt: Prompt, layout: Layout, run: Callable[..., Tensor] = run_plainly
) -> Tensor:
    batch = len(x) // (layout.views * layout.frames)
    copies = len(prompt.text) // (batch * layout.views)
    call = _Call(batch, layout.frames, layout.views, silu(embedding), prompt, copies, run)
    skips = [x]
    for block in unet.down_blocks:
        skips.extend(_layers(block, x, call))
        x = skips[-1]
        for sampler in block.downsamplers or ():
            x = _conv(x, sampler.conv, stride=2)
            skips.append(x)
    x = _middle(unet.mid_block, x, call)
    for block in unet.up_blocks:
        count = len(block.resnets)
        taken, skips = skips[-count:], skips[:-count]
        *_, x = _layers(block, x, call, taken)
        for sampler in block.upsamplers or ():
            with torch.autocast(x.device.type, enabled=False):  # which would make it float32
                x = interpolate(x.permute(0, 3, 1, 2), scale_factor=2.0, mode="nearest").permute(0, 2, 3, 1)
            x = _conv(x, sampler.conv)
    if call.copies > 1:
        x = call.expand(x)
    return x


def _layers(block: Any, x: Tensor, call: _Call, skips: list[Tensor] | None = None) -> Iterator[Tensor]:
    """The outputs of the layers of a down or up block."""
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    for resnet, attention, motion in zip(block.resnets, attentions, block.motion_modules, strict=True):
        if skips is not None:
            skip = skips.pop()
            if len(skip) != len(x):  # made before the prompts parted
                skip = skip.repeat(len(x) // len(skip), 1, 1, 1)
            x = torch.cat([x, skip], dim=-1)
        x = call.through(_resnet, resnet, x, call)
        if attention is not None:
            x = _spatial(attention, x, call)
        x = _motion(motion, x, call)
        yield x


def _middle(block: Any, x: Tensor, call: _Call) -> Tensor:
    x = call.through(_resnet, block.resnets[0], x, call)
    motions = getattr(block, "motion_modules", None) or [None] * len(block.attentions)
    for attention, resnet, motion in zip(block.attentions, block.resnets[1:], motions, strict=True):
        x = _spatial(attention, x, call)
        if motion is not None:
            x = _motion(motion, x, call)
        x = call.through(_resnet, resnet, x, call)
    return x


# -- convolutions ----------------------------------------------------------------------------------------------------


def _conv(x: Tensor, layer: nn.Conv2d, *, bias: bool = True, stride: int = 1) -> Tensor:
    images = x.permute(0, 3, 1, 2)
    if torch.is_grad_enabled() and x.requires_grad and not layer.weight.requires_grad:
        out = FrozenConv.apply(images, layer.weight.to(x.dtype), layer, bias)  # type: ignore[no-untyped-call]
    else:
        out = conv2d(images, layer.weight, layer.bias if bias else None, stride, layer.padding)
    return out.permute(0, 2, 3, 1).contiguous()  # on a GPU it is already


def _sum(made: Tensor, other: Tensor) -> Tensor:
    """The sum of a tensor that was just made and another one; in its memory where no gradient needs it as it was."""
    return made + other if torch.is_grad_enabled() else made.add_(other)


def _normed(x: Tensor, norm: nn.GroupNorm, addend: Tensor | None = None) -> Tensor:
    return group_norm(x.flatten(1, 2), norm, activate=True, addend=addend).view_as(x)


def _resnet(block: ResnetBlock2D, x: Tensor, call: _Call) -> Tensor:
    """Two convolutions with their norms and the embedding; their biases ride on sums that are made anyway."""
    hidden = _conv(_normed(x, block.norm1), block.conv1, bias=False)
    projection: Any = block.time_emb_proj
    addend = linear(call.embedding, projection.weight, projection.bias + cast(Tensor, block.conv1.bias))
    shortcut: Any = block.conv_shortcut
    hidden = _conv(_normed(hidden, block.norm2, addend), block.conv2, bias=shortcut is None)
    if shortcut is None:
        return _sum(hidden, x)
    return _sum(linear(x, shortcut.weight.flatten(1), shortcut.bias + block.conv2.bias), hidden)


# -- transformers ----------------------------------------------------------------------------------------------------


def _dense(layer: Any, x: Tensor) -> Tensor:
    """A linear layer, or a convolution of one pixel."""
    return linear(x, layer.weight.flatten(1), layer.bias)


def _spatial(model: Transformer2DModel, x: Tensor, call: _Call) -> Tensor:
    """``[(b f v), h, w, c]``; more rows come back where the prompts part."""
    attentions = [cast(Attention, block.attn2) for block in model.transformer_blocks]
    keys = [cast(PromptProcessor, attn.processor).keys(attn, call.prompt) for attn in attentions]
    return call.through(_spatial_blocks, model, x, call, keys)


def _spatial_blocks(model: Transformer2DModel, x: Tensor, call: _Call, keys: list[PromptKeys]) -> Tensor:
    """``keys`` are what the blocks make of the prompts."""
    size = x.shape[1:3]
    tokens = _dense(model.proj_in, group_norm(x.flatten(1, 2), model.norm, activate=False))
    for block, read in zip(model.transformer_blocks, keys, strict=True):
        tokens = _spatial_block(cast(BasicTransformerBlock, block), tokens, call, read)
    out = _dense(model.proj_out, tokens).unflatten(1, size)
    return _sum(out, x if len(x) == len(out) else x.repeat(len(out) // len(x), 1, 1, 1))


def _spatial_block(block: BasicTransformerBlock, tokens: Tensor, call: _Call, keys: PromptKeys) -> Tensor:
    _, normed = add_norm(tokens, (), cast(nn.LayerNorm, block.norm1))
    seen = _multi_view(block.attn1, normed, call)
    tokens, normed = add_norm(tokens, (seen,), cast(nn.LayerNorm, block.norm2))
    if call.copies > 1:
        tokens, normed = call.expand(tokens), call.expand(normed)
        call.shared()
    read = _prompted(block.attn2, normed, call, keys)
    tokens, normed = add_norm(tokens, (read,), cast(nn.LayerNorm, block.norm3))
    return _sum(_feed_forward(block, normed), tokens)


def _feed_forward(block: BasicTransformerBlock, normed: Tensor) -> Tensor:
    gate, _, out = cast(Any, block.ff).net
    return gated_linear(normed, gate.proj, out)


def _multi_view(attn: Attention, normed: Tensor, call: _Call) -> Tensor:
    """`MultiViewProcessor` on ``[(b f v), s, c]``."""
    processor = cast(MultiViewProcessor, attn.processor)
    heads, channels = attn.heads, normed.shape[-1]
    layers, learns = [attn.to_q, attn.to_k, attn.to_v], torch.is_grad_enabled()
    if processor.image_attn and not learns:
        layers.append(processor.to_q_i2v)
    joint = side_by_side(layers, normed).view(call.batch, call.frames, -1, len(layers), channels)
    query, key, value, *more = joint.unflatten(-1, (heads, -1)).unbind(3)  # [b, f, (v s), h, d]
    out = attend(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)).reshape(-1, channels)
    layer = cast(Any, attn.to_out)[0]
    bias = layer.bias
    if processor.image_attn:
        # With gradient the adapter's query is a product of its own: it learns, the other three may not.
        adapter = linear(normed, processor.to_q_i2v.weight).view_as(query) if learns else more[0]
        reference = attend(adapter.flatten(1, 2), key[:, 0], value[:, 0]).reshape(-1, channels)
        if learns:
            out = out + linear(reference, processor.to_out_i2v.weight, processor.to_out_i2v.bias)
        else:
            out.addmm_(reference, processor.to_out_i2v.weight.t())
            bias = linear(processor.to_out_i2v.bias, layer.weight, bias)
    return linear(out, layer.weight, bias).view_as(normed)


def _prompted(attn: Attention, normed: Tensor, call: _Call, keys: PromptKeys) -> Tensor:
    """`PromptProcessor` on ``[(b f v), s, c]``."""
    processor = cast(PromptProcessor, attn.processor)
    text, images = keys
    query = attn.to_q(normed)
    image = images[0] if images else None
    out = attend_prompt(
        query, text, image, heads=attn.heads, frames=call.frames, views=call.views, image_scale=processor.scale
    )
    for other in images[1:]:
        out = out + processor.scale * attend_prompt(
            query, other, None, heads=attn.heads, frames=call.frames, views=call.views, image_scale=0.0
        )
    return cast(Any, attn.to_out)[0](out)


def _motion(model: nn.Module, x: Tensor, call: _Call) -> Tensor:
    """`MotionTransformer` on ``[(b f v), h, w, c]``."""
    if isinstance(model, NoMotion):
        return x
    blocks = [cast(BasicTransformerBlock, block) for block in cast(MotionTransformer, model).transformer_blocks]
    tables = [[_tables(block, attn, x, call) for attn in (block.attn1, block.attn2)] for block in blocks]
    return call.through(_motion_blocks, model, x, call, tables)


def _motion_blocks(model: MotionTransformer, x: Tensor, call: _Call, tables: list[list[_Tables]]) -> Tensor:
    """``tables`` are those of the blocks' two attentions."""
    tokens = group_norm(x.flatten(1, 2), model.norm, frames=call.frames, views=call.views, activate=False)
    tokens = _dense(model.proj_in, tokens)
    for block, added in zip(model.transformer_blocks, tables, strict=True):
        tokens = _motion_block(cast(BasicTransformerBlock, block), tokens, call, added)
    return _sum(_dense(model.proj_out, tokens).view_as(x), x)


def _motion_block(block: BasicTransformerBlock, tokens: Tensor, call: _Call, tables: list[_Tables]) -> Tensor:
    normed: tuple[Tensor, ...]
    addends: tuple[Tensor, ...] = ()
    share = None
    for attn, norm, added in ((block.attn1, block.norm1, tables[0]), (block.attn2, block.norm2, tables[1])):
        tokens, *normed = add_norm(tokens, addends, cast(nn.LayerNorm, norm), added, share)  # type: ignore[assignment]
        addends, share = _both_branches(attn, normed, call)
    tokens, last = add_norm(tokens, addends, cast(nn.LayerNorm, block.norm3), (None,), share)
    return _sum(_feed_forward(block, last), tokens)


def _tables(block: BasicTransformerBlock, attn: Attention, x: Tensor, call: _Call) -> _Tables:
    """What is added to the tokens of the temporal and of the spatial branch of ``[(b f v), h, w, c]``."""
    processor = cast(SpatioTemporalProcessor, attn.processor)
    size = x.shape[1:3]
    places = call.views * size.numel()
    if processor.time_pos_embed is None:  # then the block has the frame encoding, for both
        if block.pos_embed is None:
            return None, None
        frames = Table(cast(Any, block.pos_embed).pe[0, : call.frames].to(x.dtype).contiguous(), places)
        return frames, frames
    frames = Table(processor.time_pos_embed(call.frames).to(x.dtype).contiguous(), places)
    layout = Layout(call.views, call.frames, *size)
    encoding = processor._spatial_encoding(layout, x)
    if encoding is None:
        return frames, None
    full = encoding.to(x.dtype).expand(call.views, *size, -1).reshape(places, -1).contiguous()
    return frames, Table(full, 1)


def _both_branches(attn: Attention, normed: Any, call: _Call) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
    """What both branches of `SpatioTemporalProcessor` add to ``[(b f v), s, c]``, and the second's share."""
    processor = cast(SpatioTemporalProcessor, attn.processor)
    timed, placed = normed
    heads, channels = attn.heads, timed.shape[-1]
    layers = cast(list[nn.Linear], [attn.to_q, attn.to_k, attn.to_v])
    joint = side_by_side(layers, timed).view(call.batch, call.frames, -1, 3 * channels)
    temporal = cast(Any, attn.to_out)[0](attend_frames(joint, heads).reshape(timed.shape))
    joint = side_by_side([processor.to_q_sp, processor.to_k_sp, processor.to_v_sp], placed)
    joint = joint.view(call.batch * call.frames, -1, 3, heads, channels // heads)
    spatial = processor.to_out_sp(attend(joint[:, :, 0], joint[:, :, 1], joint[:, :, 2]).reshape(timed.shape))
    blender = processor.alpha_blender
    return (temporal, spatial), None if blender is None else torch.sigmoid(blender.mix_factor)
