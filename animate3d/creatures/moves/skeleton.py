"""Bones of a subject: its parts, the long ones cut into several so that they bend, and points that follow them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animate3d.creatures.figures.part import Part
from animate3d.creatures.sculpt.fields import Points
from animate3d.rotations import rotation_matrices

SEGMENTS = {
    "tail": 5,
    "tentacle": 5,
    "stem": 4,
    "neck": 3,
    "wing": 3,
    "antenna": 3,
    "leg": 2,
    "arm": 2,
    "fin": 2,
    "petal": 2,
    "ear": 2,
    "leaf": 2,
}
"""Bones of a part; one where it is not listed."""


class Skeleton:
    """Bones with a parent each and the points that follow them (linear blend skinning).

    Attributes:
        parts: of the subject.
        first, count: bones of part p are ``first[p]`` to ``first[p] + count[p] - 1``, from its joint to its tip.
        parents: ``[B]`` bone that each bone hangs on, smaller than its own number; -1 for the first.
        joints: ``[B, 3]`` where it turns on that, at rest.
    """

    def __init__(self, parts: Sequence[Part], points: Points, weights: Points) -> None:
        self.parts = tuple(parts)
        self.count = [SEGMENTS.get(part.name, 1) for part in parts]
        self.first = [sum(self.count[:number]) for number in range(len(parts))]
        self.parents: list[int] = []
        joints: list[Points] = []
        shares: list[Points] = []
        for number, part in enumerate(parts):
            reach = np.clip((points - part.joint) @ part.along / max(part.length, 1e-6), 0.0, 1.0)
            for k in range(self.count[number]):
                self.parents.append(self.first[number] + k - 1 if k else self._bone_at(part.parent, part.joint))
                joints.append(part.joint + part.along * part.length * (k / self.count[number]))
                shares.append(weights[:, number] * _hat(reach * self.count[number] - 0.5, k, self.count[number]))
        self.joints = np.stack(joints)
        self._shares = np.stack(shares, axis=1)
        self._homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)

    def posed(self, turns: Points, shifts: Points) -> Points:
        """Positions ``[F, N, 3]`` after every bone turned about its joint on its parent.

        Args:
            turns: ``[F, B, 3]`` rotation vectors in the axes of the rest, radians.
            shifts: ``[F, 3]`` of the first bone, hence of everything.
        """
        frames = len(turns)
        # Bones that do not turn move as one with the one that they hang on.
        still = ~turns.any(axis=(0, 2))
        leader: list[int] = []
        for bone, parent in enumerate(self.parents):
            leader.append(leader[parent] if still[bone] and parent >= 0 else bone)
        leaders = sorted(set(leader))
        rotations, offsets = self._frames(turns, shifts, leaders, leader)
        matrices = np.concatenate([rotations, offsets[..., None]], axis=-1)  # [L, F, 3, 4]
        shares = self._shares @ (np.array(leader)[:, None] == leaders).astype(float)
        basis = (shares[:, :, None] * self._homogeneous[:, None]).reshape(len(shares), -1)
        moved = basis @ matrices.transpose(0, 3, 1, 2).reshape(-1, 3 * frames)
        return np.ascontiguousarray(moved.reshape(-1, frames, 3).transpose(1, 0, 2))

    def _frames(self, turns: Points, shifts: Points, leaders: list[int], leader: list[int]) -> tuple[Points, Points]:
        """Rotations ``[L, F, 3, 3]`` and offsets ``[L, F, 3]`` of the bones that lead others."""
        local = rotation_matrices(turns[:, leaders])
        rotations, offsets = np.empty((len(leaders), len(turns), 3, 3)), np.empty((len(leaders), len(turns), 3))
        for number, bone in enumerate(leaders):
            own, joint, parent = local[:, number], self.joints[bone], self.parents[bone]
            away = joint - own @ joint
            if parent < 0:
                rotations[number], offsets[number] = own, away + shifts
            else:
                above = leaders.index(leader[parent])
                rotations[number] = rotations[above] @ own
                offsets[number] = (rotations[above] @ away[..., None])[..., 0] + offsets[above]
        return rotations, offsets

    def _bone_at(self, number: int, joint: Points) -> int:
        """The bone of a part that carries what joins it at a point."""
        if number < 0:
            return -1
        part = self.parts[number]
        reach = float((joint - part.joint) @ part.along) / max(part.length, 1e-6)
        return self.first[number] + int(np.clip(reach * self.count[number], 0, self.count[number] - 1))


def _hat(place: Points, k: int, count: int) -> Points:
    """How much of a point at a place along a part belongs to its segment k: linear between their middles."""
    return np.clip(1.0 - np.abs(np.clip(place, 0.0, count - 1.0) - k), 0.0, 1.0)
