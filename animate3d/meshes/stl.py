"""STL: three vertices per triangle, in the file's order; the solids of an ascii file are its parts."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.mesh import Mesh, Part
from animate3d.meshes.names import encoding_of, utf8_content

_RECORD = np.dtype([("normal", "<f4", 3), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84  # 80 bytes of anything and the number of triangles


def load_stl(path: Path) -> Mesh:
    """Read binary or ascii ``.stl``, z up.

    Raises:
        InputError: missing, damaged or without triangles.
    """
    path = existing_file(path, "mesh file")
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little") if len(data) >= _HEADER else 0
    if count and len(data) >= _HEADER + count * _RECORD.itemsize:
        records = np.frombuffer(data, _RECORD, count, _HEADER)
        mesh = _mesh(records["vertices"].astype(np.float64), path)
        shades = _colors(data[:80], records["attribute"], mesh.materials[0].base_color)
        mesh.vertex_colors = None if shades is None else np.repeat(shades, 3, axis=0)
        return mesh.check()
    text = utf8_content(data)
    if not text.lstrip()[:5].lower() == b"solid":
        raise InputError(f"{path} is not a readable stl file, it may be truncated ({len(data)} bytes).")
    triangles, names, parts = _ascii(text, path)
    mesh = _mesh(triangles, path)
    if len(names) > 1 or any(names):
        encoding = encoding_of(names)
        mesh.parts = [Part(name.decode(encoding) or f"solid_{index}") for index, name in enumerate(names)]
        mesh.face_parts = parts
    return mesh.check()


def _mesh(triangles: np.ndarray, path: Path) -> Mesh:
    """``[T, 3, 3]``"""
    if not len(triangles):
        raise InputError(f"{path} holds no triangles; it may be empty or truncated.")
    vertices = triangles.reshape(-1, 3)
    return Mesh.from_faces(vertices, np.arange(len(vertices)).reshape(-1, 3), up_axis="z", source=path)


def _colors(head: bytes, attributes: np.ndarray, plain: tuple[float, ...]) -> np.ndarray | None:
    """Colours of triangles ``[T, 3]``, five bits a channel; None without any.

    Materialise Magics names the object's colour in the header, and a triangle without the highest bit has one of its
    own, red in the lowest bits. VisCAM and SolidView set that bit of coloured triangles and put blue lowest.

    Args:
        attributes: ``[T]`` uint16.
        plain: what triangles without a colour have in a file whose header names none.
    """
    _, mark, color = head.partition(b"COLOR=")
    is_magics = bool(mark) and len(color) >= 3
    own = (attributes & 0x8000 == 0) & attributes.any() if is_magics else attributes & 0x8000 != 0
    if not (is_magics or own.any()):
        return None
    low, middle, high = ((attributes >> shift & 31) / 31 for shift in (0, 5, 10))
    found = np.stack([low, middle, high] if is_magics else [high, middle, low], axis=1)
    rest = np.frombuffer(color, np.uint8, 3) / 255 if is_magics else np.array(plain[:3])
    return np.where(own[:, None], found, rest).astype(np.float32)


def _ascii(text: bytes, path: Path) -> tuple[np.ndarray, list[bytes], np.ndarray]:
    """Triangles ``[T, 3, 3]``, the names of the solids, and the solid of every triangle ``[T]``."""
    numbers: list[bytes] = []
    names: list[bytes] = []
    counts: list[int] = []
    for line in text.splitlines():
        words = line.split()
        keyword = words[0].lower() if words else b""
        if keyword == b"vertex":
            numbers += words[1:]
            if len(words) != 4:
                raise InputError(f"{path} is not a readable stl file: a vertex has {len(words) - 1} coordinates.")
        elif keyword == b"solid":
            names.append(re.sub(rb"(?i)^\s*solid\s*", b"", line).strip())
            counts.append(len(numbers) // 9)
    try:
        values = np.array(numbers, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path} is not a readable stl file, it may be truncated ({error}).") from error
    whole = len(values) // 9
    if whole * 9 != len(values):
        warnings.warn(f"{path}: its last triangle is not complete and is left out.", stacklevel=3)
    solids = np.searchsorted(np.array(counts, dtype=np.int64), np.arange(whole), side="right") - 1
    return values[: whole * 9].reshape(-1, 3, 3), names, solids.astype(np.int64)
