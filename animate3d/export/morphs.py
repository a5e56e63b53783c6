"""A trajectory as morph targets (blend shapes, shape keys) and their weights over time.

One target per frame is exact, but engines cap the number of targets and each costs memory. `morph_targets` can hold
their number down with principal components: of all ways to express the frames with M targets and a weight per frame
and target (keeping M key frames and blending between them is one), the components have the least squared error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from animate3d.errors import InputError
from animate3d.export.clip import Clip

_ROUNDING = 5e-7  # of the diagonal: what single precision leaves of a place
# Frames and coordinates that are worked on together: memory hardly grows with the length of a clip, and blocks of
# matrix products are multiples of these numbers, so that the last digits stay those of the whole product.
_AT_ONCE, _COLUMNS = 24, 3072


@dataclass(frozen=True)
class MorphTargets:
    """``frame k = base + sum_m weights[k, m] * deltas[m]``; weights are linear between frames.

    Attributes:
        base: ``[N, 3]`` frame 0, rounded to the single precision it has in a file.
        deltas: ``[M, N, 3]`` float32 displacements from the base.
        weights: ``[F, M]`` float32; row 0 is zero. With a target per frame they are 0 or 1, otherwise in -1..1.
        names: of the targets.
        max_error: largest distance of a vertex from the trajectory, as a fraction of the diagonal.
        mean_error: the mean of the same over all vertices and frames.
    """

    base: np.ndarray
    deltas: np.ndarray
    weights: np.ndarray
    names: list[str]
    max_error: float = 0.0
    mean_error: float = 0.0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_exact(self) -> bool:
        """Whether every target is a frame."""
        return len(self) == len(self.weights) - 1

    def frames(self) -> Iterator[np.ndarray]:
        """The positions ``[N, 3]`` float64 that a player shows at each frame, one after the other."""
        base = self.base.astype(np.float64)
        for start in range(0, len(self.weights), _AT_ONCE):
            weights = self.weights[start : start + _AT_ONCE].astype(np.float64)
            yield from base + np.tensordot(weights, self.deltas, axes=1)

    def project(self, deltas: np.ndarray) -> np.ndarray:
        """Targets ``[M, ...]`` for another quantity whose displacements per frame ``[F, ...]`` are given.

        Least squares with the same weights; exact with a target per frame. Used for normals.
        """
        if not len(self):
            return np.zeros((0, *deltas.shape[1:]))
        if self.is_exact:
            return deltas[1:]
        inverse, flat = np.linalg.pinv(self.weights.astype(np.float64)), deltas.reshape(len(deltas), -1)
        fitted = np.empty((len(self), flat.shape[1]))
        for start in range(0, flat.shape[1], _COLUMNS):
            fitted[:, start : start + _COLUMNS] = inverse @ flat[:, start : start + _COLUMNS]
        return fitted.reshape(len(self), *deltas.shape[1:])


def morph_targets(clip: Clip, max_morphs: int | None = None) -> MorphTargets:
    """Express a clip with at most ``max_morphs`` morph targets.

    Args:
        clip: frame 0 becomes the base.
        max_morphs: None for a target per frame after the first.

    Raises:
        InputError: ``max_morphs`` is less than 1.
    """
    if max_morphs is not None and max_morphs < 1:
        raise InputError(f"The number of morph targets is limited to {max_morphs}; at least 1 is needed.")
    base = clip.positions[0].astype(np.float32)
    displacements = clip.positions[1:] - base.astype(np.float64)
    displacements[:, _rests(displacements, clip.diagonal)] = 0.0
    count = len(displacements)
    if max_morphs is None or count <= max_morphs:
        names = [f"frame_{frame:04d}" for frame in range(1, clip.n_frames)]
        weights = np.eye(clip.n_frames, count, k=-1, dtype=np.float32)
        return MorphTargets(base, displacements.astype(np.float32), weights, names)
    return _components(clip, base, displacements, max_morphs)


def _rests(displacements: np.ndarray, diagonal: float) -> np.ndarray:
    """Vertices ``[N]`` that only rounding moves, away from what frame 0 is rounded to or between the frames."""
    if not len(displacements):
        return np.zeros(displacements.shape[1], dtype=bool)
    most = np.maximum(displacements.max(axis=(0, 2)), -displacements.min(axis=(0, 2)))
    return np.asarray(most < _ROUNDING * diagonal)


def _components(clip: Clip, base: np.ndarray, displacements: np.ndarray, count: int) -> MorphTargets:
    """Principal components of the displacements ``[F - 1, N, 3]`` from frame 0.

    The mean is not subtracted: frame 0 has to stay the base, with all weights zero.
    """
    flat = displacements.reshape(len(displacements), -1)
    # Frames are few and coordinates many: the eigenvectors of the small Gram matrix are the weights.
    _, vectors = np.linalg.eigh(flat @ flat.T)
    weights = vectors[:, ::-1][:, :count]
    # The largest weight of every target becomes +1, so that its full shape is one that occurs.
    peaks = weights[np.abs(weights).argmax(axis=0), np.arange(count)]
    targets = (weights * peaks).T @ flat
    weights = weights / peaks
    names = [f"component_{index:02d}" for index in range(count)]
    morphs = MorphTargets(
        base,
        targets.reshape(count, *base.shape).astype(np.float32),
        np.concatenate([np.zeros((1, count)), weights]).astype(np.float32),
        names,
    )
    distance = np.empty(clip.positions.shape[:2])
    for f, shown in enumerate(morphs.frames()):
        distance[f] = np.linalg.norm(shown - clip.positions[f], axis=-1)
    distance /= clip.diagonal or 1.0
    return MorphTargets(base, morphs.deltas, morphs.weights, names, float(distance.max()), float(distance.mean()))
