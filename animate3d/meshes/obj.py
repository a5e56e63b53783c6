"""Reading Wavefront OBJ: every vertex is kept where it is."""

from __future__ import annotations

import os
import re
import warnings
from itertools import compress
from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.materials import Material, add_named_textures, find_texture
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.mtl import MtlEntry, keep_visible, read_mtl
from animate3d.meshes.names import encoding_of, uncommented, utf8_content
from animate3d.meshes.obj_parts import obj_parts
from animate3d.meshes.topology import joined

_NUMERIC = (b"v", b"vt", b"vn", b"f")
_NAMED = (b"usemtl", b"mtllib", b"o", b"g")
_UNREAD = {b"l": "lines", b"p": "points", b"curv": "curves", b"surf": "surfaces"}  # what else a file can draw
_COLORS = b"#MRGB"  # ZBrush's vertex colours, in comments


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
    if unread := [f"{what} (`{keyword.decode()}`)" for keyword, what in _UNREAD.items() if lines[keyword].texts]:
        warnings.warn(f"{path}: its {' and '.join(unread)} are left out; faces are read.", stacklevel=2)
    vertices, colors = _vertices(lines[b"v"], path)
    uvs, normals = _numbers(lines[b"vt"], path, 1), _numbers(lines[b"vn"], path, 3)
    lines[b"f"], sides = _with_corners(lines[b"f"], path)
    references, face_starts = _faces(lines[b"f"], sides, path)
    face_lines = np.repeat(np.asarray(lines[b"f"].numbers), np.diff(face_starts))
    corners = _resolve(references[:, 0], lines[b"v"], face_lines, path, "v")
    if (corners < 0).any():
        raise InputError(f"{path}, line {face_lines[(corners < 0).argmax()] + 1}: vertices are counted from 1, not 0.")
    corner_uvs = _take(uvs[:, :2], _resolve(references[:, 1], lines[b"vt"], face_lines, path, "vt"))
    corner_normals = _take(normals[:, :3], _resolve(references[:, 2], lines[b"vn"], face_lines, path, "vn"))
    if corner_uvs is not None and corner_uvs.shape[1] == 1:
        corner_uvs = np.concatenate([corner_uvs, np.zeros_like(corner_uvs)], axis=1)
    library = _library(lines[b"mtllib"], path)
    encoding = _encoding(lines, library)
    materials, face_materials, transforms = _materials(lines, library, encoding, path)
    if corner_uvs is not None:
        corner_uvs = _transformed(corner_uvs, np.repeat(face_materials, np.diff(face_starts)), transforms)
    if corner_uvs is not None or len(materials) == 1:
        add_named_textures(materials, path.parent)
    parts, face_parts = obj_parts(_marks(lines, encoding), np.asarray(lines[b"f"].numbers, dtype=np.int64))
    if colors is None:
        colors = _zbrush_colors(lines[_COLORS], len(vertices), path)
    mesh = Mesh(
        vertices, corners, face_starts, corner_uvs, corner_normals, face_materials, materials, colors, "y", path
    )
    mesh.parts, mesh.face_parts = parts, face_parts
    mesh.check()
    mesh.vertex_colors = _whitened(mesh)
    return mesh


def _read_lines(path: Path) -> dict[bytes, _Lines]:
    content = utf8_content(path.read_bytes())
    data = content.replace(b"\t", b" ")
    found = {keyword: _Lines() for keyword in (*_NUMERIC, *_NAMED, *_UNREAD, _COLORS)}
    rows = data.splitlines()
    if b"\\\n" in data or b"\\\r\n" in data:
        rows = _continued(rows)
    for number, line in enumerate(rows):
        keyword, _, text = line.strip().partition(b" ")
        lines = found.get(keyword)
        if lines is not None:
            lines.numbers.append(number)
            lines.texts.append(text)
    for keyword in _NUMERIC:
        if any(b"#" in text for text in found[keyword].texts):
            found[keyword].texts = [text.partition(b"#")[0] for text in found[keyword].texts]
    if b"\t" in content:  # names of files may hold one
        as_written = content.splitlines()
        libraries = found[b"mtllib"]
        libraries.texts = [as_written[number].strip()[len(b"mtllib ") :] for number in libraries.numbers]
    return found


def _continued(rows: list[bytes]) -> list[bytes]:
    """Rows whose numbers go on in the next one are put together; those that follow become empty.

    Names may end in a backslash: in some encodings it is half a letter.
    """
    joined = list(rows)
    start = None
    for number, row in enumerate(rows):
        if start is None:
            if row.endswith(b"\\") and row.strip().partition(b" ")[0] in _NUMERIC:
                start, joined[number] = number, row[:-1]
            continue
        goes_on = row.endswith(b"\\")
        joined[start] += b" " + (row[:-1] if goes_on else row)
        joined[number] = b""
        start = start if goes_on else None
    return joined


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
    values, counts = _flat_numbers(lines, path, least)
    return _columns(values, counts, np.arange(len(counts)))


def _flat_numbers(lines: _Lines, path: Path, least: int) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of the lines one after the other, and how many each line has ``[L]``, ``least`` or more."""
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
    return values, counts


def _columns(values: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of numbers, as many columns as all of these have. ``[rows, columns]``"""
    if counts.min() == counts.max():
        return values.reshape(len(counts), -1)[rows]
    starts = np.cumsum(counts) - counts
    return values[starts[rows, None] + np.arange(counts[rows].min())]


def _vertices(lines: _Lines, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions ``[N, 3]`` and colours ``[N, 3]``: a line is x y z, x y z w, or x y z r g b.

    Colours are NaN on lines without, None where no line has any.
    """
    if not lines.texts:
        return np.zeros((0, 3)), None
    values, counts = _flat_numbers(lines, path, 3)
    positions = np.ascontiguousarray(_columns(values, counts, np.arange(len(counts)))[:, :3])
    colored = np.flatnonzero(counts >= 6)
    if len(colored) == 0:
        return positions, None
    shades = _columns(values, counts, colored)[:, 3:6]
    if not np.isfinite(shades).all():
        raise InputError(f"{path} has vertex colours that are not finite.")
    if shades.max(initial=0) > 1:
        shades = shades / 255  # some programs write bytes
    colors = np.full((len(counts), 3), np.nan, dtype=np.float32)
    colors[colored] = shades.clip(0, 1)
    return positions, colors


def _whitened(mesh: Mesh) -> np.ndarray | None:
    """Vertex colours ``[N, 3]`` that are white at vertices without one that hang together with others that have one.

    A piece without any colour keeps those of its materials.
    """
    if mesh.vertex_colors is None or np.isfinite(mesh.vertex_colors).all():
        return mesh.vertex_colors
    piece = joined(mesh.edges(), mesh.n_vertices)
    missing = np.isnan(mesh.vertex_colors).any(axis=1)
    colors = mesh.vertex_colors.copy()
    colors[missing & np.isin(piece, piece[~missing])] = 1
    return colors


def _with_corners(lines: _Lines, path: Path) -> tuple[_Lines, np.ndarray]:
    """Faces with how many corners each has ``[P]``; those of fewer than three are left out with one warning.

    Raises:
        InputError: no face is left.
    """
    sides = np.array([len(text.split()) for text in lines.texts], dtype=np.int64)
    fine = sides >= 3
    if fine.all():
        return lines, sides
    first = lines.numbers[int(fine.argmin())] + 1
    if not fine.any():
        raise InputError(f"{path}, line {first}: a face needs at least 3 corners. The file may be truncated.")
    left_out = int((~fine).sum())
    what = "a face has" if left_out == 1 else f"{left_out} faces have"
    are = "is" if left_out == 1 else "are"
    warnings.warn(f"{path}, line {first}: {what} fewer than 3 corners and {are} left out.", stacklevel=3)
    kept = _Lines()
    kept.numbers = list(compress(lines.numbers, fine))
    kept.texts = list(compress(lines.texts, fine))
    return kept, sides[fine]


def _faces(lines: _Lines, sides: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """References as written, ``[K, 3]`` vertex, uv and normal with 0 for none, and ``face_starts``."""
    face_starts = np.concatenate([[0], np.cumsum(sides)]).astype(np.int64)
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


def _library(lines: _Lines, path: Path) -> list[MtlEntry]:
    """Materials of all .mtl files, those of the first file first; without a ``mtllib`` those of the one beside."""
    files: list[Path] = []
    for as_written in dict.fromkeys(lines.texts):
        text = as_written.strip()
        whole = _mtl_file(as_written, path)
        # Several names on a line are parted by spaces, which names hold, too.
        names = [as_written] if whole else re.split(rb"(?<=\.mtl)\s+", uncommented(text), flags=re.IGNORECASE)
        found = [(name, _mtl_file(name, path)) for name in names]
        if not any(file for _, file in found):
            found = [(name, _mtl_file(name, path)) for name in uncommented(text).split()]
        missing = [name for name, file in found if file is None]
        if missing:
            name = (text if len(missing) == len(found) else missing[0]).decode("utf-8", errors="replace")
            warnings.warn(f"{path}: its material file {name!r} is not there.", stacklevel=4)
        files += [file for _, file in found if file is not None]
    beside = path.with_suffix(".mtl")
    if not lines.texts and beside.is_file():
        files = [beside]
    libraries = {file: read_mtl(file, path.parent) for file in files}
    first: dict[bytes, Path] = {}
    for file, entries in libraries.items():
        for entry in entries:
            if first.setdefault(entry.raw, file) != file:
                name, where = entry.material.name, f"in {first[entry.raw].name} and in {file.name}"
                warnings.warn(f"{path}: the material {name!r} stands {where}; the first is used.", stacklevel=4)
    return [entry for entries in libraries.values() for entry in entries]


def _mtl_file(name: bytes, path: Path) -> Path | None:
    """The .mtl file of a name in an unknown encoding."""

    def found(spelling: str) -> Path | None:  # names may begin with a space
        return find_texture(spelling, path.parent) or find_texture(_plain(spelling), path.parent)

    decoded = name.decode(encoding_of([name], lambda text: found(text) is not None))
    return found(decoded) or found(os.fsdecode(name))


def _encoding(lines: dict[bytes, _Lines], library: list[MtlEntry]) -> str:
    """The encoding of the file's names: that of the .mtl file where it fits, because one program wrote both."""
    names = [text for keyword in (b"usemtl", b"o", b"g") for text in lines[keyword].texts]
    encoding = encoding_of(names)
    if encoding == "utf-8":
        return encoding
    for entry in library:
        try:
            [name.decode(entry.encoding) for name in names]
        except UnicodeDecodeError:
            continue
        if entry.encoding != "utf-8":
            return entry.encoding
    return encoding


_Transform = tuple[tuple[float, float], tuple[float, float]]


def _materials(
    lines: dict[bytes, _Lines], library: list[MtlEntry], encoding: str, path: Path
) -> tuple[list[Material], np.ndarray, list[_Transform]]:
    """Materials in the order of their first use, the one of every face ``[P]``, and how each moves its textures."""
    raw = [text.strip() for text in lines[b"usemtl"].texts]
    changes = np.asarray(lines[b"usemtl"].numbers, dtype=np.int64)
    slots = np.searchsorted(changes, np.asarray(lines[b"f"].numbers, dtype=np.int64)) - 1
    by_name = {entry.material.name: entry for entry in reversed(library)}
    by_name |= {_plain(entry.material.name): entry for entry in reversed(library)}
    by_bytes = {entry.raw: entry for entry in reversed(library)}
    by_start = {start: entry for entry in reversed(library) if (start := uncommented(entry.raw))}
    unnamed = library[0] if len(library) == 1 else MtlEntry(Material("material"), b"", "utf-8")
    used: list[MtlEntry] = []
    places: dict[bytes | None, int] = {}
    missing: list[str] = []
    slot_material = np.zeros(len(raw) + 1, dtype=np.int64)
    for slot in np.unique(slots):
        key = raw[slot] if slot >= 0 else None  # slot -1, faces before any usemtl, is the last entry
        if key not in places:
            name = "" if key is None else _plain(key.decode(encoding))
            entry = unnamed if key is None else by_bytes.get(key) or by_name.get(name)
            entry = entry or by_start.get(uncommented(key or b""))
            if entry is None:
                missing.append(name)
                entry = MtlEntry(Material(name), b"", "utf-8")
            places[key] = next((k for k, known in enumerate(used) if known is entry), len(used))
            if places[key] == len(used):
                used.append(entry)
        slot_material[slot] = places[key]
    if missing and library:
        warnings.warn(f"{path}: the material {missing[0]!r} is in no .mtl file; a grey one is used.", stacklevel=4)
    used = used or [unnamed]
    materials = [entry.material for entry in used]
    keep_visible(materials, path)
    return materials, slot_material[slots], [(entry.scale, entry.offset) for entry in used]


def _transformed(uvs: np.ndarray, corner_materials: np.ndarray, transforms: list[_Transform]) -> np.ndarray:
    """Texture coordinates ``[K, 2]`` after the scale and offset of their materials."""
    for index, (scale, offset) in enumerate(transforms):
        if (scale, offset) != ((1.0, 1.0), (0.0, 0.0)):
            chosen = corner_materials == index
            uvs[chosen] = (uvs[chosen].astype(np.float64) * scale + offset).clip(-1e30, 1e30).astype(np.float32)
    return uvs


def _marks(lines: dict[bytes, _Lines], encoding: str) -> list[tuple[int, str, str]]:
    """The ``o`` and ``g`` lines by their number."""
    marks = [
        (number, keyword.decode(), _plain(text.decode(encoding)))
        for keyword in (b"o", b"g")
        for number, text in zip(lines[keyword].numbers, lines[keyword].texts, strict=True)
    ]
    return sorted(marks)


def _zbrush_colors(lines: _Lines, count: int, path: Path) -> np.ndarray | None:
    """Colours ``[N, 3]`` of ZBrush's comments, eight hexadecimal digits MMRRGGBB for a vertex."""
    if not lines.texts:
        return None
    digits = b"".join(b"".join(text.split()) for text in lines.texts)
    try:
        values = np.frombuffer(bytes.fromhex(digits.decode("ascii")), dtype=np.uint8)
    except ValueError:
        values = np.zeros(0, dtype=np.uint8)
    if len(values) < 4 * count:
        warnings.warn(f"{path}: its vertex colours (#MRGB) are damaged and are left out.", stacklevel=3)
        return None
    return (values[: 4 * count].reshape(-1, 4)[:, 1:] / 255).astype(np.float32)


def _plain(name: str) -> str:
    return name.strip().strip('"')


def _quote(text: bytes) -> str:
    return repr(_plain(text.decode("utf-8", errors="replace"))[:40])
