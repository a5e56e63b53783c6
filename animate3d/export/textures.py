"""Textures as files, and the colour conversions that the formats ask for."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from animate3d.meshes.materials import Material, srgb_to_linear
from animate3d.meshes.mesh import Mesh

ROLES = ("diffuse", "metallic", "roughness", "normal", "emissive", "occlusion")
"""Textures that materials of the exported formats have a place for. ``pbr``, the baked preview, is not one."""

_BEST_COMPRESSED = 1 << 20  # pixels


@dataclass(frozen=True)
class TextureFiles:
    """Textures of a mesh as PNG files.

    Attributes:
        names: per material, role -> file name.
        files: file name -> content.
    """

    names: list[dict[str, str]]
    files: dict[str, bytes]


def texture_files(mesh: Mesh) -> TextureFiles:
    """Encode every texture once, each under a file name unique in the mesh; none without texture coordinates."""
    if mesh.corner_uvs is None:
        return TextureFiles([{} for _ in mesh.materials], {})
    names: list[dict[str, str]] = []
    files: dict[str, bytes] = {}
    known: dict[int, str] = {}  # by the identity of the array: materials often share a texture
    for index, material in enumerate(mesh.materials):
        prefix = "texture" if len(mesh.materials) == 1 else f"{_safe(material.name)}_{index}"
        chosen: dict[str, str] = {}
        for role in ROLES:
            texture = material.textures.get(role)
            if texture is None:
                continue
            if id(texture) not in known:
                known[id(texture)] = f"{prefix}_{role}.png"
                files[known[id(texture)]] = png(texture)
            chosen[role] = known[id(texture)]
        names.append(chosen)
    return TextureFiles(names, files)


def metallic_roughness(material: Material) -> np.ndarray | None:
    """The combined map of glTF: roughness in green, metal in blue; None when the material has neither texture.

    Returns:
        uint8 ``[H, W, 3]``; a map that is missing is filled with the material's number.
    """
    metallic, roughness = material.textures.get("metallic"), material.textures.get("roughness")
    if metallic is None and roughness is None:
        return None
    height, width = np.max([t.shape[:2] for t in (metallic, roughness) if t is not None], axis=0)
    combined = np.zeros((height, width, 3), dtype=np.uint8)
    for channel, texture, value in ((1, roughness, material.roughness), (2, metallic, material.metallic)):
        if texture is None:
            combined[..., channel] = round(255 * float(np.clip(value, 0, 1)))
        else:
            combined[..., channel] = _resized(_gray(texture), int(height), int(width))
    return combined


def png(texture: np.ndarray) -> bytes:
    """Encode a texture, uint8 ``[H, W]`` or ``[H, W, 1|3|4]``."""
    if texture.ndim == 3 and texture.shape[2] == 1:
        texture = texture[..., 0]
    buffer = io.BytesIO()
    # The best compression takes seven times as long and saves a few percent.
    level = 9 if texture.shape[0] * texture.shape[1] <= _BEST_COMPRESSED else 6
    Image.fromarray(np.ascontiguousarray(texture)).save(buffer, format="PNG", compress_level=level)
    return buffer.getvalue()


def linear_color(base_color: tuple[float, float, float, float]) -> list[float]:
    """A material's colour (display values and alpha) as the formats want it: linear light and alpha."""
    return [*srgb_to_linear(np.array(base_color[:3])).tolist(), float(base_color[3])]


def _gray(texture: np.ndarray) -> np.ndarray:
    return texture if texture.ndim == 2 else texture[..., 0]


def _resized(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    if channel.shape == (height, width):
        return channel
    image = Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40] or "material"
