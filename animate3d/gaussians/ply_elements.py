"""Ply files as tables: the columns of all elements, whatever the bytes are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData

from animate3d.errors import InputError
from animate3d.meshes.ply_header import check_promises

Columns = dict[str, np.ndarray]


def read_elements(path: Path) -> dict[str, Columns]:
    """The columns of numbers ``[N]`` of every element; lists are left out.

    Raises:
        InputError: not a ply, or shorter than its header says.
    """
    check_promises(path)
    try:
        data = PlyData.read(str(path))
        return {element.name: _columns(element) for element in data.elements}
    except MemoryError as error:
        raise InputError(f"{path} claims more Gaussians than memory can hold; its header is damaged.") from error
    except Exception as error:  # the parser raises whatever a damaged header leads it into
        what = " ".join(str(error).split())
        raise InputError(f"{path} is not a readable ply file, it may be truncated ({what}).") from error


def _columns(element: object) -> Columns:
    names = [p.name for p in element.properties if p.name.isascii()]  # type: ignore[attr-defined]
    columns = {name: np.asarray(element[name]) for name in names}  # type: ignore[index]
    return {name: values for name, values in columns.items() if values.ndim == 1 and values.dtype.kind in "fiu"}
