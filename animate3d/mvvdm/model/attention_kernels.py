"""Which of PyTorch's attention kernels a shape gets."""

from __future__ import annotations

from torch import Tensor, bfloat16, cuda, float16
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

CUDNN_FROM = 512
"""Tokens from which cuDNN's kernel is asked first on a GPU that has it (compute capability 9)."""
CUDNN_WIDEST = 128
"""Channels of a head up to which it is."""
_ORDER = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention ``[N, H, S, D]`` of keys and values ``[N, H, T, D]``."""
    if _cudnn_is_faster(query, key):
        with sdpa_kernel(_ORDER, set_priority=True):
            return scaled_dot_product_attention(query, key, value)
    return scaled_dot_product_attention(query, key, value)


def _cudnn_is_faster(query: Tensor, key: Tensor) -> bool:
    if query.device.type != "cuda" or query.dtype not in (float16, bfloat16) or query.shape[-1] > CUDNN_WIDEST:
        return False
    if min(query.shape[-2], key.shape[-2]) < CUDNN_FROM:
        return False
    return cuda.get_device_capability(query.device)[0] == 9
