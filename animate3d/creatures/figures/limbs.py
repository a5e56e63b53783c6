"""Parts that many bodies have: legs, heads with what is on them, necks, tails, wings, fins, wheels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.figures.part import Points
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit


def point(x: float, y: float, z: float) -> Points:
    """A place. ``[3]``"""
    return np.array([x, y, z])


def add_leg(
    plan: Plan,
    parent: int,
    hip: Points,
    foot: Points,
    radius: float,
    side: int,
    order: float,
    knee: Points | None = None,
) -> int:
    """A leg from hip to foot, with a foot where the plan has one."""
    leg = plan.part("leg", parent, hip, foot, side=side, order=order, soft=1.2 * radius, outward=LEFT * side)
    thin = radius * plan.among(0.55, 1.0)
    place = Place(leg)
    if knee is None:
        plan.limb(place, [(hip, radius), (foot, thin)])
    else:
        plan.limb(place, [(hip, radius), (knee, 0.5 * (radius + thin)), (foot, thin)])
    return leg


def add_foot(plan: Plan, leg: int, foot: Points, radius: float, shape: str) -> None:
    """A paw, a hoof or toes at the end of a leg."""
    if shape == "paw":
        plan.ball(Place(leg), foot + 0.4 * radius * FRONT, [1.25 * radius, 0.8 * radius, 1.6 * radius])
    elif shape == "hoof":
        plan.drum(Place(leg), foot - 1.0 * radius * UP, foot + 0.6 * radius * UP, (1.35 * radius, radius), 0.2 * radius)
    elif shape == "toes":
        for turn in (-0.6, 0.0, 0.6):
            toe = foot + 3.0 * radius * point(np.sin(turn), -0.05, np.cos(turn))
            plan.limb(Place(leg), [(foot, 0.8 * radius), (toe, 0.5 * radius)])


def add_neck(plan: Plan, parent: int, start: Points, end: Points, radius: float) -> int:
    """A neck from the trunk to where the head begins."""
    neck = plan.part("neck", parent, start, end, soft=1.2 * radius)
    plan.limb(Place(neck), [(start, 1.15 * radius), (end, 0.85 * radius)])
    return neck


def add_head(plan: Plan, parent: int, joint: Points, center: Points, size: float, long: float, mouth: str) -> int:
    """A head with eyes and a mouth: ``"snout"``, ``"jaw"`` (which opens), ``"beak"`` or ``"none"``.

    Args:
        joint: where it turns.
        center, size: of the skull.
        long: length of the snout in sizes.
    """
    head = plan.part("head", parent, joint, center + 0.7 * size * FRONT, soft=0.45 * size)
    place = Place(head)
    radii = size * np.array([plan.size(0.95, 0.1), plan.size(0.95, 0.1), plan.size(1.05, 0.12)])
    plan.ball(place, center, radii)
    if mouth in ("snout", "jaw"):
        root, tip = center + size * point(0, -0.2, 0.5), center + size * point(0, -0.3, 0.85 + long)
        wide = plan.size(0.5, 0.12) * size
        if mouth == "jaw":
            root, tip = root + 0.12 * size * UP, tip + 0.14 * size * UP
        plan.limb(place, [(root, wide), (tip, wide * plan.among(0.5, 0.9))], flat=0.75, normal=UP)
        if mouth == "jaw":
            _add_jaw(plan, head, center, size, long, 0.8 * wide)
    elif mouth == "beak":
        root, tip = center + size * point(0, -0.1, 0.7), center + size * point(0, -0.2, 1.2 + long)
        plan.drum(place, root, tip, (0.36 * size, 0.06 * size), 0.02 * size)
    side, up = plan.among(0.45, 0.75), plan.among(0.2, 0.45)
    radius = plan.size(0.2, 0.25) * size
    for x in (-side, side):
        plan.eye(center + radii * unit(point(x, up, 0.75)), radius)
    return head


def _add_jaw(plan: Plan, head: int, center: Points, size: float, long: float, wide: float) -> None:
    root, tip = center + size * point(0, -0.45, 0.1), center + size * point(0, -0.52, 0.75 + 0.92 * long)
    jaw = plan.part("jaw", head, root, tip, soft=0.25 * size)
    plan.limb(Place(jaw, plan.jaw_piece), [(root, wide), (tip, 0.6 * wide)], flat=0.5, normal=UP)


def add_ears(plan: Plan, head: int, center: Points, size: float, shape: str) -> None:
    """A pair of ears: ``"pointed"``, ``"long"``, ``"round"``, ``"hanging"``; the last two thin."""
    tall = plan.size(0.7, 0.3) * size * (2.0 if shape == "long" else 1.0)
    out = plan.among(0.2, 0.6)
    for side in (1, -1):
        root = center + size * point(0.6 * side, 0.65, 0.0)
        direction = unit(point(side * out, 1.0, -0.1))
        if shape == "hanging":
            root, direction = center + size * point(0.8 * side, 0.4, 0.0), unit(point(0.8 * side, -0.9, 0.0))
        elif shape == "round":
            root, direction = center + size * point(0.7 * side, 0.6, 0.0), unit(point(side, 0.55, 0.0))
        tip = root + plan.near(tall) * direction
        ear = plan.part("ear", head, root, tip, side=side, soft=0.2 * size, outward=LEFT * side)
        if shape == "round":
            middle = root + 0.55 * tall * direction
            plan.plate(Place(ear), middle, middle, (0.65 * tall, 0.65 * tall), 0.08 * size, FRONT)
        elif shape == "pointed":
            plan.limb(Place(ear), [(root, 0.3 * size), (tip, 0.04 * size)], flat=0.5)
        else:
            plan.limb(Place(ear), [(root, 0.16 * size), (tip, 0.22 * size)], flat=0.45)


def add_horns(plan: Plan, head: int, center: Points, size: float) -> None:
    """One horn in the middle or a pair, straight or bent."""
    tall = plan.size(0.8, 0.35) * size
    thick = plan.size(0.13, 0.2) * size
    for side in (0,) if plan.chance(0.25) else (1, -1):
        root = center + size * point(0.35 * side, 0.8, 0.25)
        bend = root + 0.6 * tall * unit(point(0.8 * side, 1.0, 0.1))
        tip = bend + 0.6 * tall * unit(point(0.1 * side, 1.0, 0.5))
        horn = plan.part("horn", head, root, tip, side=side, soft=0.1 * size, outward=LEFT * side)
        plan.limb(Place(horn), [(root, thick), (bend, 0.7 * thick), (tip, 0.2 * thick)])


def add_tail(plan: Plan, parent: int, root: Points, length: float, radius: float, rise: float, tuft: bool) -> int:
    """A tail to the back, rising or hanging, perhaps with a tuft."""
    bend = root + 0.5 * length * unit(point(0, rise, -1.0))
    tip = bend + 0.5 * length * unit(point(0, 1.6 * rise, -1.0))
    tail = plan.part("tail", parent, root, tip, soft=radius)
    plan.limb(Place(tail), [(root, radius), (bend, 0.75 * radius), (tip, plan.among(0.2, 0.8) * radius)])
    if tuft:
        plan.ball(Place(tail), tip, plan.size(1.5) * radius)
    return tail


def add_wings(
    plan: Plan,
    parent: int,
    root: Points,
    span: float,
    chord: float,
    half: float,
    rise: float,
    sweep: float,
    order: float = 0.0,
) -> None:
    """A pair of thin wings from ``root`` (on the left) and its mirror image; ``rise`` up, ``sweep`` to the back."""
    taper, bow = plan.among(0.3, 1.3), plan.among(-0.15, 0.15)
    for side in (1, -1):
        start = root * [side, 1, 1]
        direction = unit(point(side, rise, -sweep))
        tip = start + plan.near(span) * direction
        wing = plan.part(
            "wing", parent, start, tip, side=side, order=order, soft=0.6 * half + 0.04, outward=LEFT * side
        )
        normal = np.cross(FRONT, direction) * side
        radii = (0.5 * chord, 0.5 * chord * taper)
        reach = span - radii[1]
        middle = start + 0.5 * reach * direction + bow * chord * FRONT
        plan.plate(Place(wing), start + 0.3 * radii[0] * direction, middle, (0.8 * radii[0], radii[0]), half, normal)
        plan.plate(Place(wing), middle, start + reach * direction, (radii[0], radii[1]), half, normal)


def add_fin(
    plan: Plan,
    parent: int,
    root: Points,
    tip: Points,
    wide: float,
    half: float,
    normal: ArrayLike,
    side: int,
    name: str = "fin",
) -> int:
    """A thin fin from root to tip that widens towards it."""
    fin = plan.part(name, parent, root, tip, side=side, soft=0.06, outward=LEFT * side)
    direction = unit(tip - root)
    radius = 0.5 * wide
    plan.plate(Place(fin), root, tip - radius * direction, (0.6 * radius, radius), half, normal)
    return fin


def add_wheel(plan: Plan, parent: int, center: Points, radius: float, half: float, side: int, order: float) -> int:
    """A wheel with a hub, around the axis from right to left; a loose piece."""
    wheel = plan.part("wheel", parent, center, center + radius * UP, side=side, order=order, soft=0.0)
    place = Place(wheel, piece=1)
    plan.drum(place, center - half * LEFT, center + half * LEFT, (radius, radius), 0.25 * half)
    out = (side or 1) * half
    plan.drum(place, center, center + 1.3 * out * LEFT, (0.45 * radius, 0.35 * radius), 0.1 * half)
    # Bolts let the turning be seen.
    for turn in range(plan.count(2, 3, 5)):
        angle = 2 * np.pi * turn / 5
        bolt = center + 0.68 * radius * point(0, np.cos(angle), np.sin(angle))
        plan.ball(place, bolt + out * LEFT, 0.16 * radius)
    return wheel
