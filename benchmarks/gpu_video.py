"""Sections of gpu.py about the video model and the rasteriser."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gpu_measure import GIB, measured, rates, relative_error
from torch import Tensor, nn

LATENTS, VIEWS, FRAMES = 32, 4, 16
MODEL: dict[str, Any] = {}
"""Arguments of the UNet; none for the full-size one."""
DEVICE = "cuda"
_HELD: dict[str, Any] = {}
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


def full_unet() -> Any:
    """The full-size UNet, float16, on the GPU; made once."""
    if "unet" not in _HELD:
        from animate3d.mvvdm.model.unet import MultiViewUNet

        torch.manual_seed(0)
        with torch.device(DEVICE):
            unet = MultiViewUNet(**MODEL)
        _HELD["unet"] = nn.Module.to(randomised(unet), torch.float16).requires_grad_(False)
    return _HELD["unet"]


def inputs(dtype: torch.dtype) -> dict[str, Any]:
    """A call with guidance at the documented size: one sample, two prompts."""
    draw = torch.Generator(DEVICE).manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, device=DEVICE).to(dtype)

    return {
        "sample": normal(VIEWS, 4, FRAMES, LATENTS, LATENTS),
        "timestep": torch.tensor(500, device=DEVICE),
        "encoder_hidden_states": normal(2 * VIEWS, 77, MODEL.get("cross_attention_dim", 768)),
        "camera": normal(VIEWS, 16),
        "added_cond_kwargs": {"image_embeds": normal(2 * VIEWS, MODEL.get("image_embed_dim", 1024))},
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
    torch.cuda.synchronize()


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
        feed = nn.Linear(channels, 8 * channels, device=DEVICE, dtype=torch.float16)
        yield lambda x=x, feed=feed: fused.gated_linear(x, feed)


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
    """Outputs against float32, then times: as modules, streamlined, its variants."""
    from mvvdm_unet import operations

    model, call = full_unet(), inputs(torch.float16)
    PARTIAL.clear()
    PARTIAL.update({"errors": {}, "times": {}})
    found = PARTIAL
    expected = _in_float32(model)
    model.streamlined = False
    found["errors"]["modules"] = relative_error(model(**call)[0], expected)
    found["times"]["modules, guidance"] = measured(lambda: model(**call), 3, 1)
    model.streamlined = None
    kernels_are_ready()
    start = time.perf_counter()
    kept, one = with_prompt(model, call), with_prompt(model, call, prompts=1)
    first = model(**kept)[0]
    torch.cuda.synchronize()
    found["first_call_s"] = round(time.perf_counter() - start, 2)
    found["errors"]["streamlined"] = relative_error(first, expected)
    found["times"]["streamlined"] = measured(lambda: model(**kept), 5, 1)
    found["issue_ms"] = _issuing(lambda: model(**kept))
    found["times"]["one prompt"] = measured(lambda: model(**one), 5, 1)
    found["kernels"] = _kernels(lambda: model(**kept))
    _variants(found, model, kept, expected)
    tflop = operations(VIEWS, FRAMES, LATENTS, 2) / 1e12
    guided, single = found["times"]["streamlined"], found["times"]["one prompt"]
    found["tflop"], found["share"] = round(tflop, 2), round(tflop / guided["ms"] * 1e3 / rates()[0], 3)
    found["rows"] = {
        "UNet, guidance, fp16": f"{guided['ms']:.0f} ms, {guided['peak_gib']} GiB",
        "… share of the matrix rate": f"{100 * found['share']:.0f} %",
        "… against float32": f"{found['errors']['streamlined']:.1e}",
        "UNet, one prompt, fp16": f"{single['ms']:.0f} ms, {single['peak_gib']} GiB",
    }
    return found


def _variants(found: dict[str, Any], model: Any, kept: dict[str, Any], expected: Tensor) -> None:
    """Other choices of kernels."""
    for name, settings in VARIANTS.items():
        try:
            with variant(**settings):
                found["errors"][name] = relative_error(model(**kept)[0], expected)
                found["times"][name] = measured(lambda: model(**kept), 4, 1)
        except Exception as error:  # another variant may do
            found["times"][name] = repr(error)[-300:]
    torch.backends.cudnn.benchmark = True
    try:
        found["times"]["cuDNN benchmark"] = measured(lambda: model(**kept), 4, 2)
    finally:
        torch.backends.cudnn.benchmark = False


def _in_float32(model: Any) -> Tensor:
    """What the modules say in float32 with the same weights. ``[2 V, C, F, h, w]``"""
    from animate3d.mvvdm.model.unet import MultiViewUNet

    with torch.device("meta"):
        exact = MultiViewUNet(**MODEL)
    exact = exact.to_empty(device=DEVICE)
    exact.load_state_dict({key: value.float() for key, value in model.state_dict().items()})
    exact.eval().streamlined = False
    torch.backends.cudnn.allow_tf32 = False
    halves = []
    call = inputs(torch.float16)
    floats = {key: value.float() if key in ("sample", "camera") else value for key, value in call.items()}
    for rows in (slice(0, VIEWS), slice(VIEWS, None)):
        floats["encoder_hidden_states"] = call["encoder_hidden_states"][rows].float()
        floats["added_cond_kwargs"] = {"image_embeds": call["added_cond_kwargs"]["image_embeds"][rows].float()}
        halves.append(exact(**floats)[0])
    torch.backends.cudnn.allow_tf32 = True
    return torch.cat(halves)


def _issuing(work: Callable[[], Any]) -> dict[str, float]:
    """How long the host needs to launch a call, and the call."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    issued = time.perf_counter()
    torch.cuda.synchronize()
    return {"host": round(1e3 * (issued - start), 1), "all": round(1e3 * (time.perf_counter() - start), 1)}


def _kernels(work: Callable[[], Any], most: int = 28) -> list[str]:
    """The kernels that take longest: milliseconds, calls, name."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    events.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events) / 1e3
    calls = sum(event.count for event in events)
    lines = [f"{event.self_device_time_total / 1e3:.2f} ms {event.count}x {event.key[:70]}" for event in events[:most]]
    return [f"{total:.1f} ms in {calls} kernels", *lines]


# -- the whole pipeline ------------------------------------------------------------------------------------------------


def full_pipeline() -> Any:
    """A full-size pipeline with random weights, float16, on the GPU; made once."""
    if "pipeline" in _HELD:
        return _HELD["pipeline"]
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    try:
        from transformers import CLIPImageProcessorPil as Processor
    except ImportError:
        from transformers import CLIPImageProcessor as Processor

    from animate3d.mvvdm import tiny
    from animate3d.mvvdm.pipeline import MultiViewVideoPipeline

    widths = (128, 256, 512, 512)
    with torch.device(DEVICE):
        vae = AutoencoderKL(
            block_out_channels=widths,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=256,
        )
        ends = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513, "projection_dim": 768}
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                **ends,
            )
        )
        vision = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=16,
                projection_dim=1024,
                image_size=224,
                patch_size=14,
            )
        )
    vae, text, vision = (randomised(model).half() for model in (vae, text, vision))
    vae.enable_slicing()
    pipeline = MultiViewVideoPipeline(
        vae=vae,
        text_encoder=text,
        image_encoder=vision,
        unet=full_unet(),
        tokenizer=tiny._tokenizer(),
        scheduler=DDIMScheduler(**tiny.NOISE_SCHEDULE),
        feature_extractor=Processor(),
    )
    pipeline.set_progress_bar_config(disable=True)
    _HELD["pipeline"] = pipeline
    return pipeline


def _videos(pipeline: Any, steps: int, **options: Any) -> Any:
    from PIL import Image

    images = [Image.new("RGB", (256, 256), (40 * view, 90, 128)) for view in range(VIEWS)]
    generator = torch.Generator().manual_seed(0)
    return pipeline("a dog runs", images, num_inference_steps=steps, generator=generator, output_type="np", **options)


def sampling() -> dict[str, Any]:
    """25 steps, three rounds of FreeInit, guidance, from images to pixels."""
    pipeline = full_pipeline()
    pipeline.disable_free_init()
    _videos(pipeline, 2)
    pipeline.enable_free_init(num_iters=3)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    frames = _videos(pipeline, 25).frames
    seconds = time.perf_counter() - start
    reserved = torch.cuda.max_memory_reserved() / GIB
    row = f"{seconds:.1f} s ({75 / seconds:.1f} steps/s), {reserved:.1f} GiB"
    return {
        "rows": {"sampling 25 × 3": row},
        "seconds_in_all": round(seconds, 2),
        "finite": bool((frames == frames).all()),
    }


def low_memory() -> dict[str, Any]:
    """Sampling in 8 GB: what a run with `--low-memory` does, on a card that has no more."""
    pipeline = full_pipeline()
    total = torch.cuda.get_device_properties(0).total_memory
    context = total - torch.cuda.mem_get_info()[0] - torch.cuda.memory_reserved()
    pipeline.disable_free_init()
    pipeline.enable_model_cpu_offload(device=torch.device(DEVICE))
    gc.collect()
    torch.cuda.empty_cache()
    found: dict[str, Any] = {"context_gib": round(context / GIB, 2)}
    for gigabytes in (8, 6):
        torch.cuda.set_per_process_memory_fraction((gigabytes * 1e9 - 0.6e9) / total)  # the rest is CUDA itself
        torch.cuda.reset_peak_memory_stats()
        try:
            start = time.perf_counter()
            _videos(pipeline, 8, sequential_guidance=True, decode_chunk_size=4)
            seconds = time.perf_counter() - start
            peak = torch.cuda.max_memory_reserved() / GIB
            found[f"{gigabytes} GB"] = {"seconds_8_steps": round(seconds, 2), "peak_gib": round(peak, 2)}
        except torch.OutOfMemoryError as error:
            found[f"{gigabytes} GB"] = str(error)[:300]
    torch.cuda.set_per_process_memory_fraction(1.0)
    pipeline.remove_all_hooks()
    _HELD.clear()
    first = found["8 GB"]
    row = first if isinstance(first, str) else f"{first['seconds_8_steps']} s for 8 steps, {first['peak_gib']} GiB"
    return {**found, "rows": {"sampling with --low-memory on 8 GB": row}}


# -- training ----------------------------------------------------------------------------------------------------------


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
    return {**found, "rows": {name: f"{value['ms']:.0f} ms, {value['peak_gib']} GiB" for name, value in rows.items()}}


def training_compiled() -> dict[str, Any]:
    """A step with compiled blocks; most of it is the compiler."""
    from animate3d.mvvdm.training.trainable import compile_blocks, keep_norms_in_half

    model = _trainable_unet()
    keep_norms_in_half(model)
    compile_blocks(model)
    start = time.perf_counter()
    found = _steps(model)
    seconds = time.perf_counter() - start
    row = f"{found['ms']:.0f} ms, {found['peak_gib']} GiB; compiled in {seconds:.0f} s"
    return {**found, "rows": {"… compiled": row}}


def _trainable_unet() -> Any:
    """The full-size UNet as the training has it in bf16: what is frozen in half precision."""
    from animate3d.mvvdm.model.unet import TRAINED, MultiViewUNet
    from animate3d.mvvdm.training.trainable import freeze, shrink_frozen

    _HELD.clear()
    gc.collect()
    torch.cuda.empty_cache()
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model: Any = randomised(MultiViewUNet(**MODEL)).train()
    freeze(model, TRAINED)
    shrink_frozen(model, torch.bfloat16)
    return model


def _steps(model: Any, *, fused: bool = True, repeats: int = 3) -> dict[str, float]:
    """Optimiser steps of batch 1."""
    gc.collect()
    torch.cuda.empty_cache()
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
