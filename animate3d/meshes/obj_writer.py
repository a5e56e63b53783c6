"""Writing Wavefront OBJ: the documented folder, and the pieces that a sequence of frames is put together from."""

from __future__ import annotations

import itertools
import math
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image

from animate3d.files import atomic_file
from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh

_MAP_NAMES = {
    "diffuse": ("map_Kd",),
    "metallic": ("map_Pm",),
    "roughness": ("map_Pr",),
    "normal": ("norm", "map_Bump"),  # readers know one or the other
    "emissive": ("map_Ke",),
}


def save_obj(mesh: Mesh, folder: str | os.PathLike[str]) -> Path:
    """Write ``base.obj``, ``base.mtl`` and ``texture_*.png`` as in the documented object folder.

    Positions are written with nine digits, or as many as a place far from the origin asks for; polygons as they are,
    part by part. Other files in the folder are left alone.

    Returns:
        path of ``base.obj``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = write_materials(mesh.materials, folder)
    uvs, uv_numbers = unique_rows(mesh.corner_uvs)
    normals, normal_numbers = unique_rows(mesh.corner_normals)
    text = obj_vertices(mesh.vertices, mesh.vertex_colors, mesh.origin)
    text += obj_rows("vt", uvs) + obj_rows("vn", normals) + obj_faces(mesh, names, uv_numbers, normal_numbers)
    with atomic_file(folder / "base.obj") as temporary:
        temporary.write_text("mtllib base.mtl\n" + text, encoding="utf-8")
    return folder / "base.obj"


def unique_rows(values: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Different rows ``[U, C]`` of corner values ``[K, C]``, NaN as 0, and the row of every corner ``[K]``."""
    if values is None:
        return np.zeros((0, 1)), None
    rows, numbers = np.unique(np.nan_to_num(values), axis=0, return_inverse=True)
    return rows, numbers.reshape(-1)


def obj_vertices(vertices: np.ndarray, colors: np.ndarray | None = None, origin: np.ndarray | None = None) -> str:
    """The ``v`` lines for positions ``[N, 3]`` and colours ``[N, 3]``; ``origin [3]`` is added to the positions.

    Lines of vertices without a colour end after the position.
    """
    number = "%.9g"
    if origin is not None and origin.any():
        diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
        number = f"%.{min(max(0, math.ceil(8 - math.log10(diagonal or 1.0))), 60)}f"
        vertices = vertices + origin
    plain = " ".join(["v", *[number] * 3])
    if colors is None:
        return f"{plain}\n" * len(vertices) % tuple(vertices.ravel().tolist())
    values = np.concatenate([vertices, colors], axis=1)
    known = np.isfinite(colors).all(axis=1)
    if known.all():
        return f"{plain} %.9g %.9g %.9g\n" * len(values) % tuple(values.ravel().tolist())
    kept = np.concatenate([np.ones((len(vertices), 3), bool), np.repeat(known[:, None], 3, axis=1)], axis=1)
    lines = np.where(known, f"{plain} %.9g %.9g %.9g\n", f"{plain}\n")
    return "".join(lines.tolist()) % tuple(values[kept].tolist())


def obj_rows(keyword: str, values: np.ndarray) -> str:
    """Lines of a keyword and a row of numbers ``[U, C]`` each."""
    line = f"{keyword} " + " ".join(["%.9g"] * values.shape[1]) + "\n"
    return (line * len(values)) % tuple(values.ravel().tolist())


def obj_faces(mesh: Mesh, names: list[str], uvs: np.ndarray | None, normals: np.ndarray | None) -> str:
    """The ``f`` lines with their ``o``, ``s`` and ``usemtl``, part by part.

    Args:
        names: of the materials.
        uvs, normals: number from 0 of every corner's ``vt`` and ``vn`` ``[K]``; None for none.
    """
    columns = [mesh.corners + 1] + [values + 1 for values in (uvs, normals) if values is not None]
    notation = {(False, False): "%d", (True, False): "%d/%d", (False, True): "%d//%d", (True, True): "%d/%d/%d"}
    token = notation[uvs is not None, normals is not None] + "\n"
    tokens = (token * len(mesh.corners) % tuple(np.stack(columns, axis=1).ravel().tolist())).split("\n")
    faces = [f"f {' '.join(tokens[a:b])}\n" for a, b in itertools.pairwise(mesh.face_starts.tolist())]
    parts = np.zeros(mesh.n_faces, dtype=np.int64) if mesh.face_parts is None else mesh.face_parts
    order = np.argsort(parts, kind="stable")
    lines: list[str] = [] if mesh.parts else ["s 1\n"]
    part = material = -1
    for face in order.tolist():
        if mesh.parts and parts[face] != part:
            part = int(parts[face])
            lines += [f"o {_one_line(mesh.parts[part].name, 'part')}\n", "s 1\n"]
            material = -1
        if mesh.face_materials[face] != material:
            material = int(mesh.face_materials[face])
            lines.append(f"usemtl {names[material]}\n")
        lines.append(faces[face])
    return "".join(lines)


def write_materials(materials: list[Material], folder: Path) -> list[str]:
    """Write ``base.mtl`` and its textures; returns the materials' names in it."""
    names = _unique_names([material.name for material in materials])
    text = ""
    for index, (material, name) in enumerate(zip(materials, names, strict=True)):
        red, green, blue, alpha = material.base_color
        alpha = 1.0 if material.alpha_mode == "opaque" else alpha
        text += f"newmtl {name}\nKd {red:.6g} {green:.6g} {blue:.6g}\nd {alpha:.6g}\n"
        text += f"Pm {material.metallic:.6g}\nPr {material.roughness:.6g}\n"
        if any(material.emissive):
            text += "Ke " + " ".join(f"{value * material.emissive_strength:.6g}" for value in material.emissive) + "\n"
        for kind, image in material.textures.items():
            file = f"texture_{kind}.png" if len(materials) == 1 else f"texture_{kind}_{index}.png"
            if kind == "diffuse" and material.alpha_mode == "opaque":
                image = image[..., :3]  # some readers take the alpha of any texture
            with atomic_file(folder / file) as temporary:
                Image.fromarray(image[..., 0] if image.shape[-1] == 1 else np.ascontiguousarray(image)).save(temporary)
            text += _map_lines(material, kind, file)
        text += "\n"
    with atomic_file(folder / "base.mtl") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return names


def _map_lines(material: Material, kind: str, file: str) -> str:
    options = "-clamp on " if material.wraps.get(kind) == ("clamp", "clamp") else ""
    if kind == "normal":
        options += f"-bm {material.normal_scale:.6g} "
    if kind == "emissive" and not any(material.emissive):
        return ""  # multiplied with black; without a Ke the map would glow
    keywords = [*_MAP_NAMES.get(kind, ())]
    if kind == "diffuse" and material.alpha_mode in ("mask", "blend") and material.textures[kind].shape[-1] == 4:
        keywords.append("map_d")
    return "".join(f"{keyword} {options}{file}\n" for keyword in keywords)


def _unique_names(names: list[str]) -> list[str]:
    """Names that can stand in an .mtl file, each once."""
    unique: list[str] = []
    for name in names:
        clean = _one_line(name, "material")
        while clean in unique:
            clean += "_"
        unique.append(clean)
    return unique


def _one_line(name: str, default: str) -> str:
    return re.sub(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+", " ", name).strip() or default
