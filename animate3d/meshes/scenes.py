"""glTF and STL through trimesh, and joining the parts of a scene."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import trimesh

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.appearance import vertex_colors
from animate3d.meshes.materials import Material, find_texture, image_array
from animate3d.meshes.mesh import Mesh


class _FolderResolver(trimesh.resolvers.Resolver):
    """Gives a scene the files it refers to, from its own folder only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> bytes:
        found = find_texture(name, self.folder) or find_texture(unquote(name), self.folder)
        if found is None:
            raise FileNotFoundError(f"{name} is not in {self.folder}")
        return found.read_bytes()

    def keys(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def write(self, name: str, data: bytes | str) -> None:
        raise NotImplementedError("reading only")

    def namespaced(self, namespace: str) -> _FolderResolver:
        return _FolderResolver(self.folder / Path(namespace).name)


def load_gltf(path: Path) -> Mesh:
    """Read ``.glb`` or ``.gltf``: all primitives, by mesh then node, with node transforms applied; y up.

    Vertices are those of the accessors, so copies along seams are there (`Mesh.welded` finds them). Factors and
    vertex colours are linear in glTF and are converted to sRGB.
    """
    return _load(path, "y", "glb" if path.suffix.lower() == ".glb" else "gltf")


def load_stl(path: Path) -> Mesh:
    """Read binary or ascii ``.stl``, z up: three vertices per triangle, in the file's order."""
    return _load(path, "z", "stl")


def _load(path: Path, up_axis: str, kind: str) -> Mesh:
    path = existing_file(path, "mesh file")
    data = path.read_bytes()
    resolver = _FolderResolver(path.parent)
    logger = logging.getLogger("trimesh")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=resolver, process=False)
            instances = _instances(scene)
    except (Exception, MemoryError) as error:  # a damaged file leads the parsers into errors of every type
        raise InputError(f"{path} is not a readable {kind} file, it may be truncated ({error}).") from error
    finally:
        logger.setLevel(level)
    parts = [_part(geometry, transform, up_axis) for geometry, transform in instances]
    if not parts:
        raise InputError(f"{path} holds no triangles; it may be empty or truncated.")
    return join(parts, path).check()


def _instances(scene: trimesh.Scene) -> list[tuple[trimesh.Trimesh, np.ndarray]]:
    """Triangle meshes and their transforms in the order of the file's meshes, then of node names.

    The scene graph has an order of its own that differs between files written alike; vertex numbers must not.
    """
    order = {name: index for index, name in enumerate(scene.geometry)}
    nodes = [(name, *scene.graph[name]) for name in scene.graph.nodes_geometry]
    nodes.sort(key=lambda node: (order[node[2]], str(node[0])))
    found = [(scene.geometry[geometry], transform) for _, transform, geometry in nodes]
    return [(geometry, transform) for geometry, transform in found if isinstance(geometry, trimesh.Trimesh)]


def _part(geometry: trimesh.Trimesh, transform: np.ndarray, up_axis: str) -> Mesh:
    faces = np.asarray(geometry.faces, dtype=np.int64)
    if np.linalg.det(transform[:3, :3]) < 0:
        faces = faces[:, ::-1]  # a mirrored part would be inside out
    vertices = np.asarray(geometry.vertices, dtype=np.float64) @ transform[:3, :3].T + transform[:3, 3]
    visual: Any = geometry.visual
    linear = up_axis == "y"
    uvs, colors, material = None, None, Material("material")
    if isinstance(visual, trimesh.visual.TextureVisuals):
        uvs = None if visual.uv is None else np.asarray(visual.uv)[faces]
        material = _material(visual.material)
        if "diffuse" not in material.textures:  # they would multiply a texture, mostly as baked shading
            colors = visual.vertex_attributes.get("color")
    elif visual is not None and visual.kind == "vertex":
        colors = visual.vertex_colors
    if colors is not None and len(colors) == len(vertices):
        colors = _unit(np.asarray(colors)[:, :3])
        colors = linear_to_srgb(colors) if linear else colors
    else:
        colors = None
    return Mesh.from_faces(
        vertices, faces, corner_uvs=uvs, vertex_colors=colors, material=material, up_axis=up_axis, source=None
    )


def _material(source: Any) -> Material:
    """Our material for trimesh's metallic-roughness one."""
    if not isinstance(source, trimesh.visual.material.PBRMaterial):
        source = source.to_pbr()
    material = Material(str(source.name or "material"))
    factor = np.ones(4) if source.baseColorFactor is None else _unit(np.asarray(source.baseColorFactor))
    red, green, blue = linear_to_srgb(factor[:3]).tolist()
    material.base_color = (red, green, blue, float(factor[3]) if len(factor) > 3 else 1.0)
    # glTF: both factors are 1 where the file has none.
    material.metallic = 1.0 if source.metallicFactor is None else float(source.metallicFactor)
    material.roughness = 1.0 if source.roughnessFactor is None else float(source.roughnessFactor)
    images = {"diffuse": source.baseColorTexture, "normal": source.normalTexture, "emissive": source.emissiveTexture}
    material.textures = {kind: image_array(image) for kind, image in images.items() if image is not None}
    if "diffuse" in material.textures and material.base_color[:3] != (1.0, 1.0, 1.0):
        material.textures["diffuse"] = _tinted(material.textures["diffuse"], factor[:3])
        material.base_color = (1.0, 1.0, 1.0, material.base_color[3])
    if source.metallicRoughnessTexture is not None:
        packed = image_array(source.metallicRoughnessTexture.convert("RGB"))
        material.textures |= {"metallic": packed[..., 2:3].copy(), "roughness": packed[..., 1:2].copy()}
    return material


def _tinted(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """An sRGB texture times a linear factor, as glTF means it."""
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image.copy()
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    for channel in range(3):
        table = (linear_to_srgb(linear * factor[channel]) * 255 + 0.5).astype(np.uint8)
        image[..., channel] = table[image[..., channel]]
    return image


def _unit(values: np.ndarray) -> np.ndarray:
    """Integers of any width, or floats, to 0..1."""
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) / np.iinfo(values.dtype).max
    return values.astype(np.float32).clip(0, 1)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to sRGB values in 0..1."""
    values = np.asarray(values, dtype=np.float32).clip(0, 1)
    curved = 1.055 * values ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, 12.92 * values, curved).clip(0, 1).astype(np.float32)


def join(parts: list[Mesh], source: Path) -> Mesh:
    """One mesh of several: vertices and faces one part after the other. Parts of the same material share it.

    Where only some parts have vertex colours, the others get those of their materials.
    """
    materials: list[Material] = []
    first_vertex = first_corner = 0
    corners, starts, slots, uvs, colors, vertices = [], [], [], [], [], []
    has_uvs = any(part.corner_uvs is not None for part in parts)
    has_colors = any(part.vertex_colors is not None for part in parts)
    for part in parts:
        slot = np.array([_slot(materials, material) for material in part.materials])
        slots.append(slot[part.face_materials])
        vertices.append(part.vertices)
        corners.append(part.corners + first_vertex)
        starts.append(part.face_starts[:-1] + first_corner)
        none = np.full((len(part.corners), 2), np.nan, dtype=np.float32)
        uvs.append(none if part.corner_uvs is None else part.corner_uvs)
        if has_colors:
            colors.append(vertex_colors(part) if part.vertex_colors is None else part.vertex_colors)
        first_vertex += part.n_vertices
        first_corner += len(part.corners)
    return Mesh(
        vertices=np.concatenate(vertices),
        corners=np.concatenate(corners),
        face_starts=np.append(np.concatenate(starts), first_corner),
        corner_uvs=np.concatenate(uvs) if has_uvs else None,
        corner_normals=None,
        face_materials=np.concatenate(slots),
        materials=materials,
        vertex_colors=np.concatenate(colors) if has_colors else None,
        up_axis=parts[0].up_axis,
        source=source,
    )


def _slot(materials: list[Material], material: Material) -> int:
    for index, known in enumerate(materials):
        same_maps = known.textures.keys() == material.textures.keys() and all(
            np.array_equal(known.textures[kind], material.textures[kind]) for kind in known.textures
        )
        values = (known.name, known.base_color, known.metallic, known.roughness)
        if same_maps and values == (material.name, material.base_color, material.metallic, material.roughness):
            return index
    materials.append(material)
    return len(materials) - 1
