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


OBJECTS_NAME = "_object_ids"
"""Buffer of a checkpoint that holds the object of every Gaussian, in a scene of several."""


def save_objects(path: str | Path, objects: np.ndarray) -> None:
    """Write the number of the object of every Gaussian ``[N]`` as an ``.npy``, atomically."""
    with atomic_file(path) as temporary:
        np.save(temporary, objects.astype(np.int64))


def load_objects(path: str | Path, n_vertices: int) -> Tensor:
    """The number of the object of every Gaussian ``[N]``.

    Raises:
        InputError: no such file, or it belongs to another model.
    """
    path = existing_file(path, "file of object ids")
    try:
        objects = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} holds no object ids (an .npy of one whole number for every Gaussian).") from error
    whole = isinstance(objects, np.ndarray) and objects.dtype.kind in "iu" and objects.shape == (n_vertices,)
    if not whole or objects.min(initial=0) < 0:
        raise InputError(f"{path} has to hold {n_vertices} whole numbers from 0, the object of every Gaussian.")
    return torch.from_numpy(objects.astype(np.int64))


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
