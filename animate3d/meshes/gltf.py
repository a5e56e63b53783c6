"""glTF 2.0, read as its specification says: ``.glb``, or ``.gltf`` with its files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import Animate3DError, InputError
from animate3d.files import existing_file
from animate3d.meshes.gltf_extensions import DRACO, check_extensions
from animate3d.meshes.gltf_file import DAMAGE, Entry, GltfFile, dequantized
from animate3d.meshes.gltf_materials import MOST_UV_SETS, MaterialReader, Surface
from animate3d.meshes.gltf_nodes import Instance, instances, joint_matrices, joint_tree, nearest_joint, scenes_left_out
from animate3d.meshes.joints import Joints
from animate3d.meshes.materials import linear_to_srgb
from animate3d.meshes.mesh import GltfAttributes, Mesh, Part


def load_gltf(path: Path, *, keeps_rig: bool = False) -> Mesh:
    """Read ``.glb`` or ``.gltf``: all triangles, by mesh then node, in the scene's place; y up.

    Vertices are those of the accessors, so copies along seams are there (`Mesh.welded` finds them). Nodes become
    parts. Skinned meshes stand as their joints hold them, morph targets have their default weights. Factors and vertex
    colours are linear in glTF and are converted to sRGB.

    Args:
        keeps_rig: the rig is used by somebody, `load_joints`; it is not said that it is left out.

    Raises:
        InputError: damaged, empty, or in need of an extension that is not supported.
        MissingDependencyError: compressed, and the package that decodes it is not installed.
    """
    path = existing_file(path, "mesh file")
    kind = "glb" if path.suffix.lower() == ".glb" else "gltf"
    try:
        with np.errstate(all="ignore"):
            file = GltfFile(path)
            check_extensions(path, file.items("extensionsUsed"), file.items("extensionsRequired"))
            return GltfReader(file).mesh(keeps_rig=keeps_rig).check()
    except Animate3DError:
        raise
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} is not a readable {kind} file, it may be truncated ({reason}).") from error


def load_joints(path: Path) -> Joints | None:
    """The rig of ``.glb`` or ``.gltf`` for the vertices that `load_gltf` reads; None where it has none.

    Raises:
        InputError: damaged, or in need of an extension that is not supported.
    """
    try:
        with np.errstate(all="ignore"):
            return GltfReader(GltfFile(existing_file(path, "mesh file"))).joints()
    except Animate3DError:
        raise
    except DAMAGE as error:
        raise InputError(f"The rig of {path} cannot be read ({' '.join(str(error).split())[:200]}).") from error


@dataclass
class _Piece:
    """A primitive in its place.

    Attributes:
        key: pieces of the same instance and key have the same vertices.
        vertices: ``[V, 3]`` in the scene.
        triangles: ``[T, 3]``
        normals: ``[V, 3]``
        uvs: ``[V, 2]`` by set, v down.
        colors: ``[V, 4]`` linear.
        surface: its material.
        part: number of its part.
        owners, weights: ``[V, 4]`` nodes that move it and how much; None without a skin.
    """

    key: tuple[Any, ...]
    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray | None
    uvs: list[np.ndarray | None]
    colors: np.ndarray | None
    surface: Surface
    part: int
    owners: np.ndarray | None = None
    weights: np.ndarray | None = None


class GltfReader:
    """The meshes of an opened file; reading them again, after its nodes have moved, decodes no texture twice."""

    def __init__(self, file: GltfFile) -> None:
        self._file = file
        self._materials = MaterialReader(file)
        self._left_out = 0

    def mesh(self, *, keeps_rig: bool = False) -> Mesh:
        """All triangles as the scene now stands."""
        found, parts = instances(self._file)
        pieces = [piece for instance in found for piece in self._pieces(instance)]
        if self._left_out:
            warnings.warn(f"{self._file.path}: points and lines are left out; triangles are read.", stacklevel=3)
        if others := scenes_left_out(self._file):
            what = "another scene is" if others == 1 else f"{others} other scenes are"
            warnings.warn(f"{self._file.path}: {what} left out; the default scene is read.", stacklevel=3)
        if not pieces:
            raise InputError(f"{self._file.path} holds no triangles; it may be empty or truncated.")
        self._tell_of_motion(found, keeps_rig=keeps_rig)
        return _assembled(pieces, parts, self._file.path)

    def joints(self) -> Joints | None:
        """The joints of the file's skins and the vertices that follow each; None where it has none."""
        found, _ = instances(self._file)
        nodes = {int(joint) for instance in found if instance.skin is not None for joint in self._joints(instance.skin)}
        if not nodes:
            return None
        names, order, parents, matrices = joint_tree(self._file, nodes)
        number_of = np.full(len(self._file.items("nodes")), 0)
        number_of[order] = np.arange(len(order))
        blocks, seen = [], set()
        for instance in found:
            above = nearest_joint(self._file, instance.node, nodes)
            for piece in self._pieces(instance):
                if (piece.part, *piece.key) in seen:
                    continue
                seen.add((piece.part, *piece.key))
                if piece.owners is None or piece.weights is None:
                    owners = np.full((len(piece.vertices), 4), 0 if above is None else number_of[above])
                    blocks.append((owners, np.tile([1.0, 0, 0, 0], (len(owners), 1))))
                else:
                    blocks.append((number_of[piece.owners], piece.weights))
        owners, weights = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return Joints(names, parents, matrices, owners, weights)

    def _tell_of_motion(self, found: list[Instance], *, keeps_rig: bool) -> None:
        """Warn, in one sentence, of what moves the meshes in the file and is not read."""
        animations = len(self._file.items("animations"))
        skins = [] if keeps_rig else [instance.skin for instance in found if instance.skin is not None]
        joints = {joint for skin in skins for joint in self._joints(skin)}
        meshes = [self._file.item("meshes", instance.mesh) for instance in found]
        dropped = [f"animation{'s' * (animations > 1)} ({animations})"] if animations else []
        dropped += [f"rig (joints: {len(joints)})"] if joints else []
        if any(primitive.get("targets") for mesh in meshes for primitive in mesh["primitives"]):
            dropped.append("morph targets")
        if dropped:
            *others, last = dropped
            listed = f"{', '.join(others)} and {last}" if others else last
            are = "is" if len(dropped) == 1 and (animations == 1 or joints) else "are"
            warnings.warn(
                f"{self._file.path}: its {listed} {are} dropped; the mesh stands as the scene holds it.", stacklevel=4
            )

    def _joints(self, skin: Any) -> list[Any]:
        return self._file.item("skins", skin)["joints"]

    def _pieces(self, instance: Instance) -> Iterator[_Piece]:
        mesh = self._file.item("meshes", instance.mesh)
        weights = instance.weights if instance.weights is not None else mesh.get("weights", [])
        for primitive in mesh["primitives"]:
            if primitive.get("mode", 4) not in (4, 5, 6):
                self._left_out += 1
                continue
            yield self._piece(instance, primitive, weights)

    def _piece(self, instance: Instance, primitive: Entry, weights: list[float]) -> _Piece:
        read = _Attributes(self._file, primitive)
        vertices = read("POSITION")
        if vertices is None or vertices.shape[1:] != (3,):
            raise ValueError("a primitive has no positions")
        normals = read("NORMAL")
        if normals is not None and normals.shape != vertices.shape:
            raise ValueError("there are not as many normals as positions")
        for target, weight in zip(primitive.get("targets", []), weights, strict=False):
            vertices = vertices + float(weight) * read.delta(target, "POSITION", vertices.shape)
            if normals is not None:
                normals = normals + float(weight) * read.delta(target, "NORMAL", vertices.shape)
        triangles = read.triangles(len(vertices))
        if instance.skin is not None:
            matrices = _skinned(read, joint_matrices(self._file, instance), len(vertices))
            owners, shares = _strongest(read, np.array(self._joints(instance.skin)), len(vertices))
        else:
            owners, shares = None, None
            matrices = instance.matrix[None]
        # The row vectors of points are multiplied from the left by each vertex's matrix, or by the one of all.
        vertices = np.einsum("...ij,...j->...i", matrices[:, :3, :3], vertices) + matrices[:, :3, 3]
        if instance.skin is None and np.linalg.det(instance.matrix[:3, :3]) < 0:
            triangles = triangles[:, ::-1]  # a mirrored part would be inside out
        if normals is not None:
            normals = _turned(normals, matrices[:, :3, :3])
        # Two materials on one set of positions are two primitives with the same accessors.
        attributes = primitive["attributes"]
        shared = sorted(item for item in attributes.items() if not item[0].startswith(("TEXCOORD", "TANGENT")))
        morphed = [sorted(target.items()) for target in primitive.get("targets", [])] if any(weights) else []
        key = (id(primitive),) if read.is_draco else (str(shared), str(morphed))
        surface = self._materials.surface(primitive.get("material"))
        piece = _Piece(
            key, vertices, triangles, normals, read.uvs(len(vertices)), read.colors(len(vertices)), surface,
            instance.part, owners, shares,
        )  # fmt: skip
        return replace(piece, key=(*key, *_color_factor(piece)))


class _Attributes:
    """The attributes of one primitive, compressed or not, as floats."""

    def __init__(self, file: GltfFile, primitive: Entry) -> None:
        self._file = file
        self._primitive = primitive
        self._entries: Entry = primitive["attributes"]
        self._raw: dict[str, np.ndarray] = {}
        self._faces: np.ndarray | None = None
        packed = primitive.get("extensions", {}).get(DRACO)
        if packed is not None:
            self._faces, self._raw = file.draco(packed)

    @property
    def is_draco(self) -> bool:
        return self._faces is not None

    def __call__(self, name: str) -> np.ndarray | None:
        """``[V, n]``, None where the primitive has no such attribute."""
        if name not in self._entries:
            return None
        if name in self._raw:
            accessor = self._file.item("accessors", self._entries[name])
            return dequantized(np.asarray(self._raw[name]), normalized=bool(accessor.get("normalized", False)))
        return self._file.accessor(self._entries[name])

    def delta(self, target: Entry, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Displacement of a morph target; zero where it does not move this attribute."""
        if name not in target:
            return np.zeros(shape)
        values = self._file.accessor(target[name])
        if values.shape != shape:
            raise ValueError("a morph target has another number of vertices")
        return values

    def triangles(self, count: int) -> np.ndarray:
        """``[T, 3]``; strips and fans are taken apart."""
        if self._faces is not None:
            indices = self._faces.reshape(-1)
        elif "indices" in self._primitive:
            indices = self._file.accessor(self._primitive["indices"])
            if indices.ndim != 1 or indices.dtype.kind != "i":
                raise ValueError("the indices of a primitive are not whole numbers")
        else:
            indices = np.arange(count)
        if len(indices) and not (indices.min() >= 0 and indices.max() < count):
            raise ValueError(f"a triangle has a vertex that is not among the {count} of its primitive")
        mode = self._primitive.get("mode", 4) if self._faces is None else 4
        if mode == 4:
            return indices[: len(indices) // 3 * 3].reshape(-1, 3)
        if len(indices) < 3:
            return np.zeros((0, 3), dtype=np.int64)
        if mode == 6:
            return np.stack([indices[1:-1], indices[2:], np.broadcast_to(indices[0], len(indices) - 2)], axis=1)
        strip = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
        strip[1::2] = strip[1::2][:, [0, 2, 1]]
        apart = (strip != np.roll(strip, 1, axis=1)).all(axis=1)  # strips are joined by triangles without area
        return strip[apart]

    def uvs(self, count: int) -> list[np.ndarray | None]:
        """Every set of texture coordinates ``[V, 2]``, None where a number is left out."""
        numbers = [int(name[9:]) for name in self._entries if name.startswith("TEXCOORD_") and name[9:].isdecimal()]
        found = [self(f"TEXCOORD_{number}") for number in range(min(max(numbers, default=-1) + 1, MOST_UV_SETS))]
        return [uv if uv is None or uv.shape == (count, 2) else None for uv in found]

    def colors(self, count: int) -> np.ndarray | None:
        """``[V, 4]``"""
        colors = self("COLOR_0")
        if colors is None or colors.ndim != 2 or len(colors) != count or colors.shape[1] not in (3, 4):
            return None
        return colors if colors.shape[1] == 4 else np.pad(colors, ((0, 0), (0, 1)), constant_values=1.0)


def _skinned(read: _Attributes, joints: np.ndarray, count: int) -> np.ndarray:
    """The matrix that moves each vertex ``[V, 4, 4]``: the mean of its joints' ``[J, 4, 4]`` by its weights."""
    total, mixed = np.zeros((count, 1, 1)), np.zeros((count, 4, 4))
    for number in range(4):
        owners, weights = read(f"JOINTS_{number}"), read(f"WEIGHTS_{number}")
        if owners is None or weights is None:
            break
        if owners.shape != (count, 4) or weights.shape != (count, 4) or owners.dtype.kind != "i":
            raise ValueError("a skin's joints and weights do not fit its vertices")
        if owners.max(initial=0) >= len(joints) or owners.min(initial=0) < 0:
            raise ValueError("a vertex has a joint that the skin does not have")
        for owner, weight in zip(owners.T, weights.T, strict=True):
            mixed += weight[:, None, None] * joints[owner]
            total += weight[:, None, None]
    return np.where(total > 0, mixed / np.where(total > 0, total, 1), np.eye(4))


def _strongest(read: _Attributes, nodes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The four strongest joints of every vertex, as numbers of nodes ``[V, 4]``, and their weights ``[V, 4]``."""
    owners, weights = [], []
    for number in range(4):
        bones, shares = read(f"JOINTS_{number}"), read(f"WEIGHTS_{number}")
        if bones is None or shares is None:
            break
        owners.append(nodes[bones])
        weights.append(shares)
    if not owners:
        return np.full((count, 4), nodes[0]), np.tile([1.0, 0, 0, 0], (count, 1))
    found, shares = np.concatenate(owners, axis=1), np.concatenate(weights, axis=1)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :4]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(shares, order, axis=1)


def _turned(normals: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Unit normals ``[V, 3]`` under linear maps ``[V | 1, 3, 3]``."""
    # The cofactors are the inverse transpose up to a factor, and there where a map has no inverse.
    a, b, c = matrices[:, 0], matrices[:, 1], matrices[:, 2]
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    turned = np.einsum("...ij,...j->...i", cofactors, normals)
    turned *= np.where(np.linalg.det(matrices) < 0, -1.0, 1.0)[:, None]
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    return np.where(length > 0, turned / np.where(length > 0, length, 1), np.nan)


def _assembled(pieces: list[_Piece], parts: list[Part], path: Path) -> Mesh:
    """One mesh of all pieces."""
    firsts: dict[tuple[Any, ...], int] = {}
    blocks: list[_Piece] = []
    materials: dict[int, int] = {}
    corners, slots, count = [], [], 0
    for piece in pieces:
        key = (piece.part, *piece.key)
        if key not in firsts:
            firsts[key] = count
            count += len(piece.vertices)
            blocks.append(piece)
        corners.append(piece.triangles.reshape(-1) + firsts[key])
        slot = materials.setdefault(id(piece.surface), len(materials))
        slots.append(np.full(len(piece.triangles), slot))
    surfaces = {id(piece.surface): piece.surface.material for piece in pieces}
    n_faces = sum(len(piece.triangles) for piece in pieces)
    return Mesh(
        vertices=np.concatenate([block.vertices for block in blocks]),
        corners=np.concatenate(corners),
        face_starts=3 * np.arange(n_faces + 1),
        corner_uvs=_corner_values([_shown_uvs(piece) for piece in pieces], pieces, 2),
        corner_normals=_corner_values([piece.normals for piece in pieces], pieces, 3),
        face_materials=np.concatenate(slots),
        materials=[surfaces[number] for number in materials],
        vertex_colors=_display_colors(blocks),
        up_axis="y",
        source=path,
        parts=parts,
        face_parts=np.repeat([piece.part for piece in pieces], [len(p.triangles) for p in pieces]) if parts else None,
        gltf=_further_attributes(pieces, blocks),
    )


def _corner_values(values: list[np.ndarray | None], pieces: list[_Piece], width: int) -> np.ndarray | None:
    """Vertex values ``[V, width]`` of every piece at its corners ``[K, width]``, NaN where a piece has none."""
    if all(value is None for value in values):
        return None
    return np.concatenate(
        [
            np.full((piece.triangles.size, width), np.nan, dtype=np.float32)
            if value is None
            else value[piece.triangles.reshape(-1)].astype(np.float32)
            for value, piece in zip(values, pieces, strict=True)
        ]
    )


def _shown_uvs(piece: _Piece) -> np.ndarray | None:
    """Where the material's texture is looked up at every vertex, v up. ``[V, 2]``"""
    lookup = piece.surface.lookup
    uvs = piece.uvs[lookup.uv_set] if 0 <= lookup.uv_set < len(piece.uvs) else None
    return None if uvs is None else lookup.apply(uvs) * [1, -1] + [0, 1]


def _color_factor(piece: _Piece) -> tuple[float, ...]:
    """What the colours of a piece are multiplied with before they are shown, linear r g b; none where it has none.

    A texture holds the factor of its material already. White colours are none: they change nothing.
    """
    if piece.colors is None or (piece.colors[:, :3] == 1).all():
        return ()
    textured = "diffuse" in piece.surface.material.textures and _shown_uvs(piece) is not None
    return (1.0, 1.0, 1.0) if textured else tuple(piece.surface.base_factor)


def _display_colors(blocks: list[_Piece]) -> np.ndarray | None:
    """sRGB ``[N, 3]``, NaN at the vertices of pieces without colours."""
    factors = [_color_factor(block) for block in blocks]
    if not any(factors):
        return None
    return np.concatenate(
        [
            linear_to_srgb(block.colors[:, :3] * factor)
            if factor and block.colors is not None
            else np.full((len(block.vertices), 3), np.nan, dtype=np.float32)
            for block, factor in zip(blocks, factors, strict=True)
        ]
    )


def _further_attributes(pieces: list[_Piece], blocks: list[_Piece]) -> GltfAttributes | None:
    colors = None
    if any(block.colors is not None for block in blocks):
        colors = np.concatenate(
            [np.ones((len(b.vertices), 4)) if b.colors is None else b.colors for b in blocks]
        ).astype(np.float32)
    sets = []
    if not all(piece.surface.plain for piece in pieces):
        for number in range(max(len(piece.uvs) for piece in pieces)):
            values = [piece.uvs[number] if number < len(piece.uvs) else None for piece in pieces]
            found = _corner_values(values, pieces, 2)
            sets.append(np.full((sum(p.triangles.size for p in pieces), 2), np.nan) if found is None else found)
    return GltfAttributes(tuple(sets), colors) if sets or colors is not None else None
