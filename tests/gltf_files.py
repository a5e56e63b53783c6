"""Small glTF files of every kind, made by hand."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
EVERYTHING = {
    "name": "everything",
    "pbrMetallicRoughness": {
        "baseColorFactor": [0.8, 0.9, 1.0, 0.75],
        "baseColorTexture": {
            "index": 0,
            "texCoord": 1,
            "extensions": {"KHR_texture_transform": {"offset": [0.5, 0.25], "rotation": 0.3, "scale": [0.5, 2.0]}},
        },
        "metallicFactor": 0.25,
        "roughnessFactor": 0.5,
        "metallicRoughnessTexture": {"index": 1},
    },
    "normalTexture": {"index": 1, "scale": 0.3},
    "occlusionTexture": {"index": 1, "strength": 0.6, "texCoord": 1},
    "emissiveTexture": {"index": 2},
    "emissiveFactor": [0.0, 1.0, 0.2],
    "alphaMode": "MASK",
    "alphaCutoff": 0.3,
    "doubleSided": True,
    "extensions": {
        "KHR_materials_emissive_strength": {"emissiveStrength": 4.0},
        "KHR_materials_clearcoat": {"clearcoatFactor": 0.7, "clearcoatTexture": {"index": 2}},
        "KHR_materials_transmission": {"transmissionFactor": 0.4},
        "KHR_materials_ior": {"ior": 1.4},
    },
    "extras": {"maker": "a person"},
}


def picture(seed: int = 0, size: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, channels), dtype=np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def ball(rings: int = 6, sides: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices ``[N, 3]``, uvs ``[N, 2]`` (v down) and triangles of a ball with semi-axes 1, 0.7, 0.6."""
    v, u = (
        x.reshape(-1) for x in np.meshgrid(np.linspace(0, 1, rings + 1), np.linspace(0, 1, sides + 1), indexing="ij")
    )
    around, up = 2 * np.pi * u, np.pi * (0.02 + 0.96 * v)
    points = np.stack([np.sin(up) * np.sin(around), 0.7 * np.cos(up), 0.6 * np.sin(up) * np.cos(around)], axis=1)
    i, j = (x.reshape(-1) for x in np.meshgrid(np.arange(rings), np.arange(sides), indexing="ij"))
    a = i * (sides + 1) + j
    b = a + sides + 1
    triangles = np.concatenate([np.stack([a, b, a + 1], axis=1), np.stack([a + 1, b, b + 1], axis=1)])
    return points, np.stack([u, v], axis=1), triangles


class Builder:
    """A glTF document and its buffer while they grow."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}]}

    def add(self, section: str, entry: dict[str, Any]) -> int:
        self.document.setdefault(section, []).append(entry)
        return len(self.document[section]) - 1

    def view(self, content: bytes, **extra: Any) -> int:
        start = len(self.data)
        self.data += content + b"\0" * (-len(content) % 4)
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(content)} | extra)

    def accessor(self, values: np.ndarray, kind: str = "f4", *, bounds: bool = False, **extra: Any) -> int:
        """An accessor; rows of short integers are padded to four bytes."""
        rows = np.asarray(values).reshape(len(values), -1).astype(kind)
        width, stride = rows.shape[1], {}
        if width > 1 and (gap := -rows.itemsize * width % 4):
            rows = np.pad(rows, ((0, 0), (0, gap // rows.itemsize)))
            stride = {"byteStride": rows.itemsize * rows.shape[1]}
        shape = {1: "SCALAR", 16: "MAT4"}.get(width, f"VEC{width}")
        entry = {"bufferView": self.view(rows.tobytes(), **stride), "componentType": CODES[kind], "count": len(rows)}
        if bounds:
            entry |= {"min": rows[:, :width].min(axis=0).tolist(), "max": rows[:, :width].max(axis=0).tolist()}
        return self.add("accessors", entry | {"type": shape} | extra)

    def image(self, content: bytes, kind: str = "image/png") -> int:
        return self.add("images", {"bufferView": self.view(content), "mimeType": kind})

    def texture(self, content: bytes, kind: str = "image/png", **extra: Any) -> int:
        return self.add("textures", {"source": self.image(content, kind)} | extra)

    def ball(self, material: int | None = None, **attributes: int) -> dict[str, Any]:
        """A primitive with the ball's positions and texture coordinates."""
        points, uvs, triangles = ball()
        known = {"POSITION": self.accessor(points, bounds=True), "TEXCOORD_0": self.accessor(uvs)}
        primitive = {"attributes": known | attributes, "indices": self.accessor(triangles.reshape(-1), "u2")}
        return primitive if material is None else primitive | {"material": material}

    def show(self, *primitives: dict[str, Any], mesh: dict[str, Any] | None = None, **node: Any) -> int:
        """A node that shows a mesh."""
        number = self.add("meshes", {"primitives": list(primitives)} | (mesh or {}))
        return self.add("nodes", {"mesh": number} | node)

    def use(self, *names: str, required: bool = False) -> None:
        for section in ("extensionsUsed", *(["extensionsRequired"] if required else [])):
            self.document.setdefault(section, []).extend(names)

    def save(self, path: Path) -> Path:
        """``.glb``, or ``.gltf`` with its buffer beside it."""
        data = bytes(self.data)
        buffers = [{"byteLength": len(data)}, *self.document.pop("buffers", [])[1:]]
        self.document["buffers"] = buffers
        if path.suffix == ".gltf":
            (path.parent / f"{path.stem} data.bin").write_bytes(data)
            buffers[0]["uri"] = f"{path.stem}%20data.bin"
            path.write_text(json.dumps(self.document))
            return path
        text = json.dumps(self.document).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path


def everything() -> Builder:
    """A ball whose material has every value and several extensions, with two sets of texture coordinates."""
    b = Builder()
    for seed in range(3):
        sampler = b.add(
            "samplers", {"wrapS": [10497, 33071, 33648][seed], "wrapT": 10497, "magFilter": 9728 + seed % 2}
        )
        b.texture(encoded(picture(seed, channels=4 if seed == 0 else 3)), sampler=sampler)
    b.add("materials", EVERYTHING)
    b.use("KHR_texture_transform", required=True)
    b.use(*EVERYTHING["extensions"])
    points, uvs, _ = ball()
    b.show(b.ball(0, TEXCOORD_1=b.accessor(2 * uvs - 0.5), COLOR_0=b.accessor(np.abs(points))), name="a ball")
    return b


def quantized() -> Builder:
    """Positions and texture coordinates as normalised integers; the node scales by 2."""
    b = Builder()
    points, uvs, triangles = ball()
    attributes = {
        "POSITION": b.accessor(np.rint(points * 32767), "i2", normalized=True, bounds=True),
        "TEXCOORD_0": b.accessor(np.rint(uvs * 255), "u1", normalized=True),
    }
    b.use("KHR_mesh_quantization", required=True)
    b.show({"attributes": attributes, "indices": b.accessor(triangles.reshape(-1), "u1")}, scale=[2, 2, 2])
    return b


def sparse() -> Builder:
    """Positions whose first vertex is replaced by (5, 6, 7)."""
    b = Builder()
    primitive = b.ball()
    places, values = b.view(np.array([0], "u2").tobytes()), b.view(np.array([5, 6, 7], "f4").tobytes())
    b.document["accessors"][primitive["attributes"]["POSITION"]]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": places, "componentType": CODES["u2"]},
        "values": {"bufferView": values},
    }
    b.show(primitive)
    return b


def skinned() -> Builder:
    """A mesh whose node is far away and whose joint stands at (0, 1, 0), with a morph target at half weight."""
    b = Builder()
    primitive = b.ball()
    count = len(ball()[0])
    primitive["attributes"] |= {
        "JOINTS_0": b.accessor(np.zeros((count, 4)), "u1"),
        "WEIGHTS_0": b.accessor(np.tile([1, 0, 0, 0], (count, 1))),
    }
    primitive["targets"] = [{"POSITION": b.accessor(np.tile([0, 0, 2], (count, 1)), bounds=True)}]
    b.show(primitive, mesh={"weights": [0.5]}, skin=0, scale=[100, 100, 100], translation=[7, 8, 9], name="body")
    b.add("nodes", {"translation": [0, 1, 0], "name": "joint"})
    b.add("skins", {"joints": [1], "inverseBindMatrices": b.accessor(np.eye(4).reshape(1, 16))})
    b.document["scenes"] = [{"nodes": [0, 1]}]
    return b


def draco() -> Builder:
    """Needs DracoPy."""
    import DracoPy

    points, uvs, triangles = ball()
    content = DracoPy.encode(
        points.astype(np.float32), triangles.astype(np.uint32), tex_coord=uvs, quantization_bits=16, preserve_order=True
    )
    kinds = {item["attribute_type"]: item["unique_id"] for item in DracoPy.decode(content).attributes}
    b = Builder()
    b.use("KHR_draco_mesh_compression", required=True)
    accessors = [{"componentType": 5126, "type": kind, "count": len(points)} for kind in ("VEC3", "VEC2")]
    indices = b.add("accessors", {"componentType": 5125, "type": "SCALAR", "count": triangles.size})
    position, texture = (b.add("accessors", accessor) for accessor in accessors)
    packed = {"bufferView": b.view(content), "attributes": {"POSITION": kinds[0], "TEXCOORD_0": kinds[3]}}
    b.show(
        {
            "attributes": {"POSITION": position, "TEXCOORD_0": texture},
            "indices": indices,
            "extensions": {"KHR_draco_mesh_compression": packed},
        }
    )
    return b


def meshopt() -> Builder:
    """Needs meshoptimizer."""
    from meshoptimizer import encoder

    b = quantized()
    points, _, triangles = ball()
    b.use("EXT_meshopt_compression", required=True)
    rows = np.pad(np.rint(points * 32767).astype("<i2"), ((0, 0), (0, 1)))
    packed = bytes(encoder.encode_vertex_buffer(rows.view("<f4"), len(rows), 8))
    indices = bytes(encoder.encode_index_buffer(triangles.reshape(-1).astype(np.uint32), triangles.size, len(points)))
    b.document["buffers"] = [
        {},
        {"byteLength": 4 * 10**6, "extensions": {"EXT_meshopt_compression": {"fallback": True}}},
    ]
    primitive = b.document["meshes"][0]["primitives"][0]
    position = b.document["accessors"][primitive["attributes"]["POSITION"]]
    for accessor, content, mode, count, stride in (
        (position, packed, "ATTRIBUTES", len(rows), 8),
        (b.document["accessors"][primitive["indices"]], indices, "TRIANGLES", triangles.size, 2),
    ):
        start = len(b.data)
        b.data += content + b"\0" * (-len(content) % 4)
        entry = {"buffer": 0, "byteOffset": start, "byteLength": len(content), "byteStride": stride, "count": count}
        view = {"buffer": 1, "byteLength": count * stride, "byteOffset": 0}
        view |= {"extensions": {"EXT_meshopt_compression": entry | {"mode": mode}}}
        accessor["bufferView"] = b.add("bufferViews", view)
        if mode == "TRIANGLES":
            accessor["componentType"] = CODES["u2"]
    return b
