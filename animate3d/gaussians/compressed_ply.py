"""SuperSplat's compressed plys: chunks of 256 Gaussians with the range of each, and 16 bytes a Gaussian within them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.ply_elements import Columns
from animate3d.gaussians.sh import C0
from animate3d.gaussians.usable import gaussians_of, logits

PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_CHUNK = 256
_PLACE = (21, 11, 0), (11, 10, 11)  # shifts and bits of x, y, z
_COLOR = (24, 16, 8, 0), (8, 8, 8, 8)
_ROTATION = (20, 10, 0), (10, 10, 10)
_BANDS = (9, 24, 45)


@np.errstate(over="ignore", invalid="ignore")  # of damaged ranges: such rows are dropped later
def unpack(elements: dict[str, Columns], path: Path) -> Gaussians:
    """The Gaussians of the elements ``chunk``, ``vertex`` and, with bands above degree 0, ``sh``.

    Raises:
        InputError: an element or property is missing or has another type or length.
    """
    vertex, chunk, bands = (elements.get(name, {}) for name in ("vertex", "chunk", "sh"))
    ends = [f"{end}_{what}" for what in ("x", "y", "z", "scale_x", "scale_y", "scale_z") for end in ("min", "max")]
    missing = [name for name in PACKED if vertex.get(name, np.zeros(0)).dtype.kind != "u"]
    missing += [name for name in ends if name not in chunk]
    if missing:
        raise InputError(f"{path} is a damaged compressed ply: it lacks the properties {', '.join(missing)}.")
    position, rotation, scale, color = (vertex[name].astype(np.uint32) for name in PACKED)
    count = len(position)
    if len(chunk["min_x"]) * _CHUNK < count:
        raise InputError(f"{path} is a damaged compressed ply: it has too few chunks for its {count} Gaussians.")
    of = np.arange(count) // _CHUNK

    def between(shares: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Shares 0..1 of the ranges of the chunks."""
        low = np.stack([chunk[f"min_{name}"] for name in names], axis=1).astype(np.float32)
        high = np.stack([chunk[f"max_{name}"] for name in names], axis=1).astype(np.float32)
        return low[of] * (1 - shares) + high[of] * shares

    means = between(_shares(position, *_PLACE), ("x", "y", "z"))
    log_scales = between(_shares(scale, *_PLACE), ("scale_x", "scale_y", "scale_z"))
    rgba = _shares(color, *_COLOR)
    rgb = rgba[:, :3]
    if {f"{end}_{c}" for c in "rgb" for end in ("min", "max")} <= chunk.keys():
        rgb = between(rgb, ("r", "g", "b"))
    sh = np.concatenate([((rgb - 0.5) / C0)[:, None], _bands(bands, count, path)], axis=1)
    return gaussians_of(means, sh, logits(rgba[:, 3]), log_scales, _quaternions(rotation))


def _shares(packed: np.ndarray, shifts: tuple[int, ...], bits: tuple[int, ...]) -> np.ndarray:
    """Fields of packed numbers ``[N]`` as shares 0..1 of their largest values ``[N, fields]``."""
    parts = [
        ((packed >> shift) & (2**width - 1)) / np.float32(2**width - 1)
        for shift, width in zip(shifts, bits, strict=True)
    ]
    return np.stack(parts, axis=1).astype(np.float32)


def _quaternions(packed: np.ndarray) -> np.ndarray:
    """``[N, 4]`` w x y z: the number of the largest component in two bits, then the other three in their order."""
    others = (_shares(packed, *_ROTATION) - 0.5) * np.float32(2**0.5)
    largest = np.sqrt(np.maximum(1 - (others**2).sum(axis=1), 0))
    which = (packed >> 30).astype(np.int64)
    quats = np.empty((len(packed), 4), np.float32)
    for number in range(4):
        rows = which == number
        quats[rows] = np.insert(others[rows], number, largest[rows], axis=1)
    return quats


def _bands(columns: Columns, count: int, path: Path) -> np.ndarray:
    """``[N, K, 3]`` of the bytes ``f_rest_*``, which lie channel by channel and cover -4 to 4."""
    names = [f"f_rest_{k}" for k in range(len(columns))]
    if not columns:
        return np.zeros((count, 0, 3), np.float32)
    if set(names) != columns.keys() or len(names) not in _BANDS or len(columns[names[0]]) != count:
        raise InputError(f"{path} is a damaged compressed ply: its element `sh` has {len(names)} properties.")
    table = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
    return ((table - 127.5) / 32).reshape(count, 3, -1).transpose(0, 2, 1)
