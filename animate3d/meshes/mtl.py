"""Wavefront .mtl: materials, the options of their maps, and the texture files they mean."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

from animate3d.meshes.materials import Material, find_texture, read_texture
from animate3d.meshes.names import encoding_of, uncommented, utf8_content

_MAP_KINDS = {
    b"map_kd": "diffuse",
    b"map_pm": "metallic",
    b"map_pr": "roughness",
    b"norm": "normal",
    b"map_kn": "normal",
    b"map_bump": "normal",
    b"bump": "normal",
    b"map_ke": "emissive",
    b"map_d": "opacity",
}
_OTHER_MAPS = (b"map_ks", b"map_ns", b"map_ps", b"map_tr", b"disp", b"map_disp", b"decal", b"refl")
# Arguments after each option of a map line; the vectors (-o, -s, -t) take one to three numbers.
_MAP_OPTIONS = {"-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-texres": 1, "-clamp": 1, "-bm": 1}
_MAP_OPTIONS |= {"-imfchan": 1, "-type": 1, "-cc": 1, "-colorspace": 1, "-o": 3, "-s": 3, "-t": 3}
_NUMBERS = (b"kd", b"ke", b"d", b"tr", b"pm", b"pr")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_LEAST_ALPHA = 1 / 255
_Finder = Callable[[str], Path | None]  # of the texture with a name


@dataclass
class MtlEntry:
    """A material as an .mtl file has it.

    Attributes:
        raw: its name as bytes, which is how an OBJ file refers to it.
        encoding: of its name.
        scale, offset: along u and v, the texture is looked up at ``scale * uv + offset``.
    """

    material: Material
    raw: bytes
    encoding: str
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass
class _Block:
    """The lines of one ``newmtl``: the last value of every keyword, and the maps in their order."""

    raw: bytes
    numbers: dict[bytes, list[float]] = field(default_factory=dict)
    maps: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class _Map:
    """A map line: which texture, and its options."""

    file: Path | None
    name: str
    scale: tuple[float, float]
    offset: tuple[float, float]
    clamp: bool
    strength: float


def read_mtl(path: Path, root: Path) -> list[MtlEntry]:
    """Materials of an .mtl file in its order. Lines that make no sense are skipped with one warning.

    Args:
        path: in ``root`` or below.
        root: the asset's folder, outside of which no texture is looked for.
    """
    blocks, broken = _blocks(utf8_content(path.read_bytes()))
    if broken:
        warnings.warn(
            f"{path}: {len(broken)} lines are not valid and are skipped, first line {broken[0]}.", stacklevel=2
        )
    texts = [block.raw for block in blocks] + [text for block in blocks for _, text in block.maps]
    find = partial(find_texture, folder=path.parent, root=root)
    encoding = encoding_of(texts, lambda text: _map(text, find).file is not None)
    others = sorted({keyword.decode() for block in blocks for keyword, _ in block.maps if keyword in _OTHER_MAPS})
    if others:
        has, are = ("has", "is") if len(others) == 1 else ("have", "are")
        warnings.warn(f"{path}: {', '.join(others)} {has} no place in our materials and {are} left out.", stacklevel=2)
    return [_entry(block, encoding, path, find) for block in blocks]


def _blocks(data: bytes) -> tuple[list[_Block], list[int]]:
    blocks: dict[bytes, _Block] = {}
    block: _Block | None = None
    broken: list[int] = []
    for number, line in enumerate(data.splitlines(), start=1):
        keyword, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        as_written = line.strip()[len(keyword) + 1 :]  # names of files may begin with a space or hold a tab
        keyword, rest = keyword.lower(), rest.strip()
        if keyword == b"newmtl":
            block = blocks.setdefault(rest, _Block(rest))
        elif block is None:
            continue
        elif keyword in _MAP_KINDS or keyword in _OTHER_MAPS:
            block.maps.append((keyword, as_written))
        elif keyword in _NUMBERS and not _read_numbers(block, keyword, uncommented(rest).split()):
            broken.append(number)
    return list(blocks.values()), broken


def _read_numbers(block: _Block, keyword: bytes, words: list[bytes]) -> bool:
    try:
        values = [float(word) for word in words if word != b"-halo"]
    except ValueError:
        # Spectra and XYZ are allowed by the format, rarely meant.
        return keyword in (b"kd", b"ke") and words[:1] in ([b"spectral"], [b"xyz"])
    if not values or not np.isfinite(values).all():
        return False
    if keyword in (b"kd", b"ke"):
        values = values[:3] if len(values) >= 3 else values[:1] * 3
    highest = None if keyword == b"ke" else 1.0
    block.numbers[keyword] = np.clip(values, 0, highest).tolist()
    return True


def _entry(block: _Block, encoding: str, mtl: Path, find: _Finder) -> MtlEntry:
    name, numbers = block.raw.decode(encoding), block.numbers
    material = Material(name)
    red, green, blue = numbers.get(b"kd", material.base_color[:3])
    material.base_color = (red, green, blue, _alpha(numbers))
    if material.base_color[3] < 1:
        material.alpha_mode = "blend"
    material.metallic = numbers.get(b"pm", [material.metallic])[0]
    material.roughness = numbers.get(b"pr", [material.roughness])[0]
    entry = MtlEntry(material, block.raw, encoding)
    _add_maps(entry, block, mtl, find)
    glow = np.array(numbers.get(b"ke", [0.0, 0.0, 0.0]))
    if "emissive" in material.textures and not glow.any():
        glow = np.ones(3)  # nobody names a map to have it multiplied with black
    material.glow(glow)
    return entry


def _alpha(numbers: dict[bytes, list[float]]) -> float:
    """``d`` decides. ``Tr`` is transparency in some programs and opacity in others: 0 and 1 are both opaque."""
    if b"d" in numbers:
        return numbers[b"d"][0]
    transparency = numbers.get(b"tr", [0.0])[0]
    return 1.0 if transparency == 1 else 1 - transparency


def _add_maps(entry: MtlEntry, block: _Block, mtl: Path, find: _Finder) -> None:
    material, transforms = entry.material, {}
    opacity = None
    for keyword, text in block.maps:
        kind = _MAP_KINDS.get(keyword)
        if kind is None or kind in material.textures:
            continue
        found = _map(_decoded(text, entry.encoding, find), find)
        if found.file is None:
            warnings.warn(f"{mtl}: the {kind} texture {found.name!r} is not there; it is left out.", stacklevel=4)
            continue
        image = read_texture(found.file)
        if image is None:
            continue
        if kind == "opacity":
            opacity = image[..., 3] if image.shape[-1] == 4 else image[..., 0]
            continue
        if keyword in (b"bump", b"map_bump") and _is_height(image):
            warnings.warn(f"{mtl}: {found.name!r} holds heights, not normals; it is left out.", stacklevel=4)
            continue
        material.textures[kind] = image
        transforms[kind] = (found.scale, found.offset)
        if found.clamp:
            material.wraps[kind] = ("clamp", "clamp")
        if kind == "normal":
            material.normal_scale = found.strength
    if opacity is not None:
        _add_opacity(material, opacity)
    if transforms:
        leading = "diffuse" if "diffuse" in transforms else next(iter(transforms))
        entry.scale, entry.offset = transforms[leading]
        differing = [kind for kind in transforms if transforms[kind] != transforms[leading]]
        if differing:
            warnings.warn(
                f"{mtl}: the material {material.name!r} moves its {differing[0]} texture (-s, -o) otherwise than its "
                f"{leading} one; the {leading} one's options are used for both.",
                stacklevel=4,
            )


def _is_height(image: np.ndarray) -> bool:
    """Whether a bump map is grey: directions are bluish."""
    return image.shape[-1] == 1 or bool((image[..., :1] == image[..., 1:3]).all())


def _add_opacity(material: Material, opacity: np.ndarray) -> None:
    """Put an opacity map ``[H, W]`` into the alpha channel of the diffuse texture."""
    if not (opacity >= 1).any():
        return  # an object that cannot be seen is never meant
    diffuse = material.textures.get("diffuse")
    if diffuse is None:
        color = (np.array(material.base_color[:3]) * 255 + 0.5).astype(np.uint8)
        diffuse = np.broadcast_to(color, (*opacity.shape, 3))
    diffuse = np.repeat(diffuse, 3, axis=-1) if diffuse.shape[-1] == 1 else diffuse[..., :3]
    size = diffuse.shape[1], diffuse.shape[0]
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(opacity)).resize(size, Image.Resampling.BILINEAR))
    material.textures["diffuse"] = np.concatenate([diffuse, resized[..., None]], axis=-1)
    binary = bool(np.isin(opacity, (0, 255)).all())
    material.alpha_mode = None if (opacity == 255).all() else "mask" if binary else "blend"


def _decoded(text: bytes, encoding: str, find: _Finder) -> str:
    """A map line; where the disk has a file of just these bytes, its name."""
    decoded = text.decode(encoding)
    raw = os.fsdecode(text)
    return raw if raw != decoded and _map(raw, find).file is not None else decoded


def _map(text: str, find: _Finder) -> _Map:
    options: dict[str, list[str]] = {}
    is_path = "/" in text or "\\" in text
    if not is_path and (file := find(text)):
        return _Map(file, text, (1.0, 1.0), (0.0, 0.0), False, 1.0)  # no options but a name, whatever it begins with
    text = text.strip()
    while text.startswith("-"):
        option, rest = _first_word(text)
        if option.lower() not in _MAP_OPTIONS:
            break
        text = rest
        words = options.setdefault(option.lower(), [])
        for _ in range(_MAP_OPTIONS[option.lower()]):
            word, rest = _first_word(text)
            if option.lower() in ("-o", "-s", "-t") and not _NUMBER.match(word):
                break
            words.append(word)
            text = rest
    name = text.strip().strip('"')
    spellings = (name, re.split(r"\s#", name)[0].strip(), unquote(name))
    found = next((file for spelling in spellings if (file := find(spelling))), None)
    strength = options.get("-bm", ["1"])[0]
    clamp = [word.lower() for word in options.get("-clamp", [])] == ["on"]
    scale, offset = _pair(options.get("-s", []), 1.0), _pair(options.get("-o", []), 0.0)
    return _Map(found, name, scale, offset, clamp, float(strength) if _NUMBER.match(strength) else 1.0)


def _first_word(text: str) -> tuple[str, str]:
    """A word and what follows it."""
    word, rest = [*text.split(maxsplit=1), "", ""][:2]
    return word, rest


def _pair(words: list[str], default: float) -> tuple[float, float]:
    """The numbers for u and v; where v has none, the default, as the format says."""
    values = [float(word) for word in words[:2]]
    values = [value if np.isfinite(value) else default for value in values]
    u, v = [*values, default, default][:2]
    return u, v


def keep_visible(materials: list[Material], source: Path) -> None:
    """Make the materials of a model opaque that would vanish as a whole, which no file means."""
    if not materials or any(material.base_color[3] >= _LEAST_ALPHA for material in materials):
        return
    warnings.warn(f"{source}: its materials make all of it invisible; it is read as opaque.", stacklevel=3)
    for material in materials:
        red, green, blue, _ = material.base_color
        material.base_color, material.alpha_mode = (red, green, blue, 1.0), None
