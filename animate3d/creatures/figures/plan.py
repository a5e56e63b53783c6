"""What a random body is drawn on: solids and parts are added one by one, then it is brought to its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.figures.part import Part, Points
from animate3d.creatures.figures.solids import Solid, Solids, frame, template

LEFT, UP, FRONT = np.eye(3)

_WANTED: dict[str, Points] = {
    "leg": FRONT,
    "arm": FRONT,
    "wing": UP,
    "fin": UP,
    "ear": UP,
    "horn": UP,
    "tail": LEFT,
    "tentacle": LEFT,
    "stem": LEFT,
    "antenna": LEFT,
    "leaf": UP,
    "branch": LEFT,
}
"""Where the tip goes when a part of a name turns by a positive angle."""

_FIXED: dict[str, Points] = {"trunk": LEFT, "neck": LEFT, "head": LEFT, "jaw": LEFT, "wheel": LEFT, "lid": -LEFT}
"""Hinges that do not depend on where the part points."""

_PAIRED = ("wing", "fin", "ear", "horn")
"""Parts that go up where there is one on each side."""


@dataclass(frozen=True)
class Place:
    """Where solids go: the part they belong to and their loose piece."""

    part: int
    piece: int = 0


@dataclass(frozen=True, eq=False)
class Body:
    """What a plan comes to: solids, parts, their softness ``[P]``, eyes ``[E, 4]`` and the box of the surface."""

    solids: Solids
    parts: tuple[Part, ...]
    softness: Points
    eyes: Points
    low: Points
    high: Points


def unit(vector: ArrayLike) -> Points:
    """A vector ``[3]`` at length 1."""
    found = np.asarray(vector, dtype=float)
    return found / max(float(np.linalg.norm(found)), 1e-9)


def hinge_for(name: str, along: Points, outward: Points) -> Points:
    """The axis about which a part of a name swings, so that a positive turn moves its tip as `Part` says.

    Args:
        along: ``[3]`` unit, to the tip.
        outward: ``[3]`` away from the body's middle; decides where the part already points as it would go.
    """
    if name in _FIXED:
        return _FIXED[name]
    if name == "propeller":
        return along
    if name == "petal":
        flat = outward * [1.0, 0.0, 1.0]
        return unit(np.cross(UP, flat if np.linalg.norm(flat) > 1e-3 else FRONT))
    wanted = _WANTED.get(name, FRONT)
    if name in _PAIRED and abs(outward[0]) < 1e-3:
        wanted = LEFT  # a fin on the back leans to the left
    axis = np.cross(along, wanted)
    if np.linalg.norm(axis) < 0.1:
        # A wing that already points up goes on around the body's front.
        axis = FRONT * (np.sign(outward[0]) if abs(outward[0]) > 1e-3 else -1.0)
    axis = axis - along * (along @ axis)
    return unit(axis)


class Plan:
    """A body in the making.

    Attributes:
        random: draws everything.
        wild: how far sizes stray from the usual ones.
        blend: how soft its joints are.
        uneven: how much left and right differ.
        jaw_piece: number of the loose piece that jaws are; 0 where they are one with the head.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.random = generator
        self.wild = float(generator.choice([0.6, 1.0, 1.8], p=[0.35, 0.45, 0.2]))
        self.blend = float(generator.choice([0.0, 0.04, 0.1, 0.18], p=[0.2, 0.3, 0.35, 0.15]))
        self.uneven = float(generator.choice([0.0, 0.12], p=[0.85, 0.15]))
        self.jaw_piece = 2 if generator.random() < 0.65 else 0
        self.parts: list[Part] = []
        self.softness: list[float] = []
        self.solids: list[Solid] = []
        self.eyes: list[tuple[float, float, float, float]] = []
        self.tints: dict[str, tuple[float, float, float]] = {}

    # --- chance -----------------------------------------------------------------------------------------------------

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is drawn in here changes nothing of what is drawn after it."""
        before, self.random = self.random, self.random.spawn(1)[0]
        try:
            yield
        finally:
            self.random = before

    def chance(self, share: float) -> bool:
        """True in this share of plans."""
        return bool(self.random.random() < share)

    def pick(self, options: Sequence[str]) -> str:
        """One of some words."""
        return str(options[int(self.random.integers(len(options)))])

    def count(self, *options: int) -> int:
        """One of some numbers."""
        return int(self.random.choice(options))

    def among(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.random.uniform(low, high))

    def size(self, usual: float, spread: float = 0.22) -> float:
        """A size around the usual one, sometimes far from it."""
        return float(usual * np.exp(np.clip(self.random.normal(), -2, 2) * spread * self.wild))

    def near(self, usual: float) -> float:
        """The size of one of several like parts: the same, or a little different in an uneven body."""
        return float(usual * np.exp(self.random.normal() * self.uneven))

    # --- parts ------------------------------------------------------------------------------------------------------

    def part(
        self,
        name: str,
        parent: int,
        joint: ArrayLike,
        tip: ArrayLike,
        *,
        side: int = 0,
        order: float = 0.0,
        soft: float = 0.1,
        outward: ArrayLike | None = None,
        hinge: ArrayLike | None = None,
    ) -> int:
        """Add a part from its joint to its tip; returns its number.

        Args:
            soft: how far the skin gives way around the joint.
            outward: ``[3]`` away from the body's middle; by default the part's own direction.
            hinge: ``[3]``, where its name does not decide it.
        """
        start, end = np.asarray(joint, dtype=float), np.asarray(tip, dtype=float)
        along = unit(end - start)
        away = along if outward is None else np.asarray(outward, dtype=float)
        axis = hinge_for(name, along, away) if hinge is None else unit(hinge)
        self.parts.append(Part(name, parent, start, along, axis, float(np.linalg.norm(end - start)), side, order))
        self.softness.append(soft)
        return len(self.parts) - 1

    def eye(self, center: ArrayLike, radius: float) -> None:
        """Paint an eye where the surface comes near a place."""
        x, y, z = np.asarray(center, dtype=float).tolist()
        self.eyes.append((x, y, z, radius))

    # --- solids -----------------------------------------------------------------------------------------------------

    def _add(
        self,
        kind: str,
        place: Place,
        center: ArrayLike,
        axes: Points,
        sizes: Sequence[float],
        thickness: float,
        outline: Points | None = None,
    ) -> None:
        # A fillet wider than a solid is thick would swallow it.
        blend = min(self.blend, 0.8 * thickness)
        self.solids.append(
            Solid(
                kind,
                place.part,
                place.piece,
                np.asarray(center, dtype=float),
                axes,
                np.asarray([*sizes, *[0.0] * (6 - len(sizes))]),
                blend,
                thickness,
                np.zeros((0, 2)) if outline is None else outline,
            )
        )

    def ball(self, place: Place, center: ArrayLike, radii: ArrayLike, axes: Points | None = None) -> None:
        """An ellipsoid with radii along its axes (rows of ``axes``, by default x, y, z)."""
        rx, ry, rz = (np.asarray(radii, dtype=float) * np.ones(3)).tolist()
        self._add("limb", place, center, np.eye(3) if axes is None else axes, [0, 1, 1, rx, ry, rz], min(rx, ry, rz))

    def limb(
        self, place: Place, joints: Sequence[tuple[ArrayLike, float]], flat: float = 1.0, normal: ArrayLike = FRONT
    ) -> None:
        """Rounded cones through joints with radii; ``flat`` scales the thickness towards a normal."""
        for (start, r0), (end, r1) in pairwise(joints):
            a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
            length = float(np.linalg.norm(b - a))
            axes = frame(b - a, normal)
            self._add("limb", place, a, axes, [length, r0, r1, 1.0, 1.0, flat], min(r0, r1) * flat)

    def plate(
        self,
        place: Place,
        start: ArrayLike,
        end: ArrayLike,
        radii: tuple[float, float],
        half: float,
        normal: ArrayLike,
        *,
        squash: float = 1.0,
    ) -> None:
        """A flat shape from one round end to another, ``half`` the thickness on each side of its plane."""
        a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        axes = frame(b - a if np.linalg.norm(b - a) > 1e-6 else unit(LEFT + 0.3 * FRONT), normal)
        length = float(np.linalg.norm(b - a))
        self._add("plate", place, a, axes, [length, radii[0], radii[1], squash, half, 0.0], half)

    def box(
        self,
        place: Place,
        center: ArrayLike,
        half: ArrayLike,
        rounding: float = 0.02,
        *,
        narrow: float = 0.0,
        lean: float = 0.0,
        axes: Points | None = None,
    ) -> None:
        """A box with half extents, its top narrower than its bottom and shifted to its z side."""
        hx, hy, hz = np.asarray(half, dtype=float).tolist()
        rounding = min(rounding, 0.6 * min(hx, hy, hz))
        turn = np.eye(3) if axes is None else axes
        # The template grid reads `narrow` from the fifth size.
        self._add("box", place, center, turn, [hx, hy, hz, rounding, narrow, lean], min(hx, hy, hz))

    def drum(
        self,
        place: Place,
        start: ArrayLike,
        end: ArrayLike,
        radii: tuple[float, float],
        rounding: float = 0.02,
        squash: float = 1.0,
    ) -> None:
        """A cylinder, cone or disk between the middles of its ends."""
        a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        half = 0.5 * float(np.linalg.norm(b - a))
        rounding = min(rounding, 0.6 * half, 0.6 * max(radii))
        small = max(min(radii), rounding * 0.5, 1e-3)
        r0, r1 = max(radii[0], small), max(radii[1], small)
        self._add(
            "drum", place, 0.5 * (a + b), frame(b - a, FRONT), [half, r0, r1, rounding, squash], min(half, max(r0, r1))
        )

    def ring(
        self, place: Place, center: ArrayLike, axis: ArrayLike, large: float, small: float, tall: float = 1.0
    ) -> None:
        """A torus around an axis."""
        self._add("ring", place, center, frame(axis, FRONT), [large, small, tall], small)

    def lathe(self, place: Place, center: ArrayLike, axis: ArrayLike, outline: ArrayLike, wall: float = 0.2) -> None:
        """An outline of radii and heights ``[K, 2]``, closed along the axis, turned around it; how thick it is."""
        shape = np.asarray(outline, dtype=float)
        self._add("lathe", place, center, frame(axis, FRONT), [min(0.1 * wall, 0.012)], 0.5 * wall, shape)

    # --- the whole --------------------------------------------------------------------------------------------------

    def box_of_solids(self) -> tuple[Points, Points]:
        """Corners of a box around all solids."""
        corners = np.concatenate([template(solid).reshape(-1, 3) for solid in self.solids])
        return corners.min(axis=0), corners.max(axis=0)

    def finish(self) -> Body:
        """The body with the middle of its box at the origin and 2 as its longest side."""
        low, high = self.box_of_solids()
        middle, scale = 0.5 * (low + high), 2.0 / float((high - low).max())
        solids = [_scaled(solid, middle, scale) for solid in self.solids]
        parts = tuple(
            replace(part, joint=(part.joint - middle) * scale, length=part.length * scale) for part in self.parts
        )
        eyes = np.array(self.eyes).reshape(-1, 4)
        eyes = np.concatenate([(eyes[:, :3] - middle) * scale, eyes[:, 3:] * scale], axis=1)
        softness = np.array(self.softness) * scale
        return Body(Solids(solids), parts, softness, eyes, (low - middle) * scale, (high - middle) * scale)


_LENGTHS: dict[str, tuple[int, ...]] = {
    "limb": (0, 1, 2),
    "plate": (0, 1, 2, 4),
    "box": (0, 1, 2, 3, 5),
    "drum": (0, 1, 2, 3),
    "ring": (0, 1),
    "lathe": (0,),
}
"""Which of a solid's sizes are lengths."""


def _scaled(solid: Solid, middle: Points, scale: float) -> Solid:
    sizes = solid.sizes.copy()
    if solid.kind == "limb" and sizes[0] == 0:  # an ellipsoid has its radii in the scales
        sizes[3:] *= scale
    else:
        sizes[list(_LENGTHS[solid.kind])] *= scale
    return replace(
        solid,
        center=(solid.center - middle) * scale,
        sizes=sizes,
        blend=solid.blend * scale,
        thickness=solid.thickness * scale,
        outline=solid.outline * scale,
    )
