"""Frames between the frames of a clip, in which the surface turns instead of cutting through.

Linear in-betweens of a turning part move its points along chords, and the part shrinks. Here every vertex's
neighbourhood turns from one frame into the next, and the positions are those whose edges fit the turned
edges best (the interpolation that goes with as-rigid-as-possible deformation: a linear system whose matrix is the same
for all frames). Turns ease from one interval into the next as a cubic spline does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.meshes.mesh import Mesh
from animate3d.motion.surfaces import nearest_rotations
from animate3d.rotations import rotation_matrices

_HOLD = 1e-8  # against edges of weight 1: places components that no edge ties to anything
_MOST_FRAMES = 100_000

Array = NDArray[np.float64]


def resampled(clip: Clip, fps: float) -> Clip:
    """The clip at about another number of frames per second.

    The first and last frame stay, a loop keeps its period: where these are not a whole number of new frames, the rate
    is the next one at which they are.

    Raises:
        InputError: a rate that cannot be used, or more than 100 000 frames.
    """
    check_rate(fps)
    intervals = clip.n_frames if clip.closes else clip.n_frames - 1
    if intervals == 0:
        return clip
    count = max(1, round(intervals * fps / clip.fps))
    if count > _MOST_FRAMES:
        raise InputError(
            f"At {fps:g} frames per second the clip would have {count} frames; at most 100000 are written."
        )
    at = np.arange(count + (not clip.closes)) * (intervals / count)
    rounded = np.rint(at)
    at = np.where(np.abs(at - rounded) < 1e-9, rounded, at)
    positions = _Surface(clip.mesh).between(clip.positions, at, closes=clip.closes)
    return replace(clip, positions=positions, fps=clip.fps * count / intervals)


def check_rate(fps: float) -> None:
    """A number of frames per second that a clip can be resampled to.

    Raises:
        InputError: it is none.
    """
    if not 0.001 <= fps <= 10000:
        raise InputError(f"A clip cannot be resampled to {fps:g} frames per second; 24 or 30 are usual.")


class _Surface:
    """The edges of a mesh, and the solver for positions whose edges are given; coincident vertices are one."""

    def __init__(self, mesh: Mesh) -> None:
        self._kept, self._owner = np.unique(mesh.welded(), return_inverse=True)
        ends = self._owner[mesh.edges()]
        self._edges = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
        n, count = len(self._kept), len(self._edges)
        rows, signs = np.repeat(np.arange(count), 2), np.tile([-1.0, 1.0], count)
        self._incidence = sparse.csr_matrix((signs, (rows, self._edges.reshape(-1))), shape=(count, n))
        touching = abs(self._incidence).T.tocsr()
        neighbours = (touching @ touching.T).tocsr()
        neighbours.data[:] = 1.0
        # A vertex turns with all edges around its neighbours: its own may lie on one line.
        self._around = (neighbours @ touching).tocsr()
        laplacian = self._incidence.T @ self._incidence
        self._solver = splu((laplacian + _HOLD * sparse.identity(n)).tocsc())

    def between(self, frames: Array, at: Array, *, closes: bool) -> Array:
        """Positions at fractions of frames.

        Args:
            frames: ``[F, N, 3]``
            at: ``[G]`` increasing, in frames; whole numbers give the frames themselves.
            closes: frame 0 follows the last one.

        Returns:
            ``[G, N, 3]``
        """
        count = len(frames)
        last = count if closes else count - 1
        points = frames[:, self._kept]
        after = np.roll(points, -1, axis=0)
        turns = np.stack([self._rotations(points[k], after[k]) for k in range(last)])
        moves = (after - points)[:last].mean(axis=1, keepdims=True)
        starts = np.minimum(np.floor(at).astype(int), count - 1)
        found = frames[starts]
        for k in range(last):
            inside = np.flatnonzero((starts == k) & (at > k))
            for frame, t in zip(inside, at[inside] - k, strict=True):
                turn = _eased(turns, k, t, closes=closes)
                moved = self._turned(points[k], after[k], turns[k], turn, t)
                # No edge says where the whole is: its middle goes along a spline.
                moved += _eased(moves, k, t, closes=closes) - t * moves[k]
                # Copies of a vertex that had come apart keep their distance.
                apart = (1 - t) * (frames[k] - points[k][self._owner])
                apart += t * (frames[(k + 1) % count] - after[k][self._owner])
                found[frame] = moved[self._owner] + apart
        return found

    def _turned(self, start: Array, end: Array, whole: Array, turn: Array, share: float) -> Array:
        """Positions ``[n, 3]`` on the way from ``start`` to ``end``.

        Args:
            start, end: ``[n, 3]``
            whole: ``[n, 3]`` rotation vectors from the start to the end.
            turn: ``[n, 3]`` rotation vectors from the start to here.
            share: of the end in the edges' lengths.
        """
        first, second = self._incidence @ start, self._incidence @ end
        forward = rotation_matrices(turn)
        back = forward @ rotation_matrices(-whole)
        edges = np.zeros_like(first)
        for node in self._edges.T:
            edges += 0.5 * (1 - share) * np.einsum("eij,ej->ei", forward[node], first)
            edges += 0.5 * share * np.einsum("eij,ej->ei", back[node], second)
        linear = (1 - share) * start + share * end
        return self._solver.solve(self._incidence.T @ edges + _HOLD * linear)

    def _rotations(self, start: Array, end: Array) -> Array:
        """The rotation vector of every vertex ``[n, 3]`` that best takes its edges to those of the next frame."""
        first, second = self._incidence @ start, self._incidence @ end
        outer = second[:, :, None] * first[:, None, :]
        covariance = (self._around @ outer.reshape(-1, 9)).reshape(-1, 3, 3)
        return _vector(nearest_rotations(covariance))


def _eased(steps: Array, k: int, t: float, *, closes: bool) -> Array:
    """How much of step ``k`` of ``[I, ...]`` is done at the share ``t``, with even velocity from step to step."""
    before = steps[k - 1] if k > 0 or closes else steps[k]
    after = steps[(k + 1) % len(steps)] if k + 1 < len(steps) or closes else steps[k]
    start, end = (before + steps[k]) / 2, (steps[k] + after) / 2
    return t * t * (3 - 2 * t) * steps[k] + t * (1 - t) ** 2 * start + t * t * (t - 1) * end


def _vector(rotations: Array) -> Array:
    """Axis times angle ``[n, 3]`` of rotation matrices ``[n, 3, 3]``."""
    cosine = ((np.trace(rotations, axis1=1, axis2=2) - 1) / 2).clip(-1, 1)
    angle = np.arccos(cosine)
    skew = np.stack(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        axis=1,
    )
    length = np.linalg.norm(skew, axis=1)
    # A half turn has no antisymmetric part; nothing turns that far between two frames on purpose.
    return skew * np.where(length > 1e-9, angle / np.where(length > 1e-9, length, 1), 0.5)[:, None]
