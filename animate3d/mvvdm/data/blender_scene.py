"""Animated GLB and FBX files as vertex positions over time, evaluated by Blender (armatures, shape keys, modifiers)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError, require
from animate3d.files import existing_file
from animate3d.meshes import Mesh
from animate3d.meshes.fbx import _part as mesh_of_object
from animate3d.meshes.scenes import join


@dataclass(frozen=True)
class AnimatedFile:
    """An imported scene, which lives in Blender until the next import.

    Attributes:
        path: the file.
        start, end: range of the animation, in the scene's frames.
        rate: the scene's frames per second.
    """

    path: Path
    start: float
    end: float
    rate: float

    @property
    def seconds(self) -> float:
        """Length of the animation."""
        return (self.end - self.start) / self.rate

    def evaluate(self, times: Sequence[float]) -> tuple[Mesh, np.ndarray]:
        """The meshes of the scene as one, and where its vertices are at the given times.

        Args:
            times: F seconds from the start of the animation.

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
                mesh = join([mesh_of_object(item) for item in items], self.path).check()
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
