"""Bones that move a mesh: rest places, hierarchy, motion and weights (linear blend skinning)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from animate3d.motion.surfaces import Array, Ids
from animate3d.rotations import matrix_to_quaternion

INFLUENCES = 4
"""Bones that move a vertex, at most: what engines take."""


@dataclass(frozen=True)
class Rig:
    """Bones of a clip: ``x[f, n] = sum_k weights[n, k] (rotations[f, b] rest[n] + translations[f, b])``.

    ``b`` is ``influences[n, k]``. Every bone is rigid, so every engine plays it; in frame 0 all are at rest.

    Attributes:
        names: of the B bones.
        parents: ``[B]`` number of the bone above, smaller than the bone's own; -1 at the top.
        joints: ``[B, 3]`` where the bones begin, at rest.
        axes: ``[B, 3, 3]`` rotations: how they are turned at rest.
        rotations: ``[F, B, 3, 3]`` of the rest pose's points, about the origin.
        translations: ``[F, B, 3]``
        influences: ``[N, 4]`` bones of every vertex, the strongest first.
        weights: ``[N, 4]`` float32, not negative, sums are 1.
    """

    names: list[str]
    parents: Ids
    joints: Array
    axes: Array
    rotations: Array
    translations: Array
    influences: Ids
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def posed(self, rest: Array) -> Array:
        """The positions that an engine shows at the frames, for rest positions ``[N, 3]``. ``[F, N, 3]``"""
        shown = np.empty((len(self.rotations), len(rest), 3))
        for f, (turns, moves) in enumerate(zip(self.rotations, self.translations, strict=True)):
            placed = np.einsum("nkij,nj->nki", turns[self.influences], rest) + moves[self.influences]
            shown[f] = np.einsum("nk,nki->ni", self.weights, placed)
        return shown

    @property
    def placed(self) -> tuple[Array, Array]:
        """The bones' own frames in the mesh's coordinates: axes ``[F, B, 3, 3]`` and places ``[F, B, 3]``."""
        places = np.einsum("fbij,bj->fbi", self.rotations, self.joints) + self.translations
        return self.rotations @ self.axes, places

    def channels(self) -> tuple[Array, Array]:
        """What files store: every bone in its parent's frame.

        Returns:
            quaternions w x y z ``[F, B, 4]``, each the nearer of the two signs to the frame before, and
            translations ``[F, B, 3]``.
        """
        axes, places = self.placed
        above = np.maximum(self.parents, 0)
        top = self.parents < 0
        back = np.where(top[:, None, None], np.eye(3), axes[:, above].transpose(0, 1, 3, 2))
        start = np.where(top[:, None], 0.0, places[:, above])
        turns = matrix_to_quaternion(torch.from_numpy(back @ axes)).numpy()
        for f in range(1, len(turns)):
            turns[f] *= np.where((turns[f] * turns[f - 1]).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
        return turns, np.einsum("fbij,fbj->fbi", back, places - start)

    def keyed(self, *, closes: bool) -> tuple[Array, Array]:
        """`channels`, with a key equal to frame 0 after the last one where a loop closes."""
        turns, moves = self.channels()
        if not closes:
            return turns, moves
        last = turns[:1] * np.where((turns[:1] * turns[-1:]).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
        return np.concatenate([turns, last]), np.concatenate([moves, moves[:1]])

    def scaled(self, factor: float) -> Rig:
        """The same bones for a mesh whose coordinates are multiplied by a factor."""
        return replace(self, joints=self.joints * factor, translations=self.translations * factor)


@dataclass(frozen=True)
class Skinned:
    """A rig and how near it comes to the trajectory.

    Attributes:
        rig: the bones.
        mean_errors, max_errors: ``[F]`` distances of the vertices, as fractions of the diagonal.
        note: what else there is to say about it.
    """

    rig: Rig
    mean_errors: Array
    max_errors: Array
    note: str = ""

    @property
    def mean_error(self) -> float:
        """Over all vertices and frames."""
        return float(self.mean_errors.mean())

    @property
    def max_error(self) -> float:
        """The farthest vertex of all frames."""
        return float(self.max_errors.max())

    @property
    def summary(self) -> str:
        """Bones and errors in words."""
        errors = f"mean {100 * self.mean_error:.3g} %, max {100 * self.max_error:.3g} % of the diagonal"
        return f"{len(self.rig)} bones (error: {errors}){self.note and f'; {self.note}'}"


def judged(rig: Rig, positions: Array) -> Skinned:
    """A rig against the trajectory ``[F, N, 3]`` that it stands for."""
    diagonal = float(np.linalg.norm(np.ptp(positions[0], axis=0))) or 1.0
    distance = np.linalg.norm(rig.posed(positions[0]) - positions, axis=-1) / diagonal
    return Skinned(rig, distance.mean(axis=1), distance.max(axis=1))


def storable(influences: Ids, weights: Array) -> tuple[Ids, np.ndarray]:
    """Bones and weights ``[N, 4]`` as files of 16 bits hold them: multiples of 1 / 65535 that sum to 1.

    Where a weight is none, the bone is 0.
    """
    steps = np.rint(weights / weights.sum(axis=1, keepdims=True) * 65535)
    steps[np.arange(len(steps)), steps.argmax(axis=1)] += 65535 - steps.sum(axis=1)
    return np.where(steps > 0, influences, 0), (steps / 65535).astype(np.float32)
