"""Furniture and vessels."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import point
from animate3d.creatures.figures.plan import FRONT, UP, Place, Plan, unit

FURNITURE: dict[str, tuple[str, ...]] = {
    "chair": ("chair", "armchair", "stool", "throne", "seat"),
    "table": ("table", "desk", "bench", "coffee table"),
    "lamp": ("lamp", "desk lamp", "floor lamp", "light"),
    "shelf": ("shelf", "cupboard", "bookcase", "dresser", "wardrobe"),
    "bed": ("bed", "sofa", "couch", "bench"),
    "clock": ("clock", "mirror", "television", "monitor", "sign"),
}
VESSELS: dict[str, tuple[str, ...]] = {
    "vase": ("vase", "urn", "jar", "goblet", "amphora"),
    "teapot": ("teapot", "kettle", "coffee pot", "watering can"),
    "pot": ("pot", "saucepan", "cauldron", "pan", "bucket"),
    "bottle": ("bottle", "flask", "wine bottle", "perfume bottle"),
    "box": ("box", "chest", "treasure chest", "gift box", "crate", "suitcase"),
    "cup": ("cup", "mug", "glass", "bowl", "trophy"),
}


def draw_furniture(plan: Plan) -> str:
    """A chair, table, lamp, shelf, bed or clock; returns its noun."""
    plan.blend = min(plan.blend, 0.05)
    style = plan.pick(tuple(FURNITURE))
    {"chair": _chair, "table": _table, "lamp": _lamp, "shelf": _shelf, "bed": _bed, "clock": _clock}[style](plan)
    return plan.pick(FURNITURE[style])


def _board(plan: Plan, half: tuple[float, float, float], height: float) -> int:
    """The trunk of a piece of furniture: a board or disk at a height."""
    trunk = plan.part("trunk", -1, point(0, height - half[1], 0), point(0, height + half[1], 0))
    if plan.chance(0.25):
        low, high = (height - half[1]) * UP, (height + half[1]) * UP
        plan.drum(Place(trunk), low, high, (half[2], half[2]), 0.03, squash=half[0] / half[2])
    else:
        plan.box(Place(trunk), height * UP, half, plan.among(0.01, 0.05))
    return trunk


def _four_legs(plan: Plan, trunk: int, half: tuple[float, float, float], height: float) -> None:
    thick, splay = plan.size(0.045, 0.3), plan.among(0.0, 0.15)
    square = plan.chance(0.5)
    for order, z in ((0.0, 1), (1.0, -1)):
        for side in (1, -1):
            hip = point(0.7 * half[0] * side, height, 0.7 * half[2] * z)
            foot = hip + plan.near(height) * unit(point(splay * side, -1, splay * z))
            leg = plan.part("leg", trunk, hip, foot, side=side, order=order, soft=0.03)
            if square:
                plan.box(Place(leg), 0.5 * (hip + foot), [thick, 0.5 * height, thick], 0.01)
            else:
                plan.limb(Place(leg), [(hip, thick), (foot, plan.among(0.6, 1.0) * thick)])


def _chair(plan: Plan) -> None:
    half, height = (plan.size(0.38), plan.size(0.05, 0.35), plan.size(0.38)), plan.size(0.55)
    trunk = _board(plan, half, height)
    if plan.chance(0.75):
        _four_legs(plan, trunk, half, height)
    else:
        plan.drum(Place(trunk), 0.03 * UP, height * UP, (0.06, 0.06))
        plan.drum(Place(trunk), 0.0 * UP, 0.06 * UP, (0.3, 0.25), 0.02)
    tall = plan.size(0.4, 0.3)
    if plan.chance(0.85):
        middle = point(0, height + tall, -half[2] + 0.04)
        plan.box(Place(trunk), middle, [0.95 * half[0], tall, 0.05], 0.03, narrow=plan.among(-0.1, 0.25),
                 lean=-plan.among(0, 0.15))  # fmt: skip
    if plan.chance(0.35):
        for side in (1, -1):
            plan.box(Place(trunk), point(half[0] * side, height + 0.25, 0), [0.05, 0.04, half[2]], 0.03)
            plan.box(Place(trunk), point(half[0] * side, height + 0.12, 0.7 * half[2]), [0.035, 0.14, 0.04], 0.02)


def _table(plan: Plan) -> None:
    half, height = (plan.size(0.75, 0.3), plan.size(0.045, 0.3), plan.size(0.5, 0.3)), plan.size(0.65)
    trunk = _board(plan, half, height)
    if plan.chance(0.8):
        _four_legs(plan, trunk, half, height)
    else:
        plan.drum(Place(trunk), 0.02 * UP, height * UP, (0.09, 0.07))
        plan.drum(Place(trunk), 0.0 * UP, 0.07 * UP, (0.4, 0.3), 0.02)
    if plan.chance(0.3):
        plan.ball(Place(trunk), point(0.2, height + 0.12, 0), plan.size(0.13))


def _lamp(plan: Plan) -> None:
    wide = plan.size(0.3)
    trunk = plan.part("trunk", -1, point(0, 0, 0), point(0, 0.1, 0))
    plan.drum(Place(trunk), 0.0 * UP, plan.size(0.08, 0.3) * UP, (wide, plan.among(0.5, 1) * wide), 0.02)
    tall, lean = plan.size(0.9, 0.25), plan.among(-0.3, 0.3) if plan.chance(0.4) else 0.0
    top = point(0, tall, lean)
    stem = plan.part("stem", trunk, point(0, 0.02, 0), top, soft=0.03)
    bend = point(0, 0.55 * tall, -0.6 * lean)
    plan.limb(Place(stem), [(point(0, 0.02, 0), 0.04), (bend, 0.035), (top, 0.035)])
    head = plan.part("head", stem, top, top + (0.3 * UP if lean == 0 else 0.3 * FRONT), soft=0.02)
    size = plan.size(0.32)
    if plan.chance(0.25):
        plan.ball(Place(head), top + 0.6 * size * UP, size)
    else:
        axis = UP if lean == 0 else -unit(point(0, -0.8, 1.0))
        small = plan.among(0.3, 0.9) * size
        plan.drum(Place(head), top - 0.5 * size * axis, top + 0.6 * size * axis, (size, small), 0.03)


def _shelf(plan: Plan) -> None:
    wide, tall, deep = plan.size(0.5), plan.size(0.7), plan.size(0.25)
    trunk = plan.part("trunk", -1, point(0, -tall, 0), point(0, tall, 0))
    plan.box(Place(trunk), point(0, 0, -deep), [wide, tall, 0.04], 0.01)
    for x in (-1, 1):
        plan.box(Place(trunk), point(x * wide, 0, 0), [0.04, tall, deep], 0.01)
    shelves = plan.count(2, 3, 4)
    for number in range(shelves):
        height = -tall + 2 * tall * number / (shelves - 1)
        plan.box(Place(trunk), point(0, height, 0), [wide, 0.04, deep], 0.01)
        if number and plan.chance(0.7):
            plan.box(Place(trunk), point(plan.among(-0.5, 0.5) * wide, height - 0.9 * tall / shelves, 0),
                     [0.3 * wide, 0.6 * tall / shelves, 0.6 * deep], 0.02)  # fmt: skip
    if plan.chance(0.5):
        hinge_at = point(-wide, 0, deep + 0.04)
        door = plan.part("lid", trunk, hinge_at, hinge_at + point(1.9 * wide, 0, 0), soft=0.0, hinge=-UP)
        plan.box(Place(door, piece=1), point(0, 0, deep + 0.05), [wide, 0.98 * tall, 0.035], 0.015)


def _bed(plan: Plan) -> None:
    half, height = (plan.size(0.5), plan.size(0.13), plan.size(0.85, 0.15)), 0.35
    trunk = plan.part("trunk", -1, point(0, height, -half[2]), point(0, height, half[2]))
    plan.box(Place(trunk), height * UP, half, plan.among(0.03, 0.1))
    _four_legs(plan, trunk, half, height)
    plan.box(Place(trunk), point(0, height + 0.2, -half[2]), [half[0], plan.size(0.4), 0.06], 0.03)
    if plan.chance(0.6):
        plan.ball(Place(trunk), point(0, height + half[1] + 0.05, -0.65 * half[2]), [0.7 * half[0], 0.11, 0.2])
    if plan.chance(0.4):
        plan.box(Place(trunk), point(0, height + 0.05, half[2]), [half[0], 0.25, 0.05], 0.03)


def _clock(plan: Plan) -> None:
    wide, deep = plan.size(0.5), plan.size(0.08, 0.4)
    trunk = plan.part("trunk", -1, point(0, -wide, 0), point(0, wide, 0))
    if plan.chance(0.5):
        plan.drum(Place(trunk), -deep * FRONT, deep * FRONT, (wide, wide), 0.03)
        plan.ring(Place(trunk), deep * FRONT, FRONT, 0.95 * wide, 0.06)
    else:
        plan.box(Place(trunk), 0.0 * UP, [plan.size(1.3, 0.2) * wide, wide, deep], 0.04)
    hands = ((0.7, plan.among(0, 6.3)), (0.45, plan.among(0, 6.3)))
    for length, angle in hands if plan.chance(0.7) else ():
        root = (deep + 0.05) * FRONT
        tip = root + length * wide * point(np.sin(angle), np.cos(angle), 0)
        hand = plan.part("hand", trunk, root, tip, soft=0.0, hinge=-FRONT)
        plan.plate(Place(hand, piece=1), root, tip, (0.05, 0.035), 0.02, FRONT)
    if plan.chance(0.6):
        plan.drum(Place(trunk), point(0, -wide - 0.3, 0), point(0, -0.9 * wide, 0), (0.07, 0.07))
        plan.drum(Place(trunk), point(0, -wide - 0.35, 0), point(0, -wide - 0.28, 0), (0.35, 0.3), 0.02)


def draw_vessel(plan: Plan) -> str:
    """A vase, teapot, pot, bottle, box or cup; returns its noun."""
    style = plan.pick(tuple(VESSELS))
    {"vase": _vase, "teapot": _teapot, "pot": _pot, "bottle": _bottle, "box": _box, "cup": _cup}[style](plan)
    return plan.pick(VESSELS[style])


def _turned(plan: Plan, profile: np.ndarray, wall: float) -> tuple[int, float]:
    """A trunk turned from an outer profile ``[K, 2]`` from the bottom up, hollow if it has a wall, and its height."""
    trunk = plan.part("trunk", -1, point(0, 0, 0), point(0, profile[-1, 1], 0))
    outline = [(0.0, profile[0, 1]), *map(tuple, profile)]
    if wall > 0:
        inner = [(max(r - wall, 0.02), y) for r, y in profile[::-1] if y > profile[0, 1] + 1.5 * wall]
        outline += [*inner, (0.0, profile[0, 1] + 1.5 * wall)]
    else:
        outline.append((0.0, profile[-1, 1]))
    plan.lathe(Place(trunk), 0.0 * UP, UP, outline, wall or 0.2)
    return trunk, float(profile[-1, 1])


def _profile(plan: Plan, tall: float, wide: float, count: int = 14) -> np.ndarray:
    """Radii that swing smoothly from the bottom to the rim. ``[K, 2]``"""
    share = np.linspace(0, 1, count)
    knots = [plan.among(0.35, 0.9), plan.among(0.6, 1.1), plan.among(0.4, 1.1), plan.among(0.3, 1.0)]
    fit = np.polyfit(np.linspace(0, 1, 4), knots, 3)
    return np.stack([wide * np.maximum(np.polyval(fit, share), 0.15), tall * share], axis=1)


def _handle(plan: Plan, trunk: int, x: float, height: float, size: float, upright: bool = True) -> None:
    plan.ring(Place(trunk), point(x, height, 0), FRONT if upright else UP, size, 0.045)


def _lid(plan: Plan, trunk: int, height: float, radius: float) -> None:
    back = point(0, height, -radius)
    lid = plan.part("lid", trunk, back, back + 2 * radius * FRONT, soft=0.0)
    place, dome = Place(lid, piece=1), plan.size(0.12, 0.4)
    plan.ball(place, (height + 0.02) * UP, [radius, dome, radius])
    plan.ball(place, (height + dome + 0.04) * UP, plan.size(0.07, 0.25))


def _vase(plan: Plan) -> None:
    trunk, tall = _turned(plan, _profile(plan, plan.size(1.2), plan.size(0.45)), 0.06 if plan.chance(0.8) else 0.0)
    if plan.chance(0.3):
        for side in (1, -1):
            _handle(plan, trunk, 0.4 * side, 0.65 * tall, 0.2)


def _teapot(plan: Plan) -> None:
    wide, tall = plan.size(0.5), plan.size(0.42)
    trunk = plan.part("trunk", -1, point(0, -tall, 0), point(0, tall, 0))
    if plan.chance(0.7):
        plan.ball(Place(trunk), 0.0 * UP, [wide, tall, wide])
    else:
        plan.drum(Place(trunk), -tall * UP, 0.9 * tall * UP, (wide, plan.among(0.6, 1.0) * wide), 0.08)
    plan.drum(Place(trunk), -tall * UP, -0.75 * tall * UP, (0.6 * wide, 0.6 * wide), 0.03)
    side = plan.count(1, -1)
    spout = point(side * (wide + 0.35), plan.among(0.1, 0.5), 0)
    plan.limb(Place(trunk), [(point(side * 0.7 * wide, -0.15, 0), 0.14), (spout, 0.06)])
    _handle(plan, trunk, -side * (wide + 0.08), 0.0, 0.24)
    _lid(plan, trunk, 0.86 * tall, 0.5 * wide)


def _pot(plan: Plan) -> None:
    wide, tall = plan.size(0.6), plan.size(0.6, 0.35)
    profile = np.array([(plan.among(0.75, 1.0) * wide, 0.0), (wide, 0.3 * tall), (wide, tall)])
    trunk, top = _turned(plan, profile, 0.06)
    if plan.chance(0.6):
        for side in (1, -1):
            _handle(plan, trunk, side * (wide + 0.04), 0.75 * top, 0.13, upright=False)
    else:
        plan.limb(Place(trunk), [(point(0.9 * wide, 0.85 * top, 0), 0.06), (point(wide + 0.7, top, 0), 0.05)])
    if plan.chance(0.75):
        _lid(plan, trunk, top, 1.02 * wide)


def _bottle(plan: Plan) -> None:
    wide, tall, neck = plan.size(0.28), plan.size(0.75), plan.size(0.35)
    thin = plan.among(0.3, 0.6) * wide
    profile = np.array(
        [(wide, 0.0), (wide, tall), (0.85 * wide, tall + 0.12), (thin, tall + 0.25), (thin, tall + neck + 0.25)]
    )
    trunk, top = _turned(plan, profile, 0.0)
    if plan.chance(0.6):
        lid = plan.part("lid", trunk, point(0, top, -thin), point(0, top, thin), soft=0.0)
        plan.drum(Place(lid, piece=1), (top - 0.05) * UP, (top + 0.12) * UP, (1.3 * thin, 1.2 * thin), 0.02)


def _box(plan: Plan) -> None:
    half = (plan.size(0.6, 0.25), plan.size(0.35, 0.3), plan.size(0.42, 0.25))
    trunk = plan.part("trunk", -1, point(0, -half[1], 0), point(0, half[1], 0))
    plan.box(Place(trunk), 0.0 * UP, half, plan.among(0.01, 0.06), narrow=plan.among(-0.1, 0.1))
    back = point(0, half[1], -half[2])
    lid = plan.part("lid", trunk, back, back + 2 * half[2] * FRONT, soft=0.0)
    thick = plan.size(0.07, 0.4)
    over = point(0, half[1] + thick, 0)
    if plan.chance(0.35):
        thick = plan.size(0.2)
        over = point(0, half[1] + thick, 0)
        plan.box(Place(lid, piece=1), over, [1.04 * half[0], thick, 1.04 * half[2]], 0.15, narrow=plan.among(0.1, 0.3))
    else:
        plan.box(Place(lid, piece=1), over, [1.06 * half[0], thick, 1.06 * half[2]], 0.02)
    plan.box(Place(lid, piece=1), over + 1.08 * half[2] * FRONT, [0.09, 0.1, 0.05], 0.02)
    if plan.chance(0.3):
        plan.ball(Place(lid, piece=1), over + (thick + 0.05) * UP, plan.size(0.1))


def _cup(plan: Plan) -> None:
    wide, tall = plan.size(0.5), plan.size(0.7, 0.4)
    profile = np.array([(plan.among(0.5, 1.0) * wide, 0.0), (plan.among(0.8, 1.0) * wide, 0.4 * tall), (wide, tall)])
    if plan.chance(0.3):  # on a foot
        profile = np.concatenate([[(0.7 * wide, -0.45), (0.68 * wide, -0.4), (0.12, -0.33), (0.12, -0.05)], profile])
    trunk, top = _turned(plan, profile, 0.06)
    if plan.chance(0.6):
        _handle(plan, trunk, wide + 0.03, 0.5 * top, 0.3 * tall)
