"""Blobs and geometric bodies: without parts that move."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.figures.limbs import point
from animate3d.creatures.figures.plan import UP, Place, Plan, unit
from animate3d.creatures.figures.solids import frame

BLOBS = ("blob", "rock", "stone", "cloud", "potato", "slime", "lump", "thing", "jelly", "sculpture", "meteor")
BASIC: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "sphere", "marble", "egg", "balloon", "planet", "orange", "pebble"),
    "cube": ("cube", "box", "die", "brick", "block"),
    "ring": ("ring", "donut", "torus", "tire", "bagel"),
    "cone": ("cone", "pyramid", "party hat", "traffic cone"),
    "drum": ("cylinder", "can", "barrel", "drum", "coin"),
    "knot": ("knot", "spring", "pretzel", "chain", "rope"),
    "stack": ("tower", "snowman", "totem", "toy", "stack of blocks"),
    "star": ("star", "snowflake", "gear", "cross", "toy"),
    "fruit": ("apple", "pear", "pumpkin", "tomato", "cherry", "lemon"),
}


def draw_blob(plan: Plan) -> str:
    """Smooth lumps in a heap; returns its noun."""
    plan.blend = plan.among(0.08, 0.35)
    trunk = plan.part("trunk", -1, point(0, -0.5, 0), point(0, 0.5, 0))
    spread = plan.among(0.2, 0.45)
    for _ in range(plan.count(2, 3, 4, 5, 7, 9)):
        axes = np.linalg.qr(plan.random.normal(size=(3, 3)))[0]
        radii = [plan.size(0.33, 0.35) for _ in range(3)]
        plan.ball(Place(trunk), spread * plan.random.normal(size=3) * [1, 0.8, 1], radii, axes)
    if plan.chance(0.2):
        for x in (-0.15, 0.15):
            plan.eye(point(x, 0.2, 0.5), 0.12)
    return plan.pick(BLOBS)


def draw_geometric(plan: Plan) -> str:
    """A ball, cube, ring, cone, cylinder, knot, stack, star or fruit; returns its noun."""
    trunk = plan.part("trunk", -1, point(0, -0.5, 0), point(0, 0.5, 0))
    style = plan.pick(tuple(BASIC))
    place = Place(trunk)
    axes = np.linalg.qr(plan.random.normal(size=(3, 3)))[0]
    axes = axes if plan.chance(0.3) else np.eye(3)
    a, b, c = plan.size(0.6, 0.25), plan.size(0.6, 0.25), plan.size(0.6, 0.25)
    if style == "ball":
        plan.ball(place, 0 * UP, [a, a, a] if plan.chance(0.5) else [a, b, c], axes)
    elif style == "cube":
        plan.box(place, 0 * UP, [a, a, a] if plan.chance(0.5) else [a, b, c], plan.among(0.01, 0.25), axes=axes)
    elif style == "ring":
        plan.ring(place, 0 * UP, axes[1] if plan.chance(0.6) else point(0, 0, 1), a, plan.among(0.15, 0.6) * a)
    elif style == "cone":
        plan.drum(place, -a * axes[1], a * axes[1], (b, plan.among(0.02, 0.4) * b), 0.02)
    elif style == "drum":
        plan.drum(place, -a * axes[1], a * axes[1], (b, b * plan.among(0.8, 1.2)), plan.among(0.01, 0.2))
        if plan.chance(0.4):
            plan.ring(place, plan.among(-0.6, 0.6) * a * axes[1], axes[1], b, 0.06)
    elif style == "knot":
        _knot(plan, place)
    elif style == "stack":
        _stack(plan, place)
    elif style == "star":
        _star(plan, place)
    else:
        plan.ball(place, 0 * UP, [a, plan.size(0.55), a])
        plan.limb(place, [(0.4 * UP, 0.06), (point(0.05, 0.85, 0), 0.05)])
        if plan.chance(0.6):
            plan.plate(place, point(0.05, 0.75, 0), point(0.35, 0.85, 0), (0.03, 0.12), 0.025, unit(point(0.2, 1, 0)))
    return plan.pick(BASIC[style])


def _knot(plan: Plan, place: Place) -> None:
    """A rope along a closed curve that winds around a ring, or a spring."""
    thick = plan.among(0.07, 0.15)
    turn = np.linspace(0, 2 * np.pi, 29)
    p, q = plan.count(1, 2, 2, 3), plan.count(2, 3, 5)
    radius = 0.55 + 0.25 * np.cos(q * turn)
    curve = np.stack([radius * np.cos(p * turn), radius * np.sin(p * turn), 0.3 * np.sin(q * turn)], axis=1)
    if plan.chance(0.35):
        turns = plan.among(2, 4)
        curve = np.stack([0.45 * np.cos(turns * turn), 0.25 * turn - 0.8, 0.45 * np.sin(turns * turn)], axis=1)
    plan.blend = 0.0
    plan.limb(place, [(place_at, thick) for place_at in curve])


def _stack(plan: Plan, place: Place) -> None:
    height, size = 0.0, plan.size(0.45)
    for _ in range(plan.count(2, 3, 3, 4)):
        tall = plan.size(0.7, 0.3) * size
        center = (height + tall) * UP
        kind = plan.pick(("ball", "box", "drum"))
        if kind == "ball":
            plan.ball(place, center, [size, 1.08 * tall, size])
        elif kind == "box":
            turn = frame(UP, unit(point(plan.among(-1, 1), 0, 1)))
            plan.box(place, center, [size, tall, size], 0.04, axes=turn)
        else:
            plan.drum(place, center - tall * UP, center + tall * UP, (size, size), 0.04)
        height += 1.9 * tall
        size *= plan.among(0.65, 0.95)


def _star(plan: Plan, place: Place) -> None:
    rays, thick = plan.count(4, 5, 6, 8), plan.among(0.06, 0.14)
    plan.drum(place, point(0, 0, -thick), point(0, 0, thick), (0.4, 0.4), 0.03)
    blunt = plan.among(0.1, 1.0)
    for ray in range(rays):
        angle = 2 * np.pi * ray / rays
        out = point(np.sin(angle), np.cos(angle), 0)
        wide = 0.9 / rays
        plan.plate(place, 0.25 * out, plan.near(0.85) * out, (wide, blunt * wide), 0.9 * thick, point(0, 0, 1))
