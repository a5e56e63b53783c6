"""Held-out objects with a prompt, the true motion and other motions that it could be taken for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.folder import FRAMES
from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.creatures.creatures import make_creature, move
from animate3d.creatures.figures.draw import KINDS, draw_figure
from animate3d.creatures.figures.figure import Figure
from animate3d.creatures.figures.sampling import surface_points
from animate3d.creatures.moves import (
    FAMILY_MOVES,
    MOVES,
    Manner,
    Move,
    Subject,
    applies,
    canonical,
    draw_manner,
    move_points,
    shows,
    subject_of,
)
from animate3d.creatures.sculpt.fields import Points
from animate3d.files import read_json
from animate3d.meshes import Placement
from animate3d.small_model.data.moving import POINTS, draw_yaw, object_seed, sample_creature

CANDIDATES = 10
_SEEDS_APART = 11
WHOLE, PART, FAMILY = "whole body", "part", "family"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt for an object that no training clip shows.

    Attributes:
        uid: its name.
        kind: of the object.
        group: `WHOLE`, `PART` or `FAMILY`: what moves, or which table it belongs to.
        moves: names of the motions that compete; the prompted one comes first.
        prompt: the caption.
        facing: yaw of the object, degrees.
        positions: float32 ``[M, F, P, 3]`` the points of the object in each motion, placed.
        colors: uint8 ``[P, 3]``
    """

    uid: str
    kind: str
    group: str
    moves: tuple[str, ...]
    prompt: str
    facing: float
    positions: NDArray[np.float32]
    colors: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Cast:
    """A random figure that no training has, and what it is to do.

    Attributes:
        number: of the case.
        group: `WHOLE` or `PART`.
        figure, yaw: what moves, and where it faces (degrees).
        wanted, manner: the prompted move.
        others: moves that compete with it.
        points, normals: ``[P, 3]`` places on its surface, before the yaw.
        subject: the points, turned.
    """

    number: int
    group: str
    figure: Figure
    yaw: float
    wanted: Move
    manner: Manner
    others: tuple[Move, ...]
    points: Points
    normals: Points
    subject: Subject

    @property
    def uid(self) -> str:
        """Its name."""
        return f"{self.number:04d}_{self.figure.kind}_{self.wanted.name}"

    @property
    def prompt(self) -> str:
        """What it is to do."""
        return f"the {self.figure.noun} is {canonical([(self.wanted, self.manner)])}"


def casts(count: int, seed: int = 0) -> Iterator[Cast]:
    """Random figures; groups take turns, and within them moves, which begin elsewhere for every seed."""
    generator = np.random.default_rng([seed, 101])
    names = {
        WHOLE: [name for name, motion in MOVES.items() if not motion.needs],
        PART: [name for name, motion in MOVES.items() if motion.needs],
    }
    for number in range(count):
        group = (WHOLE, PART)[number % 2]
        name = names[group][(number // 2 + _SEEDS_APART * seed) % len(names[group])]
        yield _cast(number, group, MOVES[name], generator)


def _cast(number: int, group: str, wanted: Move, generator: np.random.Generator) -> Cast:
    kinds = list(KINDS)
    while True:
        kind = kinds[generator.integers(len(kinds))]
        figure = draw_figure(object_seed(generator, held_out=True), kind)
        if not applies(wanted, figure.parts):
            continue
        points, normals = surface_points(figure, POINTS, generator)
        yaw = draw_yaw(generator)
        subject = subject_of(figure, points, yaw)
        if shows(subject, wanted):
            break
    others = [motion for motion in MOVES.values() if motion is not wanted and shows(subject, motion)]
    chosen = tuple(others[index] for index in generator.permutation(len(others))[: CANDIDATES - 1])
    manner = draw_manner(wanted, generator)
    return Cast(number, group, figure, yaw, wanted, manner, chosen, points, normals, subject)


def figure_cases(count: int, seed: int = 0) -> Iterator[Case]:
    """Cases of random figures."""
    for cast in casts(count, seed):
        motions = [[(cast.wanted, cast.manner)], *([(motion, Manner())] for motion in cast.others)]
        yield _case(
            cast.uid,
            cast.figure.kind,
            cast.group,
            tuple(motion[0][0].name for motion in motions),
            cast.prompt,
            cast.yaw,
            [move_points(cast.subject, motion, FRAMES) for motion in motions],
            cast.figure.paint(cast.points, cast.normals),
        )


class Trained(NamedTuple):
    """What a model was trained with.

    Attributes:
        frames: of its videos.
        families_only: it knows the seven families, in their own words, and nothing else.
    """

    frames: int = FRAMES
    families_only: bool = False


def trained_with(folder: Path) -> Trained:
    """What a model's folder says that it was trained with."""
    facts = read_json(folder / "facts.json") if (folder / "facts.json").is_file() else {}
    data = facts.get("data", {})
    return Trained(int(data.get("frames", FRAMES)), "families" in data)


def family_prompt(family: str, motion: str, trained: Trained) -> str:
    """What a creature of a family is asked to do."""
    if trained.families_only:
        return captions(family, motion)[0]
    name, manner = FAMILY_MOVES[family][motion]
    return f"the {family} is {canonical([(MOVES[name], manner)])}"


def family_turns() -> list[tuple[str, int]]:
    """Every motion of every family by its number: all first ones, then all second ones, …"""
    most = max(map(len, FAMILY_MOTIONS.values()))
    return [(name, number) for number in range(most) for name, own in FAMILY_MOTIONS.items() if number < len(own)]


def family_cases(count: int, seed: int = 0, trained: Trained = Trained()) -> Iterator[Case]:  # noqa: B008
    """Cases of the seven families, whose own motions compete; families and motions take turns."""
    generator = np.random.default_rng([seed, 102])
    pairs = family_turns()
    for number in range(count):
        family, index = pairs[number % len(pairs)]
        motions = FAMILY_MOTIONS[family]
        creature = make_creature(family, object_seed(generator, held_out=True))
        surface = sample_creature(creature, POINTS, generator)
        order = [motions[index], *(motion for motion in motions if motion != motions[index])]
        yield _case(
            f"{number:04d}_{family}_{order[0]}",
            family,
            FAMILY,
            tuple(order),
            family_prompt(family, order[0], trained),
            creature.yaw,
            [surface.follow(move(creature, motion, trained.frames)) for motion in order],
            surface.colors,
        )


def _case(
    uid: str,
    kind: str,
    group: str,
    moves: tuple[str, ...],
    prompt: str,
    facing: float,
    positions: list[Points],
    colors: Points,
) -> Case:
    place: Callable[[Points], Points] = Placement.automatic(positions[0][0], "y").apply
    placed = np.stack([place(each).astype(np.float32) for each in positions])
    return Case(uid, kind, group, moves, prompt, facing, placed, (colors * 255 + 0.5).clip(0, 255).astype(np.uint8))
