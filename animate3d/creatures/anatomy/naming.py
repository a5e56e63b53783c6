"""Which branch of a body is a leg, an arm, a wing, a head or a tail: by where it is and how it is shaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from animate3d.creatures.rigs import FRONT, UP

Points = NDArray[np.float64]

_GROUND = 0.16
"""Share of the height below which a tip stands on the ground."""
_MIDDLE = 0.06
"""Share of the size within which a branch lies in the plane of symmetry."""
_PAIR = 0.2
"""Share of the size within which the mirrored tip of a pair lies."""
_FLAT = 0.45
"""Width of a wing against its length, at least, and three times its thickness."""
_UP, _UP_ON_TWO = 0.7, 1.5
"""How much being high tells a head, against being ahead; more on two legs."""
_LARGEST_HEAD, _BUST = 0.35, 0.7
"""Share of the surface of a body, and of a bust: nothing else but a stand."""
_STANDS = 0.8
"""How far down a tail points, at most, as the sine of the angle; what points down more is a stand."""


@dataclass(frozen=True, eq=False)
class Limb:
    """A branch as a shape.

    Attributes:
        root, tip: ``[3]`` where it begins and ends.
        width, thickness: its extents across, the larger one first.
    """

    root: Points
    tip: Points
    width: float
    thickness: float

    @property
    def length(self) -> float:
        """From root to tip."""
        return float(np.linalg.norm(self.tip - self.root))

    @property
    def is_flat(self) -> bool:
        """Whether it is a plate more than a rod."""
        return self.width > _FLAT * self.length and self.width > 3 * self.thickness

    @property
    def along(self) -> Points:
        """Unit direction from root to tip. ``[3]``"""
        return (self.tip - self.root) / max(self.length, 1e-9)


def sides_of(limbs: Sequence[Limb], size: float, middle: float) -> list[int]:
    """1 for what is on the left, -1 for what is on the right, 0 for what lies in the plane of symmetry.

    Args:
        size: of the body.
        middle: x of the plane.
    """
    sides = []
    for limb in limbs:
        off = limb.tip[0] - middle
        mirrored = limb.tip * [-1, 1, 1] + [2 * middle, 0, 0]
        paired = any(np.linalg.norm(other.tip - mirrored) < _PAIR * size for other in limbs if other is not limb)
        central = abs(off) < _MIDDLE * size if not paired else abs(off) < 0.02 * size
        sides.append(0 if central else int(np.sign(off)))
    return sides


def names_of(limbs: Sequence[Limb], sides: Sequence[int], low: Points, high: Points) -> list[str]:
    """A name for every limb; empty for what it is not known.

    Args:
        low, high: ``[3]`` box of the body.
    """
    height, center = high[1] - low[1], 0.5 * (low + high)
    names = [""] * len(limbs)
    for number, (limb, side) in enumerate(zip(limbs, sides, strict=True)):
        down = limb.root[1] - limb.tip[1]
        stands = limb.tip[1] < low[1] + _GROUND * height and down > 0.35 * limb.length
        if stands and (side or len(limbs) < 3):
            names[number] = "leg"
        elif side:
            names[number] = "wing" if limb.is_flat else "arm"
    for number in _lifted_legs(limbs, sides, names, 2 * float(center[0]), float((high - low).max())):
        names[number] = "leg"
    central = [number for number, side in enumerate(sides) if not side and not names[number]]
    up = _UP_ON_TWO if names.count("leg") == 2 else _UP
    ahead = [float((limbs[n].tip - center) @ (FRONT + up * UP)) for n in central]
    if central and max(ahead) > 0:
        names[central[int(np.argmax(ahead))]] = "head"
    behind = [n for n in central if not names[n] and limbs[n].tip[2] < center[2] and limbs[n].along[1] > -_STANDS]
    if behind:
        names[min(behind, key=lambda number: limbs[number].tip[2])] = "tail"
    if names.count("leg") >= 4:  # what has so many legs has no arms
        names = ["wing" if name == "arm" else name for name in names]
    return names


def _lifted_legs(
    limbs: Sequence[Limb], sides: Sequence[int], names: Sequence[str], twice: float, size: float
) -> list[int]:
    """Limbs that hang down from where the mirror image of a leg without a fellow begins: legs in the middle of a step.

    Args:
        twice: x of the plane of symmetry, doubled.
        size: of the body.
    """
    legs = [number for number, name in enumerate(names) if name == "leg"]
    roots = np.array([limb.root for limb in limbs]).reshape(-1, 3)
    mirrored = roots * [-1, 1, 1] + [twice, 0, 0]
    off = np.linalg.norm(mirrored[:, None] - roots, axis=-1) / size
    lifted: list[int] = []
    for side in (1, -1):
        own, others = ([n for n in legs if sides[n] == way] for way in (side, -side))
        pairs = zip(*linear_sum_assignment(np.minimum(off[np.ix_(own, others)], _PAIR)), strict=True)
        fellows = {own[a] for a, b in pairs if off[own[a], others[b]] < _PAIR}
        for leg in (n for n in own if n not in fellows):
            free = [n for n in range(len(limbs)) if sides[n] == -side and n not in legs and off[leg, n] < _PAIR]
            nearest = min(free, key=off[leg].__getitem__, default=None)
            if nearest is not None and limbs[nearest].tip[1] < limbs[nearest].root[1]:
                lifted.append(nearest)
    return lifted


def is_head(inside: Sequence[str], outside: Sequence[str], share: float) -> bool:
    """Whether a branch that carries others is a head, whose ears these are.

    Args:
        inside, outside: names of what it carries and of all the other branches.
        share: of the whole surface.
    """
    if share > (_LARGEST_HEAD if any(outside) else _BUST) or "ear" in outside or set(inside) - {"arm", "wing", "head"}:
        return False
    # Arms and a head make a chest, where the legs are two; ears and a snout a head, where they are four.
    return outside.count("leg") >= 4 or ("head" not in inside and "head" not in outside)
