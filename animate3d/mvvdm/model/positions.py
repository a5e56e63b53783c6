"""Position encodings of the motion modules: frames and cameras (one axis), feature maps (two axes)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from animate3d.errors import InputError

_TEMPERATURE = 10000.0


def sinusoid_1d(length: int, channels: int) -> Tensor:
    """AnimateDiff's table: sines on even channels, cosines on odd ones. ``[length, channels]``"""
    position = torch.arange(length).float()[:, None]
    frequency = torch.exp(torch.arange(0, channels, 2) * (-math.log(_TEMPERATURE) / channels))
    table = torch.zeros(length, channels)
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)
    return table


def sinusoid_2d(height: int, width: int, channels: int) -> Tensor:
    """DETR's normalised sine table (scale 2π, eps 1e-6): y in the first half of the channels. ``[H, W, channels]``"""
    half = channels // 2
    index = torch.arange(half).float()
    wavelength = _TEMPERATURE ** (2 * (index // 2) / half)

    def axis(length: int) -> Tensor:
        phase = torch.arange(1, length + 1).float() / (length + 1e-6) * 2 * math.pi
        phase = phase[:, None] / wavelength
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=-1).flatten(1)

    y = axis(height)[:, None].expand(height, width, half)
    x = axis(width)[None].expand(height, width, half)
    return torch.cat([y, x], dim=-1)


@lru_cache(maxsize=32)
def _cached_sinusoid_2d(height: int, width: int, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A table first asked for under inference_mode would be useless in a later training step.
    with torch.inference_mode(False):
        return sinusoid_2d(height, width, channels).to(device=device, dtype=dtype)


class SinusoidalEncoding(nn.Module):
    """One-axis table kept as the buffer ``pe`` ``[1, length, channels]``, because checkpoints hold it."""

    pe: Tensor

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoid_1d(length, channels)[None])

    def forward(self, length: int) -> Tensor:
        """``[length, channels]``"""
        if length > self.pe.shape[1]:
            raise InputError(f"{length} positions asked for; this model was made for at most {self.pe.shape[1]}.")
        return self.pe[0, :length]


class LearnedEncoding(nn.Module):
    """One learned vector per view."""

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(length, channels)

    def forward(self, length: int) -> Tensor:
        """``[length, channels]``"""
        if length > self.embedding_table.num_embeddings:
            known = self.embedding_table.num_embeddings
            raise InputError(f"{length} views asked for; this model learned encodings of {known}.")
        return self.embedding_table.weight[:length]


class SinusoidalEncoding2D(nn.Module):
    """`sinusoid_2d` of any size; nothing to store."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, height: int, width: int, like: Tensor) -> Tensor:
        """``[height, width, channels]`` in the dtype and on the device of ``like``."""
        return _cached_sinusoid_2d(height, width, self.channels, like.dtype, like.device)


class LearnedEncoding2D(nn.Module):
    """Learned columns (first half of the channels) and rows (second half)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.row_embed = nn.Embedding(size, channels // 2)
        self.col_embed = nn.Embedding(size, channels // 2)

    def forward(self, height: int, width: int, like: Tensor) -> Tensor:
        """``[height, width, channels]``; ``like`` is only there to share an interface with the sine table."""
        size = self.row_embed.num_embeddings
        if height > size or width > size:
            raise InputError(
                f"A {height}x{width} feature map is larger than the {size}x{size} positions this model learned; "
                "use smaller images or a model with `spatial_encoding_type: sinusoid`."
            )
        columns = self.col_embed.weight[:width][None].expand(height, width, -1)
        rows = self.row_embed.weight[:height][:, None].expand(height, width, -1)
        return torch.cat([columns, rows], dim=-1)
