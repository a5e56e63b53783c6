"""3D Gaussian Splatting ply files, as the programs that make such models write them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file
from animate3d.gaussians import compressed_ply
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.ply_elements import Columns, read_elements
from animate3d.gaussians.sh import C0
from animate3d.gaussians.usable import gaussians_of, usable_rows
from animate3d.meshes.ply_header import read_header
from animate3d.meshes.polygon_files import GAUSSIAN_MARKS, PACKED_MARK

_MEANS = ("x", "y", "z")
_NORMALS = ("nx", "ny", "nz")
_DC = tuple(f"f_dc_{k}" for k in range(3))
_RGB = ("red", "green", "blue")
_SCALES = tuple(f"scale_{k}" for k in range(3))
_QUATS = tuple(f"rot_{k}" for k in range(4))
_REST_OF_DEGREE = {0: 0, 9: 1, 24: 2, 45: 3}

_ROWS_AT_ONCE = 1 << 14  # of a table with up to 62 columns: what fits the cache


def is_gaussian_ply(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a ply of Gaussians, by the properties that its header names; a ply mesh has none of them."""
    path = Path(path)
    if path.suffix.lower() != ".ply" or not path.is_file():
        return False
    vertex = read_header(path).get("vertex")
    return vertex is not None and (set(vertex.properties) >= GAUSSIAN_MARKS or PACKED_MARK in vertex.properties)


def is_point_cloud_ply(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a ply of points alone: no Gaussians, no faces, nothing but vertices."""
    path = Path(path)
    if path.suffix.lower() != ".ply" or not path.is_file() or is_gaussian_ply(path):
        return False
    holding = {name: element for name, element in read_header(path).items() if element.rows > 0}
    return holding.keys() == {"vertex"} and set(_MEANS) <= set(holding["vertex"].properties)


def load_ply(path: str | os.PathLike[str]) -> Gaussians:
    """Read a 3DGS ply: binary of either byte order or ascii, normals optional, degree 0 to 3 by its ``f_rest_*``.

    Colours may be ``red green blue`` instead of ``f_dc_*``; SuperSplat's compressed plys are read as well.

    Rows with numbers that are not finite are dropped with a warning; a log scale of minus infinity is kept as a
    very small Gaussian, because Gaussians of a mesh must stay as many as its vertices.

    Raises:
        InputError: missing, truncated, not a ply, no Gaussians, or properties missing (all are listed).
    """
    return load_ply_rows(path)[0]


def load_ply_rows(path: str | os.PathLike[str]) -> tuple[Gaussians, np.ndarray]:
    """`load_ply`, and which rows of the file are Gaussians ``[R]`` bool: they keep the file's order."""
    path = existing_file(path, "Gaussian ply file")
    elements = read_elements(path)
    if "vertex" not in elements:
        raise InputError(f"{path} is not a Gaussian splatting ply: it has no element `vertex`.")
    vertex = elements["vertex"]
    if not vertex or len(next(iter(vertex.values()))) == 0:
        raise InputError(f"{path} holds no Gaussians.")
    packed = compressed_ply.PACKED[0] in vertex
    return usable_rows(compressed_ply.unpack(elements, path) if packed else _plain(vertex, path), path)


@np.errstate(over="ignore", invalid="ignore")  # rows of such numbers are dropped later
def _plain(columns: Columns, path: Path) -> Gaussians:
    colors = _DC if any(name in columns for name in _DC) or not set(_RGB) <= columns.keys() else _RGB
    _check_names(columns, colors, path)
    rest = sorted((name for name in columns if _is_rest(name)), key=lambda name: int(name[7:]))
    if len(rest) not in _REST_OF_DEGREE or rest != [f"f_rest_{k}" for k in range(len(rest))]:
        raise InputError(
            f"{path} has {len(rest)} properties f_rest_*; spherical harmonics of degree 0 to 3 have 0, 9, 24 or 45, "
            "numbered from 0."
        )
    table = _table([columns[name] for name in (*_MEANS, *colors, *rest, "opacity", *_SCALES, *_QUATS)])
    means, dc, rest_values, opacity, scales, quats = np.split(table, np.cumsum([3, 3, len(rest), 1, 3]), axis=1)
    if colors is _RGB:
        dc = (dc / _full([columns[name] for name in _RGB]) - 0.5) / C0
    # On disk the bands above 0 are channel-major: all of red, then green, then blue.
    bands = rest_values.reshape(len(table), 3, -1).transpose(0, 2, 1)
    return gaussians_of(means, np.concatenate([dc[:, None], bands], axis=1), opacity[:, 0], scales, quats)


def _check_names(columns: Columns, colors: tuple[str, ...], path: Path) -> None:
    missing = [name for name in (*_MEANS, *colors, "opacity", *_SCALES, *_QUATS) if name not in columns]
    if missing == [_SCALES[2]]:
        raise InputError(
            f"{path} holds 2D Gaussians (two scales, no {_SCALES[2]}), which are flat: export the mesh that programs "
            "for them make (a ply, obj or glb), and animate that."
        )
    if missing and not GAUSSIAN_MARKS & columns.keys():
        if (faces := read_header(path).get("face")) and faces.rows:
            raise InputError(
                f"{path} is a mesh, it has faces and no properties of Gaussians: read it with load_mesh, or animate it "
                f"as a mesh with `animate3d animate {path}`."
            )
        raise InputError(point_cloud_sentence(path))
    if missing:
        raise InputError(f"{path} is not a Gaussian splatting ply: it lacks the properties {', '.join(missing)}.")


def point_cloud_sentence(path: str | os.PathLike[str]) -> str:
    """What is wrong with a file of bare points, and what to do."""
    return (
        f"{path} is a point cloud, without faces and without the properties of Gaussians (opacity, scale_0, rot_0, …): "
        "reconstruct a mesh from it (for instance with MeshLab's screened Poisson), or train Gaussians on its pictures."
    )


def _full(columns: list[np.ndarray]) -> float:
    """The value of the brightest colour that columns of red, green and blue can hold."""
    if all(column.dtype.kind in "iu" for column in columns):
        return float(max(np.iinfo(column.dtype).max if column.dtype.itemsize == 2 else 255 for column in columns))
    return 255.0 if max(float(np.fmax.reduce(column, initial=0)) for column in columns) > 1 else 1.0


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


def save_ply(gaussians: Gaussians, path: str | os.PathLike[str]) -> None:
    """Write a binary 3DGS ply: x y z nx ny nz f_dc_* f_rest_* opacity scale_* rot_*, float32, normals 0."""
    rest = tuple(f"f_rest_{k}" for k in range(3 * (gaussians.sh.shape[1] - 1)))
    names = (*_MEANS, *_NORMALS, *_DC, *rest, "opacity", *_SCALES, *_QUATS)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    lines += [*(f"property float {name}" for name in names), "end_header", ""]
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(lines).encode())
        for start in range(0, len(gaussians), _ROWS_AT_ONCE):
            file.write(_rows(gaussians, slice(start, start + _ROWS_AT_ONCE)).tobytes())


def _rows(gaussians: Gaussians, rows: slice) -> np.ndarray:
    """Some rows of the table that a ply is, little endian."""
    sh = gaussians.sh[rows]
    parts = [
        gaussians.means[rows],
        torch.zeros_like(gaussians.means[rows]),
        sh[:, 0],
        sh[:, 1:].transpose(1, 2).reshape(len(sh), -1),
        gaussians.opacity_logits[rows, None],
        gaussians.log_scales[rows],
        gaussians.quats[rows],
    ]
    return torch.cat([part.detach().cpu().float() for part in parts], dim=1).numpy().astype("<f4", copy=False)
