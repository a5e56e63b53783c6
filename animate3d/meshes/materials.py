"""Materials, their texture files and texture look-up."""

from __future__ import annotations

import itertools
import os
import unicodedata
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TEXTURE_KINDS = ("diffuse", "metallic", "roughness", "normal", "pbr", "emissive", "occlusion")


@dataclass(frozen=True)
class GltfTexture:
    """A texture of a glTF file.

    Attributes:
        entry: its JSON without the numbers of its sampler and images.
        sampler: the JSON of its sampler.
        images: JSON and encoded bytes of its images, by the extension that names them, ``""`` for the texture itself.
    """

    entry: dict[str, Any]
    sampler: dict[str, Any] | None
    images: dict[str, tuple[dict[str, Any], bytes]]


@dataclass(frozen=True)
class GltfMaterial:
    """A material as a glTF file has it, to be written into another one with nothing lost.

    Attributes:
        entry: its JSON; textures have the numbers that they have in ``textures``.
        textures: by number.
        required: extensions without which the file could not be read.
    """

    entry: dict[str, Any]
    textures: dict[int, GltfTexture]
    required: tuple[str, ...] = ()


@dataclass
class Material:
    """A metallic-roughness material.

    Attributes:
        base_color: r g b a in 0..1; used where there is no diffuse texture.
        textures: uint8 ``[H, W, 1 | 3 | 4]``, first row at the top, by kind (`TEXTURE_KINDS`). ``pbr`` is the
            packed map of Rodin assets: kept with the asset, wired to nothing.
        alpha_mode: ``"opaque"``, ``"mask"`` or ``"blend"``; None where the file does not say.
        alpha_cutoff: alpha below which a masked texel is cut away.
        double_sided: whether back faces are drawn; None where the file does not say.
        emissive: linear r g b that glows, multiplied with the emissive texture where there is one.
        emissive_strength: factor on ``emissive`` that may exceed 1.
        normal_scale: factor on x and y of the normal texture.
        occlusion_strength: 0..1, how far the occlusion texture darkens.
        unlit: shown without lighting.
        wraps: how texture coordinates outside 0..1 are read along u and v, by kind of texture; ``"repeat"``,
            ``"clamp"`` or ``"mirror"``. A kind that is not listed repeats.
        gltf: the original, where the mesh was read from glTF. It goes into glTF exports in place of all the above;
            whoever changes a material sets it to None.
    """

    name: str
    base_color: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)
    metallic: float = 0.0
    roughness: float = 0.5
    textures: dict[str, np.ndarray] = field(default_factory=dict)
    alpha_mode: str | None = None
    alpha_cutoff: float = 0.5
    double_sided: bool | None = None
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emissive_strength: float = 1.0
    normal_scale: float = 1.0
    occlusion_strength: float = 1.0
    unlit: bool = False
    wraps: dict[str, tuple[str, str]] = field(default_factory=dict)
    gltf: GltfMaterial | None = None

    def glow(self, color: np.ndarray) -> None:
        """Set what it emits: linear r g b, of which the largest may exceed 1."""
        self.emissive_strength = max(1.0, float(color.max()))
        red, green, blue = (color / self.emissive_strength).tolist()
        self.emissive = (red, green, blue)


def sample_texture(image: np.ndarray, uvs: np.ndarray, wraps: tuple[str, str] = ("repeat", "repeat")) -> np.ndarray:
    """Bilinear look-up, texel centres of the first and last texel at 0 and 1.

    Args:
        image: ``[H, W, C]`` uint8
        uvs: ``[P, 2]``, v up; NaN samples as 0.
        wraps: what coordinates outside 0..1 mean along u and v; see `Material`.

    Returns:
        ``[P, C]`` float32 in 0..1
    """
    height, width, channels = image.shape
    # One repeated row and column spare the test for the border; a texel is one 32-bit word, gathered at once.
    padded = np.zeros((height + 1, width + 1, 4), dtype=np.uint8)
    padded[..., :channels] = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")
    words = padded.reshape(-1).view(np.uint32)
    colors = np.empty((len(uvs), channels), dtype=np.float32)
    for start in range(0, len(uvs), 8192):  # blocks that stay in the cache are five times faster
        block = slice(start, start + 8192)
        u, v = (_wrapped(along, wrap) for along, wrap in zip(uvs[block].T, wraps, strict=True))
        x = u * np.float32(width - 1)
        y = (1 - v) * np.float32(height - 1)
        left, top = x.astype(np.int32), y.astype(np.int32)
        fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
        corner = top * np.int64(width + 1) + left
        texels = [words.take(corner + offset).view(np.uint8) for offset in (0, 1, width + 1, width + 2)]
        weights = ((1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy)
        for channel in range(channels):
            a, b, c, d = (texel[channel::4] * weight for texel, weight in zip(texels, weights, strict=True))
            colors[block, channel] = a + b + c + d
    colors *= np.float32(1 / 255)
    return colors


def _wrapped(coordinates: np.ndarray, wrap: str) -> np.ndarray:
    """Texture coordinates ``[P]`` brought into 0..1; those that lie there, both ends too, are left as they are."""
    values = np.nan_to_num(coordinates.astype(np.float32))
    outside = (values < 0) | (values > 1)
    if not outside.any():
        return values
    if wrap == "clamp":
        return values.clip(0, 1)
    if wrap == "mirror":
        return np.where(outside, 1 - np.abs(np.mod(values, 2) - 1), values)
    return np.where(outside, values - np.floor(values), values)


def read_texture(path: str | os.PathLike[str]) -> np.ndarray | None:
    """An image as uint8 ``[H, W, 1 | 3 | 4]``; None, with a warning, if it cannot be read."""
    try:
        with Image.open(path) as image:
            return image_array(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        warnings.warn(f"The texture {path} cannot be read ({error}); it is left out.", stacklevel=2)
        return None


def image_array(image: Image.Image) -> np.ndarray:
    """uint8 ``[H, W, 1 | 3 | 4]``"""
    if image.mode.startswith(("I", "F")):
        # 16-bit greyscale: PIL would clip rather than scale it.
        values = np.asarray(image, dtype=np.float64)
        return (values * (255 / 65535 if values.max() > 255 else 1)).clip(0, 255).astype(np.uint8)[..., None]
    if image.mode in ("L", "1"):
        return np.array(image.convert("L"))[..., None]
    has_alpha = "A" in image.mode or "transparency" in image.info
    return np.array(image.convert("RGBA" if has_alpha else "RGB"))


def add_named_textures(materials: list[Material], folder: Path) -> None:
    """Give the only material the documented files, ``texture_diffuse.png`` and so on, of kinds that it lacks."""
    if len(materials) != 1:
        return
    for kind in TEXTURE_KINDS:
        path = folder / f"texture_{kind}.png"
        image = read_texture(path) if path.is_file() and kind not in materials[0].textures else None
        if image is not None:
            materials[0].textures[kind] = image


def find_texture(name: str, folder: Path, root: Path | None = None) -> Path | None:
    """The file that a material means, looked for below ``root`` only.

    Absolute paths and those that lead out of ``root`` are what other machines leave in exported files: only their last
    part counts. Case and the way accents are composed do not matter.

    Args:
        name: as the file has it, with slashes or backslashes.
        folder: of the file that names it, ``root`` or below.
        root: the asset's folder; ``folder`` where it is not given.
    """
    root = folder if root is None else root
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return None
    is_absolute = name.startswith(("/", "\\")) or (parts[0][1:2] == ":" and len(parts) > 1)
    starts = [] if is_absolute else [folder.relative_to(root).parts, ()]  # some programs name from the object's folder
    places = [(root, inside) for start in starts if (inside := _inside(parts, start)) is not None]
    places += [] if "/" in name or name in (".", "..") else [(folder, [name])]  # a backslash can be part of a name
    for base in dict.fromkeys((folder, root)):
        places += [(base, parts[-1:]), (base, ["textures", parts[-1]])]
    try:
        exact = (base.joinpath(*path) for base, path in places)
        folded = (file for base, path in places for file in _whatever_case(base, path))
        return next((file for file in itertools.chain(exact, folded) if file.is_file()), None)
    except (OSError, ValueError):  # a name too long or with a null byte
        return None


def _inside(parts: list[str], above: tuple[str, ...]) -> list[str] | None:
    """A path after its steps upwards, below the folder that is the root; None where it leads out of it.

    Args:
        parts: of the path as it is written.
        above: of the folder it starts from.
    """
    found = list(above)
    for part in parts:
        if part != "..":
            found.append(part)
        elif not found:
            return None
        else:
            found.pop()
    return found


def _whatever_case(base: Path, parts: list[str]) -> list[Path]:
    """What has this path, by the same letters in any case."""
    found = [base]
    for part in parts:
        wanted = _folded(part)
        found = [
            path for folder in found if folder.is_dir() for path in sorted(folder.iterdir())
            if _folded(path.name) == wanted
        ]  # fmt: skip
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def srgb_to_linear(colors: np.ndarray) -> np.ndarray:
    """Display values 0..1 to linear light."""
    colors = np.clip(np.asarray(colors, dtype=np.float64), 0, 1)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to sRGB values in 0..1."""
    values = np.asarray(values, dtype=np.float32).clip(0, 1)
    curved = 1.055 * values ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, 12.92 * values, curved).clip(0, 1).astype(np.float32)
