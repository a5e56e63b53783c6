"""Held-out objects with a prompt, the true motion and other motions that it could be taken for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.bundled_model.folder import FRAMES, SIZE, VIEWS
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
from animate3d.evaluation.clip_metrics import ClipScore, VideoArray
from animate3d.files import read_json
from animate3d.meshes import Placement
from animate3d.small_model.data.moving import POINTS, as_bytes, draw_yaw, object_seed, sample_creature
from animate3d.small_model.data.points import draw_points
from animate3d.small_model.rows import Row

CANDIDATES = 10
_SEEDS_APART = 11
WHOLE, PART, FAMILY = "whole body", "part", "family"


@dataclass(frozen=True, eq=False)
class Asked:
    """A prompt for an object that no training clip shows.

    Attributes:
        uid: its name.
        kind: of the object.
        group: `WHOLE`, `PART`, `FAMILY` or one of `animate3d.small_model.acts`: which table it belongs to.
        moves: names of the motions that compete; the prompted one comes first.
        prompt: what it is to do.
        facing: yaw of the object, degrees.
    """

    uid: str
    kind: str
    group: str
    moves: tuple[str, ...]
    prompt: str
    facing: float

    def row(self, score: ClipScore) -> Row:
        """What every table says of it and of a clip with that score."""
        return {
            "uid": self.uid,
            "kind": self.kind,
            "group": self.group,
            "move": self.moves[0],
            "prompt": self.prompt,
            "facing": round(self.facing, 1),
            "choices": len(self.moves),
            "right": score.nearest == 0,
            "right_or_static": score.nearest_or_static == 0,
            "taken_for": "still" if score.nearest_or_static < 0 else self.moves[score.nearest],
        }


@dataclass(frozen=True, eq=False)
class Case(Asked):
    """One for points.

    Attributes:
        positions: float32 ``[M, F, P, 3]`` the points of the object in each motion, placed.
        colors: uint8 ``[P, 3]``
    """

    positions: NDArray[np.float32]
    colors: NDArray[np.uint8]


def drawn_clip(
    positions: NDArray[np.floating], colors: NDArray[np.uint8], device: torch.device | str = "cpu"
) -> VideoArray:
    """The clip of placed points ``[F, P, 3]`` with colours ``[P, 3]``."""
    points, paint = (torch.from_numpy(values)[None].to(device) for values in (positions, colors))
    pixels = draw_points(points, paint, views=VIEWS, size=SIZE).pixels[0]
    return (pixels.movedim(2, -1).float() / 255).cpu().numpy()


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

    @property
    def moves(self) -> tuple[str, ...]:
        """Names of the moves that compete, the prompted one first."""
        return self.wanted.name, *(other.name for other in self.others)

    def moved(self, subject: Subject) -> list[Points]:
        """Where the points of the figure, or others of its surface, are in every one of these moves. ``[F, P, 3]``"""
        motions = [(self.wanted, self.manner), *((other, Manner()) for other in self.others)]
        return [move_points(subject, [motion], FRAMES) for motion in motions]


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
        drawn = _placed(cast.moved(cast.subject)), as_bytes(cast.figure.paint(cast.points, cast.normals))
        yield Case(cast.uid, cast.figure.kind, cast.group, cast.moves, cast.prompt, cast.yaw, *drawn)


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


def family_turns(count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """So many families with their motions, another one in front each time: all first ones, then all second ones, …"""
    most = max(map(len, FAMILY_MOTIONS.values()))
    turns = [
        (name, (own[number], *own[:number], *own[number + 1 :]))
        for number in range(most)
        for name, own in FAMILY_MOTIONS.items()
        if number < len(own)
    ]
    return islice(cycle(turns), count)


def family_cases(count: int, seed: int = 0, trained: Trained = Trained()) -> Iterator[Case]:  # noqa: B008
    """Cases of the seven families, whose own motions compete; families and motions take turns."""
    generator = np.random.default_rng([seed, 102])
    for number, (family, motions) in enumerate(family_turns(count)):
        creature = make_creature(family, object_seed(generator, held_out=True))
        surface = sample_creature(creature, POINTS, generator)
        drawn = _placed([surface.follow(move(creature, motion, trained.frames)) for motion in motions])
        uid, prompt = f"{number:04d}_{family}_{motions[0]}", family_prompt(family, motions[0], trained)
        yield Case(uid, family, FAMILY, motions, prompt, creature.yaw, drawn, as_bytes(surface.colors))


def _placed(positions: list[Points]) -> NDArray[np.float32]:
    place = Placement.automatic(positions[0][0], "y").apply
    return np.stack([place(each).astype(np.float32) for each in positions])
