"""Weights for given bones and bones for given weights, in turn: what a decomposition of some vertices leaves open."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from animate3d.motion.surfaces import Array, Ids, nearest_rotations

_CHUNK = 4096  # vertices at a time
_SWEEPS = 12  # over all pairs of a vertex's bones


def fitted_weights(
    rest: Array, poses: Array, rotations: Array, translations: Array, wanted: Array, most: int, hold: float
) -> tuple[Ids, Array]:
    """The convex weights of every vertex that fit its path best, near wanted ones.

    Args:
        rest: ``[n, 3]``
        poses: ``[F, n, 3]``
        rotations: ``[F, B, 3, 3]``
        translations: ``[F, B, 3]``
        wanted: ``[n, B]`` rows sum to 1; bones of weight 0 are only taken where there are not ``most`` others.
        most: bones of a vertex.
        hold: the distance that a weight of 1 in the wrong place is worth.

    Returns:
        bones ``[n, most]`` and weights ``[n, most]``
    """
    most = min(most, wanted.shape[1])
    bones = np.argsort(-wanted, axis=1, kind="stable")[:, :most]
    target = np.take_along_axis(wanted, bones, axis=1)
    target = target / target.sum(axis=1, keepdims=True)
    weights = np.empty_like(target)
    for start in range(0, len(rest), _CHUNK):
        rows = slice(start, start + _CHUNK)
        gram = np.zeros((len(rest[rows]), most, most))
        for pose, turns, moves in zip(poses, rotations, translations, strict=True):
            # Weights sum to 1: what is left of the way is the same mean of what each bone leaves.
            left = np.einsum("nkij,nj->nki", turns[bones[rows]], rest[rows]) + moves[bones[rows]]
            left -= pose[rows][:, None]
            gram += left @ left.transpose(0, 2, 1)
        gram += len(poses) * hold**2 * np.eye(most)
        weights[rows] = _convex(gram, len(poses) * hold**2 * target[rows], target[rows].copy())
    return bones, weights


def _convex(gram: Array, linear: Array, weights: Array) -> Array:
    """Minimise ``w G w / 2 - l w`` over weights that are not negative and sum to 1, moving weight between two bones."""
    count = weights.shape[1]
    for _ in range(_SWEEPS):
        for i in range(count):
            for j in range(i):
                slope = ((gram[:, i] - gram[:, j]) * weights).sum(axis=1) - linear[:, i] + linear[:, j]
                bend = gram[:, i, i] + gram[:, j, j] - 2 * gram[:, i, j]
                step = (-slope / np.maximum(bend, 1e-300)).clip(-weights[:, i], weights[:, j])
                weights[:, i] += step
                weights[:, j] -= step
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def fitted_bones(
    rest: Array, poses: Array, weights: Array, rotations: Array, translations: Array, rounds: int
) -> tuple[Array, Array]:
    """Rigid bones that fit the poses best for given weights, one bone after the other.

    Args:
        rest: ``[n, 3]``
        poses: ``[F, n, 3]``
        weights: ``[n, B]``
        rotations: ``[F, B, 3, 3]`` to start from.
        translations: ``[F, B, 3]``
        rounds: over all bones.

    Returns:
        rotations and translations.
    """
    rotations, translations = rotations.copy(), translations.copy()
    matrix = sparse.csc_matrix(weights)
    members = [(matrix.indices[a:b], matrix.data[a:b]) for a, b in zip(matrix.indptr, matrix.indptr[1:], strict=False)]

    def moved(bone: int) -> Array:
        ids, share = members[bone]
        placed = np.einsum("fij,nj->fni", rotations[:, bone], rest[ids]) + translations[:, bone, None]
        return np.asarray(share[:, None] * placed)

    left = np.array(poses)
    for bone, (ids, _) in enumerate(members):
        left[:, ids] -= moved(bone)
    for _ in range(rounds):
        for bone, (ids, share) in enumerate(members):
            total = (share**2).sum()
            if total < 1e-9:
                continue
            wanted = left[:, ids] + moved(bone)
            start = (share**2) @ rest[ids] / total
            end = np.einsum("n,fni->fi", share, wanted) / total
            covariance = np.einsum(
                "n,fni,nj->fij", share, wanted - share[:, None] * end[:, None], rest[ids] - start, optimize=True
            )
            rotations[:, bone] = nearest_rotations(covariance)
            translations[:, bone] = end - rotations[:, bone] @ start
            left[:, ids] = wanted - moved(bone)
    return rotations, translations
