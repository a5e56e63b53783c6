"""The bytes of a glTF file: container, buffers, views, accessors and images."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from animate3d.errors import InputError, available, require
from animate3d.meshes.gltf_extensions import DRACO, MESHOPT
from animate3d.meshes.materials import find_texture

Entry = dict[str, Any]

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MOST_ELEMENTS = 2**27  # of an accessor that takes no bytes in the file
_MOST_EXPANSION = 4096  # decoded bytes per compressed one, beyond which a file is damaged or meant to fill the memory


class GltfFile:
    """An opened ``.glb`` or ``.gltf``.

    Attributes:
        path: for messages.
        document: the JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        if not data:
            raise InputError(f"{path} is empty.")
        text, self._chunk = _chunks(data, path) if data[:4] == b"glTF" else (data, None)
        if self._chunk is None and not text.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"{", b"[")):
            raise InputError(f"{path} is not a glTF file: it begins neither like a .glb nor like the JSON of a .gltf.")
        self.document: Entry = _json(text)
        if not isinstance(self.document, dict) or not isinstance(self.document.get("asset"), dict):
            raise InputError(f"{path} is not a glTF file: it names no version.")
        version = str(self.document["asset"].get("version", ""))
        if not version.startswith("2"):
            raise InputError(f"{path} is glTF {version[:10]!r}; only version 2 is read.")
        self._buffers: dict[int, bytes] = {}
        self._views: dict[int, tuple[bytes, int]] = {}

    def items(self, section: str) -> list[Entry]:
        """The entries of a top-level array, empty where the file has none."""
        found = self.document.get(section, [])
        if not isinstance(found, list):
            raise ValueError(f"{section} is not a list")
        return found

    def item(self, section: str, index: Any) -> Entry:
        """An entry of a top-level array.

        Raises:
            ValueError: there is no such entry.
        """
        found = self.items(section)
        if not (isinstance(index, int) and 0 <= index < len(found) and isinstance(found[index], dict)):
            raise ValueError(f"there is no number {index} in {section}")
        return found[index]

    def buffer(self, index: Any) -> bytes:
        """The content of a buffer."""
        entry = self.item("buffers", index)
        if index not in self._buffers:
            if "uri" in entry:
                content = self.resource(entry["uri"])
                if content is None:
                    name = uri_name(entry["uri"])[:200]
                    raise InputError(f"{self.path} refers to {name!r}, which is not in its folder.")
                self._buffers[index] = content
            elif index == 0 and self._chunk is not None:
                self._buffers[index] = self._chunk
            else:
                raise ValueError(f"the bytes of buffer {index} are missing")
        return self._buffers[index]

    def resource(self, uri: Any) -> bytes | None:
        """What a data URI holds, or a file below the folder of this one; None where there is no such file."""
        head, comma, body = str(uri).partition(",")
        if head.startswith("data:") and comma:
            content = unquote_to_bytes(body)
            return base64.b64decode(content) if head.endswith(";base64") else content
        found = find_texture(str(uri), self.path.parent) or find_texture(uri_name(uri), self.path.parent)
        return None if found is None else found.read_bytes()

    def view(self, index: Any) -> tuple[bytes, int]:
        """The bytes of a buffer view, decompressed, and its stride (0: without gaps)."""
        entry = self.item("bufferViews", index)
        if index not in self._views:
            packed = next((entry["extensions"][key] for key in MESHOPT if key in entry.get("extensions", {})), None)
            if packed is not None and (available("meshoptimizer") or not self._has_fallback(entry)):
                self._views[index] = self._decompressed(packed), int(packed["byteStride"])
            else:
                self._views[index] = self._slice(entry), int(entry.get("byteStride", 0))
        return self._views[index]

    def _has_fallback(self, view: Entry) -> bool:
        buffer = self.item("buffers", view.get("buffer"))
        return "uri" in buffer or (view["buffer"] == 0 and self._chunk is not None)

    def _slice(self, entry: Entry) -> bytes:
        start, length = entry.get("byteOffset", 0), entry["byteLength"]
        content = self.buffer(entry.get("buffer"))
        if not (isinstance(start, int) and isinstance(length, int) and 0 <= start <= start + length <= len(content)):
            raise ValueError("a buffer is shorter than what is stored in it")
        return content[start : start + length]

    def _decompressed(self, entry: Entry) -> bytes:
        feature = f"Reading {self.path.name}, which is compressed with meshopt ({MESHOPT[0]}),"
        codec = require("meshoptimizer", feature=feature, extra="gltf")
        content, count, stride = self._slice(entry), int(entry["count"]), int(entry["byteStride"])
        if not (count > 0 and 0 < stride <= 256 and count * stride <= _MOST_EXPANSION * (len(content) + 1)):
            raise ValueError("the size of a meshopt-compressed view makes no sense")
        data = np.frombuffer(content, dtype=np.uint8)
        try:
            if entry["mode"] == "ATTRIBUTES":
                rows = codec.decode_vertex_buffer(count, stride, data).reshape(-1).view(np.uint8)
                return _filtered(codec, rows, count, stride, entry.get("filter", "NONE")).tobytes()
            decode = {"TRIANGLES": codec.decode_index_buffer, "INDICES": codec.decode_index_sequence}[entry["mode"]]
            if stride not in (2, 4) or (entry["mode"] == "TRIANGLES" and count % 3):
                raise ValueError(f"{count} indices of {stride} bytes")
            # The decoder's array has four bytes for every index, whatever the stride.
            return decode(count, 4, data).astype(f"<u{stride}").tobytes()
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.path}: its meshopt-compressed data ({MESHOPT[0]}) is damaged ({error})."
            ) from error

    def accessor(self, index: Any) -> np.ndarray:
        """Values ``[count]`` or ``[count, n]``: float64 for floats and normalised integers, otherwise int64."""
        entry = self.item("accessors", index)
        dtype, width, count = np.dtype(_COMPONENTS[entry["componentType"]]), _WIDTHS[entry["type"]], entry["count"]
        if not (isinstance(count, int) and 0 <= count <= _MOST_ELEMENTS):
            raise ValueError(f"an accessor has {count} elements")
        if "bufferView" in entry:
            values = self._rows(entry, dtype, width, count)
        else:
            values = np.zeros((count, width), dtype=dtype)
        if "sparse" in entry:
            values = self._with_sparse(values, entry["sparse"])
        values = dequantized(values, normalized=bool(entry.get("normalized", False)))
        return values[:, 0] if width == 1 else values

    def _rows(self, entry: Entry, dtype: np.dtype, width: int, count: int) -> np.ndarray:
        """Elements of an accessor or of a part of a sparse one ``[count, width]``."""
        data, stride = self.view(entry["bufferView"])
        offset = entry.get("byteOffset", 0)
        stride = stride or dtype.itemsize * width
        if not (isinstance(offset, int) and offset >= 0 and stride >= dtype.itemsize * width):
            raise ValueError("an accessor has an impossible offset or stride")
        if count == 0:
            return np.zeros((0, width), dtype=dtype)
        if offset + stride * (count - 1) + dtype.itemsize * width > len(data):
            raise ValueError("a buffer is shorter than what is stored in it")
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize)).copy()

    def _with_sparse(self, values: np.ndarray, sparse: Entry) -> np.ndarray:
        count = sparse["count"]
        kind = np.dtype(_COMPONENTS[sparse["indices"]["componentType"]])
        if not (isinstance(count, int) and 0 <= count <= len(values) and kind.kind == "u"):
            raise ValueError("a sparse accessor makes no sense")
        places = self._rows(sparse["indices"], kind, 1, count)[:, 0].astype(np.int64)
        values[places] = self._rows(sparse["values"], values.dtype, values.shape[1], count)
        return values

    def image(self, index: Any) -> tuple[bytes | None, str | None]:
        """The encoded bytes of an image, None where its file is not there, and its type, where the file names it."""
        entry = self.item("images", index)
        kind = entry.get("mimeType")
        if "bufferView" in entry:
            return self.view(entry["bufferView"])[0], kind
        uri = str(entry["uri"])
        if kind is None and uri.startswith("data:"):
            kind = uri[5:].partition(",")[0].partition(";")[0] or None
        return self.resource(uri), kind

    def draco(self, entry: Entry) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Triangles ``[T, 3]`` and raw attributes ``[V, n]`` of a compressed primitive."""
        feature = f"Reading {self.path.name}, which is compressed with Draco ({DRACO}),"
        codec = require("DracoPy", feature=feature, extra="gltf")
        content, _ = self.view(entry["bufferView"])
        try:
            decoded = codec.decode(content)
            names = {semantic: int(number) for semantic, number in entry["attributes"].items()}
            found = {name: decoded.get_attribute_by_unique_id(number)["data"] for name, number in names.items()}
            return np.asarray(decoded.faces, dtype=np.int64).reshape(-1, 3), found
        except Exception as error:  # the decoder raises whatever damaged bytes lead it into
            reason = str(error).strip().splitlines()[:1] or ["unknown reason"]
            raise InputError(f"{self.path}: its Draco-compressed data ({DRACO}) is damaged ({reason[0]}).") from error


def uri_name(uri: Any) -> str:
    """A URI as a person writes it, for messages."""
    return unquote_to_bytes(str(uri)).decode("utf-8", errors="replace")


def dequantized(values: np.ndarray, *, normalized: bool) -> np.ndarray:
    """Integers as glTF means them: as they are (int64), or normalised to 0..1 or -1..1 (float64)."""
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if not normalized:
        return values.astype(np.int64)
    return np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)


def _filtered(codec: Any, rows: np.ndarray, count: int, stride: int, name: str) -> np.ndarray:
    if name == "NONE":
        return rows
    decode, strides = {
        "OCTAHEDRAL": (codec.decode_filter_oct, (4, 8)),
        "QUATERNION": (codec.decode_filter_quat, (8,)),
        "EXPONENTIAL": (codec.decode_filter_exp, tuple(range(4, 257, 4))),
    }[name]
    if stride not in strides:
        raise ValueError(f"{name} rows of {stride} bytes")
    return decode(rows, count, stride)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(f"its JSON breaks off or is damaged at line {error.lineno}, column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"its JSON has no text at byte {error.start}") from error


def _chunks(data: bytes, path: Path) -> tuple[bytes, bytes | None]:
    """JSON and binary chunk of a .glb."""
    if len(data) < 12:
        raise ValueError(f"it has {len(data)} bytes")
    version = struct.unpack_from("<I", data, 4)[0]
    if version != 2:
        raise InputError(f"{path} is glTF {version}; only version 2 is read.")
    length = struct.unpack_from("<I", data, 8)[0]
    if length > len(data):
        raise ValueError(f"{length} bytes are announced, {len(data)} are there")
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, at)
        if at + 8 + size > len(data):
            raise ValueError("a chunk ends behind the end of the file")
        found.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size
    if b"JSON" not in found:
        raise ValueError("there is no JSON chunk")
    return found[b"JSON"], found.get(b"BIN\0")


DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    binascii.Error,
    struct.error,
)
"""What damaged JSON and bytes lead a reader into."""
