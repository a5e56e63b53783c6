"""Sections of gpu.py about the UNet of the video model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gpu_measure import (
    DEVICE,
    GIB,
    GPU,
    HALF,
    TINY,
    fresh_memory,
    measured,
    moment,
    rates,
    relative_error,
    shown,
    synchronize,
)
from torch import Tensor, nn

LATENTS, VIEWS, FRAMES = (8, 4, 4) if TINY else (32, 4, 16)
HELD: dict[str, Any] = {}
kernels_are_ready: Callable[[], object] = lambda: None  # noqa: E731  # waits for those who compile them
PARTIAL: dict[str, Any] = {}
"""What a section has found so far, should the rest fail."""


# -- models with random weights ---------------------------------------------------------------------------------------


def randomised(module: nn.Module) -> nn.Module:
    """Weights that keep the size of what passes through."""
    norms = {f"{n}.weight" for n, m in module.named_modules() if isinstance(m, nn.LayerNorm | nn.GroupNorm)}
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=0.6 / max(1, parameter[0].numel()) ** 0.5)
        else:
            parameter.data.fill_(float(name in norms))
    return module.eval()


def arguments() -> dict[str, Any]:
    """Those of the UNet; none for the full-size one."""
    if not TINY:
        return {}
    from animate3d.mvvdm.tiny import UNET

    return UNET


def full_unet() -> Any:
    """The full-size UNet, float16, on the GPU; made once."""
    if "unet" not in HELD:
        from animate3d.mvvdm.model.unet import MultiViewUNet

        torch.manual_seed(0)
        with torch.device(DEVICE):
            unet = MultiViewUNet(**arguments())
        unet = nn.Module.to(randomised(unet), HALF).requires_grad_(False)
        HELD["unet"] = nn.Module.to(unet, memory_format=torch.channels_last)  # as `inference.load_pipeline` has it
    return HELD["unet"]


def forget() -> None:
    """Let go of the models, where the next needs the memory."""
    HELD.clear()
    fresh_memory()


def inputs(dtype: torch.dtype) -> dict[str, Any]:
    """A call with guidance at the documented size: one sample, two prompts."""
    draw = torch.Generator(DEVICE).manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, device=DEVICE).to(dtype)

    return {
        "sample": normal(VIEWS, 4, FRAMES, LATENTS, LATENTS),
        "timestep": torch.tensor(500, device=DEVICE),
        "encoder_hidden_states": normal(2 * VIEWS, 77, arguments().get("cross_attention_dim", 768)),
        "camera": normal(VIEWS, 16),
        "added_cond_kwargs": {"image_embeds": normal(2 * VIEWS, arguments().get("image_embed_dim", 1024))},
        "num_views": VIEWS,
        "return_dict": False,
    }


def with_prompt(unet: Any, call: dict[str, Any], prompts: int = 2) -> dict[str, Any]:
    """The same call with a prompt whose keys are kept, as the pipeline makes it; or with its last prompt only."""
    rows = slice(-prompts * VIEWS, None)
    text, embeds = call["encoder_hidden_states"][rows], call["added_cond_kwargs"]["image_embeds"][rows]
    kept = {key: value for key, value in call.items() if key != "added_cond_kwargs"}
    return {**kept, "encoder_hidden_states": unet.prompt(text, {"image_embeds": embeds})}


# -- kernels are compiled beside everything else -----------------------------------------------------------------------


def warm_kernels(part: int, parts: int) -> None:
    """Compile a share of the Triton kernels that the full-size UNet needs, into Triton's cache."""
    from animate3d.mvvdm.model import fused

    calls = list(_kernel_calls(fused))
    for call in calls[part::parts]:
        call()
    synchronize()


def _kernel_calls(fused: Any) -> Iterator[Callable[[], Any]]:
    def tensor(*shape: int) -> Tensor:
        return torch.randn(*shape, device=DEVICE, dtype=torch.float16)

    for channels in (320, 640, 1280):
        x = tensor(FRAMES * VIEWS, 64, channels)
        layer = nn.LayerNorm(channels, device=DEVICE, dtype=torch.float16)
        group = nn.GroupNorm(32, channels, device=DEVICE, dtype=torch.float16)
        share = tensor(1)
        tables = fused.Table(tensor(FRAMES, channels), VIEWS * 64), fused.Table(tensor(VIEWS * 64, channels), 1)
        keys = [(tensor(VIEWS, n, channels), tensor(VIEWS, n, channels)) for n in (77, 4)]
        common = {"heads": 8, "frames": FRAMES, "views": VIEWS, "image_scale": 1.0}
        yield lambda x=x, keys=keys, common=common: fused.attend_prompt(x, *keys, **common)
        yield lambda x=x: fused.attend_frames(x.view(1, FRAMES, -1, x.shape[-1]).repeat(1, 1, 1, 3), 8)
        yield lambda x=x, layer=layer: fused.add_norm(x, (), layer)
        yield lambda x=x, layer=layer: fused.add_norm(x, (x,), layer)
        yield lambda x=x, layer=layer, t=tables: fused.add_norm(x, (), layer, t)
        yield lambda x=x, layer=layer, t=tables, s=share: fused.add_norm(x, (x, x), layer, t, s)
        yield lambda x=x, layer=layer, s=share: fused.add_norm(x, (x, x), layer, (None,), s)
        yield lambda x=x, group=group: fused.group_norm(x, group, activate=True)
        yield lambda x=x, group=group: fused.group_norm(x, group, activate=False, frames=FRAMES, views=VIEWS)
        yield lambda x=x, group=group: fused.group_norm(x, group, activate=True, addend=x[:, 0].contiguous())
        feed = [nn.Linear(*sides, device=DEVICE, dtype=torch.float16) for sides in _feed_forward(channels)]
        yield lambda x=x, feed=feed: fused.gated_linear(x, *feed)


def _feed_forward(channels: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (channels, 8 * channels), (4 * channels, channels)


# -- the UNet ----------------------------------------------------------------------------------------------------------


@contextmanager
def variant(**settings: int) -> Iterator[None]:
    """Constants of `attention_kernels` changed for a while."""
    from animate3d.mvvdm.model import attention_kernels

    before = {name: getattr(attention_kernels, name) for name in settings}
    vars(attention_kernels).update(settings)
    try:
        yield
    finally:
        vars(attention_kernels).update(before)


VARIANTS: dict[str, dict[str, int]] = {
    "flash attention": {"CUDNN_WIDEST": 0},
    "cuDNN attention to 256": {"CUDNN_WIDEST": 256, "CUDNN_FROM": 256},
}


@torch.no_grad()
def unet() -> dict[str, Any]:
    """Outputs against float32, then times: as modules, and streamlined."""
    model, call = full_unet(), inputs(HALF)
    PARTIAL.clear()
    PARTIAL.update({"errors": {}, "times": {}})
    found = PARTIAL
    expected = _in_float32(model)
    model.streamlined = False
    found["errors"]["modules"] = relative_error(model(**call)[0], expected)
    found["times"]["modules, guidance"] = measured(lambda: model(**call), 3, 1)
    model.streamlined = True
    kernels_are_ready()
    start = time.perf_counter()
    kept, one = with_prompt(model, call), with_prompt(model, call, prompts=1)
    first = model(**kept)[0]
    found["first_call_s"] = round(moment() - start, 2)
    found["errors"]["streamlined"] = relative_error(first, expected)
    found["times"]["streamlined"] = measured(lambda: model(**kept), 5, 1)
    found["issue_ms"] = _issuing(lambda: model(**kept))
    found["times"]["one prompt"] = measured(lambda: model(**one), 5, 1)
    found["kernels"] = _kernels(lambda: model(**kept))
    guided, single = found["times"]["streamlined"], found["times"]["one prompt"]
    tflop = _operations() / 1e12
    found["tflop"], found["share"] = round(tflop, 2), round(tflop / guided["ms"] * 1e3 / rates()[0], 3)
    found["rows"] = {
        "UNet, guidance, fp16": shown(guided),
        "… share of the matrix rate": f"{100 * found['share']:.0f} %",
        "… against float32": f"{found['errors']['streamlined']:.1e}",
        "UNet, one prompt, fp16": shown(single),
    }
    return found


def _operations() -> float:
    """FLOP of a call with guidance."""
    from mvvdm_unet import operations

    return operations(VIEWS, FRAMES, LATENTS, 2)


@torch.no_grad()
def unet_variants() -> dict[str, Any]:
    """Other choices of kernels, which were not faster on an H200."""
    model = full_unet()
    model.streamlined = True
    kept = with_prompt(model, inputs(HALF))
    expected = model(**kept)[0]
    PARTIAL.clear()
    found = PARTIAL
    for name, settings in VARIANTS.items():
        try:
            with variant(**settings):
                error = relative_error(model(**kept)[0], expected)
                found[name] = {**measured(lambda: model(**kept), 4, 1), "difference": error}
        except Exception as error:  # another variant may do
            found[name] = repr(error)[-300:]
    torch.backends.cudnn.benchmark = True
    try:
        found["cuDNN benchmark"] = measured(lambda: model(**kept), 4, 2)
    finally:
        torch.backends.cudnn.benchmark = False
    return found


@torch.no_grad()
def unet_int8() -> dict[str, Any]:
    """Weights of eight bits: memory, time, and how far the outputs are from those of half precision."""
    from animate3d.mvvdm.model.quantized import quantize

    model = full_unet()
    model.streamlined = True
    kept = with_prompt(model, inputs(HALF))
    expected, before = model(**kept)[0], _weights(model)
    try:
        quantize(model)
        kept = with_prompt(model, inputs(HALF))
        error = relative_error(model(**kept)[0], expected)
        fresh_memory()
        time = measured(lambda: model(**kept), 5, 1)
    finally:
        forget()  # its weights are not what the other sections measure
    row = f"{shown(time)}; weights {before:.3g} to {_weights(model):.3g} GiB; {error:.1e} from fp16"
    return {"rows": {"UNet, guidance, int8 weights": row}, "difference": error, **time}


def _weights(model: nn.Module) -> float:
    return sum(parameter.nbytes for parameter in model.parameters()) / GIB


@torch.no_grad()
def unet_compiled() -> dict[str, Any]:
    """`--compile`: how long the compiler takes, its outputs, and a call; again from its cache in another process."""
    from animate3d.mvvdm.model.compiled import Compiler

    model = full_unet()
    model.streamlined = True
    kept = with_prompt(model, inputs(HALF))
    expected = model(**kept)[0]
    model.compiler = Compiler()
    try:
        start = time.perf_counter()
        found = model(**kept)[0]
        first = moment() - start
        if model.compiler.failed:
            raise RuntimeError("the UNet was not compiled")
        error = relative_error(found, expected)
        value = measured(lambda: model(**kept), 5, 1)
        kernels = _kernels(lambda: model(**kept))
    finally:
        model.compiler = None
    row = f"{shown(value)}; compiled in {first:.0f} s; {error:.1e} from uncompiled"
    return {"rows": {"UNet, guidance, --compile": row}, "kernels": kernels, "difference": error, **value}


def _in_float32(model: Any) -> Tensor:
    """What the modules say in float32 with the same weights. ``[2 V, C, F, h, w]``"""
    from animate3d.mvvdm.model.unet import MultiViewUNet

    with torch.device("meta"):
        exact = MultiViewUNet(**arguments())
    exact = exact.to_empty(device=DEVICE)
    exact.load_state_dict({key: value.float() for key, value in model.state_dict().items()})
    exact.eval().streamlined = False
    torch.backends.cudnn.allow_tf32 = False
    halves = []
    call = inputs(HALF)
    floats = {key: value.float() if key in ("sample", "camera") else value for key, value in call.items()}
    for rows in (slice(0, VIEWS), slice(VIEWS, None)):
        floats["encoder_hidden_states"] = call["encoder_hidden_states"][rows].float()
        floats["added_cond_kwargs"] = {"image_embeds": call["added_cond_kwargs"]["image_embeds"][rows].float()}
        halves.append(exact(**floats)[0])
    torch.backends.cudnn.allow_tf32 = True
    return torch.cat(halves)


def _issuing(work: Callable[[], Any]) -> dict[str, float]:
    """How long the host needs to launch a call, and the call."""
    start = moment()
    work()
    issued = time.perf_counter()
    return {"host": round(1e3 * (issued - start), 1), "all": round(1e3 * (moment() - start), 1)}


def _kernels(work: Callable[[], Any], most: int = 28) -> list[str]:
    """The kernels that take longest: milliseconds, calls, name."""
    from torch.profiler import ProfilerActivity, profile

    if not GPU:
        return []
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        synchronize()
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    events.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events) / 1e3
    calls = sum(event.count for event in events)
    lines = [f"{event.self_device_time_total / 1e3:.2f} ms {event.count}x {event.key[:70]}" for event in events[:most]]
    return [f"{total:.1f} ms in {calls} kernels", *lines]
