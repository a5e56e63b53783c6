"""The rig of the input's own file, its joints turned as the trajectory goes; names, hierarchy and weights stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from animate3d.errors import InputError
from animate3d.export.skeleton.find import MAX_ERROR, MEAN_ERROR
from animate3d.export.skeleton.rig import Rig, Skinned, judged, storable
from animate3d.export.skeleton.tied import tied_pose
from animate3d.meshes.fbx_joints import load_fbx_joints
from animate3d.meshes.gltf import load_joints
from animate3d.meshes.joints import Joints
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.objects import unique_names
from animate3d.meshes.placement import Placement
from animate3d.motion.surfaces import Array, Ids, nearest_rotations


def kept_skeleton(mesh: Mesh, positions: Array) -> Skinned:
    """Turn the joints of the mesh's file, frame by frame; they stay in their places (`tied_pose`).

    Args:
        positions: ``[F, N, 3]``, frame 0 the rest pose.

    Raises:
        InputError: see `rig_of`.
    """
    found = rig_of(mesh)
    return fitted_rig(placed_joints(found, mesh.origin, Placement.identity()), mesh.welded(), positions)


def placed_joints(found: Joints, origin: Array, placement: Placement) -> Joints:
    """Joints in the file's coordinates, where a placement of the mesh, which has an origin of its own, takes them."""
    matrices = np.array(found.matrices)
    matrices[:, :3, 3] = placement.apply(found.matrices[:, :3, 3] - origin)
    matrices[:, :3, :3] = placement.rotation @ found.matrices[:, :3, :3]
    return replace(found, matrices=matrices)


def fitted_rig(found: Joints, same: Ids, positions: Array) -> Skinned:
    """The joints turned as the trajectory ``[F, N, 3]`` wants it, whose vertices of equal number ``[N]`` coincide."""
    influences, weights = _for_copies(found, same)
    dense = np.zeros((len(weights), len(found.names)))
    for bones, shares in zip(influences.T, weights.T, strict=True):
        dense[np.arange(len(dense)), bones] += shares
    pose = tied_pose(positions, dense, found.parents, found.matrices[:, :3, 3])
    rig = Rig(
        names=unique_names(found.names),  # by which joints are found
        parents=found.parents,
        joints=found.matrices[:, :3, 3],
        axes=nearest_rotations(found.matrices[:, :3, :3]),
        rotations=pose.rotations,
        translations=pose.translations,
        influences=influences,
        weights=weights,
    )
    kept = judged(rig, positions)
    return replace(kept, note=_told(kept, pose.sliding))


def rig_of(mesh: Mesh) -> Joints:
    """The rig of the mesh's file.

    Raises:
        InputError: the mesh does not come from a glTF or FBX file, the file has no rig, or it was changed since.
    """
    source = mesh.source
    kind = "" if source is None else source.suffix.lower()
    if source is None or kind not in (".glb", ".gltf", ".fbx"):
        raise InputError(
            f"--skeleton keep keeps the rig of a glTF or FBX file, and {source or 'this mesh'} is none; save it as "
            ".glb (Blender does), or take --skeleton auto."
        )
    found = load_fbx_joints(source) if kind == ".fbx" else load_joints(source)
    if found is None:
        raise InputError(f"{source} has no rig to keep; take --skeleton auto.")
    if len(found.weights) != mesh.n_vertices:
        raise InputError(f"{source} has {len(found.weights)} vertices, the mesh {mesh.n_vertices}: it was changed.")
    return found


def _carried(bone: int, parents: Ids, sliding: np.ndarray) -> bool:
    """Whether a joint hangs on one that moves: the topmost of a tree goes where it likes."""
    above = parents[bone]
    while above >= 0:
        if sliding[above]:
            return True
        above = parents[above]
    return False


def _told(kept: Skinned, sliding: np.ndarray) -> str:
    slid = [kept.rig.names[bone] for bone in np.flatnonzero(sliding) if _carried(bone, kept.rig.parents, sliding)]
    told = "joints stay in their places"
    if slid:
        told += f" but for {', '.join(slid[:4])}{f' and {len(slid) - 4} more' if len(slid) > 4 else ''}"
    if kept.mean_error > MEAN_ERROR or kept.max_error > MAX_ERROR:
        told += "; the rig does not follow all of the motion, --skeleton auto comes nearer"
    return told


def _for_copies(found: Joints, same: Ids) -> tuple[Ids, np.ndarray]:
    """Bones and weights ``[N, 4]``, the same for vertices that coincide."""
    weights = np.where(found.weights.sum(axis=1, keepdims=True) > 0, found.weights, [1.0, 0, 0, 0])
    influences, values = storable(found.influences, weights)
    return influences[same], values[same]
