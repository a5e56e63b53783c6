"""Materials of a glTF document: our own written out, those of a glTF file copied as they were."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from animate3d.export.gltf_buffer import Buffer
from animate3d.export.painting import painted_materials
from animate3d.export.textures import linear_color, metallic_roughness, png
from animate3d.export.transparency import alpha_mode
from animate3d.files import content_hash
from animate3d.meshes.gltf_materials import texture_infos, without_textures
from animate3d.meshes.materials import GltfMaterial, GltfTexture, Material
from animate3d.meshes.mesh import Mesh

_WRAPS = {"repeat": 10497, "clamp": 33071, "mirror": 33648}


class MaterialWriter:
    """Collects the materials of a mesh with their textures; equal images, samplers and textures are stored once.

    Attributes:
        required: extensions that a reader must know.
    """

    def __init__(self, mesh: Mesh, buffer: Buffer) -> None:
        self.required: set[str] = set()
        self._mesh = mesh
        self._buffer = buffer
        self._painted = painted_materials(mesh)
        self._sections: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("materials", "textures", "images", "samplers")
        }
        self._encoded: dict[str, bytes] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        for index, material in enumerate(mesh.materials):
            source = material.gltf
            self._sections["materials"].append(self._written(index) if source is None else self._copied(source))

    def sections(self) -> dict[str, list[dict[str, Any]]]:
        """The sections of the document that are not empty."""
        return {name: entries for name, entries in self._sections.items() if entries}

    def _copied(self, source: GltfMaterial) -> dict[str, Any]:
        entry = copy.deepcopy(source.entry)
        if self._mesh.corner_uvs is None:  # there is nothing to look a texture up with
            entry = without_textures(entry)
        for info in texture_infos(entry):
            info["index"] = self._copied_texture(source.textures[info["index"]])
        self.required |= set(source.required)
        return entry

    def _copied_texture(self, source: GltfTexture) -> int:
        entry = copy.deepcopy(source.entry)
        for key, (head, content) in source.images.items():
            holder = entry["extensions"][key] if key else entry
            holder["source"] = self._image(content, head)
        if source.sampler is not None:
            entry["sampler"] = self._numbered("samplers", source.sampler)
        return self._numbered("textures", entry)

    def _written(self, index: int) -> dict[str, Any]:
        mesh, material = self._mesh, self._mesh.materials[index]
        has_uvs = mesh.corner_uvs is not None
        maps = material.textures if has_uvs else {}
        color = linear_color(material.base_color)
        if "diffuse" in maps or self._painted[index]:
            color[:3] = [1.0, 1.0, 1.0]  # textures and vertex colours are multiplied by it
        surface: dict[str, Any] = {
            "baseColorFactor": color,
            "metallicFactor": float(np.clip(material.metallic, 0, 1)),
            "roughnessFactor": float(np.clip(material.roughness, 0, 1)),
        }
        # Generated meshes have faces turned inwards; culling them would make holes.
        double_sided = material.double_sided is not False
        entry: dict[str, Any] = {
            "name": material.name, "pbrMetallicRoughness": surface, "doubleSided": double_sided
        }  # fmt: skip
        entry |= alpha_entry(mesh, index) | _emission(material)
        if material.unlit:
            entry.setdefault("extensions", {})["KHR_materials_unlit"] = {}
        if "diffuse" in maps:
            surface["baseColorTexture"] = self._texture(material, "diffuse", maps["diffuse"])
        combined = metallic_roughness(material) if has_uvs else None
        if combined is not None:
            kind = "metallic" if "metallic" in maps else "roughness"
            surface["metallicRoughnessTexture"] = self._texture(material, kind, combined, "metallic_roughness")
            surface["metallicFactor"] = surface["roughnessFactor"] = 1.0
        factors = {"normal": ("scale", material.normal_scale), "occlusion": ("strength", material.occlusion_strength)}
        for kind in ("normal", "occlusion", "emissive"):
            if kind in maps:
                info = self._texture(material, kind, maps[kind])
                name, factor = factors.get(kind, ("", 1.0))
                entry[f"{kind}Texture"] = info | ({name: float(factor)} if factor != 1 else {})
        return entry

    def _texture(self, material: Material, kind: str, pixels: np.ndarray, name: str | None = None) -> dict[str, int]:
        """A reference to a texture of ours."""
        key = content_hash(pixels)
        if key not in self._encoded:
            self._encoded[key] = png(pixels)
        image = self._image(self._encoded[key], {"name": f"texture_{name or kind}", "mimeType": "image/png"})
        entry = {"source": image, "sampler": self._numbered("samplers", sampler_of(material, kind))}
        return {"index": self._numbered("textures", entry)}

    def _image(self, content: bytes, head: Mapping[str, Any]) -> int:
        view = self._buffer.add_bytes(content)
        images = self._sections["images"]
        known = next((n for n, image in enumerate(images) if image["bufferView"] == view), None)
        if known is not None:
            return known
        images.append({**head, "bufferView": view})
        return len(images) - 1

    def _numbered(self, section: str, entry: dict[str, Any]) -> int:
        """The number of an entry, which is added unless an equal one is there."""
        key = section, json.dumps(entry, sort_keys=True)
        if key not in self._numbers:
            self._numbers[key] = len(self._sections[section])
            self._sections[section].append(copy.deepcopy(entry))
        return self._numbers[key]


def extension_names(value: Any) -> set[str]:
    """Extensions that a part of a document uses."""
    if isinstance(value, list):
        return {name for item in value for name in extension_names(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for key, item in value.items() if key != "extras" for name in extension_names(item)}
    return found | set(value.get("extensions", {}))


def sampler_of(material: Material, kind: str) -> dict[str, int]:
    """The sampler of a texture of ours: smooth, and repeated as the material says."""
    across, up = (_WRAPS[wrap] for wrap in material.wraps.get(kind, ("repeat", "repeat")))
    return {"magFilter": 9729, "minFilter": 9987, "wrapS": across, "wrapT": up}


def alpha_entry(mesh: Mesh, index: int) -> dict[str, Any]:
    """What a material's entry says of its alpha."""
    mode, cutoff = alpha_mode(mesh, index)
    if mode == "opaque":
        return {}
    return {"alphaMode": "MASK", "alphaCutoff": cutoff} if mode == "mask" else {"alphaMode": "BLEND"}


def _emission(material: Material) -> dict[str, Any]:
    factor = np.maximum(np.array(material.emissive, dtype=np.float64), 0)
    if not factor.any():
        return {}
    excess = max(1.0, float(factor.max()))  # the factor itself must not exceed 1
    entry: dict[str, Any] = {"emissiveFactor": (factor / excess).tolist()}
    strength = float(material.emissive_strength) * excess
    if strength != 1:
        entry["extensions"] = {"KHR_materials_emissive_strength": {"emissiveStrength": strength}}
    return entry
