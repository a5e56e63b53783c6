"""Buildings, tools and busts."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import add_ears, add_head, add_horns, point
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit

BUILDINGS: dict[str, tuple[str, ...]] = {
    "house": ("house", "cottage", "hut", "barn", "church", "birdhouse", "building"),
    "tower": ("tower", "castle", "lighthouse", "skyscraper", "silo"),
    "windmill": ("windmill", "mill", "wind turbine", "fan"),
}
TOOLS: dict[str, tuple[str, ...]] = {
    "hammer": ("hammer", "axe", "pickaxe", "mallet"),
    "sword": ("sword", "knife", "dagger", "feather", "paddle"),
    "spoon": ("spoon", "ladle", "shovel", "brush", "broom", "racket"),
    "umbrella": ("umbrella", "parasol", "plunger"),
    "bell": ("bell", "trophy", "chess piece", "pawn"),
    "guitar": ("guitar", "violin", "ukulele", "banjo"),
    "key": ("key", "wrench", "scissors", "anchor"),
    "book": ("book", "laptop", "folder", "board"),
}
BUSTS = ("head", "bust", "mask", "skull", "face", "pumpkin head", "statue")


def draw_building(plan: Plan) -> str:
    """A house, a tower or a windmill; returns its noun."""
    plan.blend = min(plan.blend, 0.04)
    style = plan.pick(("house", "house", "tower", "windmill"))
    wide, deep, tall = plan.size(0.6), plan.size(0.5), plan.size(0.45, 0.3)
    trunk = plan.part("trunk", -1, point(0, -tall, 0), point(0, tall, 0))
    body = Place(trunk)
    if style == "house":
        plan.box(body, 0.0 * UP, [wide, tall, deep], 0.02)
        roof = plan.size(0.3, 0.3)
        plan.box(body, (tall + roof - 0.05) * UP, [0.62 * wide, roof, 0.62 * deep], 0.02, narrow=plan.among(0.6, 0.9))
        if plan.chance(0.5):
            at = point(0.4 * wide, tall + roof, plan.among(-0.3, 0.3) * deep)
            plan.box(body, at, [0.08, roof + 0.1, 0.08], 0.01)
        if plan.chance(0.5):
            root = point(-0.2, -0.35 * tall, deep + 0.02)
            door = plan.part("lid", trunk, root, root + 0.4 * LEFT, soft=0.0, hinge=-UP)
            plan.box(Place(door, piece=1), root + 0.2 * LEFT, [0.2, 0.6 * tall, 0.03], 0.01)
    else:
        thin, high = plan.size(0.3), plan.size(0.8)
        low, top = -high * UP, high * UP
        if plan.chance(0.6):
            plan.drum(body, low, top, (thin * plan.among(1.0, 1.5), thin), 0.02)
        else:
            plan.box(body, 0.0 * UP, [thin, high, thin], 0.02, narrow=plan.among(0.0, 0.25))
        _tower_top(plan, body, top, thin)
        if style == "windmill":
            _sails(plan, trunk, point(0, 0.75 * high, thin + 0.14), plan.size(0.8, 0.2))
    return plan.pick(BUILDINGS[style])


def _tower_top(plan: Plan, body: Place, top: np.ndarray, thin: float) -> None:
    shape = plan.pick(("cone", "ball", "flat", "teeth"))
    if shape == "cone":
        plan.drum(body, top, top + plan.size(0.5) * UP, (1.25 * thin, 0.03), 0.02)
    elif shape == "ball":
        plan.ball(body, top, 1.05 * thin)
    elif shape == "flat":
        plan.drum(body, top, top + 0.12 * UP, (1.3 * thin, 1.3 * thin), 0.02)
    else:
        for angle in np.linspace(0, 2 * np.pi, 6, endpoint=False):
            at = top + 0.9 * thin * point(np.sin(angle), 0, np.cos(angle))
            plan.box(body, at + 0.06 * UP, [0.09, 0.12, 0.09], 0.01)


def _sails(plan: Plan, trunk: int, center: np.ndarray, radius: float) -> None:
    propeller = plan.part("propeller", trunk, center, center + radius * UP, soft=0.0, hinge=-FRONT)
    place, count = Place(propeller, piece=1), plan.count(3, 4, 4, 6)
    plan.drum(place, center - 0.16 * FRONT, center + 0.06 * FRONT, (0.09, 0.07), 0.02)
    wide, turn = plan.size(0.09), plan.among(0, 1.5)
    for blade in range(count):
        angle = turn + 2 * np.pi * blade / count
        out = point(np.sin(angle), np.cos(angle), 0)
        normal = FRONT + 0.3 * np.cross(FRONT, out)
        plan.plate(place, center + 0.1 * out, center + radius * out, (0.5 * wide, wide), 0.025, normal)


def draw_tool(plan: Plan) -> str:
    """Something to hold, upright or lying; returns its noun."""
    plan.blend = min(plan.blend, 0.06)
    style = plan.pick(tuple(TOOLS))
    trunk = plan.part("trunk", -1, point(0, -0.8, 0), point(0, 0.8, 0))
    draw = {
        "hammer": _hammer,
        "sword": _sword,
        "spoon": _spoon,
        "umbrella": _umbrella,
        "bell": _bell,
        "guitar": _guitar,
        "key": _key,
        "book": _book,
    }[style]
    draw(plan, Place(trunk))
    return plan.pick(TOOLS[style])


def _hammer(plan: Plan, place: Place) -> None:
    thin, long = plan.size(0.07), plan.size(0.8)
    plan.limb(place, [(-long * UP, thin), (long * UP, 0.85 * thin)])
    plan.box(place, 0.85 * long * UP, [plan.size(0.4, 0.3), plan.size(0.14), plan.size(0.13)], 0.04)
    if plan.chance(0.5):
        start, end = point(0.25, 0.85 * long, 0), point(plan.size(0.55), 0.85 * long, 0)
        plan.plate(place, start, end, (0.1, plan.size(0.3)), 0.04, FRONT)


def _sword(plan: Plan, place: Place) -> None:
    long, wide = plan.size(1.0), plan.size(0.12, 0.4)
    plan.plate(place, -0.1 * UP, long * UP, (wide, plan.among(0.02, 1.0) * wide), 0.035, FRONT)
    plan.limb(place, [(-0.5 * UP, 0.06), (-0.1 * UP, 0.06)])
    if plan.chance(0.7):
        plan.box(place, -0.12 * UP, [plan.size(0.3), 0.05, 0.07], 0.02)
        plan.ball(place, -0.52 * UP, 0.09)


def _spoon(plan: Plan, place: Place) -> None:
    long, size = plan.size(0.8), plan.size(0.28)
    plan.limb(place, [(-long * UP, 0.05), (0.5 * long * UP, 0.045)])
    center = (0.5 * long + size) * UP
    if plan.chance(0.5):
        plan.ball(place, center, [size, 1.3 * size, plan.among(0.2, 0.5) * size])
    elif plan.chance(0.5):
        plan.ring(place, center, FRONT, size, 0.05)
    else:
        plan.box(place, center, [size, size, 0.25 * size], 0.04, narrow=plan.among(-0.4, 0.2))


def _umbrella(plan: Plan, place: Place) -> None:
    wide, tall, high = plan.size(0.75), plan.size(0.8), plan.size(0.4)
    bow = np.linspace(0.05, 0.5 * np.pi, 8)
    outer = [(wide * np.cos(a), high * np.sin(a)) for a in bow]
    outer[-1] = (0.0, high)
    inner = [(0.9 * wide * np.cos(a), 0.82 * high * np.sin(a)) for a in bow[::-1]]
    inner[0] = (0.0, 0.82 * high)
    plan.lathe(place, 0.2 * UP, UP, [*outer, *inner], 0.1)
    plan.limb(place, [((0.25 + high) * UP, 0.04), ((0.2 - tall) * UP, 0.04)])
    plan.limb(place, [((0.2 - tall) * UP, 0.045), (point(0.12, 0.12 - tall, 0), 0.045)])


def _bell(plan: Plan, place: Place) -> None:
    wide = plan.size(0.5)
    knots = [(wide, 0.0), (0.8 * wide, 0.12), (plan.among(0.35, 0.7) * wide, 0.5), (0.3 * wide, plan.size(0.9))]
    top = knots[-1][1]
    plan.lathe(place, 0.0 * UP, UP, [(0, 0), *knots, (0, top)])
    plan.ball(place, (top + 0.1) * UP, plan.size(0.35, 0.3) * wide)


def _guitar(plan: Plan, place: Place) -> None:
    half, wide = plan.size(0.09), plan.size(0.4)
    plan.plate(place, -0.45 * UP, -0.45 * UP, (wide, wide), half, FRONT)
    plan.plate(place, 0.1 * UP, 0.1 * UP, (0.75 * wide, 0.75 * wide), half, FRONT)
    plan.box(place, point(0, 0.65, 0.4 * half), [0.06, 0.5, 0.05], 0.02)
    plan.box(place, point(0, 1.2, 0), [0.11, 0.14, 0.045], 0.02)
    plan.drum(place, point(0, -0.1, half), point(0, -0.1, half + 0.03), (0.15, 0.15), 0.01)


def _key(plan: Plan, place: Place) -> None:
    size = plan.size(0.28)
    plan.ring(place, 0.6 * UP, FRONT, size, plan.size(0.08))
    plan.limb(place, [((0.6 - size) * UP, 0.07), (-0.9 * UP, 0.06)])
    for height in (-0.8, -0.6)[: plan.count(1, 2)]:
        plan.box(place, point(0.15, height, 0), [0.16, 0.06, 0.05], 0.01)


def _book(plan: Plan, place: Place) -> None:
    half = (plan.size(0.45), plan.size(0.08, 0.3), plan.size(0.6))
    plan.box(place, -half[1] * UP, half, 0.02)
    back = -half[0] * LEFT
    cover = plan.part("lid", place.part, back, back + 2 * half[0] * LEFT, soft=0.0, hinge=FRONT)
    plan.box(Place(cover, piece=1), 0.035 * UP, [half[0], 0.03, half[2]], 0.01)


def draw_bust(plan: Plan) -> str:
    """A head on a stand or by itself, with ears, horns, a mouth that may open; returns its noun."""
    trunk = plan.part("trunk", -1, point(0, -0.6, 0), point(0, 0, 0))
    wide = plan.size(0.35)
    if plan.chance(0.5):
        plan.drum(Place(trunk), -0.8 * UP, -0.1 * UP, (wide, plan.among(0.4, 0.8) * wide), 0.05)
    else:
        plan.limb(Place(trunk), [(point(0, -0.7, -0.05), 1.2 * wide), (point(0, -0.1, 0), 0.6 * wide)])
    size, joint = plan.size(0.5), point(0, -0.1, 0)
    center = joint + 0.7 * size * unit(point(0, 1.0, 0.2))
    mouth = plan.pick(("none", "snout", "jaw", "jaw", "beak"))
    head = add_head(plan, trunk, joint, center, size, plan.size(0.25, 0.5), mouth)
    with plan.aside():  # a face has a nose and a chin
        if mouth == "none" and plan.chance(0.85):
            root, tip = center + size * point(0, 0.1, 0.85), center + size * point(0, -0.15, plan.among(1.1, 1.3))
            plan.limb(Place(head), [(root, 0.12 * size), (tip, 0.18 * size)])
            plan.ball(Place(head), center + size * point(0, -0.65, 0.5), 0.38 * size)
    if plan.chance(0.5):
        add_ears(plan, head, center, size, plan.pick(("pointed", "round", "long", "hanging")))
    if plan.chance(0.25):
        add_horns(plan, head, center, size)
    if plan.chance(0.3):
        plan.ball(Place(head), center + size * point(0, 0.15, -0.2), [1.1 * size, 1.1 * size, size])
    return plan.pick(BUSTS)
