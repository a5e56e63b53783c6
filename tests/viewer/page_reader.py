"""Reads a page of the viewer as its script does, in Python."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {"Uint8Array": "<u1", "Int8Array": "<i1", "Uint16Array": "<u2", "Uint32Array": "<u4"}


def read_page(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header of a page and its arrays."""
    text = path.read_text(encoding="utf-8")
    (about,) = re.findall(r'<script id="about" type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    (block,) = re.findall(r'<script id="block" type="text/plain">(.*?)</script>', text, flags=re.DOTALL)
    header, content = json.loads(about), zlib.decompress(base64.b64decode(block))
    return header, {name: _array(content, **entry) for name, entry in header["arrays"].items()}


def _array(content: bytes, type: str, shape: list[int], offset: int, step: bool) -> np.ndarray:
    kind = np.dtype(_TYPES[type])
    count = int(np.prod(shape))
    raw = np.frombuffer(content, np.uint8, count * kind.itemsize, offset)
    if kind.itemsize == 2:
        raw = np.ascontiguousarray(raw.reshape(2, count).T)
    values = raw.reshape(-1).view(kind).reshape(shape)
    if not step:
        return values
    folded = values.astype(np.int64).astype(f"u{kind.itemsize}").astype(np.int64)
    return np.cumsum((folded >> 1) ^ -(folded & 1), axis=0).astype(kind)


def corner_positions(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Where the corners of all triangles are in every stored frame ``[F, T, 3, 3]``."""
    points = np.array(about["low"]) + arrays["points"] * np.array(about["extent"]) / 16383
    return points[:, arrays["corners"][arrays["triangles"]]].reshape(len(points), -1, 3, 3)
