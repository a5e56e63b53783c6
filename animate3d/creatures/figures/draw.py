"""Random figures from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from animate3d.creatures.figures.animals import draw_animal, draw_person, draw_robot
from animate3d.creatures.figures.coat import draw_coat
from animate3d.creatures.figures.figure import Figure
from animate3d.creatures.figures.flyers import draw_aircraft, draw_bird, draw_insect
from animate3d.creatures.figures.objects import draw_building, draw_bust, draw_tool
from animate3d.creatures.figures.plan import Plan
from animate3d.creatures.figures.plants import draw_mushroom, draw_plant, draw_tree
from animate3d.creatures.figures.shapes import draw_blob, draw_geometric
from animate3d.creatures.figures.swimmers import draw_fish, draw_octopus, draw_snake
from animate3d.creatures.figures.things import draw_furniture, draw_vessel
from animate3d.creatures.figures.vehicles import draw_vehicle
from animate3d.errors import InputError

KINDS: dict[str, tuple[Callable[[Plan], str], float]] = {
    "animal": (draw_animal, 0.2),
    "bird": (draw_bird, 0.1),
    "insect": (draw_insect, 0.07),
    "fish": (draw_fish, 0.07),
    "snake": (draw_snake, 0.04),
    "octopus": (draw_octopus, 0.04),
    "person": (draw_person, 0.1),
    "robot": (draw_robot, 0.04),
    "plant": (draw_plant, 0.07),
    "tree": (draw_tree, 0.03),
    "mushroom": (draw_mushroom, 0.02),
    "vehicle": (draw_vehicle, 0.07),
    "aircraft": (draw_aircraft, 0.05),
    "furniture": (draw_furniture, 0.03),
    "vessel": (draw_vessel, 0.04),
    "building": (draw_building, 0.03),
    "tool": (draw_tool, 0.03),
    "bust": (draw_bust, 0.03),
    "blob": (draw_blob, 0.02),
    "geometric": (draw_geometric, 0.03),
}
"""How every kind of figure is drawn, and its share among all."""


def draw_figure(seed: int, kind: str | None = None) -> Figure:
    """A random figure; the same seed and kind give the same one.

    Args:
        seed: not negative.
        kind: one of `KINDS`, by default a random one.

    Raises:
        InputError: the kind is unknown.
    """
    plan, chosen, noun = _planned(seed, kind)
    body = plan.finish()
    coat = draw_coat(plan.random, body.parts, plan.tints, body.eyes)
    return Figure(seed, chosen, noun, body.parts, body.low, body.high, body.solids, body.softness, coat)


def figure_noun(seed: int) -> str:
    """What `draw_figure` calls the figure of a seed, without its shape and its colours."""
    return _planned(seed, None)[2]


def _planned(seed: int, kind: str | None) -> tuple[Plan, str, str]:
    """A figure before it is finished, its kind and its noun."""
    generator = np.random.default_rng([seed, 7])
    shares = np.array([share for _, share in KINDS.values()])
    drawn = str(generator.choice(list(KINDS), p=shares / shares.sum()))
    if kind is not None and kind not in KINDS:
        raise InputError(f"The kind of figure {kind!r} is unknown; known are: {', '.join(KINDS)}.")
    chosen = kind or drawn
    plan = Plan(generator)
    return plan, chosen, KINDS[chosen][0](plan)
