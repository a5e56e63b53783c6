"""Skinning decomposition: rigid bones and sparse weights that together give a trajectory (`py_dem_bones`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2

from animate3d.errors import MissingDependencyError, available
from animate3d.export.skeleton.refine import fitted_bones
from animate3d.motion.surfaces import Array, Ids

_ROUNDS = 10  # of weights and transforms in turn
_ENOUGH = 0.75  # of the bones that were asked for: the solver's own start may find no way to part a symmetric motion
_REASSIGNMENTS = 5


def decompose(rest: Array, poses: Array, triangles: Ids, count: int) -> tuple[Array, Array, Array]:
    """Bones for a mesh whose vertices all belong to triangles.

    Args:
        rest: ``[n, 3]``
        poses: ``[F, n, 3]``
        triangles: ``[T, 3]``
        count: B, the number of bones; the result may have fewer.

    Returns:
        weights ``[n, B]``, rotations ``[F, B, 3, 3]`` and translations ``[F, B, 3]``.

    Raises:
        MissingDependencyError: `py_dem_bones` is not installed.
    """
    middle = rest.mean(axis=0)
    size = float(np.linalg.norm(np.ptp(rest, axis=0))) or 1.0
    rest, poses = (rest - middle) / size, (poses - middle) / size
    solver = _solver(rest, poses, triangles, count)
    solver.compute()
    found = solver.get_skinning_result()
    if len(found.weights) < _ENOUGH * count:
        solver = _solver(rest, poses, triangles, count)
        members, rotations, translations = _start(rest, poses, count)
        start = np.zeros((len(poses), count, 4, 4))
        start[..., :3, :3], start[..., :3, 3], start[..., 3, 3] = rotations, translations, 1.0
        solver.set_weights(np.ascontiguousarray(np.eye(count)[members].T))
        solver.set_transformations(start)
        solver.compute()
        found = solver.get_skinning_result()
    weights, transforms = np.asarray(found.weights).T, np.asarray(found.transforms)
    rotations = transforms[:, :, :3, :3]
    return weights, rotations, size * transforms[:, :, :3, 3] + middle - rotations @ middle


def _solver(rest: Array, poses: Array, triangles: Ids, count: int) -> Any:
    if not available("py_dem_bones"):
        raise MissingDependencyError(
            "Skeletons are found with py-dem-bones: pip install 'animate3d[skeleton]', or leave --skeleton out."
        )
    from py_dem_bones import DemBonesExtWrapper

    solver = DemBonesExtWrapper()
    solver.max_influences = 4
    solver.native_solver.nIters = _ROUNDS
    solver.set_mesh_sequence(rest, poses, bone_count=count, faces=triangles.tolist())
    return solver


def _start(rest: Array, poses: Array, count: int) -> tuple[Ids, Array, Array]:
    """Clusters of vertices that move alike ``[n]``, each with its rigid motion: rotations and translations."""
    paths = np.concatenate([rest[None], poses]).transpose(1, 0, 2).reshape(len(rest), -1)
    seeds = [int(np.linalg.norm(paths - paths.mean(axis=0), axis=1).argmin())]
    distance = np.full(len(rest), np.inf)
    while len(seeds) < count:
        distance = np.minimum(distance, np.linalg.norm(paths - paths[seeds[-1]], axis=1))
        seeds.append(int(distance.argmax()))
    members = kmeans2(paths, paths[seeds], minit="matrix", iter=10)[1].astype(np.int64)
    rotations = np.broadcast_to(np.eye(3), (len(poses), count, 3, 3)).copy()
    translations = np.zeros((len(poses), count, 3))
    for _ in range(_REASSIGNMENTS):
        rotations, translations = fitted_bones(rest, poses, np.eye(count)[members], rotations, translations, 1)
        left = np.zeros((len(rest), count))
        for pose, turns, moves in zip(poses, rotations, translations, strict=True):
            left += (((rest @ turns.transpose(0, 2, 1) + moves[:, None]) - pose) ** 2).sum(axis=-1).T
        nearer = left.argmin(axis=1)
        if len(np.unique(nearer)) < count:
            break
        members = nearer
    return members, rotations, translations
