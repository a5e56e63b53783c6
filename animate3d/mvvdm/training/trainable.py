"""What is trained and what it costs: freezing, precision of frozen weights, recomputed activations, LoRA."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn.functional import group_norm, layer_norm
from torch.utils.checkpoint import checkpoint

from animate3d.errors import InputError, require
from animate3d.mvvdm.model.motion_module import MotionTransformer
from animate3d.mvvdm.model.unet import MultiViewUNet, is_trained

RECOMPUTED = (ResnetBlock2D, Transformer2DModel, MotionTransformer)
"""Modules whose activations are recomputed in the backward pass; together almost the whole UNet."""

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "to_q_sp", "to_k_sp", "to_v_sp", "to_out_sp")
"""Layers of the motion modules that get low-rank updates: both branches of the spatiotemporal attention."""


def freeze(unet: nn.Module, trainable: Sequence[str]) -> dict[str, nn.Parameter]:
    """Let only parameters learn whose name contains one of ``trainable``; returns them by name, in model order.

    Raises:
        InputError: no parameter does.
    """
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(any(part in name for part in trainable))
    trained = {name: parameter for name, parameter in unet.named_parameters() if parameter.requires_grad}
    if not trained:
        raise InputError(f"`trainable_modules` is {list(trainable)}: no parameter of the model has such a name.")
    return trained


def shrink_frozen(unet: nn.Module, dtype: torch.dtype) -> None:
    """Store the frozen linear and convolution layers in ``dtype``, in which autocast computes them anyway.

    Frozen norms and everything that is trained stay in float32.
    """
    for module in unet.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not any(p.requires_grad for p in module.parameters()):
            module.to(dtype)


def recompute_activations(unet: nn.Module, names: Sequence[str] = ()) -> Callable[[], None]:
    """Trade time for memory: keep only the inputs of the blocks for the backward pass.

    diffusers' own switch leaves out the motion modules, which hold most activations.

    Args:
        names: only blocks whose name contains one of these, such as ``up_blocks.3``; none for all blocks.

    Returns:
        a function that undoes it.

    Raises:
        InputError: no block has such a name.
    """
    found = {name: module for name, module in unet.named_modules() if isinstance(module, RECOMPUTED)}
    changed = [module for name, module in found.items() if not names or any(part in name for part in names)]
    if not changed:
        raise InputError(f"`recomputed_blocks` is {list(names)}: no block of the model has such a name.")
    for module in changed:
        module.forward = _recomputed(module.forward)  # type: ignore[method-assign]
        module.recomputed = True  # for `streamlined`, which does not call it
    before = vars(unet).get("streamlined")
    if len(changed) == len(found) and isinstance(unet, MultiViewUNet):
        unet.streamlined = False  # 744 ms on a GPU where the modules took 612: the host has more to do twice

    def restore() -> None:
        for module in changed:
            del module.forward, module.recomputed
        if isinstance(unet, MultiViewUNet):
            unet.streamlined = before

    return restore


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run


def keep_norms_in_half(unet: nn.Module) -> None:
    """Let norms return the dtype that they are given, also under autocast, which would make it float32.

    The layers that read them round to half precision anyway, each with a copy of its own that the backward pass keeps.
    Sums inside the norms stay float32.
    """
    for module in unet.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            module.forward = _in_own_dtype(module)  # type: ignore[method-assign, assignment]


def _in_own_dtype(norm: nn.LayerNorm | nn.GroupNorm) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        weight, bias = (None if value is None else value.to(x.dtype) for value in (norm.weight, norm.bias))
        with torch.autocast(x.device.type, enabled=False):
            if isinstance(norm, nn.LayerNorm):
                return layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)
            return group_norm(x, norm.num_groups, weight, bias, norm.eps)

    return run


def compile_blocks(unet: nn.Module) -> None:
    """Let PyTorch compile the blocks at their first use: minutes once, kept in its cache for later runs."""
    torch._dynamo.config.recompile_limit = 64  # blocks of one kind come in so many shapes at most
    for module in unet.modules():
        if isinstance(module, RECOMPUTED):
            module.compile(dynamic=False)


# -- low-rank updates ------------------------------------------------------------------------------------------------


def add_lora(unet: nn.Module, settings: Mapping[str, Any]) -> dict[str, nn.Parameter]:
    """Give the motion modules low-rank updates, which alone learn; returns them by name, in model order.

    Args:
        settings: ``rank``, ``alpha`` (default: the rank), ``dropout`` (0), ``target_modules`` (`LORA_TARGETS`).

    Raises:
        InputError: unknown settings, or no layer of the motion modules has such a name.
        MissingDependencyError: peft is not installed.
    """
    unknown = set(settings) - {"rank", "alpha", "dropout", "target_modules"}
    if unknown or int(settings.get("rank", 0)) < 1:
        wrong = f"has an unknown key `{min(unknown)}`" if unknown else "needs a `rank` of at least 1"
        raise InputError(f"`lora` {wrong}; it takes rank, alpha, dropout and target_modules.")
    peft = require("peft", feature="LoRA", extra="train")
    rank = int(settings["rank"])
    targets = settings.get("target_modules") or LORA_TARGETS
    pattern = rf".*motion_modules\..*\.({'|'.join(re.escape(name) for name in targets)})"
    for parameter in unet.parameters():
        parameter.requires_grad_(False)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=float(settings.get("alpha") or rank),
        lora_dropout=float(settings.get("dropout", 0.0)),
        target_modules=pattern,
    )
    try:
        peft.inject_adapter_in_model(config, unet)
    except ValueError as error:
        raise InputError(
            f"`lora.target_modules` is {list(targets)}: no layer of the motion modules is called so."
        ) from error
    return {name: parameter for name, parameter in unet.named_parameters() if parameter.requires_grad}


def merged_motion_state_dict(unet: MultiViewUNet) -> dict[str, Tensor]:
    """The motion checkpoint of a model with low-rank updates: the updates added to the weights."""
    state = unet.state_dict()
    merged = {}
    for name, value in state.items():
        key = name.replace(".base_layer.", ".")
        if ".lora_" in name or not is_trained(key):
            continue
        if key != name and key.endswith(".weight"):
            layer = unet.get_submodule(key.removesuffix(".weight"))
            value = value + layer.get_delta_weight("default").to(value)  # type: ignore[operator]
        merged[key] = value
    return merged
