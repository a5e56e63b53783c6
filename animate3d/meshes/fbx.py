"""FBX meshes through Blender's Python package."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from animate3d.errors import InputError, require
from animate3d.files import existing_file, plain_link
from animate3d.meshes.fbx_check import check_fbx
from animate3d.meshes.fbx_facts import clamped_textures, in_file_order, is_animated
from animate3d.meshes.fbx_tree import Node
from animate3d.meshes.materials import Material, find_texture, image_array, linear_to_srgb, read_texture
from animate3d.meshes.mesh import FAR, Mesh, Part
from animate3d.meshes.mtl import keep_visible
from animate3d.meshes.pieces import join

# Sockets of Blender's Principled BSDF and the textures they stand for.
_SOCKETS = {"Base Color": "diffuse", "Metallic": "metallic", "Roughness": "roughness", "Normal": "normal"}
_SOCKETS |= {"Emission Color": "emissive"}


def load_fbx(path: Path, *, keeps_rig: bool = False) -> Mesh:
    """Read the meshes of an FBX file at rest, in Blender's coordinates: z up, metres. Blender's scene is replaced.

    Objects come in the file's order, one after the other, each with its own vertices in the file's order and its shape
    keys as far as they are on; they and what they hang below are the mesh's parts. A warning says what is left out of
    animation, shape keys and a rig, unless ``keeps_rig`` says that somebody uses that (`animate3d.meshes.fbx_joints`).
    """
    path = existing_file(path, "mesh file")
    objects, rigs, root = imported_objects(path)
    _tell_of_motion(path, objects, [] if keeps_rig else rigs, root)
    wraps = clamped_textures(root)
    materials: dict[Any, Material] = {}
    parts: list[Part] = []
    numbers: dict[str, int] = {}
    part_of = [_add_part(item, parts, numbers) for item in objects]
    mesh = join([mesh_of_object(item, path, materials, wraps) for item in objects], path, parts, part_of).check()
    if any(_is_coarse(item) for item in objects):
        warnings.warn(
            f"{path} lies far from its origin and is read in single precision, which may spoil its shape.", stacklevel=2
        )
    keep_visible(mesh.materials, path)
    return mesh


def _tell_of_motion(path: Path, objects: list[Any], rigs: list[Any], root: Node) -> None:
    """Warn, in one sentence, of what moves the meshes in the file and is not read."""
    dropped = ["animation"] if is_animated(root) else []
    dropped += [f"rig {rigs[0].name!r}"] if rigs else []
    dropped += ["shape keys"] if any(item.data.shape_keys for item in objects) else []
    if dropped:
        *others, last = dropped
        listed = f"{', '.join(others)} and {last}" if others else last
        are = "are" if others or last == "shape keys" else "is"
        warnings.warn(f"{path}: its {listed} {are} left out; the mesh is taken as it stands at rest.", stacklevel=3)


def imported_objects(path: Path) -> tuple[list[Any], list[Any], Node]:
    """Blender's objects of an FBX file at rest, meshes with faces and armatures, and the file's tree.

    Blender's scene is replaced.

    Raises:
        InputError: damaged, or without a mesh.
        MissingDependencyError: Blender's Python package is not installed.
    """
    bpy = require("bpy", feature="Reading FBX", extra="blender")
    try:
        root = check_fbx(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path} is not a readable FBX file, it may be truncated ({error}).") from error
    bpy.ops.wm.read_factory_settings(use_empty=True)
    quiet = io.StringIO()  # the importer reports what it opens, and prints a traceback before it raises
    with plain_link(path) as link, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        try:
            bpy.ops.import_scene.fbx(filepath=str(link), use_anim=False)
        except Exception as error:  # the importer raises whatever a damaged file leads it into
            reason = str(error).strip().splitlines()[-1:] or ["unknown reason"]
            raise InputError(f"{path} is not a readable FBX file, it may be truncated ({reason[0]}).") from error
    bpy.context.view_layer.update()
    made = in_file_order(list(bpy.context.scene.collection.all_objects), root)
    meshes = [item for item in made if item.type == "MESH" and len(item.data.polygons)]
    if not meshes:
        raise InputError(f"{path} holds no mesh with faces.")
    return meshes, [item for item in made if item.type == "ARMATURE"], root


def _is_coarse(item: Any) -> bool:
    """Whether the coordinates inside an object, which Blender holds in single precision, are far from their origin."""
    points = _array(item.data.vertices, "co", 3)
    return bool(np.abs(points).max() > FAR * np.linalg.norm(np.ptp(points, axis=0)))


def _add_part(item: Any, parts: list[Part], numbers: dict[str, int]) -> int:
    """Number of an object's part; its parents, other than bones and rigs, become parts before it."""
    if item.name not in numbers:
        above = item.parent
        while above is not None and above.type == "ARMATURE":
            above = above.parent
        parent = None if above is None else _add_part(above, parts, numbers)
        numbers[item.name] = len(parts)
        parts.append(Part(item.name, parent))
    return numbers[item.name]


def _array(collection: Any, attribute: str, width: int = 1, dtype: type = np.float32) -> np.ndarray:
    values: np.ndarray = np.empty(len(collection) * width, dtype=dtype)
    collection.foreach_get(attribute, values)
    return values.reshape(-1, width) if width > 1 else values


@np.errstate(all="ignore")  # what is not finite is told of by `Mesh.check`
def mesh_of_object(
    item: Any, path: Path, known: dict[Any, Material] | None = None, wraps: dict[str, tuple[str, str]] | None = None
) -> Mesh:
    """A mesh object of Blender's scene in world coordinates.

    Args:
        path: the file it was imported from.
        known: materials that were read already; those of the object are added.
        wraps: how textures are read along u and v, by file name; None for what Blender says.
    """
    known = {} if known is None else known
    data, world = item.data, np.array(item.matrix_world, dtype=np.float64)
    shape = _shape(data)
    vertices = shape @ world[:3, :3].T + world[:3, 3]
    corners = _array(data.loops, "vertex_index", dtype=np.int32).astype(np.int64)
    starts = np.append(_array(data.polygons, "loop_start", dtype=np.int32), len(corners)).astype(np.int64)
    layer = data.uv_layers.active
    uvs = None if layer is None else _array(layer.data, "uv", 2)
    slots = _array(data.polygons, "material_index", dtype=np.int32).astype(np.int64)
    moved = bool((shape != _array(data.vertices, "co", 3)).any())
    normals = None if moved else _normals(data, world[:3, :3])
    if np.linalg.det(world[:3, :3]) < 0:
        corners = _reversed(corners, starts)
        uvs, normals = (None if values is None else _reversed(values, starts) for values in (uvs, normals))
    for source in data.materials:
        if source not in known:
            known[source] = _material(source, path, wraps or {})
    materials = [known[source] for source in data.materials] or [Material("material")]
    colors = _vertex_colors(data, _array(data.loops, "vertex_index", dtype=np.int32))
    slots = slots.clip(0, len(materials) - 1)
    return Mesh(vertices, corners, starts, uvs, normals, slots, materials, colors, "z", None)


def _shape(data: Any) -> np.ndarray:
    """Vertices ``[N, 3]`` with the shape keys as far as they are on."""
    points = _array(data.vertices, "co", 3).astype(np.float64)
    for key in data.shape_keys.key_blocks if data.shape_keys else ():
        if key.value != 0 and key.relative_key != key and not key.mute:
            points += key.value * (
                _array(key.data, "co", 3).astype(np.float64) - _array(key.relative_key.data, "co", 3)
            )
    return points


def _reversed(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Corner values with every polygon walked the other way round."""
    face = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return values[starts[face] + starts[face + 1] - 1 - np.arange(len(values))]


def _vertex_colors(data: Any, loop_vertices: np.ndarray) -> np.ndarray | None:
    attribute = data.color_attributes.active_color
    if attribute is None:
        return None
    values = _array(attribute.data, "color_srgb", 4)[:, :3]
    if attribute.domain == "POINT":
        return values.clip(0, 1)
    n = len(data.vertices)
    sums = np.stack([np.bincount(loop_vertices, values[:, k], n) for k in range(3)], axis=1)
    return (sums / np.maximum(np.bincount(loop_vertices, minlength=n), 1)[:, None]).astype(np.float32).clip(0, 1)


def _normals(data: Any, linear: np.ndarray) -> np.ndarray | None:
    """The file's own normals of the corners ``[K, 3]`` under an object's linear map; None where it has none."""
    if not data.has_custom_normals or np.linalg.det(linear) == 0:
        return None
    turned = _array(data.corner_normals, "vector", 3).astype(np.float64) @ np.linalg.inv(linear)
    turned *= np.sign(np.linalg.det(linear))
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    return (turned / np.maximum(lengths, 1e-30)).astype(np.float32)


def _material(source: Any, path: Path, wraps: dict[str, tuple[str, str]]) -> Material:
    """Our material for one of Blender's; ``path`` names the file in warnings and finds its textures."""
    if source is None:
        return Material("material")
    material = Material(source.name)
    nodes = source.node_tree.nodes if source.node_tree else []
    shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    if shader is None:
        return material
    inputs = shader.inputs
    red, green, blue = linear_to_srgb(np.array(inputs["Base Color"].default_value)[:3]).tolist()
    material.base_color = (red, green, blue, float(inputs["Alpha"].default_value))
    if material.base_color[3] < 1:
        material.alpha_mode = "blend"
    material.metallic = float(inputs["Metallic"].default_value)
    material.roughness = float(inputs["Roughness"].default_value)
    for socket, kind in _SOCKETS.items():
        node = _texture_behind(inputs[socket])
        pixels = None if node is None or node.image is None else _pixels(node.image, path)
        if pixels is not None:
            blender = ("clamp", "clamp") if node.extension == "EXTEND" else ("repeat", "repeat")
            wrap = wraps.get(Path(node.image.filepath).name, blender)
            if wrap != ("repeat", "repeat"):
                material.wraps[kind] = wrap
            single = kind in ("metallic", "roughness")
            material.textures[kind] = pixels[..., :1].copy() if single else pixels
    for link in inputs["Normal"].links:
        if link.from_node.type == "NORMAL_MAP":
            material.normal_scale = float(link.from_node.inputs["Strength"].default_value)
    if "diffuse" in material.textures and not inputs["Alpha"].links and material.alpha_mode is None:
        material.alpha_mode = "opaque"  # the file does not use the texture's alpha
    color, strength = np.array(inputs["Emission Color"].default_value)[:3], inputs["Emission Strength"].default_value
    material.glow(np.full(3, float(strength) or 1.0) if "emissive" in material.textures else color * float(strength))
    return material


def _pixels(image: Any, path: Path) -> np.ndarray | None:
    """An image uint8 ``[H, W, C]``, from inside the file or from its folder."""
    if image.packed_file is not None:
        try:
            return image_array(Image.open(io.BytesIO(image.packed_file.data)))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            warnings.warn(f"{path}: the texture {image.name!r} inside cannot be read; it is left out.", stacklevel=4)
            return None
    name = image.filepath_raw.removeprefix("//") or image.name
    found = find_texture(name, path.parent)
    if found is None:
        warnings.warn(f"{path}: its texture {Path(name).name!r} is not there; it is left out.", stacklevel=4)
        return None
    return read_texture(found)


def _texture_behind(socket: Any) -> Any:
    """The texture node that feeds a socket, directly or through a normal map."""
    for link in socket.links:
        node = link.from_node
        if node.type == "TEX_IMAGE":
            return node
        if node.type == "NORMAL_MAP":
            return _texture_behind(node.inputs["Color"])
    return None
