"""What a family of creatures is made of: a shape, proportions, a coat, and motions with their phrases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.looks import Look
from animate3d.creatures.sculpt.fields import Field, Points

Traits = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Body:
    """A creature of a family before it is turned: y up, facing +z, its left is +x.

    Attributes:
        family: what it belongs to.
        traits: its proportions.
        canonical: ``[N, 3]`` the vertices of the family's template; weights of motions are functions of these.
        rest: ``[N, 3]`` where its proportions put them.
    """

    family: Family
    traits: Traits
    canonical: Points
    rest: Points

    def at(self, point: ArrayLike) -> Points:
        """Where a point of the template is in this body, for example a joint. ``[..., 3]``"""
        return self.family.grow(np.asarray(point, dtype=float), self.traits)


Pose = Callable[[Body, float, float], Points]
"""Body, time (0 the rest, 1 the end of the clip or of a cycle) and amplitude (1 the usual) to positions ``[N, 3]``."""


@dataclass(frozen=True)
class Motion:
    """A motion of a family, with the phrases that name it in captions.

    Attributes:
        pose: gives the rest pose at time 0.
        phrases: pairs such as ``("flapping its wings", "flaps its wings")``.
        cyclic: the pose at time 1 is the rest pose again.
    """

    pose: Pose
    phrases: tuple[tuple[str, str], ...]
    cyclic: bool = False


@dataclass(frozen=True, eq=False)
class Family:
    """Creatures of one kind; all of them have the mesh of one template, so only positions and colours differ.

    Attributes:
        name: the noun in captions.
        solid: signed distance of the template, y up, facing +z.
        low, high: box around the template.
        spacing: about the distance between neighbouring vertices.
        facing: usual direction of the front, degrees from azimuth 0 towards 90.
        traits: range of every proportion.
        grow: template points ``[..., 3]`` and proportions to points of the creature; smooth.
        paint: template points ``[..., 3]``, normals and colours to sRGB ``[..., 3]``.
        motions: by name.
    """

    name: str
    solid: Field
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    spacing: float
    facing: float
    traits: Mapping[str, tuple[float, float]]
    grow: Callable[[Points, Traits], Points]
    paint: Callable[[Points, Points, Look], Points]
    motions: Mapping[str, Motion]
