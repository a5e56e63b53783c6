"""What Blender is told to build: objects, meshes, materials and keys of a clip."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.export.clip import Clip
from animate3d.export.fbx_finish import FbxContent
from animate3d.export.morphs import MorphTargets
from animate3d.export.painting import corner_paint, painted_materials
from animate3d.export.shading import moving_normals
from animate3d.export.skeleton.rig import Rig
from animate3d.export.textures import TextureFiles, linear_color, texture_files
from animate3d.export.transparency import alpha_mode
from animate3d.meshes.gltf_materials import tinted
from animate3d.meshes.materials import srgb_to_linear
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.pieces import Piece, pieces

_SMALL, _LARGE = 1e-2, 1e4  # diagonals between which Blender's thresholds do no harm


def blender_job(
    clip: Clip, morphs: MorphTargets, target: Path, kind: str, folder: Path, rig: Rig | None = None
) -> tuple[dict[str, Any], FbxContent]:
    """What `blender_script.run` takes, and what `finish` puts into the FBX file; textures go into ``folder``.

    Args:
        rig: moves the mesh; then ``morphs`` are none.
    """
    mesh = clip.mesh if clip.mesh.corner_uvs is None else _with_plain_glow(clip.mesh)
    found = pieces(mesh)
    textures = texture_files(mesh)
    for name, content in textures.files.items():
        (folder / name).write_bytes(content)
    # FBX gets its names afterwards: Blender cuts them at 63 bytes and numbers those that come twice.
    if rig is None:
        objects, names = _objects(mesh, found, plain=kind == "fbx")
    else:
        objects, names = _flat_objects(found)
    painted = painted_materials(mesh)
    materials = [_material(mesh, index, files, folder) for index, files in enumerate(textures.names)]
    for entry, files, colored in zip(materials, textures.names, painted.tolist(), strict=True):
        entry["colored"] = colored and "diffuse" not in files
    if kind == "fbx":
        names |= {entry["name"]: mesh.materials[index].name for index, entry in enumerate(materials)}
    else:
        for index, entry in enumerate(materials):
            entry["name"] = mesh.materials[index].name
    weights, times = morphs.weights, np.arange(clip.n_frames) / clip.fps
    if kind == "fbx" and clip.closes:
        weights, times = np.concatenate([weights, weights[:1]]), clip.key_times
    names["scene_0"] = clip.name
    if rig is not None:
        weights = np.zeros((len(times), 0), dtype=np.float32)
    job: dict[str, Any] = {
        "format": kind,
        "output": str(target),
        "scene": "scene_0",
        "fps": time_base(clip.fps) if kind == "fbx" else clip.fps,
        "up_axis": mesh.up_axis,
        "objects": objects,
        "meshes": [],
        "materials": materials,
        "target_names": morphs.names,
        "weights": weights,
        "location": _upright(mesh.origin, mesh.up_axis) if kind == "abc" else np.zeros(3),
    }
    if rig is not None:
        names |= _add_bones(job, rig, found, closes=clip.closes)
    shapes = _add_meshes(job, clip, morphs, found, rig)
    return job, FbxContent(
        names=names,
        translations=_translations(mesh, objects if rig is None else [{"name": "armature_0", "parent": None}]),
        vertices=[morphs.base[piece.vertices] for piece in found],
        shapes=shapes,
        weights={name: weights[:, m] for m, name in enumerate(morphs.names)},
        times=times,
        wraps=_clamped(mesh, textures),
        bone_rate=None if rig is None else job["fps"],
    )


def _with_plain_glow(mesh: Mesh) -> Mesh:
    """The tint of emission textures put into their texels: FBX takes a texture in place of the colour."""
    materials = []
    for material in mesh.materials:
        image, strength = material.textures.get("emissive"), max(material.emissive)
        if image is not None and strength > 0 and min(material.emissive) < strength:
            texels = tinted(image, np.array(material.emissive) / strength)
            glow = (strength, strength, strength)
            material = replace(material, textures={**material.textures, "emissive": texels}, emissive=glow)
        materials.append(material)
    return replace(mesh, materials=materials)


def _add_meshes(
    job: dict[str, Any], clip: Clip, morphs: MorphTargets, found: list[Piece], rig: Rig | None
) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Put the pieces into a job; returns the shapes of each, displacements and turns of the normals by name."""
    kind = job["format"]
    groups, normals = moving_normals(clip.mesh, clip.positions if rig is None else clip.positions[:1])
    turns = morphs.project(normals - normals[:1]) if kind == "fbx" else np.zeros((0, *normals.shape[1:]))
    as_it_is = kind == "abc" or rig is not None or _SMALL < clip.diagonal < _LARGE
    unit = 1.0 if as_it_is else 2.0 ** np.round(np.log2(clip.diagonal or 1.0))
    shapes = []
    for number, piece in enumerate(found):
        _add_mesh(job, number, piece, morphs, normals[0][groups[piece.corners]], unit)
        deltas = morphs.deltas[:, piece.vertices]
        turned = _at_vertices(turns, groups[piece.corners], piece)
        shapes.append({name: (deltas[m], turned[m]) for m, name in enumerate(morphs.names) if len(turned)})
    return shapes


def _flat_objects(found: list[Piece]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """An object for every mesh, all below the armature, and their real names."""
    objects, names = [], {"armature_0": "armature"}
    for number, piece in enumerate(found):
        names |= {f"object_{number}": piece.name, f"mesh_{number}": piece.name}
        objects.append({"name": f"object_{number}", "parent": None, "mesh": number})
    return objects, names


def _add_bones(job: dict[str, Any], rig: Rig, found: list[Piece], *, closes: bool) -> dict[str, str]:
    """Put bones and the influences of the pieces into a job; returns the bones' real names."""
    moves = np.tile(np.eye(4), (*rig.rotations.shape[:2], 1, 1))
    moves[..., :3, :3], moves[..., :3, 3] = rig.rotations, rig.translations
    rest = np.tile(np.eye(4), (len(rig), 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = rig.axes, rig.joints
    job["bones"] = [{"name": f"joint_{k}", "parent": parent} for k, parent in enumerate(rig.parents.tolist())]
    job["bone_matrices"], job["bone_lengths"] = rest, _lengths(rig)
    job["bone_moves"] = np.concatenate([moves, moves[:1]]) if closes else moves
    for number, piece in enumerate(found):
        job[f"{number}.influences"] = rig.influences[piece.vertices]
        job[f"{number}.shares"] = rig.weights[piece.vertices]
    return {f"joint_{k}": name for k, name in enumerate(rig.names)}


def _lengths(rig: Rig) -> np.ndarray:
    """How long bones are drawn: to those below them, at the end as long as the one above. ``[B]``"""
    size = float(np.linalg.norm(np.ptp(rig.joints, axis=0))) or 1.0
    lengths = np.full(len(rig), 0.3 * size)
    for bone, parent in enumerate(rig.parents.tolist()):
        below = np.linalg.norm(rig.joints[rig.parents == bone] - rig.joints[bone], axis=1)
        lengths[bone] = below.mean() if len(below) else lengths[parent] if parent >= 0 else size
    return np.maximum(lengths, 0.05 * size)


def _translations(mesh: Mesh, objects: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Where the top objects of a mesh far from its file's origin lie, in double precision and y up."""
    origin = mesh.origin if mesh.up_axis == "y" else _y_up(mesh.origin)
    return {entry["name"]: origin for entry in objects if entry["parent"] is None and mesh.origin.any()}


def _clamped(mesh: Mesh, textures: TextureFiles) -> dict[str, tuple[bool, bool]]:
    """Texture files that end at their border, along u and v."""
    return {
        file: (wraps[0] == "clamp", wraps[1] == "clamp")
        for material, files in zip(mesh.materials, textures.names, strict=True)
        for role, file in files.items()
        if (wraps := material.wraps.get(role)) and "clamp" in wraps
    }


def time_base(fps: float) -> float:
    """Frames per second of the file: 24, or 30 where keys fall on its frames and not on those of 24."""
    return 30.0 if _divides(30, fps) and not _divides(24, fps) else 24.0


def _divides(base: float, fps: float) -> bool:
    ratio = max(base / fps, fps / base)
    return abs(ratio - round(ratio)) < 1e-6


def _objects(mesh: Mesh, found: list[Piece], *, plain: bool) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Objects with their parents before them, and the real names of those that got plain ones."""
    if mesh.face_parts is None:
        parts: list[tuple[str, int | None, int | None]] = [(found[0].name, None, 0)]
    else:
        number_of = {piece.part: number for number, piece in enumerate(found)}
        above = {part.parent for part in mesh.parts}
        kept = [k for k in range(len(mesh.parts)) if k in number_of or k in above]
        order = sorted(kept, key=lambda k: _depth(mesh, k))
        place = {part: k for k, part in enumerate(order)}
        parts = []
        for part in order:
            parent = mesh.parts[part].parent
            name = found[number_of[part]].name if part in number_of else mesh.parts[part].name or f"part_{part}"
            parts.append((name, None if parent is None else place[parent], number_of.get(part)))
    objects, names = [], {}
    for number, (name, parent, piece) in enumerate(parts):
        # A slash parts the levels of an Alembic path.
        shown = f"object_{number}" if plain else re.sub(r"[/\x00-\x1f]", "_", name)
        names[f"object_{number}"] = name
        if piece is not None:
            names[f"mesh_{piece}"] = name
        objects.append({"name": shown, "parent": parent, "mesh": piece})
    return objects, names


def _depth(mesh: Mesh, part: int) -> int:
    parent = mesh.parts[part].parent
    return 0 if parent is None else 1 + _depth(mesh, parent)


def _material(mesh: Mesh, index: int, files: dict[str, str], folder: Path) -> dict[str, Any]:
    material = mesh.materials[index]
    mode, _ = alpha_mode(mesh, index)
    color = linear_color(material.base_color)
    glow = [value * material.emissive_strength for value in material.emissive]
    textures = {role: str(folder / name) for role, name in files.items() if role != "emissive" or any(glow)}
    return {
        "name": f"material_{index}",
        "base_color": [*color[:3], 1.0 if mode == "opaque" else color[3]],
        "alpha": mode != "opaque" and "diffuse" in files and material.textures["diffuse"].shape[-1] == 4,
        "metallic": float(material.metallic),
        "roughness": float(material.roughness),
        "emissive": [float(value) for value in glow],
        "normal_scale": float(material.normal_scale),
        "textures": textures,
    }


def _add_mesh(
    job: dict[str, Any], number: int, piece: Piece, morphs: MorphTargets, normals: np.ndarray, unit: float
) -> None:
    """Put a piece into a job, its lengths divided by ``unit``."""
    mesh = piece.mesh
    used, slots = np.unique(mesh.face_materials, return_inverse=True)
    name = f"mesh_{number}" if job["format"] == "fbx" else piece.name
    job["meshes"].append({"name": name, "materials": used.tolist()})
    deltas = morphs.deltas[:, piece.vertices]
    moves = bool(deltas.any())
    if job["format"] == "fbx":  # its shapes are put into the file afterwards: Blender only has to name them
        deltas = deltas[:, :0]
    arrays = {
        "base": morphs.base[piece.vertices] / np.float32(unit),
        "targets": deltas / np.float32(unit) if moves else deltas[:0],
        "corners": mesh.corners,
        "face_starts": mesh.face_starts,
        "face_slots": slots.reshape(-1),
        "normals": normals,
    }
    if mesh.corner_uvs is not None:
        arrays["uvs"] = np.nan_to_num(mesh.corner_uvs)
    if mesh.vertex_colors is not None and np.isfinite(mesh.vertex_colors).all():
        arrays["colors"] = srgb_to_linear(mesh.vertex_colors)
    elif mesh.vertex_colors is not None:
        arrays["corner_colors"] = srgb_to_linear(corner_paint(mesh))
    job |= {f"{number}.{key}": values for key, values in arrays.items()}


def _at_vertices(values: np.ndarray, corners: np.ndarray, piece: Piece) -> np.ndarray:
    """Means ``[M, n, 3]`` over the corners ``[K]`` (numbers into ``[M, G, 3]``) of every vertex."""
    count = np.maximum(np.bincount(piece.mesh.corners, minlength=len(piece.vertices)), 1)
    means = np.empty((len(values), len(piece.vertices), 3), dtype=np.float32)
    for target, mean in zip(values, means, strict=True):  # one by one: a mesh has six times as many corners as vertices
        for axis in range(3):
            mean[:, axis] = np.bincount(piece.mesh.corners, target[corners, axis], len(piece.vertices)) / count
    return means


def _upright(point: np.ndarray, up_axis: str) -> np.ndarray:
    """A place in the file's coordinates in Blender's z-up world."""
    x, y, z = point
    return np.array([x, -z, y]) if up_axis == "y" else point


def _y_up(point: np.ndarray) -> np.ndarray:
    x, y, z = point
    return np.array([x, z, -y])
