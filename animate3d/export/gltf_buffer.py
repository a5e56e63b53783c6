"""The binary buffer of a glTF file and what refers to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963
_CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


@dataclass
class Buffer:
    """Grows by accessors and views; what was stored before is not stored again.

    Attributes:
        data: the bytes.
        views, accessors: sections of the document.
    """

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)

    def add(self, values: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """An accessor of floats, bytes, or the smallest other unsigned integers that hold an array; its number."""
        if values.dtype.kind in "iu" and values.dtype != np.uint8:
            values = values.astype(np.uint16 if values.max(initial=0) < 65535 else np.uint32)
        elif values.dtype.kind == "f":
            values = values.astype(np.float32)
        return self._accessor(values, {}, target, bounds=bounds)

    def add_normalized(self, values: np.ndarray, kind: str, *, least: float = 0.0, bounds: bool = False) -> int:
        """An accessor of ``[S, n]`` values in -1..1 (0..1 for ``"u2"``), rounded to integers of a kind.

        Args:
            kind: ``"i1"``, ``"i2"`` or ``"u2"``
            least: rows no longer than this may be zero, where it saves bytes.
        """
        most = np.iinfo(kind).max
        rounded = np.rint(values * most).clip(-most, most).astype(kind)
        moved = np.flatnonzero(np.linalg.norm(values, axis=1) > max(least, 0.5 / most))
        row = rounded.itemsize * rounded.shape[1]
        if 0 < len(moved) * (2 + row) < len(rounded) * (row + -row % 4):
            return self._sparse(rounded, moved, bounds=bounds)
        return self._accessor(rounded, {"normalized": True}, ARRAY_BUFFER, bounds=bounds)

    def add_bytes(self, content: bytes, target: int | None = None, stride: int | None = None) -> int:
        """A buffer view, aligned to 4 bytes; its number."""
        key = hashlib.sha256(content).digest() + repr((target, stride)).encode()
        if key not in self._known:
            view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
            view |= {} if stride is None else {"byteStride": stride}
            view |= {} if target is None else {"target": target}
            self.data += content
            self.data += b"\0" * (-len(self.data) % 4)
            self._known[key] = len(self.views)
            self.views.append(view)
        return self._known[key]

    def _accessor(self, values: np.ndarray, extra: dict[str, Any], target: int | None, *, bounds: bool) -> int:
        rows = values.reshape(len(values), -1)
        content, stride = rows, None
        if target == ARRAY_BUFFER:  # every vertex starts at a multiple of four bytes
            gap = -rows.itemsize * rows.shape[1] % 4
            content = np.pad(rows, ((0, 0), (0, gap // rows.itemsize)))
            stride = content.itemsize * content.shape[1]  # has to be said where two accessors share equal bytes
        view = self.add_bytes(np.ascontiguousarray(content).tobytes(), target, stride)
        return self._entry(rows, {"bufferView": view} | extra, bounds=bounds)

    def _sparse(self, rows: np.ndarray, moved: np.ndarray, *, bounds: bool) -> int:
        kind = "u2" if len(rows) <= 65536 else "u4"
        rows = np.where(np.isin(np.arange(len(rows)), moved)[:, None], rows, rows.dtype.type(0))
        sparse = {
            "count": len(moved),
            "indices": {"bufferView": self.add_bytes(moved.astype(kind).tobytes()), "componentType": _CODES[kind]},
            "values": {"bufferView": self.add_bytes(np.ascontiguousarray(rows[moved]).tobytes())},
        }
        return self._entry(rows, {"normalized": True, "sparse": sparse}, bounds=bounds)

    def _entry(self, rows: np.ndarray, extra: dict[str, Any], *, bounds: bool) -> int:
        accessor = extra | {
            "componentType": _CODES[rows.dtype.str[1:]],
            "count": len(rows),
            "type": {1: "SCALAR", 16: "MAT4"}.get(rows.shape[1], f"VEC{rows.shape[1]}"),
        }
        if bounds:
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        key = repr(accessor).encode()
        if key not in self._known:
            self._known[key] = len(self.accessors)
            self.accessors.append(accessor)
        return self._known[key]
