"""What Blender's FBX importer passes over, read from the file itself: the order of its objects, wraps and motion."""

from __future__ import annotations

import re
from typing import Any

from animate3d.meshes.fbx_tree import Node

_LONGEST = 63  # bytes of a name in Blender


def in_file_order(objects: list[Any], root: Node) -> list[Any]:
    """Blender's objects in the order of the file's; those that it does not know by name come last.

    Args:
        objects: in the order in which they were made, which is how names that come twice were numbered.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(_names(root)):
        places.setdefault(name.encode()[:_LONGEST].decode(errors="ignore"), []).append(place)
    order = []
    for number, item in enumerate(objects):
        found = places.get(item.name) or places.get(re.sub(r"\.\d{3}$", "", item.name)) or []
        order.append((found.pop(0) if found else len(places) + len(objects), number))
    return [objects[number] for _, number in sorted(order)]


def clamped_textures(root: Node) -> dict[str, tuple[str, str]]:
    """How textures that end at their border are read along u and v, by file name; without those used in two ways."""
    found: dict[str, set[tuple[str, str]]] = {}
    for texture in _objects(root, "Texture"):
        file = texture.first("RelativeFilename") or texture.first("FileName")
        if file is None or not file.properties or not isinstance(file.properties[0][1], bytes):
            continue
        modes = {}
        for row in (texture.first("Properties70") or Node("", [])).all("P"):
            if row.properties:
                modes[row.properties[0][1]] = row.properties[-1][1]
        u, v = ("clamp" if modes.get(axis) == 1 else "repeat" for axis in (b"WrapModeU", b"WrapModeV"))
        name = re.split(r"[\\/]", file.properties[0][1].decode("utf-8", errors="replace"))[-1]
        found.setdefault(name, set()).add((u, v))
    return {name: next(iter(ways)) for name, ways in found.items() if len(ways) == 1}


def is_animated(root: Node) -> bool:
    """Whether anything in the file moves by keys."""
    return any(True for _ in _objects(root, "AnimationCurve"))


def _objects(root: Node, kind: str) -> list[Node]:
    return [node for section in root.all("Objects") for node in section.all(kind)]


def _names(root: Node) -> list[str]:
    values = [node.properties[1][1] if len(node.properties) > 1 else b"" for node in _objects(root, "Model")]
    return [value.split(b"\0")[0].decode("utf-8", errors="replace") for value in values if isinstance(value, bytes)]
