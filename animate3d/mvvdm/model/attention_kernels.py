"""Which of PyTorch's attention kernels a shape gets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

CUDNN_FROM = 512
"""Tokens from which cuDNN's kernel is asked first on a GPU that has it (compute capability 9)."""
_ORDER = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention without gradient. ``[N, S, H, D]`` from keys and values ``[N, T, H, D]``."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if _cudnn_is_faster(query, key):
        with sdpa_kernel(_ORDER, set_priority=True):
            return scaled_dot_product_attention(query, key, value).transpose(1, 2)
    return scaled_dot_product_attention(query, key, value).transpose(1, 2)


def _cudnn_is_faster(query: Tensor, key: Tensor) -> bool:
    if query.device.type != "cuda" or query.dtype not in (torch.float16, torch.bfloat16):
        return False
    if torch.cuda.get_device_capability(query.device)[0] != 9 or query.shape[-1] > 128:
        return False
    return min(query.shape[-2], key.shape[-2]) >= CUDNN_FROM
