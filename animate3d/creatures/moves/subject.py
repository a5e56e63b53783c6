"""Anything that can move: points, and where they are known its parts with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves.skeleton import Skeleton
from animate3d.creatures.rigs import FRONT, UP
from animate3d.creatures.sculpt.fields import Points
from animate3d.meshes.placement import FILL
from animate3d.rotations import rotation_matrices

_WITH_A_FRONT = {"leg", "wing", "fin", "tail", "neck", "head", "jaw", "arm", "wheel", "ear"}
ELEVATION = float(np.deg2rad(15.0))
"""Of the cameras of videos; objects are placed so that they fit at twice that too."""
_MARGIN = 0.9
"""Share of the free room in the picture that the farthest motions take."""


class Jointed(Protocol):
    """What has parts, and points that follow them."""

    @property
    def parts(self) -> Sequence[Part]:
        """Its parts at rest, before any yaw; the trunk first."""

    def weights(self, points: Points) -> Points:
        """How much points ``[N, 3]`` follow every part ``[N, P]``, rows sum to 1."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Anything that can move, y up, already turned by its yaw.

    Attributes:
        points: ``[N, 3]``
        parts: with axes and joints turned too; none where nothing is known about it.
        weights: ``[N, P]`` how much each point follows each part, rows sum to 1.
        low, high: ``[3]`` box of the points.
        facing: its yaw, degrees from +z towards +x.
    """

    points: Points
    parts: tuple[Part, ...]
    weights: Points
    low: Points
    high: Points
    facing: float = 0.0

    @cached_property
    def skeleton(self) -> Skeleton:
        """Bones of its parts."""
        return Skeleton(self.parts, self.points, self.weights)

    @cached_property
    def size(self) -> float:
        """Longest side of its box."""
        return float((self.high - self.low).max())

    @cached_property
    def height(self) -> float:
        """Height of its box."""
        return float(max(self.high[1] - self.low[1], 1e-3 * self.size))

    @cached_property
    def center(self) -> Points:
        """Middle of its box. ``[3]``"""
        return 0.5 * (self.low + self.high)

    @cached_property
    def base(self) -> Points:
        """Middle of the bottom of its box. ``[3]``"""
        return np.array([self.center[0], self.low[1], self.center[2]])

    @cached_property
    def rising(self) -> Points:
        """Height of every point above the bottom, 0 to 1. ``[N]``"""
        return np.clip((self.points[:, 1] - self.low[1]) / self.height, 0.0, 1.0)

    @cached_property
    def radius(self) -> float:
        """Largest distance of a point from the vertical axis through the middle."""
        out = self.points - self.center
        return float(np.hypot(out[:, 0], out[:, 2]).max())

    @cached_property
    def front(self) -> Points:
        """The way it looks: its own front where parts show one or none are known, else towards the first camera."""
        if self.parts and not {part.name for part in self.parts} & _WITH_A_FRONT:
            return FRONT
        return yawed(FRONT, self.facing)

    @property
    def side(self) -> Points:
        """Its own left. ``[3]``"""
        return np.cross(UP, self.front)

    def at(self, points: Points, weights: Points) -> Subject:
        """The same body, where other points ``[N, 3]`` than its own are asked for, with their weights ``[N, P]``."""
        other = replace(self, points=points, weights=weights)
        vars(other).update(radius=self.radius, _above=self._above, _beside=self._beside)
        return other

    def posed(self, points: Points, parts: Sequence[Part], facing: float) -> Subject:
        """The same body as it is after a motion; it goes as far from there as from its rest.

        Args:
            points: ``[N, 3]`` where its points are.
            parts: its parts, where they are.
            facing: its yaw.
        """
        other = replace(
            self, points=points, parts=tuple(parts), low=points.min(axis=0), high=points.max(axis=0), facing=facing
        )
        vars(other).update(_above=self._above, _beside=self._beside)
        return other

    def having(self, *names: str) -> list[int]:
        """Numbers of the parts that have one of these names."""
        return [number for number, part in enumerate(self.parts) if part.name in names]

    def lift(self, share: float) -> float:
        """A share of its size to go up or down, less where that would leave the picture."""
        return self._above * float(np.tanh(share * self.size / self._above))

    def stride(self, share: float) -> float:
        """A share of its size to go aside, less where that would leave the picture."""
        return self._beside * float(np.tanh(share * self.size / self._beside))

    @cached_property
    def _above(self) -> float:
        """The farthest that it goes up or down."""
        return max(_MARGIN * (self._half_picture - self._seen_height(ELEVATION)), 0.05 * self.size)

    @cached_property
    def _beside(self) -> float:
        """The farthest that it goes aside."""
        return max(_MARGIN * (self._half_picture - self.radius), 0.05 * self.size)

    @cached_property
    def _half_picture(self) -> float:
        """About half of what the cameras see of the plane through its middle once it is placed."""
        return max(self.radius, *(self._seen_height(angle) for angle in (0.0, ELEVATION, 2 * ELEVATION))) / FILL

    def _seen_height(self, elevation: float) -> float:
        """How far it reaches from the middle of a picture up or down, from whichever side that is most."""
        out = np.abs(self.points - self.center)
        return float((out[:, 1] * np.cos(elevation) + np.hypot(out[:, 0], out[:, 2]) * np.sin(elevation)).max())


def yawed(points: Points, yaw: float) -> Points:
    """Turn about the vertical through 0, degrees from +z towards +x. ``[..., 3]``"""
    return points @ rotation_matrices(np.deg2rad(yaw) * UP).T


def subject_of(figure: Jointed, points: Points, yaw: float = 0.0) -> Subject:
    """A figure's points ``[N, 3]`` as something that can move, turned by the yaw in degrees."""
    parts = tuple(
        replace(part, joint=yawed(part.joint, yaw), along=yawed(part.along, yaw), hinge=yawed(part.hinge, yaw))
        for part in figure.parts
    )
    turned = yawed(np.asarray(points, dtype=float), yaw)
    return Subject(turned, parts, figure.weights(points), turned.min(axis=0), turned.max(axis=0), yaw)


def subject_of_points(points: Points, facing: float = 0.0) -> Subject:
    """Points ``[N, 3]`` of which nothing else is known, such as the vertices of a foreign mesh, y up."""
    points = np.asarray(points, dtype=float)
    return Subject(points, (), np.empty((len(points), 0)), points.min(axis=0), points.max(axis=0), facing)
