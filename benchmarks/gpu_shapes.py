"""A section of gpu.py: single layers of the video model by shape."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from gpu_measure import DEVICE, HALF, TINY, milliseconds
from gpu_video import FRAMES, VIEWS
from torch import nn


@torch.no_grad()
def attention() -> dict[str, Any]:
    """PyTorch's attention kernels by shape, tokens of fused projections; convolutions and norms by layout."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import conv2d, group_norm, scaled_dot_product_attention, silu

    from animate3d.mvvdm.model import fused

    found: dict[str, Any] = {}
    backends = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
    shapes = ((4096, 40), (4096, 64), (1024, 80), (1024, 128), (256, 160), (64, 160))
    for tokens, width in shapes[-1:] if TINY else shapes:
        joint = torch.randn(2 * FRAMES, tokens, 4, 8, width, device=DEVICE, dtype=HALF)
        query, key, value = (side.transpose(1, 2) for side in joint.unbind(2)[:3])
        for name, backend in backends.items():
            try:
                with sdpa_kernel(backend):
                    ms = milliseconds(partial(scaled_dot_product_attention, query, key, value), 5, 2)
                rate = 4 * 2 * FRAMES * 8 * tokens**2 * width / ms / 1e9
                found[f"{name} {tokens}x{width}"] = f"{ms} ms, {rate:.0f} TFLOP/s"
            except Exception as error:
                found[f"{name} {tokens}x{width}"] = repr(error)[-120:]
    qkv = torch.randn(2, FRAMES, VIEWS * (64 if TINY else 1024), 960, device=DEVICE, dtype=HALF)
    found["frames kernel 320"] = milliseconds(lambda: fused.attend_frames(qkv, 8))
    query, key, value = qkv.view(2, FRAMES, -1, 3, 8, 40).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)
    found["frames sdpa 320"] = milliseconds(lambda: scaled_dot_product_attention(query, key, value))
    x = torch.randn(2 * VIEWS * FRAMES, 64 if TINY else 1024, 320, device=DEVICE, dtype=HALF)
    keys = [tuple(torch.randn(2 * VIEWS, n, 320, device=DEVICE, dtype=HALF) for _ in "kv") for n in (77, 4)]
    common = {"heads": 8, "frames": FRAMES, "views": VIEWS, "image_scale": 1.0}
    found["prompt kernel 320"] = milliseconds(lambda: fused.attend_prompt(x, *keys, **common))
    for channels, size in ((320, 4),) if TINY else ((320, 32), (640, 16), (1280, 8)):
        image = torch.randn(128, channels, size, size, device=DEVICE, dtype=HALF)
        weight = torch.randn(channels, channels, 3, 3, device=DEVICE, dtype=HALF)
        last = image.contiguous(memory_format=torch.channels_last)
        norm = nn.GroupNorm(32, channels, device=DEVICE, dtype=HALF)
        tokens = last.permute(0, 2, 3, 1).flatten(1, 2)
        sides = (channels, 8 * channels), (4 * channels, channels)
        feed, out = (nn.Linear(*pair, device=DEVICE, dtype=HALF) for pair in sides)
        found[f"{channels}@{size}"] = {
            "conv nchw": milliseconds(lambda: conv2d(image, weight, padding=1)),  # noqa: B023
            "conv nhwc": milliseconds(lambda: conv2d(last, weight, padding=1)),  # noqa: B023
            "norm torch": milliseconds(lambda: silu(group_norm(image, 32, norm.weight, norm.bias))),  # noqa: B023
            "norm kernel": milliseconds(lambda: fused.group_norm(tokens, norm, activate=True)),  # noqa: B023
            "linear": milliseconds(lambda: feed(tokens)),  # noqa: B023
            "feed-forward": milliseconds(lambda: fused.gated_linear(tokens, feed, out)),  # noqa: B023
        }
    return found
