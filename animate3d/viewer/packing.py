"""Arrays of numbers in one compressed block, as the page's script reads them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

LEVELS = 16383
"""Steps that coordinates are counted in, from the least to the greatest: errors of 3e-5 of the extent at most."""
_AT_ONCE = 1 << 19  # coordinates that are worked on together in double precision: a motion may be long

_TYPES = {"uint8": "Uint8Array", "int8": "Int8Array", "uint16": "Uint16Array", "uint32": "Uint32Array"}


class Block:
    """Collects arrays; `packed` is their list, which tells the script where each lies, and the compressed bytes.

    A ``step`` array holds in the place of each row what it differs by from the row before, sign in the lowest bit;
    16-bit arrays have all low bytes first and then all high bytes. Both make neighbouring numbers alike, so that they
    compress.
    """

    def __init__(self) -> None:
        self._list: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._length = 0

    def add(self, name: str, values: np.ndarray, *, step: bool = False) -> None:
        """Put in an array of small integers; with ``step`` the first axis is coded by differences."""
        values = np.ascontiguousarray(values)
        coded = _steps(values) if step else values
        if coded.dtype == np.uint16:
            coded = coded.reshape(-1).view(np.uint8).reshape(-1, 2).T
        content = np.ascontiguousarray(coded).tobytes()
        self._list[name] = {
            "type": _TYPES[values.dtype.name],
            "shape": list(values.shape),
            "offset": self._length,
            "step": step,
        }
        content += b"\0" * (-len(content) % 4)
        self._parts.append(content)
        self._length += len(content)

    def packed(self) -> tuple[dict[str, dict[str, Any]], bytes]:
        """The list of the arrays, and all of them deflated."""
        return self._list, zlib.compress(b"".join(self._parts), 6)


def quantized(values: np.ndarray) -> tuple[np.ndarray, list[float], list[float]]:
    """Coordinates ``[..., D]`` as uint16 in 0..`LEVELS`, the least of each axis, and their extents."""
    low = values.reshape(-1, values.shape[-1]).min(axis=0).astype(np.float64)
    extent = values.reshape(-1, values.shape[-1]).max(axis=0) - low
    scale = LEVELS / np.where(extent > 0, extent, 1)
    steps = np.empty(values.shape, np.uint16)
    rows = max(1, _AT_ONCE * len(values) // max(values.size, 1))
    for start in range(0, len(values), rows):
        steps[start : start + rows] = np.round((values[start : start + rows] - low) * scale)
    return steps, low.tolist(), extent.tolist()


def _steps(values: np.ndarray) -> np.ndarray:
    """Differences along the first axis, wrapped around, with the sign moved to the lowest bit."""
    kind = np.dtype(f"i{values.dtype.itemsize}")
    signed = np.diff(values, axis=0, prepend=np.zeros_like(values[:1])).view(kind)
    folded = (signed << 1) ^ (signed >> (8 * kind.itemsize - 1))
    return np.asarray(folded.view(f"u{kind.itemsize}"))
