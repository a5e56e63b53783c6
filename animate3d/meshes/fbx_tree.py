"""Binary FBX as a tree of nodes: read, changed, written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from animate3d.errors import InputError

_MAGIC = b"Kaydara FBX Binary  \x00\x1a\x00"
_HEADER = len(_MAGIC) + 4
_PLAIN = {"Y": "<h", "C": "<?", "B": "<b", "I": "<i", "F": "<f", "D": "<d", "L": "<q", "Z": "<b"}
_ARRAYS = {"f": "<f4", "d": "<f8", "l": "<i8", "i": "<i4", "b": "|b1", "c": "|u1"}
_WIDE = 7500  # from this version on, offsets have 64 bits
_LEVEL = 4  # of compression: 6 takes four times as long for coordinates, and saves a twelfth
_COMPRESSED_FROM = 128  # bytes
_HIGHEST_RATIO = 1100  # of what zlib can make of a byte


@dataclass
class Node:
    """A node: its properties are pairs of a type's letter and a number, bytes or array."""

    name: str
    properties: list[tuple[str, Any]]
    children: list[Node] = field(default_factory=list)
    ends_with_null: bool = False

    def all(self, name: str) -> Iterator[Node]:
        """Children of a name."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Node | None:
        """The first child of a name."""
        return next(self.all(name), None)

    def set(self, name: str, *values: tuple[str, Any]) -> None:
        """Give a child its properties; made if it is not there."""
        child = self.first(name)
        if child is None:
            self.children.append(Node(name, list(values)))
        else:
            child.properties = list(values)


def read_tree(data: bytes) -> tuple[Node, int, bytes]:
    """The root, the version, and what follows the nodes.

    Raises:
        InputError: not a binary FBX file, or cut off.
    """
    if not data.startswith(_MAGIC):
        raise InputError("it is not a binary FBX file")
    version = struct.unpack_from("<I", data, len(_MAGIC))[0]
    root = Node("", [])
    position = _HEADER
    try:
        while True:
            node, position = _read(data, position, version)
            if node is None:
                return root, version, data[position:]
            root.children.append(node)
    except (struct.error, zlib.error, ValueError, IndexError, KeyError, RecursionError) as error:
        raise InputError(f"it is damaged: {error}") from error


def _read(data: bytes, position: int, version: int) -> tuple[Node | None, int]:
    layout = "<QQQB" if version >= _WIDE else "<IIIB"
    end, count, _, length = struct.unpack_from(layout, data, position)
    position += struct.calcsize(layout)
    if end == 0:
        return None, position
    if count > len(data):  # Blender's reader makes room for as many before it looks
        raise ValueError("a node has more properties than the file has bytes")
    node = Node(data[position : position + length].decode("ascii"), [])
    position += length
    for _ in range(count):
        value, position = _read_property(data, position)
        node.properties.append(value)
    if end > len(data) or end < position:
        raise ValueError("a node ends outside of the file")
    while position < end:
        child, position = _read(data, position, version)
        if child is None:
            if position != end:
                raise ValueError("a node goes on behind its end")
            node.ends_with_null = True
            break
        node.children.append(child)
    return node, end


def _read_property(data: bytes, position: int) -> tuple[tuple[str, Any], int]:
    kind = chr(data[position])
    position += 1
    if kind in _PLAIN:
        return (kind, struct.unpack_from(_PLAIN[kind], data, position)[0]), position + struct.calcsize(_PLAIN[kind])
    if kind in "SR":
        size = struct.unpack_from("<I", data, position)[0]
        return (kind, data[position + 4 : position + 4 + size]), position + 4 + size
    count, encoding, size = struct.unpack_from("<III", data, position)
    position += 12
    content = data[position : position + size]
    if encoding:
        needed = count * np.dtype(_ARRAYS[kind]).itemsize
        if needed > _HIGHEST_RATIO * (len(content) + 1):
            raise ValueError("an array is longer than its data")
        content = zlib.decompressobj().decompress(content, needed)
    values = np.frombuffer(content, dtype=_ARRAYS[kind], count=count)
    return (kind, values), position + size


def write_tree(root: Node, version: int, tail: bytes) -> bytes:
    """The file of a tree; ``tail`` is what `read_tree` found behind the nodes."""
    parts = [_MAGIC, struct.pack("<I", version)]
    position = _HEADER
    for node in root.children:
        content = _written(node, position, version)
        parts.append(content)
        position += len(content)
    parts.append(_null(version))
    position += len(_null(version))
    # The footer: an id, padding to 16 bytes, the version, 120 zeros and another id.
    padding = 16 - (position + 20) % 16
    parts += [tail[:16], bytes(4 + padding), struct.pack("<I", version), bytes(120), tail[-16:]]
    return b"".join(parts)


def _null(version: int) -> bytes:
    return bytes(25 if version >= _WIDE else 13)


def _written(node: Node, position: int, version: int) -> bytes:
    properties = b"".join(_written_property(kind, value) for kind, value in node.properties)
    name = node.name.encode("ascii")
    start = position + len(_null(version)) + len(name) + len(properties)
    children, end = [], start
    for child in node.children:
        children.append(_written(child, end, version))
        end += len(children[-1])
    if node.children or node.ends_with_null:
        children.append(_null(version))
        end += len(children[-1])
    layout = "<QQQB" if version >= _WIDE else "<IIIB"
    head = struct.pack(layout, end, len(node.properties), len(properties), len(name))
    return b"".join([head, name, properties, *children])


def _written_property(kind: str, value: Any) -> bytes:
    letter = kind.encode()
    if kind in _PLAIN:
        return letter + struct.pack(_PLAIN[kind], value)
    if kind in "SR":
        return letter + struct.pack("<I", len(value)) + value
    content = np.ascontiguousarray(value, dtype=_ARRAYS[kind]).tobytes()
    if len(content) <= _COMPRESSED_FROM:
        return letter + struct.pack("<III", np.size(value), 0, len(content)) + content
    packed = zlib.compress(content, _LEVEL)
    return letter + struct.pack("<III", np.size(value), 1, len(packed)) + packed
