"""A coarse motion on disk and in time: what the deformation field may start from.

The file is an ``.npz`` with ``positions [F, N, 3]`` (placed frame) and ``quats [F, N, 4]`` (w x y z), frame 0 at rest.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file

START_NAMES = ("_start_positions", "_start_quats")
"""Buffers of a checkpoint that hold the start."""


def save_start(path: str | Path, positions: Tensor, quats: Tensor) -> None:
    """Write a start, atomically."""
    with atomic_file(path) as temporary:
        np.savez(temporary, positions=positions.float().cpu().numpy(), quats=quats.float().cpu().numpy())


def load_start(path: str | Path, n_vertices: int) -> tuple[Tensor, Tensor]:
    """Positions ``[F, N, 3]`` and rotations ``[F, N, 4]`` of a start.

    Raises:
        InputError: no such file, or it belongs to another model.
    """
    path = existing_file(path, "initial motion")
    try:
        with np.load(path, allow_pickle=False) as data:
            positions, quats = (torch.from_numpy(data[name]).float() for name in ("positions", "quats"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an initial motion (an .npz with `positions` and `quats`).") from error
    expected = (len(positions), n_vertices)
    if positions.shape != (*expected, 3) or quats.shape != (*expected, 4) or not positions.isfinite().all():
        raise InputError(f"{path} holds {list(positions.shape)} positions; the model has {n_vertices} Gaussians.")
    return positions, quats


def start_at(positions: Tensor, quats: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """The start at any times ``[T]`` in -1..1, linear between its frames: ``[T, N, 3]`` and ``[T, N, 4]`` (unit)."""
    last = len(positions) - 1
    where = ((times + 1) / 2 * last).clamp(0, last)
    low = where.floor().long().clamp_max(max(last - 1, 0))
    high = (low + 1).clamp_max(last)
    share = (where - low)[:, None, None]
    a, b = quats[low], quats[high]
    b = torch.where((a * b).sum(-1, keepdim=True) < 0, -b, b)  # the shorter way round
    turned = torch.nn.functional.normalize(torch.lerp(a, b, share), dim=-1)
    return torch.lerp(positions[low], positions[high], share), turned
