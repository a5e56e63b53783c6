"""Builds an animated mesh in Blender and exports it.

This file runs in two places and therefore imports nothing of this package: in this Python when `bpy` is installed
(`run` is called), and inside a Blender executable (``blender --background --python blender_script.py -- FOLDER``).

A job is a dictionary of

- ``format`` ("fbx" or "abc"), ``output``, ``name``, ``fps``, ``up_axis``;
- ``materials``: name, base_color, metallic, roughness, and textures (kind -> file);
- arrays ``base`` [N, 3], ``targets`` [M, N, 3], ``weights`` [F, M], ``corners`` [K], ``face_starts`` [P + 1],
  ``face_materials`` [P], and where the mesh has them ``uvs`` [K, 2], ``normals`` [K, 3], ``colors`` [N, 3] (linear).
"""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import numpy as np

_LINEAR = 1  # Blender's number for the interpolation of a key


def run(job: dict[str, Any]) -> None:
    """Build the scene of a job, export it and leave Blender as it was."""
    import bpy

    scene = bpy.data.scenes.new("Animate3D")
    made: list[Any] = [scene]
    try:
        _set_time(scene, job["fps"], len(job["weights"]))
        mesh = _mesh(bpy, job, made)
        item = bpy.data.objects.new(job["name"], mesh)
        made.append(item)
        if job["up_axis"] == "y":
            # Coordinates stay those of the file; the object stands upright in Blender's z-up world, and the
            # exporters, which write y-up files, turn it back.
            item.rotation_euler = (math.pi / 2, 0.0, 0.0)
        scene.collection.objects.link(item)
        _shape_keys(item, job, made)
        scene.frame_set(0)
        with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            _EXPORTERS[job["format"]](bpy, job)
    finally:
        bpy.data.batch_remove(made)


def _set_time(scene: Any, fps: float, frames: int) -> None:
    """Frames 0..F-1; Blender's rate is a whole number divided by a base."""
    whole = max(1, round(fps))
    scene.render.fps = whole
    scene.render.fps_base = whole / fps
    scene.frame_start = 0
    scene.frame_end = frames - 1


def _mesh(bpy: Any, job: dict[str, Any], made: list[Any]) -> Any:
    mesh = bpy.data.meshes.new(job["name"])
    made.append(mesh)
    starts = job["face_starts"].astype(np.int32)
    mesh.vertices.add(len(job["base"]))
    mesh.vertices.foreach_set("co", _flat(job["base"]))
    mesh.loops.add(len(job["corners"]))
    mesh.loops.foreach_set("vertex_index", job["corners"].astype(np.int32))
    mesh.polygons.add(len(starts) - 1)
    mesh.polygons.foreach_set("loop_start", starts[:-1])
    mesh.update(calc_edges=True)
    for material in job["materials"]:
        mesh.materials.append(_material(bpy, material, "colors" in job, made))
    mesh.polygons.foreach_set("material_index", job["face_materials"].astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(starts) - 1, dtype=bool))
    if "uvs" in job:
        mesh.uv_layers.new(name="UVMap", do_init=False).data.foreach_set("uv", _flat(job["uvs"]))
    if "colors" in job:
        layer = mesh.color_attributes.new("Color", "FLOAT_COLOR", "POINT")
        layer.data.foreach_set("color", _flat(np.pad(job["colors"], ((0, 0), (0, 1)), constant_values=1.0)))
        mesh.color_attributes.active_color = layer
    if "normals" in job:
        mesh.normals_split_custom_set(job["normals"].tolist())
    mesh.update()
    return mesh


def _shape_keys(item: Any, job: dict[str, Any], made: list[Any]) -> None:
    """One key per target, all coordinates in one call, and a linear curve of its weights."""
    weights = job["weights"]
    if not weights.shape[1]:
        return
    item.shape_key_add(name="Basis")
    keys = []
    for name, target in zip(job["target_names"], job["targets"], strict=True):
        key = item.shape_key_add(name=name, from_mix=False)
        key.points.foreach_set("co", _flat(job["base"] + target))
        keys.append(key)
    frames = np.arange(len(weights), dtype=np.float32)
    for key, values in zip(keys, weights.T, strict=True):
        key.slider_min = min(0.0, math.floor(values.min()))
        key.slider_max = max(1.0, math.ceil(values.max()))
        key.keyframe_insert("value", frame=0)
    animation = item.data.shape_keys.animation_data
    made.append(animation.action)
    curves = {curve.data_path: curve for curve in _curves(animation)}
    for key, values in zip(keys, weights.T, strict=True):
        points = curves[key.path_from_id("value")].keyframe_points
        points.add(len(values) - 1)
        points.foreach_set("co", _flat(np.stack([frames, values], axis=1)))
        points.foreach_set("interpolation", np.full(len(values), _LINEAR, dtype=np.int32))


def _curves(animation: Any) -> Any:
    action = animation.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    return action.layers[0].strips[0].channelbag(animation.action_slot).fcurves  # Blender 5


def _material(bpy: Any, entry: dict[str, Any], colored: bool, made: list[Any]) -> Any:
    """Diffuse -> Base Color, metallic -> Metallic, roughness -> Roughness, normal -> Normal Map -> Normal."""
    material = bpy.data.materials.new(entry["name"])
    made.append(material)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    surface = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    surface.inputs["Base Color"].default_value = entry["base_color"]
    surface.inputs["Alpha"].default_value = entry["base_color"][3]
    surface.inputs["Metallic"].default_value = entry["metallic"]
    surface.inputs["Roughness"].default_value = entry["roughness"]

    def texture(kind: str) -> Any:
        file = entry["textures"].get(kind)
        if file is None:
            return None
        node = nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(file, check_existing=True)
        if node.image not in made:
            made.append(node.image)
            node.image.pack()
        if kind not in ("diffuse", "emissive"):
            node.image.colorspace_settings.name = "Non-Color"
        return node.outputs["Color"]

    sockets = {"diffuse": "Base Color", "metallic": "Metallic", "roughness": "Roughness", "emissive": "Emission Color"}
    for kind, socket in sockets.items():
        output = texture(kind)
        if output is not None:
            links.new(output, surface.inputs[socket])
    if "emissive" in entry["textures"]:
        surface.inputs["Emission Strength"].default_value = 1.0
    normal = texture("normal")
    if normal is not None:
        node = nodes.new("ShaderNodeNormalMap")
        links.new(normal, node.inputs["Color"])
        links.new(node.outputs["Normal"], surface.inputs["Normal"])
    if colored and "diffuse" not in entry["textures"]:
        node = nodes.new("ShaderNodeVertexColor")
        node.layer_name = "Color"
        links.new(node.outputs["Color"], surface.inputs["Base Color"])
    return material


def _export_fbx(bpy: Any, job: dict[str, Any]) -> None:
    _enable_addon("io_scene_fbx", bpy)
    bpy.ops.export_scene.fbx(
        filepath=job["output"],
        object_types={"MESH"},
        use_mesh_modifiers=False,
        mesh_smooth_type="FACE",
        colors_type="SRGB",
        path_mode="COPY",
        embed_textures=True,
        bake_anim=job["weights"].shape[1] > 0,
        bake_anim_use_all_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_force_startend_keying=True,
        bake_anim_step=1.0,
        bake_anim_simplify_factor=0.0,  # exact: no key is dropped
        axis_forward="-Z",
        axis_up="Y",
    )


def _export_alembic(bpy: Any, job: dict[str, Any]) -> None:
    bpy.ops.wm.alembic_export(
        filepath=job["output"],
        start=0,
        end=len(job["weights"]) - 1,
        uvs=True,
        normals=True,
        vcolors=True,
        face_sets=True,
        as_background_job=False,
        evaluation_mode="RENDER",
    )


_EXPORTERS = {"fbx": _export_fbx, "abc": _export_alembic}


def _enable_addon(name: str, bpy: Any) -> None:
    import addon_utils

    if name not in bpy.context.preferences.addons:
        addon_utils.enable(name, default_set=False)


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32).reshape(-1)


def main() -> None:
    """Run the job in the folder given after ``--``: ``job.json`` and ``arrays.npz``."""
    folder = sys.argv[sys.argv.index("--") + 1]
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    with np.load(os.path.join(folder, "arrays.npz"), allow_pickle=False) as arrays:
        job.update(arrays)
    run(job)


if __name__ == "__main__":
    main()
