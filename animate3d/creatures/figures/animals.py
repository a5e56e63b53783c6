"""Animals on legs, persons and robots."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import (
    add_ears,
    add_foot,
    add_head,
    add_horns,
    add_leg,
    add_neck,
    add_tail,
    add_wheel,
    add_wings,
    point,
)
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit

ANIMALS = {
    2: ("dinosaur", "kangaroo", "monster", "creature", "raptor"),
    4: ("dog", "cat", "horse", "cow", "pig", "sheep", "goat", "lion", "tiger", "bear", "fox", "wolf", "deer", "mouse",
        "rat", "rabbit", "elephant", "giraffe", "donkey", "camel", "zebra", "lizard", "crocodile", "frog", "turtle",
        "puppy", "kitten", "calf", "foal", "squirrel", "hippo", "rhino", "animal", "creature", "beast"),
    6: ("monster", "creature", "alien", "beast"),
    8: ("monster", "alien", "creature", "beast"),
}  # fmt: skip
WINGED = ("dragon", "griffin", "pegasus", "bat", "monster", "creature")
PERSONS = ("person", "man", "woman", "child", "boy", "girl", "doll", "figure", "dancer", "clown", "soldier", "knight",
           "wizard", "elf", "dwarf", "zombie", "puppet", "teddy bear", "monkey", "snowman", "goblin")  # fmt: skip
ROBOTS = ("robot", "android", "machine", "toy robot", "droid", "mech")


def draw_animal(plan: Plan) -> str:
    """An animal with 2 to 8 legs, perhaps a neck, a tail, a head with ears, horns and jaw; returns its noun."""
    legs = int(plan.random.choice([2, 4, 6, 8], p=[0.14, 0.7, 0.1, 0.06]))
    long, fat = plan.size(0.55), plan.size(0.26)
    tall = plan.size(0.5, 0.35)
    upright = plan.among(0.3, 1.0) if legs == 2 else plan.among(-0.1, 0.2)
    trunk = plan.part("trunk", -1, point(0, 0, 0), point(0, 0, long))
    rear, front = point(0, -upright * long, -long), point(0, upright * long, long * (1 - 0.5 * max(upright, 0)))
    _trunk(plan, rear, front, fat)
    _legs(plan, trunk, legs, rear, front, fat, tall)
    size = plan.size(0.75, 0.25) * fat + 0.05
    parent, joint = trunk, front + 0.3 * fat * UP
    if plan.chance(0.75):
        reach = plan.size(0.35, 0.5)
        end = joint + reach * unit(point(0, plan.among(0.2, 1.6), 1.0))
        parent, joint = add_neck(plan, trunk, joint, end, plan.size(0.5) * min(fat, 1.2 * size)), end
    center = joint + size * unit(point(0, plan.among(0.1, 0.6), 0.7)) * 0.75
    mouth = plan.pick(("snout", "jaw", "jaw", "jaw", "none", "beak"))
    head = add_head(plan, parent, joint, center, size, plan.size(0.4, 0.4), mouth)
    if plan.chance(0.65):
        add_ears(plan, head, center, size, plan.pick(("pointed", "pointed", "long", "round", "hanging")))
    if plan.chance(0.25):
        add_horns(plan, head, center, size)
    if plan.chance(0.8):
        tail = plan.size(0.6, 0.5)
        add_tail(
            plan, trunk, rear - 0.8 * fat * FRONT, tail, plan.size(0.3) * fat, plan.among(-0.6, 1.2), plan.chance(0.2)
        )
    if plan.chance(0.1):
        add_wings(plan, trunk, point(0.6 * fat, 0.6 * fat, 0.2), plan.size(0.9), plan.size(0.5), 0.03, 0.4, 0.2)
        return plan.pick(WINGED)
    return plan.pick(ANIMALS[legs])


def _trunk(plan: Plan, rear: np.ndarray, front: np.ndarray, fat: float) -> None:
    shape = plan.pick(("limb", "limb", "bent", "ball", "box"))
    place, chest = Place(0), plan.size(1.0, 0.15) * fat
    if shape == "ball":
        along = front - rear
        half = 0.5 * float(np.linalg.norm(along)) + 0.6 * fat
        axes = np.stack([LEFT, np.cross(unit(along), LEFT), unit(along)])
        plan.ball(place, 0.5 * (front + rear), [1.1 * fat, fat, half], axes)
    elif shape == "box":
        along = front - rear
        axes = np.stack([LEFT, np.cross(unit(along), LEFT), unit(along)])
        half = 0.5 * float(np.linalg.norm(along)) + 0.3 * fat
        plan.box(place, 0.5 * (front + rear), [fat, fat, half], plan.among(0.1, 0.6) * fat, axes=axes)
    elif shape == "bent":
        middle = 0.5 * (rear + front) + plan.among(-0.3, 0.4) * fat * UP
        plan.limb(place, [(rear, fat), (middle, plan.size(0.95, 0.15) * fat), (front, chest)])
    else:
        plan.limb(place, [(rear, fat), (front, chest)])
    if plan.chance(0.08):  # humps
        plan.ball(place, 0.5 * (rear + front) + fat * UP, plan.size(0.5) * fat)


def _legs(plan: Plan, trunk: int, legs: int, rear: np.ndarray, front: np.ndarray, fat: float, tall: float) -> None:
    pairs = legs // 2
    thick, spread = plan.size(0.3) * fat, plan.among(0.4, 0.85) * fat
    splay = plan.among(0.0, 0.25) if plan.chance(0.75) else plan.among(0.4, 1.0)
    bend = plan.among(-0.2, 0.2) if plan.chance(0.6) else 0.0
    shape = plan.pick(("paw", "paw", "hoof", "none", "toes"))
    ground = min(rear[1], front[1]) - 0.3 * fat - tall
    for pair in range(pairs):
        order = pair / max(pairs - 1, 1) if pairs > 1 else 0.5
        hip = front + (rear - front) * (order if pairs > 1 else plan.among(0.6, 0.95))
        hip = hip - 0.35 * fat * UP
        for side in (1, -1):
            start = hip + spread * side * LEFT
            foot = np.array([start[0] * (1 + splay) + 0.3 * splay * side, ground, start[2]])
            foot[2] += bend * plan.near(1.0) * (1 - 2 * order) * 0.5
            foot[1] = start[1] + plan.near(1.0) * (ground - start[1])
            knee = 0.5 * (start + foot) + point(0.25 * splay * side, 0.2 * splay, bend)
            leg = add_leg(plan, trunk, start, foot, thick, side, order, knee)
            add_foot(plan, leg, foot, 0.8 * thick, shape)


def draw_person(plan: Plan) -> str:
    """A person: trunk, two legs, two arms, a head; returns its noun."""
    tall, wide = plan.size(0.45), plan.size(0.22)
    deep = wide * plan.among(0.55, 0.95)
    trunk = plan.part("trunk", -1, point(0, -tall / 2, 0), point(0, tall / 2, 0))
    place = Place(trunk)
    shape = plan.pick(("limb", "ball", "box", "dress"))
    if shape == "box":
        plan.box(
            place, point(0, 0, 0), [wide, 0.55 * tall, deep], plan.among(0.1, 0.8) * deep, narrow=plan.among(-0.3, 0.2)
        )
    elif shape == "ball":
        plan.ball(place, point(0, 0, 0), [wide, 0.65 * tall, deep])
    elif shape == "dress":
        plan.drum(place, point(0, -0.8 * tall, 0), point(0, 0.5 * tall, 0), (1.5 * wide, 0.6 * wide), 0.1 * wide)
    else:
        flat = deep / wide
        plan.limb(place, [(point(0, -0.4 * tall, 0), 0.9 * wide), (point(0, 0.35 * tall, 0), wide)], flat)
    _person_limbs(plan, trunk, tall, wide)
    joint = point(0, 0.5 * tall, 0)
    size = plan.size(0.2, 0.35)
    parent = trunk
    if plan.chance(0.4):
        end = joint + plan.size(0.12, 0.4) * UP
        parent, joint = add_neck(plan, trunk, joint, end, 0.35 * wide), end
    center = joint + 0.85 * size * UP
    head = plan.part("head", parent, joint, center + size * UP, soft=0.4 * size)
    if plan.chance(0.15):
        plan.box(Place(head), center, [size, size, size], 0.3 * size)
    else:
        plan.ball(Place(head), center, size * np.array([plan.size(0.9, 0.1), plan.size(1.0, 0.1), 0.95]))
    pupil = plan.size(0.15) * size
    for x in (-0.38, 0.38):
        plan.eye(center + size * point(x, 0.15, 0.87), pupil)
    _headgear(plan, head, center, size)
    with plan.aside():
        _front_of_person(plan, trunk, head, center, size, tall, wide, deep)
    plan.tints["head"] = (0.88, 0.68, 0.54) if plan.chance(0.6) else (0.36, 0.22, 0.14)
    plan.tints["arm"] = plan.tints["head"]
    return plan.pick(PERSONS)


def _front_of_person(
    plan: Plan, trunk: int, head: int, center: np.ndarray, size: float, tall: float, wide: float, deep: float
) -> None:
    """What tells the front of a person from the back: a nose, a chin, hair behind, a chest or belly, a seat."""
    if plan.chance(0.8):
        root, tip = center + size * point(0, 0.1, 0.85), center + size * point(0, -0.12, plan.among(1.05, 1.25))
        plan.limb(Place(head), [(root, 0.12 * size), (tip, 0.17 * size)])
    if plan.chance(0.5):
        plan.ball(Place(head), center + size * point(0, -0.7, 0.45), 0.35 * size)
    if plan.chance(0.35):
        plan.ball(Place(head), center + size * point(0, 0.15, -0.25), 1.05 * size)
    if plan.chance(0.6):
        height = plan.among(-0.25, 0.3) * tall
        plan.ball(Place(trunk), point(0, height, 0.55 * deep), [0.75 * wide, 0.22 * tall, 0.65 * deep])
    if plan.chance(0.6):
        plan.ball(Place(trunk), point(0, -0.42 * tall, -0.5 * deep), [0.8 * wide, 0.2 * tall, 0.7 * deep])


def _headgear(plan: Plan, head: int, center: np.ndarray, size: float) -> None:
    gear = plan.pick(("none", "none", "hat", "cone", "hair", "ears", "nose"))
    if gear == "hat":
        rim = center + 0.6 * size * UP
        plan.drum(Place(head), rim, rim + 0.12 * size * UP, (1.5 * size, 1.5 * size), 0.04 * size)
        plan.drum(Place(head), rim, rim + plan.size(0.9) * size * UP, (0.85 * size, 0.75 * size), 0.08 * size)
    elif gear == "cone":
        plan.drum(Place(head), center + 0.5 * size * UP, center + 2.2 * size * UP, (0.9 * size, 0.02), 0.02 * size)
    elif gear == "hair":
        plan.ball(Place(head), center + size * point(0, 0.25, -0.3), [1.1 * size, 1.0 * size, 1.0 * size])
    elif gear == "ears":
        add_ears(plan, head, center, size, plan.pick(("pointed", "round", "long")))
    elif gear == "nose":
        plan.limb(Place(head), [(center + 0.8 * size * FRONT, 0.2 * size), (center + 1.5 * size * FRONT, 0.08 * size)])


def _person_limbs(plan: Plan, trunk: int, tall: float, wide: float) -> None:
    leg, arm = plan.size(0.6, 0.3), plan.size(0.52, 0.3)
    thick, slim = plan.size(0.38, 0.3) * wide, plan.size(0.28, 0.3) * wide
    stance, fist = plan.size(0.08, 0.5), plan.size(1.15, 0.15)
    pose = plan.pick(("hanging", "hanging", "out", "spread", "forward"))
    with plan.aside():  # feet are longer ahead of the ankle than behind it
        toes = plan.among(0.7, 1.5) if plan.chance(0.85) else 0.0
    for side in (1, -1):
        hip = point(0.5 * wide * side, -0.45 * tall, 0)
        foot = hip + plan.near(leg) * unit(point(stance * side, -1, 0))
        part = add_leg(plan, trunk, hip, foot, thick, side, 0.0)
        add_foot(plan, part, foot, 0.8 * thick, "paw")
        if toes:
            plan.ball(Place(part), foot + toes * thick * FRONT - 0.1 * thick * UP, thick * np.array([0.95, 0.55, 1.2]))
        shoulder = point(0.9 * wide * side, 0.4 * tall, 0)
        direction = {
            "hanging": point(0.3 * side, -1, 0.05),
            "out": point(side, -0.1, 0),
            "spread": point(side, -0.8, 0),
            "forward": point(0.25 * side, -0.35, 1.0),
        }[pose]
        hand = shoulder + plan.near(arm) * unit(direction)
        part = plan.part("arm", trunk, shoulder, hand, side=side, soft=1.2 * slim, outward=LEFT * side)
        plan.limb(Place(part), [(shoulder, slim), (hand, 0.75 * slim)])
        plan.ball(Place(part), hand, fist * slim)


def draw_robot(plan: Plan) -> str:
    """A robot of boxes and drums, on legs or wheels; returns its noun."""
    tall, wide, deep = plan.size(0.35), plan.size(0.3), plan.size(0.22)
    plan.blend = min(plan.blend, 0.04)
    trunk = plan.part("trunk", -1, point(0, -tall, 0), point(0, tall, 0))
    if plan.chance(0.7):
        plan.box(
            Place(trunk), point(0, 0, 0), [wide, tall, deep], plan.among(0.02, 0.12), narrow=plan.among(-0.15, 0.2)
        )
    else:
        plan.drum(Place(trunk), point(0, -tall, 0), point(0, tall, 0), (wide, wide * plan.among(0.7, 1.1)), 0.05)
    thick = plan.size(0.08)
    if plan.chance(0.3):
        plan.drum(Place(trunk), point(0, tall, 0), point(0, tall + 0.1, 0), (0.3 * wide, 0.3 * wide))
    _robot_limbs(plan, trunk, tall, wide, thick)
    size, joint = plan.size(0.2), point(0, tall, 0)
    center = joint + (size + 0.05) * UP
    head = plan.part("head", trunk, joint, center + size * UP, soft=0.03)
    plan.drum(Place(head), joint - 0.05 * UP, center, (0.4 * size, 0.4 * size))
    if plan.chance(0.6):
        plan.box(Place(head), center, [plan.size(1.1, 0.2) * size, size, size], plan.among(0.02, 0.1))
    else:
        plan.ball(Place(head), center, [1.1 * size, size, size])
    pupil, reach = plan.size(0.22) * size, plan.size(0.25)
    for x in (-0.42, 0.42):
        plan.eye(center + size * point(x, 0.15, 1.0), pupil)
    for side in (1, -1) if plan.chance(0.4) else (0,):
        root = center + size * point(0.5 * side, 0.9, 0)
        tip = root + plan.near(reach) * unit(point(0.4 * side, 1, 0))
        antenna = plan.part("antenna", head, root, tip, side=side, soft=0.02)
        plan.limb(Place(antenna), [(root, 0.025), (tip, 0.02)])
        plan.ball(Place(antenna), tip, 0.05)
    return plan.pick(ROBOTS)


def _robot_limbs(plan: Plan, trunk: int, tall: float, wide: float, thick: float) -> None:
    rolls, leg, arm = plan.chance(0.25), plan.size(0.5), plan.size(0.5)
    for side in (1, -1):
        if rolls:
            radius = plan.near(0.22)
            add_wheel(plan, trunk, point((wide + 0.07) * side, -tall, 0), radius, 0.06, side, 0.0)
        else:
            hip = point(0.55 * wide * side, -tall + 0.03, 0)
            foot = hip - plan.near(leg) * UP
            part = plan.part("leg", trunk, hip, foot, side=side, soft=0.04)
            plan.drum(Place(part), hip, foot, (thick, thick))
            plan.box(Place(part), foot + 0.04 * FRONT, [1.5 * thick, 0.06, 2.2 * thick], 0.02)
        shoulder = point((wide + 0.5 * thick) * side, 0.75 * tall, 0)
        hand = shoulder + plan.near(arm) * unit(point(0.35 * side, -1, 0.15))
        part = plan.part("arm", trunk, shoulder, hand, side=side, soft=0.04, outward=LEFT * side)
        plan.ball(Place(part), shoulder, 1.4 * thick)
        plan.limb(Place(part), [(shoulder, 0.8 * thick), (hand, 0.8 * thick)])
        plan.box(Place(part), hand, [1.2 * thick, 1.2 * thick, 1.2 * thick], 0.02)
