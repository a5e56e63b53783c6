"""Builds an animated mesh in Blender and exports it.

This file runs in two places and therefore imports nothing of this package: in this Python when `bpy` is installed
(`run` is called), and inside a Blender executable (``blender --background --python blender_script.py -- FOLDER``).

A job is a dictionary of

- ``format`` ("fbx" or "abc"), ``output``, ``scene`` (its name), ``fps``, ``up_axis``, ``target_names``;
- ``objects``: name, ``parent`` (number of an object before it, or None), ``mesh`` (its number, or None);
- ``meshes``: their names, ``materials`` (numbers of those they use, in the order of their slots);
- ``materials``: name, base_color, alpha, metallic, roughness, emissive, normal_scale, and textures (kind -> file);
- arrays: ``weights`` [F, M], ``location`` [3] of the objects without a parent, and for mesh k ``k.base`` [N, 3],
  ``k.targets`` [M, N, 3] (or [0, N, 3] where nothing moves, or [M, 0, 3] for keys that only have names),
  ``k.corners`` [K], ``k.face_starts`` [P + 1],
  ``k.face_slots`` [P], ``k.normals`` [K, 3], and where there are any ``k.uvs`` [K, 2], ``k.colors`` [N, 3] or
  ``k.corner_colors`` [K, 3] (linear).

With a skeleton there are ``bones`` (name, ``parent``), their ``bone_matrices`` [B, 4, 4] and ``bone_lengths`` [B] at
rest, ``bone_moves`` [F, B, 4, 4] of the rest pose's points, and for mesh k ``k.influences`` and ``k.shares`` [N, 4].
"""

from __future__ import annotations

import json
import math
import os
import sys
from itertools import pairwise
from typing import Any

import numpy as np

_LINEAR = 1  # Blender's number for the interpolation of a key


def run(job: dict[str, Any]) -> None:
    """Build the scene of a job, export it and leave Blender as it was."""
    import bpy

    scene = bpy.data.scenes.new(job["scene"])
    made: list[Any] = [scene]
    try:
        _set_time(scene, job["fps"], len(job["weights"]))
        materials = [_material(bpy, entry, made) for entry in job["materials"]]
        meshes = [_mesh(bpy, job, number, materials, made) for number in range(len(job["meshes"]))]
        armature = _armature(bpy, scene, job, made) if "bones" in job else None
        objects: list[Any] = []
        for entry in job["objects"]:
            data = None if entry["mesh"] is None else meshes[entry["mesh"]]
            item = bpy.data.objects.new(entry["name"], data)
            made.append(item)
            objects.append(item)
            scene.collection.objects.link(item)
            if entry["parent"] is not None:
                item.parent = objects[entry["parent"]]
            elif armature is not None:
                item.parent = armature
            # The matrix itself: what exporters ask for is not worked out of rotations in a scene that no window shows.
            item.matrix_world = _world(job)
            if entry["mesh"] is not None:
                _shape_keys(item, job, entry["mesh"], made)
            if armature is not None:
                _follow(item, job, entry["mesh"], armature)
        with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            scene.frame_set(0)
            _EXPORTERS[job["format"]](bpy, job)
    finally:
        bpy.data.batch_remove(made)


def _world(job: dict[str, Any]) -> Any:
    """Where all objects stand.

    Coordinates stay those of the file; a y-up object stands upright in Blender's z-up world, and the exporters, which
    write y-up files, turn it back.
    """
    from mathutils import Matrix

    x, y, z = job["location"].tolist()
    turned = [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0]] if job["up_axis"] == "y" else [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    return Matrix([[1.0, 0.0, 0.0, x], [*turned[0], y], [*turned[1], z], [0.0, 0.0, 0.0, 1.0]])


def _set_time(scene: Any, fps: float, frames: int) -> None:
    """Frames 0..F-1; Blender's rate is a whole number divided by a base."""
    whole = max(1, round(fps))
    scene.render.fps = whole
    scene.render.fps_base = whole / fps
    scene.frame_start = 0
    scene.frame_end = frames - 1


def _mesh(bpy: Any, job: dict[str, Any], number: int, materials: list[Any], made: list[Any]) -> Any:
    entry = job["meshes"][number]
    mesh = bpy.data.meshes.new(entry["name"])
    made.append(mesh)
    base, corners, starts = (job[f"{number}.{key}"] for key in ("base", "corners", "face_starts"))
    mesh.vertices.add(len(base))
    mesh.vertices.foreach_set("co", _flat(base))
    mesh.loops.add(len(corners))
    mesh.loops.foreach_set("vertex_index", corners.astype(np.int32))
    mesh.polygons.add(len(starts) - 1)
    mesh.polygons.foreach_set("loop_start", starts[:-1].astype(np.int32))
    mesh.update(calc_edges=True)
    for material in entry["materials"]:
        mesh.materials.append(materials[material])
    mesh.polygons.foreach_set("material_index", job[f"{number}.face_slots"].astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(starts) - 1, dtype=bool))
    if f"{number}.uvs" in job:
        mesh.uv_layers.new(name="UVMap", do_init=False).data.foreach_set("uv", _flat(job[f"{number}.uvs"]))
    for key, domain in (("colors", "POINT"), ("corner_colors", "CORNER")):
        if f"{number}.{key}" not in job:
            continue
        layer = mesh.color_attributes.new("Color", "FLOAT_COLOR", domain)
        colors = np.pad(job[f"{number}.{key}"], ((0, 0), (0, 1)), constant_values=1.0)
        layer.data.foreach_set("color", _flat(colors))
        mesh.color_attributes.active_color = layer
    mesh.normals_split_custom_set(job[f"{number}.normals"].tolist())
    mesh.update()
    return mesh


def _shape_keys(item: Any, job: dict[str, Any], number: int, made: list[Any]) -> None:
    """One key per target, all coordinates in one call, and a linear curve of its weights."""
    base, targets, weights = job[f"{number}.base"], job[f"{number}.targets"], job["weights"]
    if not len(targets):
        return
    item.shape_key_add(name="Basis")
    keys = []
    for name, target in zip(job["target_names"], targets, strict=True):
        key = item.shape_key_add(name=name, from_mix=False)
        if len(target):
            key.points.foreach_set("co", _flat(base + target))
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


def _armature(bpy: Any, scene: Any, job: dict[str, Any], made: list[Any]) -> Any:
    """An armature with the bones at rest and a key for every frame."""
    from mathutils import Matrix

    data = bpy.data.armatures.new("armature_0")
    item = bpy.data.objects.new("armature_0", data)
    made += [data, item]
    scene.collection.objects.link(item)
    item.matrix_world = _world(job)
    layer = scene.view_layers[0]
    layer.objects.active = item
    with bpy.context.temp_override(scene=scene, view_layer=layer, object=item, active_object=item):
        bpy.ops.object.mode_set(mode="EDIT")
        edited: list[Any] = []
        for entry, matrix, length in zip(job["bones"], job["bone_matrices"], job["bone_lengths"], strict=True):
            bone = data.edit_bones.new(entry["name"])
            bone.tail = (0.0, float(length), 0.0)
            bone.matrix = Matrix(matrix.tolist())
            bone.parent = edited[entry["parent"]] if entry["parent"] >= 0 else None
            edited.append(bone)
        bpy.ops.object.mode_set(mode="OBJECT")
    if len(job["bone_moves"]) > 1:
        _bone_keys(item, job, made)
    return item


def _bone_keys(item: Any, job: dict[str, Any], made: list[Any]) -> None:
    """Every bone's place and turn against its rest: M^-1 T'^-1 T M for what it does, T, and its parent, T'."""
    from mathutils import Matrix

    moves = job["bone_moves"]
    frames = np.arange(len(moves), dtype=np.float32)
    for number, entry in enumerate(job["bones"]):
        bone = item.pose.bones[entry["name"]]
        rest = np.array(bone.bone.matrix_local, dtype=np.float64)
        above = moves[:, entry["parent"]] if entry["parent"] >= 0 else np.broadcast_to(np.eye(4), moves[:, 0].shape)
        basis = np.linalg.inv(rest) @ np.linalg.inv(above) @ moves[:, number] @ rest
        turns = [Matrix(matrix.tolist()).to_quaternion() for matrix in basis]
        for before, turn in pairwise(turns):
            turn.make_compatible(before)
        bone.rotation_mode = "QUATERNION"
        bone.keyframe_insert("location", frame=0)
        bone.keyframe_insert("rotation_quaternion", frame=0)
        channels = {"location": basis[:, :3, 3], "rotation_quaternion": np.array([list(turn) for turn in turns])}
        paths = {bone.path_from_id(name): values for name, values in channels.items()}
        for curve in _curves(item.animation_data):
            if curve.data_path in paths:
                points = curve.keyframe_points
                points.add(len(frames) - 1)
                values = paths[curve.data_path][:, curve.array_index]
                points.foreach_set("co", _flat(np.stack([frames, values], axis=1)))
                points.foreach_set("interpolation", np.full(len(frames), _LINEAR, dtype=np.int32))
    made.append(item.animation_data.action)


def _follow(item: Any, job: dict[str, Any], number: int, armature: Any) -> None:
    """Let a mesh be moved by the bones."""
    influences, shares = job[f"{number}.influences"], job[f"{number}.shares"]
    for bone, entry in enumerate(job["bones"]):
        group = item.vertex_groups.new(name=entry["name"])
        for column in range(influences.shape[1]):
            rows = np.flatnonzero((influences[:, column] == bone) & (shares[:, column] > 0))
            values = shares[rows, column]
            order = np.argsort(values, kind="stable")
            # One call for all vertices of one weight: most are moved by one bone alone.
            weights, starts = np.unique(values[order], return_index=True)
            for weight, first, end in zip(weights.tolist(), starts, [*starts[1:], len(rows)], strict=False):
                group.add(rows[order][first:end].tolist(), weight, "REPLACE")
    modifier = item.modifiers.new("armature", "ARMATURE")
    modifier.object = armature


def _curves(animation: Any) -> Any:
    action = animation.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    return action.layers[0].strips[0].channelbag(animation.action_slot).fcurves  # Blender 5


def _material(bpy: Any, entry: dict[str, Any], made: list[Any]) -> Any:
    """Textures go into Base Color, Metallic, Roughness, Emission Color, and through a Normal Map into Normal."""
    material = bpy.data.materials.new(entry["name"])
    made.append(material)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    surface = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    surface.inputs["Base Color"].default_value = entry["base_color"]
    surface.inputs["Alpha"].default_value = entry["base_color"][3]
    surface.inputs["Metallic"].default_value = entry["metallic"]
    surface.inputs["Roughness"].default_value = entry["roughness"]
    strength = max(entry["emissive"])
    if strength > 0:
        surface.inputs["Emission Color"].default_value = [*(value / strength for value in entry["emissive"]), 1.0]
        surface.inputs["Emission Strength"].default_value = strength

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
        return node

    sockets = {"diffuse": "Base Color", "metallic": "Metallic", "roughness": "Roughness", "emissive": "Emission Color"}
    for kind, socket in sockets.items():
        node = texture(kind)
        if node is not None:
            links.new(node.outputs["Color"], surface.inputs[socket])
            if kind == "diffuse" and entry["alpha"]:
                links.new(node.outputs["Alpha"], surface.inputs["Alpha"])
    normal = texture("normal")
    if normal is not None:
        node = nodes.new("ShaderNodeNormalMap")
        node.inputs["Strength"].default_value = entry["normal_scale"]
        links.new(normal.outputs["Color"], node.inputs["Color"])
        links.new(node.outputs["Normal"], surface.inputs["Normal"])
    if entry["colored"]:
        node = nodes.new("ShaderNodeVertexColor")
        node.layer_name = "Color"
        links.new(node.outputs["Color"], surface.inputs["Base Color"])
    return material


def _export_fbx(bpy: Any, job: dict[str, Any]) -> None:
    _enable_addon("io_scene_fbx", bpy)
    bpy.ops.export_scene.fbx(
        filepath=job["output"],
        object_types={"MESH", "EMPTY", "ARMATURE"},
        add_leaf_bones=False,
        apply_scale_options="FBX_SCALE_ALL",
        use_mesh_modifiers=False,
        mesh_smooth_type="FACE",
        colors_type="SRGB",
        path_mode="COPY",
        embed_textures=True,
        bake_anim=job["weights"].shape[1] > 0 or len(job.get("bone_moves", ())) > 1,
        bake_anim_use_all_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_force_startend_keying=False,
        bake_anim_step=1.0,
        # Of bones every key is kept: they are not put right like those of shapes.
        bake_anim_simplify_factor=0.0
        if "bones" in job
        else 1e-4,  # no curves of what rests; the keys are put right afterwards
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
    """Run the job in the folder given after ``--``: ``job.json`` and a ``.npy`` for every array."""
    folder = sys.argv[sys.argv.index("--") + 1]
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    for name in os.listdir(folder):
        if name.endswith(".npy"):
            job[name.removesuffix(".npy")] = np.load(os.path.join(folder, name), allow_pickle=False)
    run(job)


if __name__ == "__main__":
    main()
