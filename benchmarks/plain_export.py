"""FBX export written plainly: shape keys filled one vertex at a time, as the original tool does.

The benchmark compares with it and a test uses it as an oracle. The scene and the exporter's settings are those of
`animate3d.export.blender_script`; only the way coordinates and keys are written differs.
"""

from __future__ import annotations

import bpy
import numpy as np


def add_mesh(vertices: np.ndarray, polygons: list[list[int]]) -> bpy.types.Object:
    """An object with a mesh, linked to the open scene."""
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata([tuple(vertex) for vertex in vertices.tolist()], [], polygons)
    item = bpy.data.objects.new("mesh", mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def write_shape_keys(item: bpy.types.Object, trajectory: np.ndarray) -> None:
    """One shape key per frame ``[F, N, 3]``, written vertex by vertex."""
    item.shape_key_add(name="Basis")
    for frame in range(1, len(trajectory)):
        key = item.shape_key_add(name=f"frame_{frame:04d}", from_mix=False)
        for index, position in enumerate(trajectory[frame]):
            key.data[index].co = position


def write_keyframes(item: bpy.types.Object, frames: int) -> None:
    """Frame k shows key k."""
    for frame in range(1, frames):
        key = item.data.shape_keys.key_blocks[frame]
        for when, value in ((frame - 1, 0.0), (frame, 1.0), (frame + 1, 0.0)):
            key.value = value
            key.keyframe_insert("value", frame=when)


def export_plainly(trajectory: np.ndarray, polygons: list[list[int]], path: str) -> None:
    """Write an FBX of the trajectory ``[F, N, 3]`` from an empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    item = add_mesh(trajectory[0], polygons)
    write_shape_keys(item, trajectory)
    write_keyframes(item, len(trajectory))
    bpy.context.scene.frame_start = 0
    bpy.context.scene.frame_end = len(trajectory) - 1
    bpy.ops.export_scene.fbx(
        filepath=path,
        use_mesh_modifiers=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
    )
