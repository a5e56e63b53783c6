"""FreeInit: start again from noise whose low frequencies come from the last result."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from animate3d.errors import InputError

_AXES = (-3, -2, -1)


def low_pass(
    frames: int,
    height: int,
    width: int,
    *,
    method: Literal["butterworth", "gaussian", "ideal"] = "butterworth",
    order: int = 4,
    spatial_stop: float = 0.25,
    temporal_stop: float = 0.25,
) -> Tensor:
    """Share of every frequency that is kept, zero frequency in the middle. ``[frames, height, width]``"""
    if spatial_stop == 0 or temporal_stop == 0:
        return torch.zeros(frames, height, width)

    def axis(length: int) -> Tensor:
        return 2 * torch.arange(length, dtype=torch.float64) / length - 1

    time = (spatial_stop / temporal_stop * axis(frames)) ** 2
    distance = time[:, None, None] + axis(height)[:, None] ** 2 + axis(width) ** 2
    if method == "butterworth":
        kept = 1 / (1 + (distance / spatial_stop**2) ** order)
    elif method == "gaussian":
        kept = torch.exp(-distance / (2 * spatial_stop**2))
    elif method == "ideal":
        kept = (distance <= spatial_stop * 2).double()
    else:
        raise InputError(f"The FreeInit filter `{method}` is not known; it can be butterworth, gaussian or ideal.")
    return kept.float()


def mix_frequencies(low: Tensor, high: Tensor, kept: Tensor) -> Tensor:
    """Low frequencies (as `low_pass` keeps them) of one video ``[..., F, H, W]`` float32, high ones of another."""
    kept = torch.fft.ifftshift(kept, dim=_AXES)  # shift the filter once instead of every spectrum
    spectrum = torch.fft.fftn(low, dim=_AXES) * kept + torch.fft.fftn(high, dim=_AXES) * (1 - kept)
    return torch.fft.ifftn(spectrum, dim=_AXES).real
