"""The rig of the input's own file, its joints fitted to the trajectory; names, hierarchy and weights stay."""

from __future__ import annotations

import numpy as np

from animate3d.errors import InputError
from animate3d.export.skeleton.refine import fitted_bones
from animate3d.export.skeleton.rig import Rig, Skinned, judged, storable
from animate3d.meshes.fbx_joints import load_fbx_joints
from animate3d.meshes.gltf import load_joints
from animate3d.meshes.joints import Joints
from animate3d.meshes.mesh import Mesh
from animate3d.motion.surfaces import Array, Ids, nearest_rotations

_FAST, _ROUNDS = 2, 15
_MOST, _GAIN = 16, 0.02  # times so many rounds, as long as each time takes off such a share of the error
_ENOUGH = 1e-6  # of the diagonal
_FRAMES_AT_ONCE = 32


def kept_skeleton(mesh: Mesh, positions: Array) -> Skinned:
    """Fit the joints of the mesh's file, frame by frame, each turned and moved as a whole.

    Args:
        positions: ``[F, N, 3]``, frame 0 the rest pose.

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
    influences, weights = _for_copies(mesh, found)
    dense = np.zeros((len(weights), len(found.names)))
    for bones, shares in zip(influences.T, weights.T, strict=True):
        dense[np.arange(len(dense)), bones] += shares
    rotations, translations = _fitted(positions, dense, found.parents)
    rig = Rig(
        names=_different(found.names),
        parents=found.parents,
        joints=found.matrices[:, :3, 3] - mesh.origin,
        axes=nearest_rotations(found.matrices[:, :3, :3]),
        rotations=rotations,
        translations=translations,
        influences=influences,
        weights=weights,
    )
    return judged(rig, positions)


def _for_copies(mesh: Mesh, found: Joints) -> tuple[Ids, np.ndarray]:
    """Bones and weights ``[N, 4]``, the same for vertices that coincide."""
    weights = np.where(found.weights.sum(axis=1, keepdims=True) > 0, found.weights, [1.0, 0, 0, 0])
    influences, values = storable(found.influences, weights)
    same = mesh.welded()
    return influences[same], values[same]


def _fitted(positions: Array, weights: Array, parents: Ids) -> tuple[Array, Array]:
    frames, count = len(positions), len(parents)
    rotations = np.broadcast_to(np.eye(3), (frames, count, 3, 3)).copy()
    translations = np.zeros((frames, count, 3))
    rest, idle = positions[0], weights.sum(axis=0) < 1e-6
    owner = np.eye(count)[weights.argmax(axis=1)]
    for start in range(1, frames, _FRAMES_AT_ONCE):
        at = slice(start, start + _FRAMES_AT_ONCE)
        # Every joint with the vertices that it moves most, then all with their shares.
        for shares, rounds, most in ((owner, _FAST, 1), (weights, _ROUNDS, _MOST)):
            error = np.inf
            for _ in range(most):  # bones that share most of their vertices take long to agree
                found = fitted_bones(rest, positions[at], shares, rotations[at], translations[at], rounds)
                rotations[at], translations[at] = found
                before, error = error, _error(rest, positions[at], shares, *found)
                if error < _ENOUGH or error > (1 - _GAIN) * before:
                    break
            for bone in np.flatnonzero((shares.sum(axis=0) < 1e-6) | idle):
                if parents[bone] >= 0:  # nothing says how it moves: with the joint above
                    rotations[at, bone] = rotations[at, parents[bone]]
                    translations[at, bone] = translations[at, parents[bone]]
    return rotations, translations


def _error(rest: Array, poses: Array, weights: Array, rotations: Array, translations: Array) -> float:
    """Mean distance of what the bones show from the poses, as a share of the diagonal."""
    left = np.array(poses)
    for bone, share in enumerate(weights.T):
        ids = np.flatnonzero(share)
        placed = np.einsum("fij,nj->fni", rotations[:, bone], rest[ids]) + translations[:, bone, None]
        left[:, ids] -= share[ids, None] * placed
    return float(np.linalg.norm(left, axis=-1).mean() / (np.linalg.norm(np.ptp(rest, axis=0)) or 1.0))


def _different(names: list[str]) -> list[str]:
    """Joints are found by their names."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in found:
            number, new = number + 1, f"{name}_{number}"
        found.append(new)
    return found
