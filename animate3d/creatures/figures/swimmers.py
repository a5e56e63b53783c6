"""Fish, octopuses and snakes."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import add_fin, add_horns, point
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit

FISH = ("fish", "shark", "whale", "dolphin", "goldfish", "tuna", "salmon", "carp", "pufferfish", "clownfish", "trout",
        "orca", "swordfish", "submarine toy")  # fmt: skip
OCTOPUSES = ("octopus", "squid", "jellyfish", "kraken", "alien", "monster")
SNAKES = ("snake", "worm", "caterpillar", "eel", "cobra", "python", "serpent", "centipede")


def draw_fish(plan: Plan) -> str:
    """A fish: a flat trunk, a tail that ends in a fin, side fins and a back fin; returns its noun."""
    tall, wide, long = plan.size(0.32, 0.3), plan.size(0.2, 0.3), plan.size(0.65)
    whale = plan.chance(0.25)
    trunk = plan.part("trunk", -1, point(0, 0, -long), point(0, 0, long))
    plan.ball(Place(trunk), point(0, 0, 0.1 * long), [wide, tall, 0.95 * long])
    root = point(0, 0, -0.35 * long)
    narrow = -0.95 * long * FRONT
    reach = plan.size(0.4, 0.3)
    tip = narrow - reach * FRONT
    tail = plan.part("tail", trunk, root, tip, soft=0.3 * long)
    thin = min(wide, tall)
    plan.limb(Place(tail), [(root, 0.75 * thin), (narrow, 0.3 * thin)])
    half = plan.among(0.02, 0.04)
    fork, lobe = plan.among(0.5, 1.0), plan.size(0.1)
    for side in (1, -1):
        out = LEFT if whale else UP
        end = narrow + reach * unit(side * fork * out - FRONT)
        plan.plate(Place(tail), narrow + 0.05 * FRONT, end, (0.07, lobe), half, UP if whale else LEFT)
    span, fall, chord = plan.size(0.38, 0.35), plan.among(-0.5, 0.1), plan.size(0.2)
    for side in (1, -1):
        start = point(0.8 * wide * side, -0.3 * tall, 0.3 * long)
        end = start + plan.near(span) * unit(point(side, fall, -0.7))
        add_fin(plan, trunk, start, end, chord, half, unit(point(-0.3 * side, 1, 0)), side)
    if plan.chance(0.8):
        start = point(0, 0.75 * tall, 0.1 * long)
        end = start + (0.2 * tall + plan.size(0.3, 0.4)) * unit(point(0, 1, -0.7))
        add_fin(plan, trunk, start, end, plan.size(0.25), half, LEFT, 0)
    pupil = plan.size(0.08, 0.3)
    for x in (1, -1):
        plan.eye(point(0.68 * wide * x, 0.15 * tall, 0.72 * long), pupil)
    if plan.chance(0.3):
        start, end = point(0, -0.25 * tall, 0.5 * long), point(0, -0.2 * tall, 1.02 * long)
        jaw = plan.part("jaw", trunk, start, end, soft=0.08)
        plan.limb(Place(jaw, plan.jaw_piece), [(start, 0.45 * tall), (end, 0.12 * tall)], flat=0.5, normal=UP)
    return plan.pick(FISH)


def draw_octopus(plan: Plan) -> str:
    """An octopus: a large head with tentacles all around; returns its noun."""
    size, count = plan.size(0.42), plan.count(4, 5, 6, 8, 8, 10)
    trunk = plan.part("trunk", -1, point(0, -0.5 * size, 0), point(0, size, 0))
    plan.ball(Place(trunk), point(0, 0.3 * size, 0), [size, plan.size(1.05, 0.25) * size, size])
    reach, thick = plan.size(0.9, 0.3), plan.size(0.1, 0.35)
    fall, curl = plan.among(0.1, 2.0), plan.among(-0.4, 0.7)
    for number in range(count):
        angle = 2 * np.pi * (number + 0.5) / count
        out = point(np.sin(angle), 0, np.cos(angle))
        root = 0.6 * size * out - 0.25 * size * UP
        long = plan.near(reach)
        middle = root + 0.5 * long * unit(out - fall * UP)
        tip = middle + 0.5 * long * unit(out + (curl - 0.5 * fall) * UP)
        side = int(np.sign(round(out[0], 3)))
        part = plan.part("tentacle", trunk, root, tip, side=side, order=number / count, soft=thick, outward=out)
        plan.limb(Place(part), [(root, thick), (middle, 0.7 * thick), (tip, 0.3 * thick)])
    pupil = plan.size(0.2, 0.25) * size
    for x in (-0.45, 0.45):
        plan.eye(size * point(x, 0.35, 0.86), pupil)
    return plan.pick(OCTOPUSES)


def draw_snake(plan: Plan) -> str:
    """A long body in waves along z, thinner to the back, with a head; returns its noun."""
    fat, long = plan.size(0.13, 0.35), 1.0
    waves, wide = plan.among(0.3, 1.6), plan.among(0.0, 0.22)
    upright = plan.chance(0.25)
    along = np.linspace(0.85 * long, -long, 14)
    x = wide * np.sin(2 * np.pi * waves * (along - along[0]))
    lift = np.maximum(along - 0.35, 0) * (1.2 if upright else 0.0)
    radius = fat * np.interp(along, [-1.0, -0.4, 0.5, 1.0], [plan.among(0.15, 0.6), 1.0, 1.0, 0.8])
    rings = plan.chance(0.2)
    trunk = plan.part("trunk", -1, point(0, 0, -long), point(0, 0, 0.85 * long))
    joints = [(point(x[i], lift[i], along[i]), radius[i]) for i in range(len(along))]
    plan.limb(Place(trunk), joints[:10])
    tail = plan.part("tail", trunk, joints[9][0], joints[-1][0], soft=1.5 * fat)
    plan.limb(Place(tail), joints[9:])
    if rings:
        for place, r in joints[1:10]:
            plan.ball(Place(trunk), place, 1.25 * r)
    size = plan.size(1.45, 0.2) * fat
    joint = joints[0][0]
    center = joint + size * FRONT
    head = plan.part("head", trunk, joint, center + 1.2 * size * FRONT, soft=0.8 * fat)
    plan.ball(Place(head), center, size * np.array([1.0, plan.among(0.6, 0.95), 1.3]))
    for side in (1, -1):
        plan.eye(center + size * point(0.6 * side, 0.5, 0.6), 0.28 * size)
    if plan.chance(0.35):
        start, end = center + size * point(0, -0.35, -0.4), center + size * point(0, -0.45, 1.3)
        jaw = plan.part("jaw", head, start, end, soft=0.15 * size)
        plan.limb(Place(jaw, plan.jaw_piece), [(start, 0.7 * size), (end, 0.45 * size)], flat=0.5, normal=UP)
    if plan.chance(0.15):
        add_horns(plan, head, center, size)
    return plan.pick(SNAKES)
