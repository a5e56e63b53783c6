"""Files of Gaussians by what they are: which ones are, and how each is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.ply import is_gaussian_ply, is_point_cloud_ply, load_ply_rows, point_cloud_sentence
from animate3d.gaussians.splat import read_splat
from animate3d.gaussians.spz import read_spz
from animate3d.gaussians.usable import usable_rows

_READERS: dict[str, Callable[[Path], Gaussians]] = {".splat": read_splat, ".spz": read_spz}
_UNREAD = (".ksplat", ".sog")

SUFFIXES = (".ply", *_READERS)
"""Suffixes of the files that are read."""


def holds_gaussians(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds Gaussians, by its suffix and, for plys, which may hold a mesh, by the header.

    Raises:
        InputError: a ply of bare points, which is neither.
    """
    if is_point_cloud_ply(path):
        raise InputError(point_cloud_sentence(path))
    return Path(path).suffix.lower() in (*_READERS, *_UNREAD) or is_gaussian_ply(path)


def load_gaussians(path: str | os.PathLike[str]) -> Gaussians:
    """Read a file of Gaussians: a 3DGS or compressed ply, ``.splat`` or ``.spz``.

    Raises:
        InputError: no such file, or one that cannot be used.
    """
    return load_gaussian_rows(path)[0]


def load_gaussian_rows(path: str | os.PathLike[str]) -> tuple[Gaussians, np.ndarray]:
    """`load_gaussians`, and which rows of the file are usable Gaussians ``[R]`` bool: they keep the file's order."""
    path = existing_file(path, "file of Gaussians")
    suffix = path.suffix.lower()
    if suffix in _UNREAD:
        raise InputError(
            f"{path}: {suffix} files are not read; open it in SuperSplat or another editor and save it as .ply, .splat "
            "or .spz."
        )
    if suffix in _READERS:
        return usable_rows(_READERS[suffix](path), path)
    if suffix != ".ply":
        raise InputError(f"{path} is not a file of Gaussians ({', '.join(SUFFIXES)}).")
    return load_ply_rows(path)
