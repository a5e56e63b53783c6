"""Attention layers of the motion UNet: ours against the same written plainly, in one run.

    python benchmarks/mvvdm_attention.py [--latents 16] [--frames 16] [--repeats 3]

One sample of four views. Levels are those of the full-size model (320, 640, 1280 channels, eight heads).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import plain_attention
import torch
from diffusers.models.attention_processor import Attention
from reconstruction_step import seconds
from torch import Tensor

from animate3d.mvvdm.model.attention import Layout, MultiViewProcessor, PromptProcessor, SpatioTemporalProcessor
from animate3d.mvvdm.model.unet import DEFAULT_MOTION_ATTN

HEADS, TEXT_TOKENS, TEXT_CHANNELS = 8, 77, 768


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/mvvdm_attention.py --latents 32 --repeats 2",
    )
    parser.add_argument("--latents", type=int, default=16)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args(argv)

    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    results = []
    for level, channels in enumerate((320, 640, 1280)):
        size = arguments.latents >> level
        layout = Layout(arguments.views, arguments.frames, size, size)
        for name, (ours, plain) in cases(layout, channels).items():
            error = float((ours() - plain()).abs().max())
            wall, processor = seconds(ours, arguments.repeats)
            plain_wall, plain_processor = seconds(plain, arguments.repeats)
            results.append(
                {
                    "layer": name,
                    "channels": channels,
                    "latents": f"{size}x{size}",
                    "seconds": round(wall, 3),
                    "cpu_seconds": round(processor, 3),
                    "plain_seconds": round(plain_wall, 3),
                    "plain_cpu_seconds": round(plain_processor, 3),
                    "max_difference": float(f"{error:.1e}"),
                }
            )
    json.dump({"threads": torch.get_num_threads(), "results": results}, sys.stdout, indent=2)
    print()
    return 0


def cases(layout: Layout, channels: int) -> dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]]:
    views, frames, height, width = layout
    attn = Attention(channels, heads=HEADS, dim_head=channels // HEADS)
    cross = Attention(channels, TEXT_CHANNELS, HEADS, dim_head=channels // HEADS)
    spatial, prompt = MultiViewProcessor(channels), PromptProcessor(channels, TEXT_CHANNELS)
    motion = SpatioTemporalProcessor(channels, DEFAULT_MOTION_ATTN, max_frames=32, num_views=views, feature_size=32)
    torch.nn.init.normal_(spatial.to_out_i2v.weight, std=0.02)
    images = torch.randn(views * frames, height * width, channels)
    tokens = torch.randn(views * height * width, frames, channels)
    text, image = torch.randn(views, TEXT_TOKENS, TEXT_CHANNELS), torch.randn(views, 1, 4, TEXT_CHANNELS)
    return {
        "multi-view": (
            lambda: spatial(attn, images, layout=layout),
            lambda: plain_attention.multi_view(spatial, attn, images, layout),
        ),
        "prompt": (
            lambda: prompt(cross, images, (text, [image]), layout=layout),
            lambda: plain_attention.prompt(prompt, cross, images, text, image),
        ),
        "motion": (
            lambda: motion(attn, tokens, layout=layout),
            lambda: plain_attention.motion(motion, attn, tokens, layout),
        ),
    }


if __name__ == "__main__":
    raise SystemExit(main())
