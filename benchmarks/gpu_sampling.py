"""Sections of gpu.py about sampling with the whole video model."""

from __future__ import annotations

import time
from typing import Any

import torch
from gpu_measure import DEVICE, GIB, GPU, HALF, TINY, cap_memory, fresh_memory, moment, peak_gib
from gpu_video import FRAMES, HELD, VIEWS, forget, full_unet, randomised


def full_pipeline() -> Any:
    """A full-size pipeline with random weights, float16, on the GPU; made once."""
    if "pipeline" in HELD and HELD["pipeline"].unet is full_unet():
        return HELD["pipeline"]
    from animate3d.mvvdm import tiny

    if TINY:
        pipeline = tiny.tiny_pipeline().to(DEVICE, HALF)
        pipeline.unet = full_unet()
    else:
        from diffusers import DDIMScheduler

        from animate3d.mvvdm.pipeline import MultiViewVideoPipeline

        pipeline = MultiViewVideoPipeline(
            **encoders(),
            unet=full_unet(),
            tokenizer=tiny._tokenizer(),
            scheduler=DDIMScheduler(**tiny.NOISE_SCHEDULE),
        )
    pipeline.set_progress_bar_config(disable=True)
    HELD["pipeline"] = pipeline
    return pipeline


def encoders() -> dict[str, Any]:
    """What is around the UNet, of the published sizes."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    try:
        from transformers import CLIPImageProcessorPil as Processor
    except ImportError:
        from transformers import CLIPImageProcessor as Processor

    text = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "projection_dim": 768}
    text |= {"num_hidden_layers": 12, "num_attention_heads": 12}
    text |= {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    vision = {"hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1024, "image_size": 224}
    vision |= {"num_hidden_layers": 32, "num_attention_heads": 16, "patch_size": 14}
    with torch.device(DEVICE):
        parts = {
            "vae": AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                sample_size=256,
            ),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text)),
            "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**vision)),
        }
    made = {name: randomised(model).to(HALF) for name, model in parts.items()}
    made["vae"].enable_slicing()
    return {**made, "feature_extractor": Processor()}


def _videos(pipeline: Any, steps: int, **options: Any) -> Any:
    from PIL import Image

    images = [Image.new("RGB", (256, 256), (40 * view, 90, 128)) for view in range(VIEWS)]
    generator = torch.Generator().manual_seed(0)
    given = {"num_inference_steps": steps, "num_frames": FRAMES, "generator": generator, "output_type": "np"}
    return pipeline("a dog runs", images, **given, **options)


def sampling() -> dict[str, Any]:
    """25 steps, three rounds of FreeInit, guidance, from images to pixels."""
    steps = 2 if TINY else 25
    pipeline = full_pipeline()
    pipeline.disable_free_init()
    _videos(pipeline, 2)
    pipeline.enable_free_init(num_iters=3)
    fresh_memory()
    start = moment()
    frames = _videos(pipeline, steps).frames
    seconds = moment() - start
    row = f"{seconds:.1f} s ({3 * steps / seconds:.1f} steps/s), {peak_gib(reserved=True)} GiB"
    return {
        "rows": {"sampling 25 × 3": row},
        "seconds_in_all": round(seconds, 2),
        "finite": bool((frames == frames).all()),
    }


def low_memory() -> dict[str, Any]:
    """Sampling in 8 GB, and in 6: what a run with `--low-memory` does, also with `--quantize int8`."""
    from animate3d.mvvdm.model.quantized import quantize

    steps = 1 if TINY else 8
    found: dict[str, Any] = {}
    if GPU:
        used = torch.cuda.get_device_properties(0).total_memory - torch.cuda.mem_get_info()[0]
        found["context_gib"] = round((used - torch.cuda.memory_reserved()) / GIB, 2)
    try:
        for name, gigabytes, small in (("8 GB", 8, False), ("6 GB", 6, False), ("6 GB, int8", 6, True)):
            pipeline = full_pipeline()
            pipeline.disable_free_init()
            if small:
                quantize(pipeline.unet)
            if GPU:
                pipeline.enable_model_cpu_offload(device=torch.device(DEVICE))
            fresh_memory()
            found[name] = _capped(pipeline, steps, gigabytes)
    finally:
        cap_memory(None)
        if GPU:
            full_pipeline().remove_all_hooks()
        forget()
    rows = {"8 GB": "sampling with --low-memory on 8 GB", "6 GB, int8": "… and --quantize int8 on 6 GB"}
    return {**found, "rows": {row: _cell(found[name], steps) for name, row in rows.items()}}


def _capped(pipeline: Any, steps: int, gigabytes: float) -> dict[str, float] | str:
    """Sampling as `--low-memory` does it, on a card of a size."""
    cap_memory(gigabytes)
    try:
        start = time.perf_counter()
        _videos(pipeline, steps, sequential_guidance=True, decode_chunk_size=4)
        return {"seconds": round(moment() - start, 2), "peak_gib": peak_gib(reserved=True)}
    except torch.OutOfMemoryError as error:
        return str(error)[:300]


def _cell(found: dict[str, float] | str, steps: int) -> str:
    return found if isinstance(found, str) else f"{found['seconds']} s for {steps} steps, {found['peak_gib']} GiB"
