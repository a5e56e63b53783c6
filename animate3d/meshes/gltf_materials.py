"""Materials of a glTF file as `Material`, with the original kept for exact copies."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from animate3d.meshes.gltf_extensions import BASIS
from animate3d.meshes.gltf_file import Entry, GltfFile, uri_name
from animate3d.meshes.materials import GltfMaterial, GltfTexture, Material, image_array, linear_to_srgb, srgb_to_linear

_SPECULAR = "KHR_materials_pbrSpecularGlossiness"
_TRANSFORM = "KHR_texture_transform"
_WRAPS = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
MOST_UV_SETS = 16
_DIELECTRIC = 0.04  # reflectance of what is not metal


@dataclass(frozen=True)
class Lookup:
    """Where a texture is looked up: ``matrix @ (u, v, 1)`` of a set of texture coordinates, v down.

    Attributes:
        uv_set: number of the set.
        matrix: two rows of three numbers.
    """

    uv_set: int = 0
    matrix: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))

    def apply(self, uvs: np.ndarray) -> np.ndarray:
        """``[V, 2]`` -> ``[V, 2]``"""
        matrix = np.array(self.matrix)
        return uvs @ matrix[:, :2].T + matrix[:, 2]


@dataclass(frozen=True)
class Surface:
    """A material and where its textures are looked up.

    Attributes:
        material: ours.
        lookup: of the base colour, or of the first texture there is.
        plain: whether all textures are looked up at the first set of coordinates as it is.
        base_factor: linear r g b, by which vertex colours are multiplied.
    """

    material: Material
    lookup: Lookup = field(default_factory=Lookup)
    plain: bool = True
    base_factor: tuple[float, ...] = (1.0, 1.0, 1.0)


class MaterialReader:
    """Reads the materials of a file when they are asked for, each one once.

    Attributes:
        left_out: numbers of the textures whose images are missing or damaged.
    """

    def __init__(self, file: GltfFile) -> None:
        self.left_out: set[int] = set()
        self._file = file
        self._surfaces: dict[int | None, Surface] = {}
        self._encoded: dict[int, tuple[Entry, bytes] | None] = {}
        self._images: dict[int, np.ndarray | None] = {}
        self._textures: dict[int, GltfTexture] = {}

    def surface(self, index: Any) -> Surface:
        """The material with this number; glTF's default material for None."""
        if index not in self._surfaces:
            entry = {} if index is None else self._file.item("materials", index)
            self._surfaces[index] = _MaterialEntry(self, entry, named=index is not None).surface()
        return self._surfaces[index]

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Extensions without which the file cannot be read."""
        return tuple(str(name) for name in self._file.items("extensionsRequired"))

    def texture(self, index: Any) -> GltfTexture:
        """A texture with its sampler and its encoded images, those that are missing or no image left out."""
        if index not in self._textures:
            entry = copy.deepcopy(self._file.item("textures", index))
            sampler = entry.pop("sampler", None)
            images, missing = {}, []
            for key, holder in [("", entry), *entry.get("extensions", {}).items()]:
                if "source" in holder:
                    image = self._image(holder.pop("source"))
                    if image is None:
                        missing.append(key)
                    else:
                        images[key] = image
            for key in filter(None, missing):
                del entry["extensions"][key]
            if missing and not images:
                self.left_out.add(index)
            sampled = None if sampler is None else self._file.item("samplers", sampler)
            self._textures[index] = GltfTexture(entry, sampled, images)
        return self._textures[index]

    def _image(self, number: Any) -> tuple[Entry, bytes] | None:
        """The JSON and the encoded bytes of an image; None, with a warning, where it is missing or no image."""
        if number not in self._encoded:
            entry = self._file.item("images", number)
            head = {key: value for key, value in entry.items() if key in ("name", "extras")}
            content, kind = self._file.image(number)
            self._encoded[number] = None
            if content is None:
                self._warn(f"its image {uri_name(entry['uri'])[:200]!r} is not there; it is left out")
            elif not _is_image(content):
                uri = str(entry.get("uri", "data:"))
                name = entry.get("name") or ("" if uri.startswith("data:") else uri_name(uri)[:200])
                called = repr(name) if name else f"number {number}"
                self._warn(f"its image {called} is not readable as an image; it is left out")
            else:
                self._encoded[number] = head | {"mimeType": kind or _mime(content)}, content
        return self._encoded[number]

    def pixels(self, index: Any, what: str) -> np.ndarray | None:
        """uint8 ``[H, W, 1 | 3 | 4]`` of a texture; None, with a warning, where it cannot be decoded."""
        entry = self._file.item("textures", index)
        if index in self._images:
            return self._images[index]
        images = self.texture(index).images
        # WebP first: the image beside it, if any, is the fallback.
        content = next((images[key][1] for key in ("EXT_texture_webp", "") if key in images), None)
        self._images[index] = None
        if index in self.left_out:
            return None
        if content is None:
            form = "KTX2 / Basis Universal" if BASIS in entry.get("extensions", {}) else "of an unknown format"
            self._warn(
                f"the {what} texture is {form}, which cannot be decoded here, and is left out; convert it to PNG"
            )
            return None
        try:
            with Image.open(io.BytesIO(content)) as image:
                self._images[index] = image_array(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if content[1:5] == b"KTX ":
                self._warn(f"the {what} texture is KTX2 / Basis Universal and is left out")
            else:
                self._warn(f"the {what} texture is not readable ({error}) and is left out")
                self.left_out.add(index)
        return self._images[index]

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self._file.path}: {what}.", stacklevel=2)


class _MaterialEntry:
    """One material while it is read."""

    def __init__(self, reader: MaterialReader, entry: Entry, *, named: bool) -> None:
        self._reader = reader
        self._entry = entry
        extensions = entry.get("extensions", {})
        self._specular: Entry | None = extensions.get(_SPECULAR)
        self._metallic: Entry = entry.get("pbrMetallicRoughness", {})
        self._lookups: dict[str, Lookup] = {}
        self.material = Material(str(entry.get("name") or "material"))
        self.material.gltf = self._original() if named else None

    def surface(self) -> Surface:
        material, entry = self.material, self._entry
        extensions = entry.get("extensions", {})
        material.alpha_mode = {"MASK": "mask", "BLEND": "blend"}.get(entry.get("alphaMode", "OPAQUE"), "opaque")
        material.alpha_cutoff = float(entry.get("alphaCutoff", 0.5))
        material.double_sided = bool(entry.get("doubleSided", False))
        red, green, blue = _numbers(entry.get("emissiveFactor"), 3, 0.0)
        material.emissive = (red, green, blue)
        strength = extensions.get("KHR_materials_emissive_strength", {})
        material.emissive_strength = float(strength.get("emissiveStrength", 1.0))
        material.unlit = "KHR_materials_unlit" in extensions
        factor = self._specular_glossiness() if self._specular is not None else self._metallic_roughness()
        self._base_color(factor)
        self._further_textures()
        if material.gltf is not None:
            material.gltf = _without(material.gltf, self._reader.left_out)
        lookup = next(iter(self._lookups.values()), Lookup())
        apart = [kind for kind, other in self._lookups.items() if other != lookup]
        if apart:
            self._reader._warn(
                f"the {' and '.join(apart)} texture of {material.name!r} has texture coordinates of its own, "
                "which are kept in GLB and glTF only"
            )
        plain = all(lookup_of(info) == Lookup() for info in texture_infos(entry))
        return Surface(material, lookup, plain, tuple(factor[:3]))

    def _original(self) -> GltfMaterial:
        entry = copy.deepcopy(self._entry)
        numbers = {info["index"] for info in texture_infos(entry)}
        return GltfMaterial(entry, {n: self._reader.texture(n) for n in numbers}, self._reader.required)

    def _pixels(self, holder: Entry, key: str, kind: str) -> np.ndarray | None:
        """The image of a texture info, noting its wraps and look-up."""
        info = holder.get(key)
        if info is None:
            return None
        image = self._reader.pixels(info["index"], kind)
        if image is not None:
            sampler = self._reader.texture(info["index"]).sampler or {}
            wraps = tuple(_WRAPS.get(sampler.get(axis, 10497), "repeat") for axis in ("wrapS", "wrapT"))
            if wraps != ("repeat", "repeat"):
                self.material.wraps[kind] = (wraps[0], wraps[1])
            self._lookups[kind] = lookup_of(info)
        return image

    def _metallic_roughness(self) -> list[float]:
        """Fill in metal and roughness; returns the factor of the base colour."""
        material, source = self.material, self._metallic
        image = self._pixels(source, "baseColorTexture", "diffuse")
        if image is not None:
            material.textures["diffuse"] = image
        if material.unlit:  # what glTF leaves open here would be a mirror in formats that light it
            material.metallic, material.roughness = 0.0, 1.0
            return _numbers(source.get("baseColorFactor"), 4, 1.0)
        values = {"metallic": source.get("metallicFactor", 1.0), "roughness": source.get("roughnessFactor", 1.0)}
        packed = self._pixels(source, "metallicRoughnessTexture", "metallic")
        for channel, kind in ((2, "metallic"), (1, "roughness")):
            value = float(np.clip(values[kind], 0, 1))
            if packed is not None and value > 0:
                # The factor goes into the map: other formats have one or the other.
                level = packed[..., min(channel, packed.shape[-1] - 1)][..., None] * value
                material.textures[kind] = (level + 0.5).astype(np.uint8)
                value = 1.0
                if "metallic" in material.wraps:
                    material.wraps[kind] = material.wraps["metallic"]
            setattr(material, kind, value)
        return _numbers(source.get("baseColorFactor"), 4, 1.0)

    def _specular_glossiness(self) -> list[float]:
        """Metallic-roughness of a specular-glossiness material; returns the factor that is left for the base."""
        material, source = self.material, self._specular or {}
        diffuse = self._pixels(source, "diffuseTexture", "diffuse")
        packed = self._pixels(source, "specularGlossinessTexture", "metallic")
        factor = _numbers(source.get("diffuseFactor"), 4, 1.0)
        specular = np.array([*_numbers(source.get("specularFactor"), 3, 1.0), float(source.get("glossinessFactor", 1))])
        if packed is None and diffuse is None:
            base, metallic, roughness = _from_specular(np.array([factor[:3]]), specular[None])
            material.metallic, material.roughness = float(metallic[0]), float(roughness[0])
            return [*base[0].tolist(), factor[3]]
        shape = max(image.shape[:2] for image in (diffuse, packed) if image is not None)
        flat = np.ones((1, 4)) if diffuse is None else _linear_pixels(diffuse, shape)
        reflecting = np.ones((1, 4)) if packed is None else _linear_pixels(packed, shape)
        base, metallic, roughness = _from_specular(flat[:, :3] * factor[:3], reflecting * specular)
        alpha = np.broadcast_to(flat[:, 3:], (len(base), 1))
        levels = np.concatenate([linear_to_srgb(base), alpha], axis=1)
        has_alpha = diffuse is not None and diffuse.shape[-1] == 4
        material.textures = {
            "diffuse": _levels(levels if has_alpha else levels[:, :3], shape),
            "metallic": _levels(metallic[:, None], shape),
            "roughness": _levels(roughness[:, None], shape),
        }
        material.metallic = material.roughness = 1.0
        return [1.0, 1.0, 1.0, factor[3]]

    def _base_color(self, factor: list[float]) -> None:
        material = self.material
        red, green, blue = linear_to_srgb(np.array(factor[:3])).astype(np.float64).round(6).tolist()
        alpha = float(np.clip(factor[3], 0, 1)) if material.alpha_mode != "opaque" else 1.0
        image = material.textures.get("diffuse")
        if image is not None:
            if material.alpha_mode == "opaque" and image.shape[-1] == 4:
                image = np.ascontiguousarray(image[..., :3])
            if (red, green, blue) != (1.0, 1.0, 1.0):
                image = tinted(image, np.array(factor[:3]))
                red = green = blue = 1.0
            if image.shape[-1] == 4 and alpha < 1:
                image = image.copy()
                image[..., 3] = (image[..., 3] * alpha + 0.5).astype(np.uint8)
                alpha = 1.0
            material.textures["diffuse"] = image
        material.base_color = (red, green, blue, alpha)

    def _further_textures(self) -> None:
        material, entry = self.material, self._entry
        material.normal_scale = float(entry.get("normalTexture", {}).get("scale", 1.0))
        material.occlusion_strength = float(entry.get("occlusionTexture", {}).get("strength", 1.0))
        for kind in ("normal", "occlusion", "emissive"):
            image = self._pixels(entry, f"{kind}Texture", kind)
            if image is not None:
                material.textures[kind] = image[..., :1].copy() if kind == "occlusion" else image


def texture_infos(entry: Any) -> Iterator[Entry]:
    """Every reference to a texture inside a material's JSON, its extensions included."""
    if isinstance(entry, dict):
        for key, value in entry.items():
            if key.endswith("Texture") and isinstance(value, dict) and isinstance(value.get("index"), int):
                yield value
            if key != "extras":
                yield from texture_infos(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from texture_infos(value)


def without_textures(entry: Any, numbers: Container[int] | None = None) -> Any:
    """A material's JSON without its references to these textures, or to any."""
    if isinstance(entry, dict):
        return {
            key: without_textures(value, numbers)
            for key, value in entry.items()
            if not key.endswith("Texture") or not (numbers is None or _names_one_of(value, numbers))
        }
    return [without_textures(value, numbers) for value in entry] if isinstance(entry, list) else entry


def _names_one_of(info: Any, numbers: Container[int]) -> bool:
    return isinstance(info, dict) and info.get("index") in numbers


def _without(original: GltfMaterial, numbers: set[int]) -> GltfMaterial:
    if numbers.isdisjoint(original.textures):
        return original
    kept = {number: texture for number, texture in original.textures.items() if number not in numbers}
    return replace(original, entry=without_textures(original.entry, numbers), textures=kept)


def tinted(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """An sRGB texture times a linear factor, as glTF means it."""
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image.copy()
    for channel in range(3):
        table = (linear_to_srgb(_LINEAR * factor[channel]) * 255 + 0.5).astype(np.uint8)
        image[..., channel] = table[image[..., channel]]
    return image


def lookup_of(info: Entry) -> Lookup:
    """Where a reference to a texture looks it up."""
    transform = info.get("extensions", {}).get(_TRANSFORM) or {}
    uv_set = int(transform.get("texCoord", info.get("texCoord")) or 0)
    if not 0 <= uv_set < MOST_UV_SETS:
        raise ValueError(f"there is no set {uv_set} of texture coordinates")
    if not transform:
        return Lookup(uv_set)
    (x, y), (width, height) = _numbers(transform.get("offset"), 2, 0.0), _numbers(transform.get("scale"), 2, 1.0)
    angle = float(transform.get("rotation", 0.0))
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    matrix = ((width * cos, height * sin, x), (-width * sin, height * cos, y))
    return Lookup(uv_set, matrix)


def _numbers(values: Any, count: int, default: float) -> list[float]:
    found = [default] * count if values is None else [float(value) for value in values]
    if len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"{count} numbers are needed, not {values}")
    return found


def _from_specular(diffuse: np.ndarray, specular: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base colour ``[P, 3]``, metal ``[P]`` and roughness ``[P]`` that reflect the same light as far as possible.

    A metal reflects its base colour, anything else 4 % of white: the share of metal m solves
    diffuse brightness = base (1 - m)(1 - 0.04) / (1 - specular) and specular brightness = 0.04 (1 - m) + base m.

    Args:
        diffuse: ``[P | 1, 3]`` linear.
        specular: ``[P | 1, 4]`` linear, glossiness in the last.
    """
    diffuse, specular = np.broadcast_arrays(np.pad(diffuse, ((0, 0), (0, 1))), specular)
    strongest = specular[:, :3].max(axis=1)
    weights = np.array([0.299, 0.587, 0.114])
    bright, shine = (np.sqrt((part[:, :3] ** 2) @ weights) for part in (diffuse, specular))
    b = bright * (1 - strongest) / (1 - _DIELECTRIC) + shine - 2 * _DIELECTRIC
    root = np.sqrt(np.maximum(b**2 - 4 * _DIELECTRIC * (_DIELECTRIC - shine), 0))
    metallic = np.where(shine < _DIELECTRIC, 0.0, ((root - b) / (2 * _DIELECTRIC)).clip(0, 1))[:, None]
    as_plain = diffuse[:, :3] * ((1 - strongest) / (1 - _DIELECTRIC))[:, None] / np.maximum(1 - metallic, 1e-6)
    as_metal = (specular[:, :3] - _DIELECTRIC * (1 - metallic)) / np.maximum(metallic, 1e-6)
    base = as_plain + metallic**2 * (as_metal - as_plain)
    return base.clip(0, 1), metallic[:, 0], (1 - specular[:, 3]).clip(0, 1)


def _linear_pixels(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Colours in linear light and alpha of an image brought to a size. ``[H * W, 4]``"""
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    if image.shape[:2] != shape:
        image = np.asarray(Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    rows = image.reshape(-1, image.shape[-1])
    alpha = rows[:, 3:] / 255 if rows.shape[1] == 4 else np.ones((len(rows), 1))
    return np.concatenate([_LINEAR[rows[:, :3]], alpha], axis=1)


def _levels(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    levels = (values * 255 + 0.5).astype(np.uint8)
    return np.broadcast_to(levels, (shape[0] * shape[1], levels.shape[1])).reshape(*shape, -1).copy()


def _is_image(content: bytes) -> bool:
    """Whether bytes begin like an image that is decoded here or by those who read our exports."""
    if content[1:5] == b"KTX " or content[4:8] == b"ftyp":  # KTX2 and AVIF
        return True
    try:
        with Image.open(io.BytesIO(content)):
            return True
    except Image.DecompressionBombError:
        return True  # that it is too large is said where it is decoded
    except (OSError, ValueError, SyntaxError):
        return False


def _mime(content: bytes) -> str:
    if content[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if content[8:12] == b"WEBP":
        return "image/webp"
    return "image/ktx2" if content[1:5] == b"KTX " else "image/png"


_LINEAR = srgb_to_linear(np.arange(256) / 255)
