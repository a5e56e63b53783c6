"""What every reader of Gaussians ends with: quantised opacities become logits, broken rows are dropped."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from animate3d.errors import InputError
from animate3d.gaussians.gaussians import Gaussians

SMALLEST_LOG_SCALE = -20.0
"""Replaces log 0, which the original mesh tool writes for a vertex without edges."""

_FEWEST_STEPS = 2000  # of single precision that a model is wide; fewer are seen as blocks in pictures of 512 pixels

_NEAREST = 1e-4  # that an opacity stored in a byte comes to 0 and 1, whose logits are infinite


def logits(opacities: np.ndarray) -> np.ndarray:
    """Logits ``[N]`` float32 of opacities in 0..1 that were stored in a byte."""
    inside = np.clip(opacities.astype(np.float32), _NEAREST, 1 - _NEAREST)
    return np.log(inside / (1 - inside))


def gaussians_of(
    means: np.ndarray, sh: np.ndarray, opacity_logits: np.ndarray, log_scales: np.ndarray, quats: np.ndarray
) -> Gaussians:
    """The container of arrays of any kind of number; those too large for float32 become infinite."""
    parts = (means, sh, opacity_logits, log_scales, quats)
    with np.errstate(over="ignore"):
        return Gaussians(*(torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in parts))


def usable_rows(gaussians: Gaussians, path: Path) -> tuple[Gaussians, np.ndarray]:
    """Drop what has numbers that are not finite or no rotation, and give a size to scales of log 0.

    Returns:
        the Gaussians that are left, and which rows of the file they are, ``[R]`` bool.

    Raises:
        InputError: none is left, or they are so far from the origin that their shape is lost.
    """
    zero_size = torch.isneginf(gaussians.log_scales)
    if zero_size.any():
        count = int(zero_size.any(dim=1).sum())
        warnings.warn(f"{path}: {count} Gaussians have a scale of log 0; they are made very small.", stacklevel=4)
        gaussians = replace(gaussians, log_scales=gaussians.log_scales.masked_fill(zero_size, SMALLEST_LOG_SCALE))
    good = gaussians.quats.abs().amax(dim=1) > 0
    for field in fields(gaussians):
        good &= getattr(gaussians, field.name).reshape(len(gaussians), -1).isfinite().all(dim=1)
    if not good.any():
        raise InputError(f"{path}: no Gaussian in it has finite numbers and a rotation.")
    if not good.all():
        warnings.warn(
            f"{path}: {int((~good).sum())} of {len(good)} Gaussians have numbers that are not finite or no rotation "
            "and are dropped.",
            stacklevel=4,
        )
        gaussians = Gaussians(*(getattr(gaussians, field.name)[good] for field in fields(gaussians)))
    _check_place(gaussians, path)
    return gaussians, good.numpy()


def _check_place(gaussians: Gaussians, path: Path) -> None:
    """Refuse a model that the steps of single precision at its place would make blocks of; strays do not count.

    Raises:
        InputError: it is too far away for its size.
    """
    low, middle, high = np.quantile(gaussians.means.double().cpu().numpy(), (0.01, 0.5, 0.99), axis=0)
    widest = float(gaussians.log_scales.amax(dim=1).median().exp())
    size = max(float((high - low).max()), widest)
    step = float(np.spacing(np.abs(middle).max().astype(np.float32)))
    if len(gaussians) > 1 and size < _FEWEST_STEPS * step:
        away = " ".join(f"{value:.6g}" for value in middle)
        raise InputError(
            f"{path}: the model stands at ({away}), too far from the origin for its size ({size:.2g}): the single "
            f"precision of Gaussians has steps of {step:.2g} there; subtract that place from its x, y and z, in double "
            "precision, in the program that made it, and read that file."
        )
