"""FBX meshes through Blender's Python package."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError, require
from animate3d.files import existing_file
from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.scenes import join, linear_to_srgb

# Sockets of Blender's Principled BSDF and the textures they stand for.
_SOCKETS = {"Base Color": "diffuse", "Metallic": "metallic", "Roughness": "roughness", "Normal": "normal"}


def load_fbx(path: Path) -> Mesh:
    """Read the meshes of an FBX file at rest, in Blender's coordinates: z up, metres. Blender's scene is replaced.

    Objects come in the order of their names, one after the other, each with its own vertices in the file's order.
    """
    path = existing_file(path, "mesh file")
    bpy = require("bpy", feature="Reading FBX", extra="blender")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    quiet = io.StringIO()  # the importer reports what it opens, and prints a traceback before it raises
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        try:
            bpy.ops.import_scene.fbx(filepath=str(path), use_anim=False)
        except Exception as error:  # the importer raises whatever a damaged file leads it into
            reason = str(error).strip().splitlines()[-1:] or ["unknown reason"]
            raise InputError(f"{path} is not a readable FBX file, it may be truncated ({reason[0]}).") from error
    bpy.context.view_layer.update()
    objects = [item for item in bpy.data.objects if item.type == "MESH" and len(item.data.polygons)]
    if not objects:
        raise InputError(f"{path} holds no mesh with faces.")
    return join([_part(item) for item in objects], path).check()


def _array(collection: Any, attribute: str, width: int = 1, dtype: type = np.float32) -> np.ndarray:
    values: np.ndarray = np.empty(len(collection) * width, dtype=dtype)
    collection.foreach_get(attribute, values)
    return values.reshape(-1, width) if width > 1 else values


def _part(item: Any) -> Mesh:
    data, world = item.data, np.array(item.matrix_world, dtype=np.float64)
    vertices = _array(data.vertices, "co", 3).astype(np.float64) @ world[:3, :3].T + world[:3, 3]
    corners = _array(data.loops, "vertex_index", dtype=np.int32).astype(np.int64)
    starts = np.append(_array(data.polygons, "loop_start", dtype=np.int32), len(corners)).astype(np.int64)
    layer = data.uv_layers.active
    uvs = None if layer is None else _array(layer.data, "uv", 2)
    slots = _array(data.polygons, "material_index", dtype=np.int32).astype(np.int64)
    if np.linalg.det(world[:3, :3]) < 0:
        corners, uvs = _reversed(corners, starts), None if uvs is None else _reversed(uvs, starts)
    materials = [_material(source) for source in data.materials] or [Material("material")]
    colors = _vertex_colors(data, _array(data.loops, "vertex_index", dtype=np.int32))
    slots = slots.clip(0, len(materials) - 1)
    return Mesh(vertices, corners, starts, uvs, None, slots, materials, colors, "z", None)


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


def _material(source: Any) -> Material:
    if source is None:
        return Material("material")
    material = Material(source.name)
    nodes = source.node_tree.nodes if source.node_tree else []
    shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    if shader is None:
        return material
    base = np.array(shader.inputs["Base Color"].default_value)
    red, green, blue = linear_to_srgb(base[:3]).tolist()
    material.base_color = (red, green, blue, float(shader.inputs["Alpha"].default_value))
    material.metallic = float(shader.inputs["Metallic"].default_value)
    material.roughness = float(shader.inputs["Roughness"].default_value)
    for socket, kind in _SOCKETS.items():
        image = _image_behind(shader.inputs[socket])
        if image is not None and image.size[0] > 0:
            width, height = image.size
            pixels = np.empty(width * height * image.channels, dtype=np.float32)
            image.pixels.foreach_get(pixels)
            values = (pixels.reshape(height, width, image.channels)[::-1] * 255 + 0.5).clip(0, 255).astype(np.uint8)
            single = kind in ("metallic", "roughness")
            material.textures[kind] = values[..., :1].copy() if single else values
    return material


def _image_behind(socket: Any) -> Any:
    """Image of the texture node that feeds a socket, directly or through a normal map."""
    for link in socket.links:
        node = link.from_node
        if node.type == "TEX_IMAGE":
            return node.image
        if node.type == "NORMAL_MAP":
            return _image_behind(node.inputs["Color"])
    return None
