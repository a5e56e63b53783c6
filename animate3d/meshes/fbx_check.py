"""Whether the arrays of an FBX file fit together; what does not makes Blender's importer run away or crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.meshes.fbx_tree import Node, read_tree

_DIRECT = {"LayerElementUV": ("UV", "UVIndex", 2), "LayerElementColor": ("Colors", "ColorIndex", 4)}
_DIRECT |= {"LayerElementNormal": ("Normals", "NormalsIndex", 3)}
_MOST_SLOTS = 32767


def check_fbx(data: bytes) -> Node:
    """Check a binary FBX file; returns its tree.

    Raises:
        InputError: it is damaged, or an array refers to what is not there.
    """
    root, _, _ = read_tree(data)
    for objects in root.all("Objects"):
        for geometry in objects.all("Geometry"):
            if _kind(geometry) == b"Mesh":
                _check_mesh(geometry)
    return root


def refuse_ascii_fbx(path: Path) -> None:
    """Say what to do with an FBX file that is text.

    Raises:
        InputError: it is.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if head.lstrip().startswith(b"; FBX") or (b"FBXHeaderExtension:" in head and b"\0" not in head):
        raise InputError(
            f"{path} is an ASCII FBX, which is not read; save it as binary FBX (an option of FBX exporters)."
        )


def _kind(node: Node) -> bytes:
    return node.properties[2][1] if len(node.properties) > 2 and isinstance(node.properties[2][1], bytes) else b""


def _check_mesh(geometry: Node) -> None:
    vertices, polygons = _array(geometry, "Vertices"), _array(geometry, "PolygonVertexIndex")
    corners = np.where(polygons < 0, ~polygons, polygons)
    if len(vertices) % 3 or not np.isfinite(vertices).all() or np.abs(vertices).max(initial=0) > 1e30:
        raise InputError("its vertices are damaged")
    _check_indices(corners, len(vertices) // 3, "its polygons")
    if len(polygons) and polygons[-1] >= 0:
        raise InputError("its last polygon has no end")
    _check_indices(_array(geometry, "Edges"), len(polygons), "its edges")
    for name, (direct, index, width) in _DIRECT.items():
        for layer in geometry.all(name):
            values = _array(layer, direct)
            if not np.isfinite(values).all():
                raise InputError(f"its {direct} are not finite")
            numbers = _array(layer, index)
            _check_indices(numbers[numbers != -1], len(values) // width, f"its {direct}")
    for layer in geometry.all("LayerElementMaterial"):
        _check_indices(_array(layer, "Materials"), _MOST_SLOTS, "its materials")


def _array(node: Node, name: str) -> np.ndarray:
    """Numbers of a child; empty where there is none."""
    child = node.first(name)
    if child is None or not child.properties:
        return np.zeros(0, dtype=np.int64)
    values = child.properties[0][1]
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "if":
        raise InputError(f"its {name} are damaged")
    return values


def _check_indices(indices: np.ndarray, count: int, what: str) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= count):
        raise InputError(f"{what} refer to what is not there")
