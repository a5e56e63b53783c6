"""A stance: how far every bone of a skeleton is turned, gathered from the moves that turn parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.moves.skeleton import Skeleton
from animate3d.creatures.sculpt.fields import Points


class Stance:
    """Turns of bones and a shift of the whole; several moves add to one.

    Attributes:
        turns: ``[B, 3]`` rotation vectors in the axes of the rest, radians.
        shift: ``[3]``
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.turns = np.zeros((len(skeleton.joints), 3))
        self.shift = np.zeros(3)

    def turn(self, part: int, axis: ArrayLike, angle: float, bone: int = 0) -> None:
        """Turn a part, or what of it comes after one of its joints, as one piece."""
        self.turns[self.skeleton.first[part] + min(bone, self.skeleton.count[part] - 1)] += angle * np.asarray(axis)

    def swing(self, part: int, angle: float, bone: int = 0) -> None:
        """Turn a part about its hinge as one piece."""
        self.turn(part, self.skeleton.parts[part].hinge, angle, bone)

    def bend(self, part: int, axis: ArrayLike, angle: float) -> None:
        """Bend a part evenly along its length, its tip by the angle."""
        for bone in range(self.skeleton.count[part]):
            self.turn(part, axis, angle / self.skeleton.count[part], bone)

    def curl(self, part: int, angles: Sequence[float]) -> None:
        """Bend a part about its hinge by one angle per bone, from its joint to its tip."""
        for bone, angle in enumerate(angles):
            self.swing(part, angle, bone)

    def tip(self, axis: Points, angle: float, pivot: Points) -> None:
        """Turn the trunk and all that hangs on it about a point, by a small or moderate angle."""
        self.turn(0, axis, angle)
        arm = self.skeleton.joints[0] - pivot
        turned = arm * np.cos(angle) + np.cross(axis, arm) * np.sin(angle) + axis * (axis @ arm) * (1 - np.cos(angle))
        self.shift += turned - arm
