"""glTF 2.0 with morph targets, written directly: ``.glb``, or ``.gltf`` with everything inside.

Vertices. glTF has one UV and normal per vertex, so a vertex on a seam is written several times. The first N entries
of every attribute are the mesh's vertices in their order, the extra copies follow, and ``_VERTEX_ID`` holds the number
that each entry has in the mesh. All primitives (one per material) share these attributes.

Axes. Positions are in the coordinates of the mesh's file; the node turns a z-up mesh to glTF's y-up.

Normals. Targets carry normal displacements too: without them a turning object would keep the shading of its rest pose.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.export.morphs import MorphTargets, morph_targets
from animate3d.export.shading import moving_normals
from animate3d.export.textures import has_transparency, linear_color, metallic_roughness, png, srgb_to_linear
from animate3d.files import atomic_file
from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh

_FLOAT, _UINT32 = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_Z_UP_TO_Y_UP = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]  # quaternion x y z w of -90 degrees about x


def write_gltf(clip: Clip, path: Path, max_morphs: int | None = None) -> MorphTargets:
    """Write ``.glb`` or ``.gltf``; returns the morph targets that were written.

    Raises:
        InputError: larger than the 4 GB that a .glb can hold.
    """
    document, binary, morphs = build(clip, max_morphs)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".gltf":
            uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
            document["buffers"][0]["uri"] = uri
            temporary.write_text(json.dumps(document))
        else:
            temporary.write_bytes(_container(document, binary))
    return morphs


def build(clip: Clip, max_morphs: int | None = None) -> tuple[dict[str, Any], bytes, MorphTargets]:
    """The JSON document, the binary buffer and the morph targets of a clip."""
    mesh = clip.mesh
    morphs = morph_targets(clip, max_morphs)
    shown = morphs.frames()
    groups, normals = moving_normals(mesh, shown)
    split = split_vertices(mesh, groups, normals.shape[1])
    # Isolated vertices have no group; they get one more row.
    normals = np.concatenate([normals, np.broadcast_to([0.0, 0.0, 1.0], (len(normals), 1, 3))], axis=1)

    buffer = _Buffer()
    base_normals = normals[0][split.groups].astype(np.float32)
    attributes = {
        "POSITION": buffer.add(morphs.base[split.vertices], _ARRAY_BUFFER, bounds=True),
        "NORMAL": buffer.add(base_normals, _ARRAY_BUFFER),
        "_VERTEX_ID": buffer.add(split.vertices.astype(np.float32), _ARRAY_BUFFER),
    }
    if split.uvs is not None:
        attributes["TEXCOORD_0"] = buffer.add(split.uvs * [1, -1] + [0, 1], _ARRAY_BUFFER)
    color = None
    if mesh.vertex_colors is not None:
        color = buffer.add(srgb_to_linear(mesh.vertex_colors)[split.vertices], _ARRAY_BUFFER)
    normal_deltas = morphs.project(normals - normals[:1])
    targets = [
        {
            "POSITION": buffer.add(delta[split.vertices], _ARRAY_BUFFER, bounds=True),
            "NORMAL": buffer.add(turn[split.groups], _ARRAY_BUFFER),
        }
        for delta, turn in zip(morphs.deltas, normal_deltas, strict=True)
    ]
    gltf_mesh: dict[str, Any] = {
        "name": mesh.name,
        "primitives": _primitives(mesh, split, attributes, color, targets, buffer),
        "extras": {"vertexCount": clip.n_vertices, "fps": clip.fps},
    }
    node: dict[str, Any] = {"name": mesh.name, "mesh": 0}
    if mesh.up_axis == "z":
        node["rotation"] = _Z_UP_TO_Y_UP
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Animate3D"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [node],
        "meshes": [gltf_mesh],
    }
    if morphs:
        gltf_mesh["weights"] = [0.0] * len(morphs)
        gltf_mesh["extras"]["targetNames"] = morphs.names
        document["animations"] = [_animation(clip, morphs, buffer)]
    document |= _materials(mesh, buffer)
    document |= {
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return document, bytes(buffer.data), morphs


@dataclass(frozen=True)
class SplitVertices:
    """Vertices of a glTF mesh: one per combination of vertex, UV and normal that occurs.

    Attributes:
        vertices: ``[S]`` number in the mesh; the first N are 0..N-1.
        groups: ``[S]`` normal group; the number of groups for vertices without a face.
        uvs: ``[S, 2]`` v up, 0 where there is none; None for a mesh without UVs.
        corners: ``[K]`` entry of every face corner.
    """

    vertices: np.ndarray
    groups: np.ndarray
    uvs: np.ndarray | None
    corners: np.ndarray


def split_vertices(mesh: Mesh, groups: np.ndarray, n_groups: int) -> SplitVertices:
    """Split vertices at UV seams and hard edges.

    Args:
        groups: ``[K]`` normal group of every corner.
    """
    n, keys = len(mesh.vertices), mesh.corners
    uvs = None
    if mesh.corner_uvs is not None:
        uvs = np.nan_to_num(mesh.corner_uvs).astype(np.float32) + 0.0  # + 0 makes -0 and 0 the same bits
        _, kinds = np.unique(np.ascontiguousarray(uvs).view(np.int64).reshape(-1), return_inverse=True)
        keys = keys * (kinds.max() + 1) + kinds.reshape(-1)
        _, keys = np.unique(keys, return_inverse=True)
    _, first, combination = np.unique(keys.reshape(-1) * n_groups + groups, return_index=True, return_inverse=True)
    # Number the combinations: the first one of every vertex takes the vertex's number, the rest follow N.
    order = np.argsort(first, kind="stable")
    owners = mesh.corners[first[order]]
    leads = np.zeros(len(order), dtype=bool)
    leads[np.unique(owners, return_index=True)[1]] = True
    entry = np.empty(len(order), dtype=np.int64)
    entry[order] = np.where(leads, owners, n - 1 + np.cumsum(~leads))
    size = n + int((~leads).sum())
    vertices, entry_groups = np.arange(size), np.full(size, n_groups)
    vertices[entry] = mesh.corners[first]
    entry_groups[entry] = groups[first]
    entry_uvs = None
    if uvs is not None:
        entry_uvs = np.zeros((size, 2), dtype=np.float32)
        entry_uvs[entry] = uvs[first]
    return SplitVertices(vertices, entry_groups, entry_uvs, entry[combination.reshape(-1)])


@dataclass
class _Buffer:
    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, values: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """Append an accessor of floats (or of unsigned integers for an integer array); returns its number."""
        whole = values.dtype.kind in "iu"
        values = np.ascontiguousarray(values, dtype=np.uint32 if whole else np.float32)
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        accessor: dict[str, Any] = {
            "bufferView": self.add_bytes(values.tobytes(), target),
            "componentType": _UINT32 if whole else _FLOAT,
            "count": len(values),
            "type": kind,
        }
        if bounds:
            rows = values.reshape(len(values), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_bytes(self, content: bytes, target: int | None = None) -> int:
        """Append a buffer view, aligned to 4 bytes; returns its number."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.data += content
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append(view)
        return len(self.views) - 1


def _primitives(
    mesh: Mesh,
    split: SplitVertices,
    attributes: dict[str, int],
    color: int | None,
    targets: list[dict[str, int]],
    buffer: _Buffer,
) -> list[dict[str, Any]]:
    _, triangle_corners, triangle_faces = mesh.triangles()
    indices = split.corners[triangle_corners]
    of_triangle = mesh.face_materials[triangle_faces]
    primitives = []
    for material in np.unique(of_triangle):
        used = dict(attributes)
        # A colour multiplies the texture in glTF; where there is a texture it is the whole colour.
        if color is not None and not _is_textured(mesh, int(material)):
            used["COLOR_0"] = color
        primitive: dict[str, Any] = {
            "attributes": used,
            "indices": buffer.add(indices[of_triangle == material].reshape(-1), _ELEMENT_BUFFER),
            "material": int(material),
            "mode": 4,
        }
        if targets:
            primitive["targets"] = targets
        primitives.append(primitive)
    return primitives


def _is_textured(mesh: Mesh, material: int) -> bool:
    return mesh.corner_uvs is not None and "diffuse" in mesh.materials[material].textures


def _animation(clip: Clip, morphs: MorphTargets, buffer: _Buffer) -> dict[str, Any]:
    times = np.arange(clip.n_frames, dtype=np.float64) / clip.fps
    sampler = {
        "input": buffer.add(times, bounds=True),
        "output": buffer.add(morphs.weights.reshape(-1)),
        "interpolation": "LINEAR",
    }
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    return {"name": "motion", "samplers": [sampler], "channels": [channel]}


def _materials(mesh: Mesh, buffer: _Buffer) -> dict[str, Any]:
    """The ``materials``, ``textures``, ``images`` and ``samplers`` of the document; textures only with UVs."""
    images: list[dict[str, Any]] = []
    known: dict[int, int] = {}

    def texture(pixels: np.ndarray, name: str) -> dict[str, int]:
        if id(pixels) not in known:
            known[id(pixels)] = len(images)
            images.append({"name": name, "mimeType": "image/png", "bufferView": buffer.add_bytes(png(pixels))})
        return {"index": known[id(pixels)]}

    combined_maps = []  # kept alive while their ids are keys
    materials = []
    for material in mesh.materials:
        entry = _plain_material(mesh, material)
        if mesh.corner_uvs is not None:
            surface = entry["pbrMetallicRoughness"]
            maps = material.textures
            if "diffuse" in maps:
                surface["baseColorTexture"] = texture(maps["diffuse"], "texture_diffuse")
            combined = metallic_roughness(material)
            if combined is not None:
                combined_maps.append(combined)
                surface["metallicRoughnessTexture"] = texture(combined, "texture_metallic_roughness")
                surface["metallicFactor"] = surface["roughnessFactor"] = 1.0
            if "normal" in maps:
                entry["normalTexture"] = texture(maps["normal"], "texture_normal")
            if "emissive" in maps:
                entry["emissiveTexture"] = texture(maps["emissive"], "texture_emissive")
                entry["emissiveFactor"] = [1.0, 1.0, 1.0]
        materials.append(entry)
    section: dict[str, Any] = {"materials": materials}
    if images:
        section["images"] = images
        section["samplers"] = [{"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}]
        section["textures"] = [{"source": index, "sampler": 0} for index in range(len(images))]
    return section


def _plain_material(mesh: Mesh, material: Material) -> dict[str, Any]:
    """A material without its textures."""
    diffuse = material.textures.get("diffuse") if mesh.corner_uvs is not None else None
    color = linear_color(material.base_color)
    if diffuse is not None or mesh.vertex_colors is not None:
        color[:3] = [1.0, 1.0, 1.0]  # textures and vertex colours are multiplied by it
    entry: dict[str, Any] = {
        "name": material.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": color,
            "metallicFactor": float(np.clip(material.metallic, 0, 1)),
            "roughnessFactor": float(np.clip(material.roughness, 0, 1)),
        },
        # Generated meshes have faces turned inwards; culling them would make holes.
        "doubleSided": True,
    }
    if color[3] < 1 or has_transparency(diffuse):
        entry["alphaMode"] = "BLEND"
    return entry


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    if total >= 2**32:
        raise InputError(
            f"The animation takes {total / 2**30:.1f} GB, more than a .glb file can hold; "
            "limit the morph targets (max_morphs) or export USD or Alembic."
        )
    header = struct.pack("<4sII", b"glTF", 2, total)
    return b"".join(
        [header, struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(binary), b"BIN\0"), binary]
    )
