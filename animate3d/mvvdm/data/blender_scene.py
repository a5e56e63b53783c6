"""Animated GLB and FBX files as vertex positions over time, evaluated by Blender (armatures, shape keys, modifiers)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError, require
from animate3d.files import existing_file
from animate3d.meshes import Mesh
from animate3d.meshes.fbx import mesh_of_object
from animate3d.meshes.materials import linear_to_srgb
from animate3d.meshes.pieces import join


@dataclass(frozen=True)
class AnimatedFile:
    """An imported scene, which lives in Blender until the next import, with the range and the rate of its frames."""

    path: Path
    start: float
    end: float
    rate: float

    @property
    def seconds(self) -> float:
        """Length of the animation."""
        return (self.end - self.start) / self.rate

    def evaluate(self, times: Sequence[float]) -> tuple[Mesh, np.ndarray]:
        """The meshes of the scene as one, and where its vertices are at F times in seconds from the animation's start.

        Returns:
            the mesh at the first time (faces, UVs, materials), and positions ``[F, N, 3]`` float64, Blender's axes.

        Raises:
            InputError: the number of vertices changes.
        """
        import bpy

        scene = bpy.context.scene
        mesh: Mesh | None = None
        positions = []
        for time in times:
            frame = self.start + time * self.rate
            scene.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
            graph = bpy.context.evaluated_depsgraph_get()
            items = [item.evaluated_get(graph) for item in _mesh_objects(bpy)]
            if mesh is None:
                meshes = [_with_gltf_colors(mesh_of_object(item, self.path), item) for item in items]
                mesh = join(meshes, self.path).check()
            points = np.concatenate([_world_points(item) for item in items])
            if len(points) != mesh.n_vertices:
                raise InputError(
                    f"{self.path}: the number of vertices changes from {mesh.n_vertices} to {len(points)}; "
                    "apply modifiers that change the topology before exporting."
                )
            positions.append(points)
        if mesh is None:
            raise InputError("No time is given.")
        return mesh, np.stack(positions)


def open_animation(path: Path) -> AnimatedFile:
    """Import a GLB, glTF or FBX file into Blender, replacing its scene.

    Raises:
        InputError: unknown suffix, a damaged file, no mesh or no animation.
        MissingDependencyError: without bpy.
    """
    path = existing_file(path, "animated file")
    bpy = require("bpy", feature="Rendering animated files", extra="blender")
    suffix = path.suffix.lower()
    if suffix not in (".glb", ".gltf", ".fbx"):
        raise InputError(f"{path} is neither .glb, .gltf nor .fbx.")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        try:
            if suffix == ".fbx":
                bpy.ops.import_scene.fbx(filepath=str(path))
            else:
                bpy.ops.import_scene.gltf(filepath=str(path))
        except Exception as error:  # the importers raise whatever a damaged file leads them into
            reason = str(error).strip().splitlines()[-1:] or ["unknown reason"]
            raise InputError(f"{path} is not a readable {suffix[1:]} file ({reason[0]}).") from error
    if not _mesh_objects(bpy):
        raise InputError(f"{path} holds no mesh with faces.")
    ranges = [tuple(action.frame_range) for action in _actions(bpy)]
    start, end = min((r[0] for r in ranges), default=0.0), max((r[1] for r in ranges), default=0.0)
    if not end > start:
        raise InputError(f"{path} holds no animation.")
    render = bpy.context.scene.render
    return AnimatedFile(path, float(start), float(end), render.fps / render.fps_base)


def _mesh_objects(bpy: Any) -> list[Any]:
    """Objects that are drawn, by name; not the shapes that the importers give to bones."""
    bone_shapes = {
        bone.custom_shape.name
        for item in bpy.data.objects
        if item.type == "ARMATURE"
        for bone in item.pose.bones
        if bone.custom_shape
    }
    drawn = (item for item in bpy.context.scene.objects if item.type == "MESH" and not item.hide_render)
    return sorted(
        (item for item in drawn if len(item.data.polygons) and item.name not in bone_shapes), key=lambda item: item.name
    )


def _actions(bpy: Any) -> list[Any]:
    """Actions that move something: of objects and of shape keys, active or in tracks that are not muted."""
    owners = list(bpy.context.scene.objects)
    owners += [item.data.shape_keys for item in owners if item.type == "MESH" and item.data.shape_keys]
    actions = []
    for owner in owners:
        animation = owner.animation_data
        if animation is None:
            continue
        if animation.action:
            actions.append(animation.action)
        else:
            strips = (strip for track in animation.nla_tracks if not track.mute for strip in track.strips)
            actions += [strip.action for strip in strips if strip.action]
    return actions


def _world_points(item: Any) -> np.ndarray:
    values = np.empty(len(item.data.vertices) * 3, dtype=np.float32)
    item.data.vertices.foreach_get("co", values)
    world = np.array(item.matrix_world, dtype=np.float64)
    return values.reshape(-1, 3).astype(np.float64) @ world[:3, :3].T + world[:3, 3]


def _with_gltf_colors(mesh: Mesh, item: Any) -> Mesh:
    """Base colours as glTF means them: texture times factor times vertex colours.

    Blender's importer expresses the product by nodes, behind which neither texture nor factor is found directly.
    """
    factors = []
    for material, source in zip(mesh.materials, item.data.materials, strict=False):
        nodes = source.node_tree.nodes if source is not None and source.node_tree else []
        shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
        if shader is None or not shader.inputs["Base Color"].is_linked:
            continue
        image, factor = _product(shader.inputs["Base Color"])
        shade = linear_to_srgb(factor)
        factors.append(shade)
        red, green, blue = shade.tolist()
        material.base_color = (red, green, blue, material.base_color[3])
        if image is not None and image.size[0] > 0:
            width, height = image.size
            pixels = np.empty(width * height * image.channels, dtype=np.float32)
            image.pixels.foreach_get(pixels)
            texture = pixels.reshape(height, width, image.channels)[::-1, :, :3] * shade[: image.channels]
            material.textures["diffuse"] = (texture * 255 + 0.5).clip(0, 255).astype(np.uint8)
    colors = mesh.vertex_colors
    if colors is None:
        return mesh
    if any("diffuse" in material.textures for material in mesh.materials) or (colors > 0.999).all():
        return replace(mesh, vertex_colors=None)
    if len(factors) == len(mesh.materials) == 1:
        return replace(mesh, vertex_colors=(colors * factors[0]).astype(np.float32))
    return mesh


def _product(socket: Any) -> tuple[Any, np.ndarray]:
    """The image behind a colour socket and the constant (linear rgb) it is multiplied with."""
    if not socket.is_linked:
        return None, np.array(socket.default_value[:3])
    node = socket.links[0].from_node
    if node.type == "TEX_IMAGE":
        return node.image, np.ones(3)
    factor: np.ndarray = np.ones(3)
    image = None
    if node.type in ("MIX", "MIX_RGB") and node.blend_type == "MULTIPLY":
        for side in node.inputs:
            if side.type == "RGBA" and side.enabled:
                found, constant = _product(side)
                image, factor = image or found, factor * constant
    return image, factor
