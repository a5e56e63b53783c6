"""Products in half precision, where they are faster than in single precision."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def half_products(device: torch.device) -> AbstractContextManager[None]:
    """Matrix products and convolutions in bfloat16, on processors that have instructions for it.

    The others would imitate them: a convolution of 64 channels and its gradient take 20 times as long as in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or has_half_products())


def has_half_products() -> bool:
    """Whether this machine's processor multiplies matrices of bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
