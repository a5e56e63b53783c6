"""Ply files as tables: the header alone, or the columns of all elements, whatever the bytes are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from plyfile import PlyData

from animate3d.errors import InputError

Columns = dict[str, np.ndarray]

_HEADER_LIMIT = 1 << 16


class Element(NamedTuple):
    """What a header says of one element."""

    rows: int
    properties: tuple[str, ...]


def read_header(path: Path) -> dict[str, Element]:
    """The elements that the header names; empty for a file that is not a ply."""
    with path.open("rb") as file:
        header, end, _ = file.read(_HEADER_LIMIT).partition(b"end_header")
    if not end or not header.startswith(b"ply"):
        return {}
    elements: dict[str, Element] = {}
    name = ""
    for words in (line.split() for line in header.decode("ascii", "replace").splitlines()):
        if words[:1] == ["element"] and len(words) == 3 and words[2].isascii() and words[2].isdecimal():
            name = words[1]
            elements[name] = Element(int(words[2]), ())
        elif words[:1] == ["property"] and name in elements and len(words) > 2:
            elements[name] = Element(elements[name].rows, (*elements[name].properties, words[-1]))
    return elements


def read_elements(path: Path) -> dict[str, Columns]:
    """The columns of numbers ``[N]`` of every element; lists are left out.

    Raises:
        InputError: not a ply, or shorter than its header says.
    """
    # Before anything is allocated: every value takes a byte at least.
    size = path.stat().st_size
    if sum(element.rows * len(element.properties) for element in read_header(path).values()) > size:
        raise InputError(f"{path} is not a readable ply file, it may be truncated (its header promises more).")
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
