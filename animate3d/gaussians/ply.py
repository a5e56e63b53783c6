"""3D Gaussian Splatting ply files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from plyfile import PlyData, PlyElement

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file
from animate3d.gaussians.gaussians import Gaussians

_MEANS = ("x", "y", "z")
_NORMALS = ("nx", "ny", "nz")
_DC = tuple(f"f_dc_{k}" for k in range(3))
_SCALES = tuple(f"scale_{k}" for k in range(3))
_QUATS = tuple(f"rot_{k}" for k in range(4))
_REST_OF_DEGREE = {0: 0, 9: 1, 24: 2, 45: 3}

_MARKS = {"f_dc_0", "opacity", "scale_0", "rot_0"}
_PACKED = "packed_position"  # of SuperSplat's compressed plys
_HEADER_LIMIT = 1 << 16
_ROWS_AT_ONCE = 1 << 14  # of a table with up to 62 columns: what fits the cache

SMALLEST_LOG_SCALE = -20.0
"""Replaces log 0, which the original mesh tool writes for a vertex without edges."""


def is_gaussian_ply(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a ply of Gaussians, by the properties that its header names; a ply mesh has none of them."""
    path = Path(path)
    if path.suffix.lower() != ".ply" or not path.is_file():
        return False
    with path.open("rb") as file:
        header, end, _ = file.read(_HEADER_LIMIT).partition(b"end_header")
    if not end:
        return False
    names = {line.split()[-1] for line in header.decode("ascii", "replace").splitlines() if line.startswith("property")}
    return names >= _MARKS or _PACKED in names


def load_ply(path: str | os.PathLike[str]) -> Gaussians:
    """Read a 3DGS ply: binary of either byte order or ascii, normals optional, degree 0 to 3 by its ``f_rest_*``.

    Rows with numbers that are not finite are dropped with a warning; a log scale of minus infinity is kept as a
    very small Gaussian, because Gaussians of a mesh must stay as many as its vertices.

    Raises:
        InputError: missing, truncated, not a ply, no Gaussians, or properties missing (all are listed).
    """
    return load_ply_rows(path)[0]


def load_ply_rows(path: str | os.PathLike[str]) -> tuple[Gaussians, np.ndarray]:
    """`load_ply`, and which rows of the file are Gaussians ``[R]`` bool: they keep the file's order."""
    path = existing_file(path, "Gaussian ply file")
    columns = _read_columns(path)
    rest = sorted((name for name in columns if _is_rest(name)), key=lambda name: int(name[7:]))
    missing = [name for name in (*_MEANS, *_DC, "opacity", *_SCALES, *_QUATS) if name not in columns]
    if missing and _PACKED in columns:
        raise InputError(f"{path} is a compressed ply; export it from the editor as an uncompressed one.")
    if missing:
        raise InputError(f"{path} is not a Gaussian splatting ply: it lacks the properties {', '.join(missing)}.")
    if len(rest) not in _REST_OF_DEGREE or rest != [f"f_rest_{k}" for k in range(len(rest))]:
        raise InputError(
            f"{path} has {len(rest)} properties f_rest_*; spherical harmonics of degree 0 to 3 have 0, 9, 24 or 45, "
            "numbered from 0."
        )
    table = _table([columns[name] for name in (*_MEANS, *_DC, *rest, "opacity", *_SCALES, *_QUATS)])
    good = _good_rows(table, len(rest), path)
    table = table if good.all() else table[good]
    means, dc, rest_values, opacity, scales, quats = np.split(table, np.cumsum([3, 3, len(rest), 1, 3]), axis=1)
    # On disk the bands above 0 are channel-major: all of red, then green, then blue.
    bands = rest_values.reshape(len(table), 3, -1).transpose(0, 2, 1)
    sh = np.concatenate([dc[:, None], bands], axis=1)
    parts = [means, sh, opacity[:, 0], scales, quats]
    return Gaussians(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)), good


def _table(columns: list[np.ndarray]) -> np.ndarray:
    """``[N, K]`` float32 of K columns that lie interleaved in memory."""
    table = np.empty((len(columns[0]), len(columns)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(table), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            for k, column in enumerate(columns):
                table[rows, k] = column[rows]
    return table


def _is_rest(name: str) -> bool:
    return name.startswith("f_rest_") and name[7:].isdecimal()


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    try:
        data = PlyData.read(str(path))
        vertex = data["vertex"]
        columns = {p.name: np.asarray(vertex[p.name]) for p in vertex.properties if p.name.isascii()}
    except KeyError as error:
        raise InputError(f"{path} is not a Gaussian splatting ply: it has no element `vertex`.") from error
    except MemoryError as error:
        raise InputError(f"{path} claims more Gaussians than memory can hold; its header is damaged.") from error
    except Exception as error:  # the parser raises whatever a damaged header leads it into
        raise InputError(f"{path} is not a readable ply file, it may be truncated ({error}).") from error
    columns = {name: values for name, values in columns.items() if values.ndim == 1 and values.dtype.kind in "fiu"}
    if not columns or len(next(iter(columns.values()))) == 0:
        raise InputError(f"{path} holds no Gaussians.")
    return columns


def _good_rows(table: np.ndarray, rest: int, path: Path) -> np.ndarray:
    """Mask ``[N]`` of the rows that are Gaussians; scales of log 0 are replaced in place."""
    scales = table[:, 7 + rest : 10 + rest]
    zero_size = np.isneginf(scales)
    if zero_size.any():
        count = int(zero_size.any(axis=1).sum())
        warnings.warn(f"{path}: {count} Gaussians have a scale of log 0; they are made very small.", stacklevel=4)
        scales[zero_size] = SMALLEST_LOG_SCALE
    good = np.isfinite(table).all(axis=1) & (np.abs(table[:, -4:]).max(axis=1) > 0)
    if not good.any():
        raise InputError(f"{path}: no Gaussian in it has finite numbers and a rotation.")
    if not good.all():
        warnings.warn(
            f"{path}: {int((~good).sum())} of {len(good)} Gaussians have numbers that are not finite or no rotation "
            "and are dropped.",
            stacklevel=4,
        )
    return good


def save_ply(gaussians: Gaussians, path: str | os.PathLike[str]) -> None:
    """Write a binary 3DGS ply: x y z nx ny nz f_dc_* f_rest_* opacity scale_* rot_*, float32, normals 0."""
    bands = gaussians.sh[:, 1:].transpose(1, 2).reshape(len(gaussians), -1)
    parts = [
        gaussians.means,
        torch.zeros_like(gaussians.means),
        gaussians.sh[:, 0],
        bands,
        gaussians.opacity_logits[:, None],
        gaussians.log_scales,
        gaussians.quats,
    ]
    table = torch.cat([part.detach().cpu().float() for part in parts], dim=1).numpy().astype("<f4")
    rest = tuple(f"f_rest_{k}" for k in range(bands.shape[1]))
    names = (*_MEANS, *_NORMALS, *_DC, *rest, "opacity", *_SCALES, *_QUATS)
    rows = np.ascontiguousarray(table).view([(name, "<f4") for name in names])[:, 0]
    with atomic_file(path) as temporary:
        PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(str(temporary))
