"""Birds, insects and aircraft."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import add_fin, add_head, add_leg, add_wheel, add_wings, point
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit

BIRDS = ("bird", "owl", "eagle", "parrot", "duck", "chicken", "penguin", "sparrow", "crow", "pigeon", "swan", "goose",
         "hen", "rooster", "turkey", "flamingo", "ostrich", "seagull", "hawk", "robin", "chick", "stork")  # fmt: skip
INSECTS = ("bee", "butterfly", "dragonfly", "fly", "beetle", "ladybug", "ant", "wasp", "moth", "mosquito", "bug",
           "insect", "grasshopper", "cricket")  # fmt: skip
AIRPLANES = ("airplane", "plane", "jet", "biplane", "glider", "toy plane")
HELICOPTERS = ("helicopter", "drone", "chopper")
ROCKETS = ("rocket", "missile", "spaceship", "space rocket")


def draw_bird(plan: Plan) -> str:
    """A bird: an egg-like trunk, two wings, two legs, a beak and a fan of a tail; returns its noun."""
    fat, long = plan.size(0.3), plan.size(0.42)
    lean = plan.among(0.0, 0.5) if plan.chance(0.75) else plan.among(0.8, 1.4)
    ahead = unit(point(0, lean, 1))
    trunk = plan.part("trunk", -1, -long * ahead, long * ahead)
    plan.limb(Place(trunk), [(-0.5 * long * ahead, 0.8 * fat), (0.4 * long * ahead, fat)])
    joint, parent = (0.4 * long + 0.75 * fat) * ahead, trunk
    size = plan.size(0.22, 0.3)
    if plan.chance(0.4):
        end = joint + plan.size(0.35, 0.5) * unit(point(0, 1, plan.among(0, 0.7)))
        neck = plan.part("neck", parent, joint, end, soft=0.1)
        plan.limb(Place(neck), [(joint - 0.2 * fat * UP, 0.4 * fat), (end, 0.6 * size)])
        parent, joint = neck, end
    center = joint + 0.7 * size * unit(point(0, 1, 0.6))
    head = add_head(plan, parent, joint, center, size, plan.size(0.3, 0.5), "beak")
    if plan.chance(0.25):
        plan.plate(Place(head), center + size * UP, center + 1.4 * size * UP, (0.2 * size, 0.3 * size), 0.03, LEFT)
    span = plan.size(0.9, 0.35)
    rise, sweep = plan.among(-0.2, 0.5), plan.among(-0.1, 0.6)
    if plan.chance(0.2):  # folded to the sides
        rise, sweep, span = -0.9, 0.6, 0.6 * span
    root = point(0.75 * fat, 0.25 * fat, 0.1 * long)
    add_wings(plan, trunk, root, span, plan.size(0.45), plan.among(0.02, 0.045), rise, sweep)
    _bird_tail(plan, trunk, -0.6 * long * ahead, fat)
    _bird_legs(plan, trunk, fat)
    plan.tints["leg"] = (0.93, 0.6, 0.12)
    return plan.pick(BIRDS)


def _bird_tail(plan: Plan, trunk: int, root: np.ndarray, fat: float) -> None:
    length = plan.size(0.45, 0.4)
    tip = root + (length + 0.5 * fat) * unit(point(0, plan.among(-0.4, 0.6), -1))
    tail = plan.part("tail", trunk, root - 0.5 * fat * FRONT, tip, soft=0.1)
    wide, ahead = plan.size(0.16, 0.3), unit(tip - root)
    plan.plate(Place(tail), root, tip - wide * ahead, (0.09, wide), plan.among(0.02, 0.04), np.cross(LEFT, ahead))


def _bird_legs(plan: Plan, trunk: int, fat: float) -> None:
    tall, thick = plan.size(0.3, 0.5), plan.among(0.02, 0.04)
    for side in (1, -1):
        hip = point(0.45 * fat * side, -0.6 * fat, -0.05)
        foot = hip - (0.3 * fat + plan.near(tall)) * UP
        leg = add_leg(plan, trunk, hip, foot, thick, side, 0.0)
        for turn in (-0.5, 0.0, 0.5):
            toe = foot + 0.16 * point(np.sin(turn), 0, np.cos(turn))
            plan.limb(Place(leg), [(foot, 0.9 * thick), (toe, 0.7 * thick)])


def draw_insect(plan: Plan) -> str:
    """An insect: three balls in a row, six legs, antennae, two or four wings; returns its noun."""
    fat = plan.size(0.2)
    trunk = plan.part("trunk", -1, point(0, 0, -0.2), point(0, 0, 0.2))
    plan.ball(Place(trunk), point(0, 0, 0), [fat, 0.9 * fat, 1.2 * fat])
    back = plan.size(0.4, 0.35)
    root = point(0, 0, -0.9 * fat)
    tail = plan.part("tail", trunk, root, root - 2 * back * FRONT, soft=0.08)
    plan.ball(Place(tail), root - 0.85 * back * FRONT, [plan.size(1.0) * fat, plan.size(0.9) * fat, back])
    size = plan.size(0.17, 0.25)
    joint = point(0, 0.1 * fat, fat)
    center = joint + 0.8 * size * FRONT
    head = plan.part("head", trunk, joint, center + size * FRONT, soft=0.06)
    plan.ball(Place(head), center, size)
    reach, knob = plan.size(0.35, 0.4), plan.chance(0.4)
    for side in (1, -1):
        plan.eye(center + size * unit(point(0.7 * side, 0.3, 0.65)), 0.4 * size)
        root = center + size * point(0.35 * side, 0.8, 0.3)
        tip = root + plan.near(reach) * unit(point(0.6 * side, 0.8, 0.7))
        antenna = plan.part("antenna", head, root, tip, side=side, soft=0.03)
        plan.limb(Place(antenna), [(root, 0.025), (tip, 0.022)])
        if knob:
            plan.ball(Place(antenna), tip, 0.05)
    _insect_legs(plan, trunk, fat)
    if plan.chance(0.8):
        pairs = plan.count(1, 2)
        span = plan.size(0.9, 0.3)
        for pair in range(pairs):
            root = point(0.6 * fat, 0.6 * fat, 0.35 * fat - 0.7 * fat * pair)
            chord, sweep = plan.size(0.42, 0.35), plan.among(-0.35, 0.2) + 0.5 * pair
            add_wings(plan, trunk, root, span * (0.8 if pair else 1), chord, plan.among(0.018, 0.03),
                      plan.among(0.1, 0.7), sweep, order=float(pair))  # fmt: skip
    return plan.pick(INSECTS)


def _insect_legs(plan: Plan, trunk: int, fat: float) -> None:
    reach, thick = plan.size(0.45, 0.35), plan.among(0.022, 0.045)
    for pair in range(3):
        for side in (1, -1):
            hip = point(0.7 * fat * side, -0.3 * fat, 0.7 * fat * (1 - pair))
            out = unit(point(side, 0.0, 0.6 * (1 - pair)))
            knee = hip + 0.5 * plan.near(reach) * (out + 0.5 * UP)
            foot = hip + plan.near(reach) * (out - 0.6 * UP)
            add_leg(plan, trunk, hip, foot, thick, side, 0.5 * pair, knee)


def draw_aircraft(plan: Plan) -> str:
    """An airplane, a helicopter or a rocket; returns its noun."""
    plan.blend = min(plan.blend, 0.06)
    return {"plane": _airplane, "helicopter": _helicopter, "rocket": _rocket}[
        plan.pick(("plane", "plane", "helicopter", "rocket"))
    ](plan)


def _airplane(plan: Plan) -> str:
    long, fat = plan.size(0.8, 0.2), plan.size(0.17)
    trunk = plan.part("trunk", -1, point(0, 0, -long), point(0, 0, long))
    nose = point(0, plan.among(-0.05, 0.02), long)
    plan.limb(
        Place(trunk), [(point(0, 0.06, -long), 0.35 * fat), (point(0, 0, 0), fat), (nose, plan.among(0.4, 0.9) * fat)]
    )
    if plan.chance(0.7):  # the cockpit
        plan.ball(Place(trunk), point(0, 0.8 * fat, plan.among(0.1, 0.5) * long), [0.6 * fat, 0.6 * fat, 1.2 * fat])
    half, span = plan.among(0.022, 0.04), plan.size(0.95)
    rows = 2 if plan.chance(0.2) else 1
    sweep = plan.among(-0.05, 0.6)
    for row in range(rows):
        root = point(0.3 * fat, (1.3 * row - 0.2) * fat, plan.among(0.0, 0.25))
        add_wings(plan, trunk, root, span, plan.size(0.36), half, plan.among(-0.05, 0.2), sweep, order=float(row))
    for side in (1, -1):
        root = point(0, 0.06, -0.88 * long)
        add_fin(plan, trunk, root, root + 0.38 * unit(point(side, 0.1, -0.3)), 0.2, half, UP, side)
    root = point(0, 0.06, -0.88 * long)
    add_fin(plan, trunk, root, root + plan.size(0.4) * unit(point(0, 1, -0.4)), 0.22, half, LEFT, 0, "tail")
    if plan.chance(0.65):
        _propeller(plan, trunk, nose + (fat + 0.04) * FRONT, FRONT, plan.size(0.33), plan.count(2, 3, 4))
    if plan.chance(0.5):
        for x, z, order in ((0.2, 0.25, 0.0), (-0.2, 0.25, 0.0), (0, -0.7 * long, 1.0)):
            center = point(x, -fat - 0.12, z)
            plan.limb(Place(trunk), [(point(0.5 * x, -0.3 * fat, z), 0.03), (center, 0.03)])
            add_wheel(plan, trunk, center, 0.1, 0.04, int(np.sign(x)), order)
    return plan.pick(AIRPLANES)


def _propeller(plan: Plan, parent: int, center: np.ndarray, axis: np.ndarray, radius: float, blades: int) -> None:
    around = np.cross(axis, UP if abs(axis[1]) < 0.5 else FRONT)
    second = np.cross(axis, around)
    propeller = plan.part("propeller", parent, center, center + radius * around, soft=0.0, hinge=axis)
    place = Place(propeller, piece=1)
    plan.drum(place, center - 0.12 * axis, center + 0.06 * axis, (0.07, 0.05), 0.02)
    for blade in range(blades):
        angle = 2 * np.pi * blade / blades
        out = np.cos(angle) * around + np.sin(angle) * second
        normal = axis + 0.35 * np.cross(axis, out)
        plan.plate(place, center + 0.03 * out, center + 0.9 * radius * out, (0.05, 0.075), 0.018, normal)


def _helicopter(plan: Plan) -> str:
    fat = plan.size(0.32)
    trunk = plan.part("trunk", -1, point(0, 0, -0.4), point(0, 0, 0.4))
    plan.ball(Place(trunk), point(0, 0, 0.15), [0.85 * fat, fat, plan.size(1.4, 0.15) * fat])
    end = point(0, plan.among(0.0, 0.15), -plan.size(0.95, 0.15))
    plan.limb(Place(trunk), [(point(0, 0.05, 0), 0.45 * fat), (end, 0.06)])
    add_fin(plan, trunk, end, end + 0.28 * unit(point(0, 1, -0.5)), 0.16, 0.025, LEFT, 0, "tail")
    top = point(0, fat + 0.12, 0.15)
    plan.drum(Place(trunk), top - 0.3 * UP, top, (0.06, 0.05))
    _propeller(plan, trunk, top + 0.06 * UP, UP, plan.size(0.85, 0.2), plan.count(2, 3, 4, 5))
    if plan.chance(0.6):
        _propeller(plan, trunk, end + 0.1 * LEFT, LEFT, 0.2, 3)
    for side in (1, -1):
        x, y = 0.75 * fat * side, -fat - 0.15
        plan.limb(Place(trunk), [(point(x, y, -0.25), 0.03), (point(x, y, 0.5), 0.03)])
        for z in (-0.02, 0.3):
            plan.limb(Place(trunk), [(point(0.5 * x, -0.5 * fat, z), 0.025), (point(x, y, z), 0.025)])
    return plan.pick(HELICOPTERS)


def _rocket(plan: Plan) -> str:
    tall, fat = plan.size(0.7, 0.2), plan.size(0.22)
    trunk = plan.part("trunk", -1, point(0, -tall, 0), point(0, tall, 0))
    point_at = plan.size(0.5)
    outline = [(0, -tall), (0.75 * fat, -tall), (fat, -0.3 * tall), (0.95 * fat, 0.4 * tall),
               (0.6 * fat, tall), (0.02, tall + point_at), (0, tall + point_at)]  # fmt: skip
    plan.lathe(Place(trunk), point(0, 0, 0), UP, outline)
    fins, half, span = plan.count(3, 4), plan.among(0.02, 0.04), plan.size(2.1, 0.1)
    for fin in range(fins):
        angle = 2 * np.pi * fin / fins + 0.3
        out = point(np.sin(angle), 0, np.cos(angle))
        root, tip = 0.6 * fat * out - 0.6 * tall * UP, span * fat * out - (tall + 0.15) * UP
        normal, side = np.cross(out, UP), int(np.sign(round(out[0], 3)))
        part = plan.part("fin", trunk, root, tip, side=side, order=fin / fins, soft=0.04, outward=out)
        plan.plate(Place(part), root, tip, (0.18, 0.1), half, normal)
    if plan.chance(0.5):
        plan.drum(Place(trunk), point(0, -tall - 0.14, 0), point(0, -tall + 0.05, 0), (0.55 * fat, 0.4 * fat))
    if plan.chance(0.5):
        plan.drum(Place(trunk), point(0, 0.3 * tall, 0.8 * fat), point(0, 0.3 * tall, 1.05 * fat), (0.1, 0.1))
    return plan.pick(ROCKETS)
