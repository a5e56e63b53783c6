"""What Blender's FBX writer leaves out or rounds: put right in the file that it wrote.

It drops the normals of shapes, knows names of 63 bytes only, rounds places to single precision, bakes keys at whole
frames and notes the folder in which it ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.meshes.fbx_tree import Node, read_tree, write_tree

_TICKS = 46186158000  # of FBX in a second
_NORMAL_STEP = 1e-4  # normals are rounded to this, which halves their size


@dataclass(frozen=True)
class FbxContent:
    """What the file is to hold.

    Attributes:
        names: of what Blender was given under plain names: objects, materials, the animation.
        translations: ``[3]`` of objects, by Blender's name, in the file's own axes.
        vertices: ``[n, 3]`` of every mesh.
        shapes: of every mesh, displacements ``[n, 3]`` and turns of the normals ``[n, 3]`` by the shape's name.
        weights: ``[F]`` of every shape by its name.
        times: ``[F]`` seconds.
        wraps: textures that are clamped along u and v, by file name.
        bone_rate: frames per second at which Blender baked the bones; None without a skeleton.
        unit: metres of a unit.
    """

    names: dict[str, str]
    translations: dict[str, np.ndarray]
    vertices: list[np.ndarray]
    shapes: list[dict[str, tuple[np.ndarray, np.ndarray]]]
    weights: dict[str, np.ndarray]
    times: np.ndarray
    wraps: dict[str, tuple[bool, bool]]
    bone_rate: float | None = None
    unit: float = 1.0


def finish(path: Path, content: FbxContent) -> None:
    """Rewrite a file of Blender's."""
    root, version, tail = read_tree(path.read_bytes())
    objects = root.first("Objects") or Node("", [])
    _set_unit(root, content.unit)
    _set_geometry(objects, content)
    _set_translations(objects, content)
    if content.bone_rate is not None:
        _set_bind_places(root, content)
        _drop_armature_curves(root, objects)
    _set_keys(root, objects, content)
    _set_files(objects, content)
    _rename(root, content.names)
    path.write_bytes(write_tree(root, version, tail))


def _name(node: Node) -> str:
    """Name of an object: ``name\\0\\1Class``."""
    return str(node.properties[1][1].partition(b"\0")[0].decode("utf-8", errors="replace"))


def _set_unit(root: Node, unit: float) -> None:
    """FBX counts in centimetres."""
    settings = root.first("GlobalSettings")
    properties = None if settings is None else settings.first("Properties70")
    for item in [] if properties is None else properties.children:
        if item.properties[0][1] in (b"UnitScaleFactor", b"OriginalUnitScaleFactor"):
            item.properties[-1] = ("D", 100.0 * unit)


def _set_geometry(objects: Node, content: FbxContent) -> None:
    mesh = -1
    for geometry in objects.all("Geometry"):
        if geometry.properties[2][1] == b"Mesh":
            mesh = int(_name(geometry).rpartition("_")[2])  # shapes follow their mesh
            geometry.set("Vertices", ("d", content.vertices[mesh].astype(np.float64).reshape(-1)))
            continue
        deltas, turns = content.shapes[mesh][_name(geometry)]
        turns = np.round(turns / _NORMAL_STEP) * _NORMAL_STEP
        moved = np.flatnonzero((deltas != 0).any(axis=1) | (turns != 0).any(axis=1))
        moved = moved if len(moved) else np.zeros(1, dtype=np.int64)
        geometry.set("Indexes", ("i", moved))
        geometry.set("Vertices", ("d", deltas[moved].astype(np.float64).reshape(-1)))
        geometry.set("Normals", ("d", turns[moved].reshape(-1)))


def _set_translations(objects: Node, content: FbxContent) -> None:
    for model in objects.all("Model"):
        offset = content.translations.get(_name(model))
        properties = model.first("Properties70")
        if properties is None:
            continue
        for item in properties.children:
            if item.properties[0][1] == b"Lcl Rotation":  # quarter turns, but for rounding
                item.properties[4:] = [("D", round(value, 3) + 0.0) for _, value in item.properties[4:]]
        if offset is None:
            continue
        kept = [p for p in properties.children if p.properties[0][1] != b"Lcl Translation"]
        key = ("S", b"Lcl Translation")
        values = [("D", float(value)) for value in offset]
        properties.children = [*kept, Node("P", [key, key, ("S", b""), ("S", b"A"), *values])]


def _set_bind_places(root: Node, content: FbxContent) -> None:
    """The rest of a skin, which is noted in the scene, is where the armature is."""
    for offset in content.translations.values():
        for node in _below(root):
            if node.name in ("TransformLink", "TransformAssociateModel", "Matrix"):
                kind, values = node.properties[0]
                matrix = np.array(values, dtype=np.float64)
                matrix[12:15] += offset
                node.properties = [(kind, matrix)]


def _drop_armature_curves(root: Node, objects: Node) -> None:
    """Blender writes keys of the armature itself, which rests; they would hide where it is."""
    models = {node.properties[0][1] for node in objects.all("Model") if node.properties[2][1] == b"Null"}
    links = list(_connections(root))
    dropped = {source for kind, source, target, _ in links if kind == b"OP" and target in models}
    dropped |= {source for kind, source, target, _ in links if kind == b"OP" and target in dropped}
    objects.children = [node for node in objects.children if node.properties[0][1] not in dropped]
    for connections in root.all("Connections"):
        connections.children = [c for c in connections.children if not {v for _, v in c.properties[1:3]} & dropped]


def _set_keys(root: Node, objects: Node, content: FbxContent) -> None:
    """Keys at exact times; those that lie on the line between their neighbours are left out."""
    ticks = np.round(content.times * _TICKS).astype(np.int64)
    channels = {node.properties[0][1]: _name(node) for node in objects.all("Deformer")}
    shape_of: dict[int, str] = {}
    curve_of: dict[int, int] = {}
    for kind, source, target, what in _connections(root):
        if kind == b"OP" and what == b"DeformPercent" and target in channels:
            shape_of[source] = channels[target]
        elif kind == b"OP" and what.decode("utf-8", errors="replace") in content.weights:
            shape_of[source] = what.decode()
        elif kind == b"OP" and what.startswith(b"d|"):
            curve_of[source] = target
    for curve in objects.all("AnimationCurve"):
        weights = content.weights.get(shape_of.get(curve_of.get(curve.properties[0][1], -1), ""))
        if weights is None:
            if content.bone_rate is not None:
                _retime(curve, ticks, content.bone_rate)
            continue
        kept = _corners(ticks, weights)
        curve.set("KeyTime", ("l", ticks[kept]))
        curve.set("KeyValueFloat", ("f", 100.0 * weights[kept]))
        curve.set("KeyAttrRefCount", ("i", np.array([len(kept)])))
    end = ("L", int(ticks[-1])) if len(ticks) else ("L", 0)
    for node in _below(root):
        if node.name == "P" and node.properties[0][1] in (b"LocalStop", b"ReferenceStop", b"TimeSpanStop"):
            node.properties[-1] = end
        if node.name in ("LocalTime", "ReferenceTime"):
            node.properties = [("L", 0), end]


def _retime(curve: Node, ticks: np.ndarray, rate: float) -> None:
    """Blender baked frame k of the clip at frame k of its scene."""
    times = curve.first("KeyTime")
    if times is not None:
        baked = np.asarray(times.properties[0][1], dtype=np.float64)
        frames = np.rint(baked * rate / _TICKS).astype(np.int64)
        curve.set("KeyTime", ("l", ticks[frames.clip(0, len(ticks) - 1)]))


def _connections(root: Node) -> Iterator[tuple[bytes, int, int, bytes]]:
    for connections in root.all("Connections"):
        for item in connections.all("C"):
            kind, source, target, *what = (value for _, value in item.properties)
            yield kind, source, target, what[0] if what else b""


def _corners(ticks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Keys without those that a linear curve passes through anyway."""
    if len(values) < 3:
        return np.arange(len(values))
    share = (ticks[1:-1] - ticks[:-2]) / (ticks[2:] - ticks[:-2])
    between = values[:-2] + share * (values[2:] - values[:-2])
    return np.flatnonzero(np.concatenate([[True], np.abs(values[1:-1] - between) > 1e-6, [True]]))


def _set_files(objects: Node, content: FbxContent) -> None:
    """Textures have names, not places; they repeat or end at their border."""
    for node in objects.children:
        for key in ("FileName", "Filename", "RelativeFilename"):
            child = node.first(key)
            if child is not None:
                child.properties = [("S", child.properties[0][1].replace(b"\\", b"/").rpartition(b"/")[2])]
        properties = node.first("Properties70")
        if properties is None:
            continue
        for item in properties.children:
            if item.properties[0][1] in (b"Path", b"RelPath"):
                item.properties[-1] = ("S", item.properties[-1][1].replace(b"\\", b"/").rpartition(b"/")[2])
        file = node.first("RelativeFilename")
        wraps = content.wraps.get(file.properties[0][1].decode()) if file else None
        if node.name == "Texture" and wraps:
            for axis, clamped in zip((b"WrapModeU", b"WrapModeV"), wraps, strict=True):
                value = [("S", axis), ("S", b"enum"), ("S", b""), ("S", b""), ("I", int(clamped))]
                properties.children = [p for p in properties.children if p.properties[0][1] != axis]
                properties.children.append(Node("P", value))


def _rename(root: Node, names: dict[str, str]) -> None:
    """Give everything its real name."""
    known = {old.encode(): new.replace("\0", " ").encode("utf-8", errors="replace") for old, new in names.items()}

    def renamed(value: bytes) -> bytes:
        name, mark, rest = value.partition(b"\0")
        new = known.get(name.removesuffix(b".tak"))
        return value if new is None else new + (b".tak" if name.endswith(b".tak") else b"") + mark + rest

    for node in _below(root):
        if node.name in ("P", "Content"):
            continue
        node.properties = [(kind, renamed(value) if kind == "S" else value) for kind, value in node.properties]


def _below(node: Node) -> Iterator[Any]:
    for child in node.children:
        yield child
        yield from _below(child)
