"""glTF 2.0 with morph targets, written directly: ``.glb``, or ``.gltf`` with everything inside.

Vertices. glTF has one UV and normal per vertex, so a vertex on a seam is written several times; a primitive (a part's
triangles of one material) has only the vertices that it uses. ``_VERTEX_ID`` holds their numbers in the mesh.

Axes. Positions are in the coordinates of the mesh; a node turns a z-up mesh to glTF's y-up and moves it to its origin.

Normals. Targets carry normal displacements too: without them a turning object would keep the shading of its rest pose.

Sizes. Targets of more than a megabyte are stored as normalised integers (KHR_mesh_quantization): positions with 16
bits of the largest displacement, directions with 8. A skinned file does so with directions of more than 4000 vertices.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.export.gltf_buffer import ARRAY_BUFFER, ELEMENT_BUFFER, Buffer
from animate3d.export.gltf_geometry import Primitive, moving_tangents, normal_map_uvs, primitives, uv_sets
from animate3d.export.gltf_materials import MaterialWriter, extension_names
from animate3d.export.gltf_skin import add_skin, skin_attributes
from animate3d.export.morphs import MorphTargets, morph_targets
from animate3d.export.painting import corner_paint, painted_materials
from animate3d.export.shading import moving_normals
from animate3d.export.skeleton.rig import Rig
from animate3d.files import atomic_file
from animate3d.meshes.materials import srgb_to_linear
from animate3d.meshes.mesh import Part

_QUANTIZATION = "KHR_mesh_quantization"
_Z_UP_TO_Y_UP = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]  # quaternion x y z w of -90 degrees about x
# In large exports directions that turn by less than 2.5 and 20 degrees may stay as they are at rest.
_LEAST_TURN = {"NORMAL": 0.044, "TANGENT": 0.35}
_SHORTEST = 0.3  # of a vector that is stored with 8 bits
_PLAIN_BYTES = 1_000_000  # morph targets up to this size are plain floats, which every reader knows
_PLAIN_VERTICES = 4000  # so are the directions of as many vertices of a skinned file


def write_gltf(clip: Clip, path: Path, max_morphs: int | None = None, rig: Rig | None = None) -> MorphTargets:
    """Write ``.glb`` or ``.gltf``; returns the morph targets that were written.

    Args:
        rig: moves the mesh in place of morph targets, of which there are none then.

    Raises:
        InputError: larger than the 4 GB that a .glb can hold.
    """
    document, binary, morphs = build(clip, max_morphs, rig)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".gltf":
            uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
            document["buffers"][0]["uri"] = uri
            temporary.write_text(json.dumps(document))
        else:
            write_container(temporary, document, binary)
    return morphs


def build(
    clip: Clip, max_morphs: int | None = None, rig: Rig | None = None
) -> tuple[dict[str, Any], bytearray, MorphTargets]:
    """The JSON document, the binary buffer and the morph targets of a clip."""
    mesh = clip.mesh
    morphs = morph_targets(clip if rig is None else clip.still, max_morphs)
    surface = _surface(clip, morphs, rig)
    buffer = Buffer()
    meshes: list[dict[str, Any]] = []
    of_part: dict[int, int] = {}
    for part in sorted({primitive.part for primitive in surface.primitives}):
        of_part[part] = len(meshes)
        meshes.append(_mesh(surface, part, buffer))
    nodes, roots = _nodes(surface, of_part)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Animate3D"},
        "scene": 0,
        "scenes": [{"nodes": roots}],
        "nodes": nodes,
        "meshes": meshes,
    }
    if rig is not None:
        add_skin(document, rig, clip, buffer, _place(surface))
    if morphs:
        document["animations"] = [_animation(clip, morphs, buffer, document)]
    materials = MaterialWriter(mesh, buffer)
    document |= materials.sections()
    used = extension_names(list(materials.sections().values())) | ({_QUANTIZATION} if surface.compact else set())
    required = used & (materials.required | {_QUANTIZATION})
    if used:
        document["extensionsUsed"] = sorted(used)
    if required:
        document["extensionsRequired"] = sorted(required)
    document |= {
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return document, buffer.data, morphs


@dataclass(frozen=True)
class _Surface:
    """What all primitives of an export share.

    Attributes:
        groups: ``[K]`` normal group of every corner.
        normals: ``[F, G, 3]`` of the groups.
        scale: a power of two that no displacement exceeds, which integers count in fractions of; None for floats.
        compact: directions and texture coordinates are integers.
        rig: what moves it, where morph targets do not.
        moving: the parts that have morph targets; those that rest have none, unless all do.
        paint: ``[K, 3]`` linear vertex colours of every corner; None where no material is painted.
        painted: ``[M]`` the materials that are.
    """

    clip: Clip
    morphs: MorphTargets
    groups: np.ndarray
    normals: np.ndarray
    primitives: list[Primitive]
    scale: float | None
    compact: bool
    rig: Rig | None
    moving: set[int]
    paint: np.ndarray | None
    painted: np.ndarray


def _surface(clip: Clip, morphs: MorphTargets, rig: Rig | None) -> _Surface:
    groups, normals = moving_normals(clip.mesh, morphs.frames(), len(morphs.weights), np.float32)
    found = primitives(clip.mesh, groups)
    rows = sum(len(primitive.corners) * (2 + (primitive.mirrored is not None)) for primitive in found)
    most = float(np.abs(morphs.deltas).max(initial=0))
    plain = 12 * rows * len(morphs) <= _PLAIN_BYTES or most < 1e-30
    scale = None if plain else float(2.0 ** np.ceil(np.log2(most)))
    compact = scale is not None if rig is None else rows > _PLAIN_VERTICES
    painted = painted_materials(clip.mesh)
    paint = srgb_to_linear(corner_paint(clip.mesh)) if painted.any() else None
    moving = _moving(clip, morphs, found)
    return _Surface(clip, morphs, groups, normals, found, scale, compact, rig, moving, paint, painted)


def _moving(clip: Clip, morphs: MorphTargets, found: list[Primitive]) -> set[int]:
    if not morphs:
        return set()
    moves = (morphs.deltas != 0).any(axis=(0, 2))
    parts = {p.part for p in found if moves[clip.mesh.corners[p.corners]].any()}
    return parts or {p.part for p in found}  # an animation has a channel


def _mesh(surface: _Surface, part: int, buffer: Buffer) -> dict[str, Any]:
    """The JSON of the mesh of one part."""
    clip, morphs = surface.clip, surface.morphs
    entry: dict[str, Any] = {
        "name": clip.mesh.parts[part].name if clip.mesh.parts else clip.mesh.name,
        "primitives": [_primitive(surface, p, buffer) for p in surface.primitives if p.part == part],
        "extras": {"vertexCount": clip.n_vertices, "fps": clip.fps},
    }
    if part in surface.moving:
        entry["weights"] = [0.0] * len(morphs)
        entry["extras"]["targetNames"] = morphs.names
    return entry


def _primitive(surface: _Surface, primitive: Primitive, buffer: Buffer) -> dict[str, Any]:
    mesh, morphs = surface.clip.mesh, surface.morphs
    vertices, groups = mesh.corners[primitive.corners], surface.groups[primitive.corners]
    base = morphs.base[vertices] / np.float32(surface.scale or 1)
    normals = surface.normals[:, groups]

    def add(values: np.ndarray, kind: str) -> int:
        small = surface.compact and values.min(initial=0) >= (0 if kind == "u2" else -1) and values.max() <= 1
        return buffer.add_normalized(values, kind) if small else buffer.add(values, ARRAY_BUFFER)

    attributes = {
        "POSITION": buffer.add(base, ARRAY_BUFFER, bounds=True),
        "NORMAL": add(normals[0], "i1"),
        "_VERTEX_ID": buffer.add(vertices.astype(np.float32), ARRAY_BUFFER),
    }
    for number, uvs in enumerate(uv_sets(mesh, primitive.material, primitive.corners)):
        attributes[f"TEXCOORD_{number}"] = add(uvs, "u2")
    colors = _colors(surface, primitive)
    if colors is not None:
        attributes["COLOR_0"] = buffer.add(colors, ARRAY_BUFFER)
    tangents = None
    if primitive.mirrored is not None:
        uvs = normal_map_uvs(mesh, primitive.material, primitive.corners)
        tangents = moving_tangents(uvs, primitive, (points[vertices] for points in morphs.frames()), normals)
        hands = np.where(primitive.mirrored, -1.0, 1.0)[:, None]
        attributes["TANGENT"] = add(np.concatenate([tangents[0], hands], axis=1), "i1")
    if surface.rig is not None:
        attributes |= skin_attributes(surface.rig, vertices, buffer)
    entry: dict[str, Any] = {
        "attributes": attributes,
        "indices": buffer.add(primitive.triangles.reshape(-1), ELEMENT_BUFFER),
        "material": primitive.material,
        "mode": 4,
    }
    if primitive.part in surface.moving:
        entry["targets"] = _targets(surface, vertices, normals, tangents, buffer)
    return entry


def _targets(
    surface: _Surface, vertices: np.ndarray, normals: np.ndarray, tangents: np.ndarray | None, buffer: Buffer
) -> list[dict[str, int]]:
    """The morph targets of a primitive: displacements of positions, normals and tangents."""
    morphs, scale = surface.morphs, surface.scale
    turns = {"NORMAL": normals} | ({} if tangents is None else {"TANGENT": tangents})
    turns = {name: morphs.project(vectors - vectors[:1]) for name, vectors in turns.items()}
    targets = []
    for number, delta in enumerate(morphs.deltas[:, vertices]):
        if scale is None:
            target = {"POSITION": buffer.add(delta, ARRAY_BUFFER, bounds=True)}
        else:
            target = {"POSITION": buffer.add_normalized(delta / scale, "i2", bounds=True)}
        for name, turn in turns.items():
            rest = (normals if tangents is None or name == "NORMAL" else tangents)[0]
            short = None if scale is None else _shortened(rest, turn[number], exact=morphs.is_exact)
            if short is None:
                target[name] = buffer.add(turn[number], ARRAY_BUFFER)
            else:
                target[name] = buffer.add_normalized(short, "i1", least=_LEAST_TURN[name])
        targets.append(target)
    return targets


def _shortened(rest: np.ndarray, turn: np.ndarray, *, exact: bool) -> np.ndarray | None:
    """Displacements ``[S, 3]`` of unit vectors within -1..1, so that integers can hold them; None where they cannot.

    A vector that turned by more than a right angle may end shorter than 1: only its direction counts.

    Args:
        rest: ``[S, 3]``
        turn: ``[S, 3]`` to the vectors that are meant.
        exact: the target stands for a frame; components, which are added up, have to fit as they are.
    """
    far = np.abs(turn).max(axis=1) > 1
    if not far.any():
        return turn
    if not exact:
        return None
    start, end = rest[far], rest[far] + turn[far]
    size = np.abs(end)
    length = ((1 + start * np.sign(end)) / np.where(size > 1e-9, size, 1e-9)).min(axis=1).clip(_SHORTEST, 1)
    fitting = (length[:, None] * end - start).clip(-1, 1)
    shown = start + fitting
    cosine = (shown * end).sum(axis=1) / np.maximum(np.linalg.norm(shown, axis=1) * np.linalg.norm(end, axis=1), 1e-9)
    if (cosine < np.cos(np.pi / 4)).any() or (cosine < np.cos(np.pi / 36)).sum() > 0.01 * len(turn):
        return None
    turn = turn.copy()
    turn[far] = fitting
    return turn


def _colors(surface: _Surface, primitive: Primitive) -> np.ndarray | None:
    """Linear colours ``[S, 3 | 4]`` by which the material is multiplied."""
    mesh, material = surface.clip.mesh, primitive.material
    colors: np.ndarray | None = None
    if mesh.materials[material].gltf is not None:
        if mesh.gltf is not None and mesh.gltf.colors is not None:
            colors = mesh.gltf.colors[mesh.corners[primitive.corners]]
    elif surface.paint is not None and surface.painted[material]:
        colors = surface.paint[primitive.corners]
    return None if colors is None or (colors == 1).all() else colors


def _nodes(surface: _Surface, of_part: dict[int, int]) -> tuple[list[dict[str, Any]], list[int]]:
    """Nodes, one for each part in their order, and the numbers of those at the top.

    Args:
        of_part: number of the mesh of every part that has faces.
    """
    mesh, place = surface.clip.mesh, _place(surface)
    parts = mesh.parts or [Part(mesh.name)]
    nodes: list[dict[str, Any]] = [{"name": part.name} for part in parts]
    for owner, number in of_part.items():
        nodes[owner]["mesh"] = number
    if surface.rig is not None:  # where nothing is above it: no node but a joint moves a skinned mesh
        nodes = [node for node in nodes if "mesh" in node]
        return nodes, list(range(len(nodes)))
    for number, part in enumerate(parts):
        if part.parent is not None:
            nodes[part.parent].setdefault("children", []).append(number)
    roots = [number for number, part in enumerate(parts) if part.parent is None]
    if place and len(roots) == 1:
        nodes[roots[0]] |= place
    elif place:
        nodes.append({"name": mesh.name, "children": roots} | place)
        roots = [len(nodes) - 1]
    return nodes, roots


def _place(surface: _Surface) -> dict[str, Any]:
    """What stands a mesh up, puts it where its file has it, and undoes the scale of its coordinates."""
    mesh = surface.clip.mesh
    place: dict[str, Any] = {}
    if np.any(mesh.origin != 0):
        x, y, z = (float(value) for value in mesh.origin)
        place["translation"] = [x, z, -y] if mesh.up_axis == "z" else [x, y, z]
    if mesh.up_axis == "z":
        place["rotation"] = _Z_UP_TO_Y_UP
    if surface.scale not in (None, 1.0):
        place["scale"] = [surface.scale] * 3
    return place


def _animation(clip: Clip, morphs: MorphTargets, buffer: Buffer, document: dict[str, Any]) -> dict[str, Any]:
    # The closing key of a loop shows frame 0, whose weights are zero.
    weights = np.pad(morphs.weights, ((0, int(clip.closes)), (0, 0)))
    sampler = {
        "input": buffer.add(clip.key_times, bounds=True),
        "output": buffer.add(weights.reshape(-1)),
        "interpolation": "LINEAR",
    }
    targeted = [number for number, entry in enumerate(document["meshes"]) if "weights" in entry]
    moving = [number for number, node in enumerate(document["nodes"]) if node.get("mesh") in targeted]
    channels = [{"sampler": 0, "target": {"node": number, "path": "weights"}} for number in moving]
    return {"name": clip.name, "samplers": [sampler], "channels": channels}


def write_container(path: Path, document: dict[str, Any], binary: bytes | bytearray) -> None:
    """Write a ``.glb`` file of a document and its buffer.

    Raises:
        InputError: larger than the 4 GB that it can hold.
    """
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    if total >= 2**32:
        raise InputError(
            f"The animation takes {total / 2**30:.1f} GB, more than a .glb file can hold; "
            "limit the morph targets (max_morphs) or export USD or Alembic."
        )
    header = struct.pack("<4sII", b"glTF", 2, total)
    with path.open("wb") as file:
        for part in (header, struct.pack("<I4s", len(text), b"JSON"), text):
            file.write(part)
        file.write(struct.pack("<I4s", len(binary), b"BIN\0"))
        file.write(binary)
