"""Wavefront OBJ: a reader that keeps every vertex where it is, and a writer of the documented folder."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file
from animate3d.meshes.materials import Material, find_texture, named_textures, read_mtl, read_texture
from animate3d.meshes.mesh import Mesh

_KEYWORDS = (b"v", b"vt", b"vn", b"f", b"usemtl", b"mtllib")


class _Lines:
    """Lines of one keyword: their numbers in the file and what follows the keyword."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.texts: list[bytes] = []


def load_obj(path: str | os.PathLike[str]) -> Mesh:
    """Read an OBJ file with its materials and textures.

    Vertices keep the order and number of the ``v`` lines, polygons those of the ``f`` lines. Textures with the
    documented names (``texture_diffuse.png``, ...) beside the file are used where the .mtl names none.

    Raises:
        InputError: missing, truncated or malformed; the message names the file and the line.
    """
    path = existing_file(path, "mesh file")
    lines = _read_lines(path)
    vertices, colors = _vertices(lines[b"v"], path)
    uvs, normals = _numbers(lines[b"vt"], path, 1), _numbers(lines[b"vn"], path, 3)
    references, face_starts = _faces(lines[b"f"], path)
    face_lines = np.repeat(np.asarray(lines[b"f"].numbers), np.diff(face_starts))
    corners = _resolve(references[:, 0], lines[b"v"], face_lines, path, "v")
    if (corners < 0).any():
        raise InputError(f"{path}, line {face_lines[(corners < 0).argmax()] + 1}: vertices are counted from 1, not 0.")
    corner_uvs = _take(uvs[:, :2], _resolve(references[:, 1], lines[b"vt"], face_lines, path, "vt"))
    corner_normals = _take(normals[:, :3], _resolve(references[:, 2], lines[b"vn"], face_lines, path, "vn"))
    if corner_uvs is not None and corner_uvs.shape[1] == 1:
        corner_uvs = np.concatenate([corner_uvs, np.zeros_like(corner_uvs)], axis=1)
    materials, face_materials = _materials(lines, path)
    if corner_uvs is not None or len(materials) == 1:
        _add_named_textures(materials, path.parent)
    mesh = Mesh(
        vertices, corners, face_starts, corner_uvs, corner_normals, face_materials, materials, colors, "y", path
    )
    return mesh.check()


def _read_lines(path: Path) -> dict[bytes, _Lines]:
    data = path.read_bytes().replace(b"\t", b" ")
    if b"\\" in data:
        data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    found = {keyword: _Lines() for keyword in _KEYWORDS}
    for number, line in enumerate(data.splitlines()):
        keyword, _, text = line.strip().partition(b" ")
        lines = found.get(keyword)
        if lines is not None:
            lines.numbers.append(number)
            lines.texts.append(text)
    for keyword in (b"v", b"vt", b"vn", b"f"):
        if any(b"#" in text for text in found[keyword].texts):
            found[keyword].texts = [text.partition(b"#")[0] for text in found[keyword].texts]
    return found


def _parse(text: bytes, dtype: type) -> np.ndarray | None:
    """All numbers of a text, or None if something in it is not a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=dtype, sep=" ") if text.strip() else np.zeros(0, dtype=dtype)
        except (DeprecationWarning, ValueError):
            return None


def _numbers(lines: _Lines, path: Path, least: int) -> np.ndarray:
    """``[L, columns]`` float64: as many columns as every line has, ``least`` or more."""
    if not lines.texts:
        return np.zeros((0, max(least, 1)))
    counts = np.array([len(text.split()) for text in lines.texts])
    values = _parse(b" ".join(lines.texts), np.float64)
    if values is None or len(values) != counts.sum() or counts.min() < least:
        for number, text in zip(lines.numbers, lines.texts, strict=True):
            row = _parse(text, np.float64)
            if row is None or len(row) != len(text.split()) or len(row) < least:
                raise InputError(
                    f"{path}, line {number + 1}: expected at least {least} numbers, got {_quote(text)}. "
                    "The file may be truncated."
                )
        raise InputError(f"{path} holds numbers that cannot be read.")
    if counts.min() == counts.max():
        return values.reshape(len(counts), -1)
    starts = np.cumsum(counts) - counts
    return values[starts[:, None] + np.arange(counts.min())]


def _vertices(lines: _Lines, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions ``[N, 3]`` and colours ``[N, 3]``: a line is x y z, x y z w, or x y z r g b."""
    values = _numbers(lines, path, 3)
    if values.shape[1] < 6:
        return np.ascontiguousarray(values[:, :3]), None
    colors = values[:, 3:6]
    if not np.isfinite(colors).all():
        raise InputError(f"{path} has vertex colours that are not finite.")
    if colors.max(initial=0) > 1:
        colors = colors / 255  # some programs write bytes
    return np.ascontiguousarray(values[:, :3]), colors.clip(0, 1).astype(np.float32)


def _faces(lines: _Lines, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """References as written, ``[K, 3]`` vertex, uv and normal with 0 for none, and ``face_starts``."""
    counts = np.array([len(text.split()) for text in lines.texts], dtype=np.int64)
    if len(counts) and counts.min() < 3:
        number = lines.numbers[int(counts.argmin())] + 1
        raise InputError(f"{path}, line {number}: a face needs at least 3 corners. The file may be truncated.")
    face_starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(face_starts[-1])
    text = b" ".join(lines.texts)
    slashes, doubles = text.count(b"/"), text.count(b"//")
    # One notation throughout, as nearly every file has: v, v/vt, v//vn or v/vt/vn.
    columns = {(0, 0): [0], (total, 0): [0, 1], (2 * total, total): [0, 2], (2 * total, 0): [0, 1, 2]}
    used = columns.get((slashes, doubles))
    if used is not None:
        values = _parse(text.replace(b"/", b" "), np.int64)
        if values is not None and len(values) == total * len(used):
            references = np.zeros((total, 3), dtype=np.int64)
            references[:, used] = values.reshape(total, len(used))
            return references, face_starts
    return _mixed_faces(lines, path), face_starts


def _mixed_faces(lines: _Lines, path: Path) -> np.ndarray:
    """References ``[K, 3]`` token by token, for files that mix notations."""
    references = []
    for number, text in zip(lines.numbers, lines.texts, strict=True):
        for token in text.split():
            try:
                row = [int(part) if part else 0 for part in token.split(b"/")]
            except ValueError:
                row = []
            if not 1 <= len(row) <= 3 or max(map(abs, row)) >= 2**62:
                raise InputError(f"{path}, line {number + 1}: {_quote(token)} is not a face corner.")
            references.append(row + [0] * (3 - len(row)))
    return np.array(references, dtype=np.int64).reshape(-1, 3)


def _resolve(written: np.ndarray, lines: _Lines, face_lines: np.ndarray, path: Path, what: str) -> np.ndarray:
    """Numbers as written (from 1, or negative from the last one so far) to indices; -1 where there is none."""
    indices = written - 1
    if (written < 0).any():
        so_far = np.searchsorted(np.asarray(lines.numbers, dtype=np.int64), face_lines)
        indices = np.where(written < 0, so_far + written, indices)
    count = len(lines.numbers)
    wrong = (indices >= count) | ((indices < 0) & (written != 0))
    if wrong.any():
        k = int(wrong.argmax())
        raise InputError(
            f"{path}, line {face_lines[k] + 1}: the face refers to `{what}` number {written[k]}, "
            f"but the file has {count}. It may be truncated."
        )
    return indices


def _take(values: np.ndarray, indices: np.ndarray) -> np.ndarray | None:
    """``[K, C]`` float32 with NaN where the index is -1 or the value is not finite; None if that is everywhere."""
    if len(values) == 0 or (indices < 0).all():
        return None
    with np.errstate(over="ignore"):
        taken = values.astype(np.float32)[indices]
    taken[(indices < 0) | ~np.isfinite(taken).all(axis=1)] = np.nan
    return taken


def _materials(lines: dict[bytes, _Lines], path: Path) -> tuple[list[Material], np.ndarray]:
    """Materials in the order of their first use and the one of every face ``[P]``."""
    library = _library(lines[b"mtllib"], path)
    names = [_text(text) for text in lines[b"usemtl"].texts]
    changes = np.asarray(lines[b"usemtl"].numbers, dtype=np.int64)
    slots = np.searchsorted(changes, np.asarray(lines[b"f"].numbers, dtype=np.int64)) - 1
    order: list[str | None] = []
    slot_material = np.zeros(len(names) + 1, dtype=np.int64)
    for slot in np.unique(slots):
        name = names[slot] if slot >= 0 else None
        if name not in order:
            order.append(name)
        slot_material[slot] = order.index(name)  # slot -1, faces before any usemtl, is the last entry
    only = next(iter(library.values())) if len(library) == 1 else None
    unnamed = only or Material("material")
    materials = [library.get(name, Material(name)) if name is not None else unnamed for name in order]
    missing = [name for name in order if name is not None and name not in library]
    if missing and library:
        warnings.warn(f"{path}: the material {missing[0]!r} is in no .mtl file; a grey one is used.", stacklevel=4)
    return materials or [unnamed], slot_material[slots]


def _library(lines: _Lines, path: Path) -> dict[str, Material]:
    library: dict[str, Material] = {}
    for text in dict.fromkeys(_text(text) for text in lines.texts):
        whole = find_texture(text, path.parent)
        found = [whole] if whole else [find_texture(name, path.parent) for name in text.split()]
        for mtl in found:
            if mtl is None:
                warnings.warn(f"{path}: its material file {text!r} is not there.", stacklevel=5)
            else:
                library = read_mtl(mtl) | library
    beside = path.with_suffix(".mtl")
    if not lines.texts and beside.is_file():
        library = read_mtl(beside)
    return library


def _add_named_textures(materials: list[Material], folder: Path) -> None:
    """Give the only material the documented texture files that its .mtl does not mention."""
    if len(materials) != 1:
        return
    for kind, file in named_textures(folder).items():
        if kind not in materials[0].textures:
            image = read_texture(file)
            if image is not None:
                materials[0].textures[kind] = image


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip().strip('"')


def _quote(text: bytes) -> str:
    return repr(_text(text)[:40])


def save_obj(mesh: Mesh, folder: str | os.PathLike[str]) -> Path:
    """Write ``base.obj``, ``base.mtl`` and ``texture_*.png`` as in the documented object folder.

    Positions are written with nine digits, polygons as they are. Other files in the folder are left alone.

    Returns:
        path of ``base.obj``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = _unique_names([material.name for material in mesh.materials])
    _write_materials(mesh.materials, names, folder)
    with atomic_file(folder / "base.obj") as temporary:
        temporary.write_text("".join(_obj_parts(mesh, names)))
    return folder / "base.obj"


def obj_vertices(vertices: np.ndarray, colors: np.ndarray | None = None) -> str:
    """The ``v`` lines of an OBJ file for positions ``[N, 3]`` and colours ``[N, 3]``."""
    values = vertices if colors is None else np.concatenate([vertices, colors], axis=1)
    line = "v " + " ".join(["%.9g"] * values.shape[1]) + "\n"
    return (line * len(values)) % tuple(values.ravel().tolist())


def _obj_parts(mesh: Mesh, names: list[str]) -> list[str]:
    parts = ["mtllib base.mtl\n", obj_vertices(mesh.vertices, mesh.vertex_colors)]
    columns = [mesh.corners + 1]
    notation = "%d"
    for keyword, values in (("vt", mesh.corner_uvs), ("vn", mesh.corner_normals)):
        if values is None:
            continue
        unique, inverse = np.unique(np.nan_to_num(values), axis=0, return_inverse=True)
        parts.append(
            (f"{keyword} " + " ".join(["%.9g"] * unique.shape[1]) + "\n") * len(unique) % tuple(unique.ravel())
        )
        columns.append(inverse.reshape(-1) + 1)
        notation += "/%d" if keyword == "vt" or mesh.corner_uvs is not None else "//%d"
    tokens = ((notation + "\n") * len(mesh.corners) % tuple(np.stack(columns, axis=1).ravel().tolist())).split("\n")
    starts = mesh.face_starts.tolist()
    changes = np.flatnonzero(np.diff(mesh.face_materials, prepend=-1))
    faces = [f"f {' '.join(tokens[a:b])}\n" for a, b in itertools.pairwise(starts)]
    for k in reversed(changes.tolist()):
        faces.insert(k, f"usemtl {names[mesh.face_materials[k]]}\n")
    return parts + faces


def _write_materials(materials: list[Material], names: list[str], folder: Path) -> None:
    text = ""
    map_names = {
        "diffuse": "map_Kd",
        "metallic": "map_Pm",
        "roughness": "map_Pr",
        "normal": "norm",
        "emissive": "map_Ke",
    }
    for index, (material, name) in enumerate(zip(materials, names, strict=True)):
        red, green, blue, alpha = material.base_color
        text += f"newmtl {name}\nKd {red:.6g} {green:.6g} {blue:.6g}\nd {alpha:.6g}\n"
        text += f"Pm {material.metallic:.6g}\nPr {material.roughness:.6g}\n"
        for kind, image in material.textures.items():
            file = f"texture_{kind}.png" if len(materials) == 1 else f"texture_{kind}_{index}.png"
            with atomic_file(folder / file) as temporary:
                Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(temporary)
            text += f"{map_names[kind]} {file}\n" if kind in map_names else ""
        text += "\n"
    with atomic_file(folder / "base.mtl") as temporary:
        temporary.write_text(text)


def _unique_names(names: list[str]) -> list[str]:
    """Names that can stand in an .mtl file, each once."""
    unique: list[str] = []
    for name in names:
        clean = " ".join(name.split()) or "material"
        while clean in unique:
            clean += "_"
        unique.append(clean)
    return unique
