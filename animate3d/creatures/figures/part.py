"""A part of a body: where it turns, about which axis, and which way is positive."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """A part that turns on its parent, at rest; y is up, the front +z, its left +x.

    A positive turn about the hinge (right-hand rule) means: a leg or arm swings forward, the tip of a wing, fin or ear
    goes up, that of a tail, tentacle, stem or antenna to the left, a neck or head nods down, a jaw or lid opens, a
    petal opens outwards, a wheel rolls forward.

    Attributes:
        name: ``"trunk"`` (always the first), ``"leg"``, ``"wing"``, ``"wheel"``, …
        parent: index in the figure's parts, smaller than its own; -1 for the trunk.
        joint: ``[3]`` where it turns on its parent.
        along: ``[3]`` unit, from the joint to the tip.
        hinge: ``[3]`` unit axis about which it usually swings.
        length: from the joint to the tip.
        side: 1 left, -1 right, 0 in the middle.
        order: 0 to 1, front to back for legs, around for petals and tentacles, else 0.
    """

    name: str
    parent: int
    joint: Points
    along: Points
    hinge: Points
    length: float
    side: int = 0
    order: float = 0.0

    def turned(self, turn: Points) -> Part:
        """The same part after a rotation ``[3, 3]``."""
        return replace(self, joint=turn @ self.joint, along=turn @ self.along, hinge=turn @ self.hinge)
