"""Flowers and other plants, trees, mushrooms."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import point
from animate3d.creatures.figures.part import Points
from animate3d.creatures.figures.plan import LEFT, UP, Place, Plan, unit

FLOWERS = ("flower", "tulip", "rose", "daisy", "sunflower", "lily", "plant", "lotus", "poppy", "orchid")
LEAFY = ("plant", "houseplant", "fern", "weed", "sprout", "seedling", "bush", "cactus", "palm")
TREES = ("tree", "oak", "pine tree", "palm tree", "fir tree", "bonsai", "birch")
MUSHROOMS = ("mushroom", "toadstool", "umbrella", "parasol")
GREEN, BROWN = (0.2, 0.55, 0.16), (0.4, 0.25, 0.12)


def draw_plant(plan: Plan) -> str:
    """A flower with petals or a leafy plant, perhaps in a pot; returns its noun."""
    plan.tints |= {"leaf": GREEN, "stem": GREEN}
    ground = plan.part("trunk", -1, point(0, -0.2, 0), point(0, 0, 0))
    if plan.chance(0.6):
        tall, wide = plan.size(0.35), plan.size(0.25)
        plan.drum(Place(ground), point(0, -tall, 0), point(0, 0, 0), (plan.among(0.6, 0.9) * wide, wide), 0.03)
        plan.drum(Place(ground), point(0, -0.08, 0), point(0, 0.02, 0), (1.12 * wide, 1.12 * wide), 0.02)
        plan.tints["trunk"] = (0.72, 0.36, 0.22)
    else:
        plan.ball(Place(ground), point(0, -0.03, 0), [plan.size(0.25), 0.08, plan.size(0.25)])
        plan.tints["trunk"] = BROWN
    flower = plan.chance(0.65)
    stems = 1 if flower and plan.chance(0.75) else plan.count(2, 3)
    for number in range(stems):
        angle = 2 * np.pi * number / stems + 0.5
        lean = plan.among(0.0, 0.15) if stems == 1 else plan.among(0.15, 0.5)
        tall, thick = plan.size(0.8, 0.25), plan.among(0.03, 0.06)
        top = tall * unit(point(lean * np.sin(angle), 1, lean * np.cos(angle)))
        stem = plan.part("stem", ground, point(0, -0.02, 0), top, order=number / stems, soft=0.05)
        bow = 0.5 * top + 0.4 * lean * tall * UP
        plan.limb(Place(stem), [(point(0, -0.02, 0), thick), (bow, thick), (top, 0.9 * thick)])
        _leaves(plan, stem, bow, plan.count(0, 1, 2, 3) if flower else plan.count(3, 4, 5), 0.2 if flower else 0.4)
        if flower:
            _flower(plan, stem, top)
        elif plan.chance(0.5):
            plan.ball(Place(stem), top, plan.size(0.1))
    return plan.pick(FLOWERS if flower else LEAFY)


def _leaves(plan: Plan, parent: int, middle: Points, count: int, length: float) -> None:
    turn = plan.among(0, 6.3)
    for leaf in range(count):
        angle = turn + 2.4 * leaf
        out = point(np.sin(angle), 0, np.cos(angle))
        root = middle * (0.5 + 1.0 * (leaf + 0.5) / count if count > 1 else 1.0)
        direction = unit(out + plan.among(-0.2, 0.9) * UP)
        tip = root + plan.size(1.4 * length, 0.25) * direction
        side = int(np.sign(round(out[0], 2)))
        part = plan.part("leaf", parent, root, tip, side=side, order=leaf / count, soft=0.04, outward=out)
        half = 0.5 * (root + tip)
        wide = plan.size(0.3) * length
        normal = np.cross(direction, np.cross(UP, direction))
        plan.plate(Place(part), root, half, (0.03, wide), 0.022, normal)
        plan.plate(Place(part), half, tip, (wide, 0.03), 0.022, normal)


def _flower(plan: Plan, stem: int, top: Points) -> None:
    count, size = plan.count(3, 4, 5, 6, 6, 8), plan.size(0.42, 0.3)
    center = plan.part("head", stem, top, top + 0.15 * UP, soft=0.03)
    heart = plan.size(0.13, 0.3)
    plan.ball(Place(center), top + 0.03 * UP, [heart, 0.7 * heart, heart])
    plan.tints["head"] = (0.95, 0.75, 0.15) if plan.chance(0.6) else (0.35, 0.2, 0.1)
    rise = plan.among(0.05, 1.6)  # flat to cup-like
    wide, half = size * np.pi / count * plan.among(0.6, 1.0) * 0.6, plan.among(0.022, 0.035)
    for petal in range(count):
        angle = 2 * np.pi * petal / count
        out = point(np.sin(angle), 0, np.cos(angle))
        direction = unit(out + rise * UP)
        root, tip = top + 0.6 * heart * out, top + (0.6 * heart) * out + plan.near(size) * direction
        side = int(np.sign(round(out[0], 2)))
        part = plan.part("petal", center, root, tip, side=side, order=petal / count, soft=0.05, outward=out)
        normal = np.cross(direction, np.cross(UP, out))
        plan.plate(Place(part), root, tip - wide * direction, (0.5 * wide, wide), half, normal)


def draw_tree(plan: Plan) -> str:
    """A tree: a stem, branches, and a crown of balls, cones or leaves; returns its noun."""
    plan.tints |= {"trunk": BROWN, "stem": BROWN, "branch": BROWN, "leaf": GREEN, "crown": GREEN}
    tall, thick = plan.size(0.55, 0.25), plan.size(0.1, 0.3)
    trunk = plan.part("trunk", -1, point(0, 0, 0), point(0, 0.1, 0))
    plan.drum(Place(trunk), point(0, -0.04, 0), point(0, 0.06, 0), (1.8 * thick, 1.2 * thick), 0.02)
    top = point(plan.among(-0.1, 0.1), tall, plan.among(-0.1, 0.1))
    style = plan.pick(("ball", "balls", "cone", "palm", "branches"))
    full = top + plan.size(0.9, 0.15) * UP
    stem = plan.part("stem", trunk, point(0, 0.02, 0), full if style != "palm" else top, soft=1.5 * thick)
    plan.limb(Place(stem), [(point(0, 0.02, 0), thick), (top, 0.75 * thick)])
    if style == "cone":
        crown = plan.part("crown", stem, top - 0.3 * UP, full, soft=0.05)
        for layer in range(plan.count(1, 2, 3)):
            low = top + (0.32 * layer - 0.3) * UP
            wide = plan.size(0.5, 0.1) * (1 - 0.22 * layer)
            plan.drum(Place(crown), low, low + 0.65 * UP, (wide, 0.04), 0.03)
    elif style == "palm":
        _leaves(plan, stem, top * 0.99, 6, 0.55)
    else:
        crown = plan.part("crown", stem, top, full, soft=0.12)
        size = plan.size(0.5)
        if style == "ball":
            plan.ball(Place(crown), top + 0.7 * size * UP, [size, plan.size(1.0) * size, size])
        for _ in range({"ball": 0, "balls": plan.count(3, 4, 6), "branches": 2}[style]):
            shift = size * 0.6 * plan.random.normal(size=3) * [1, 0.6, 1]
            plan.ball(Place(crown), top + 0.6 * size * UP + shift, plan.size(0.6) * size)
        if style == "branches":
            _branches(plan, stem, top, thick, size)
    return plan.pick(TREES)


def _branches(plan: Plan, stem: int, top: Points, thick: float, size: float) -> None:
    for number in range(plan.count(2, 3, 4)):
        angle = 2.1 * number + plan.among(0, 1)
        out = point(np.sin(angle), 0, np.cos(angle))
        root = plan.among(0.5, 0.95) * top
        tip = root + plan.size(0.5) * unit(out + 0.7 * UP)
        side = int(np.sign(round(out[0], 2)))
        branch = plan.part("branch", stem, root, tip, side=side, order=number / 4, soft=0.6 * thick, outward=out)
        plan.limb(Place(branch), [(root, 0.5 * thick), (tip, 0.35 * thick)])
        plan.ball(Place(branch), tip, plan.size(0.4) * size)


def draw_mushroom(plan: Plan) -> str:
    """A stem with a cap; returns its noun."""
    tall, thick = plan.size(0.6, 0.3), plan.size(0.15, 0.3)
    trunk = plan.part("trunk", -1, point(0, 0, 0), point(0, 0.1 * tall, 0))
    plan.drum(Place(trunk), point(0, -0.03, 0), point(0, 0.1 * tall, 0), (1.2 * thick, thick), 0.03)
    stem = plan.part("stem", trunk, point(0, 0, 0), point(0, tall, 0), soft=0.1)
    plan.limb(Place(stem), [(point(0, 0.05, 0), thick), (point(0, tall, 0), plan.size(0.8) * thick)])
    wide, high = plan.size(0.5, 0.25), plan.size(0.35, 0.35)
    cap = plan.part("head", stem, point(0, tall, 0), point(0, tall + high, 0), soft=0.08, hinge=LEFT)
    shape = plan.pick(("dome", "ball", "cone"))
    top = point(0, tall - 0.05, 0)
    if shape == "dome":
        bow = np.linspace(0, 0.5 * np.pi, 8)
        dome = [(0.0, 0.25 * high)] + [(wide * np.cos(a), high * np.sin(a)) for a in bow]
        dome[-1] = (0.0, high)
        plan.lathe(Place(cap), top, UP, dome)
    elif shape == "ball":
        plan.ball(Place(cap), top + 0.3 * high * UP, [wide, high, wide])
    else:
        plan.drum(Place(cap), top, top + 1.3 * high * UP, (wide, 0.04), 0.04)
    return plan.pick(MUSHROOMS)
