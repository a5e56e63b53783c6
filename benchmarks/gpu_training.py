"""Sections of gpu.py about a training step of the video model."""

from __future__ import annotations

import time
from typing import Any

import torch
from gpu_measure import DEVICE, fresh_memory, measured, shown
from gpu_video import PARTIAL, VIEWS, arguments, forget, inputs, randomised, variant


def training() -> dict[str, Any]:
    """A step of batch 1 in bf16: as it was, as it is, and with recomputed blocks."""
    from animate3d.mvvdm.training.trainable import keep_norms_in_half, recompute_activations

    PARTIAL.clear()
    found, model = PARTIAL, _trainable_unet()
    found["as before"] = _steps(model, fused=False, repeats=2)
    keep_norms_in_half(model)
    found["now"] = _steps(model)
    with variant(CUDNN_WIDEST=0):
        found["now, flash attention"] = _steps(model)
    for name, blocks in (("two levels recomputed", ("down_blocks.0", "up_blocks.3")), ("all recomputed", ())):
        restore = recompute_activations(model, blocks)
        found[name] = _steps(model)
        restore()
    rows = {
        "training step, batch 1": found["now"],
        "… recomputing down_blocks.0, up_blocks.3": found["two levels recomputed"],
        "… recomputing all blocks": found["all recomputed"],
    }
    return {**found, "rows": {name: shown(value) for name, value in rows.items()}}


def training_compiled() -> dict[str, Any]:
    """A step with compiled blocks; most of it is the compiler."""
    from animate3d.mvvdm.training.trainable import compile_blocks, keep_norms_in_half

    model = _trainable_unet()
    keep_norms_in_half(model)
    compile_blocks(model)
    start = time.perf_counter()
    found = _steps(model)
    seconds = time.perf_counter() - start
    row = f"{shown(found)}; compiled in {seconds:.0f} s"
    return {**found, "rows": {"… compiled": row}}


def _trainable_unet() -> Any:
    """The full-size UNet as the training has it in bf16: what is frozen in half precision."""
    from animate3d.mvvdm.model.unet import TRAINED, MultiViewUNet
    from animate3d.mvvdm.training.trainable import freeze, shrink_frozen

    forget()
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model: Any = randomised(MultiViewUNet(**arguments())).train()
    freeze(model, TRAINED)
    shrink_frozen(model, torch.bfloat16)
    return model


def _steps(model: Any, *, fused: bool = True, repeats: int = 3) -> dict[str, float]:
    """Optimiser steps of batch 1."""
    fresh_memory()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-4, fused=fused)
    call = inputs(torch.float32)
    call["encoder_hidden_states"] = call["encoder_hidden_states"][:VIEWS]
    call["added_cond_kwargs"] = {"image_embeds": call["added_cond_kwargs"]["image_embeds"][:VIEWS]}

    def step() -> None:
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = model(**call)[0].float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return measured(step, repeats, 2)
