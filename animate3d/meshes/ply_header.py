"""What the header of a ply file promises, before anything else is read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from animate3d.errors import InputError

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


def check_promises(path: Path) -> None:
    """Compare a file's length with its header before anything is allocated: every value takes a byte at least.

    Raises:
        InputError: the file is shorter than its header says.
    """
    if sum(element.rows * len(element.properties) for element in read_header(path).values()) > path.stat().st_size:
        raise InputError(f"{path} is not a readable ply file, it may be truncated (its header promises more).")
