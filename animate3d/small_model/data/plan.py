"""Which clips a data set has: a function of its settings alone, so that a run can be continued or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animate3d.creatures.captions import FAMILY_MOTIONS
from animate3d.errors import InputError

VARIATION = 0.1
"""Share by which amplitude and speed vary."""
_TRAIN, _HELD_OUT = 0, 1


@dataclass(frozen=True)
class ClipPlan:
    """The plan of one clip: a motion of a creature (amplitude, speed: 1 is the usual), in a folder such as ``00``."""

    name: str
    motion: str
    amplitude: float
    speed: float
    caption_seed: int


@dataclass(frozen=True)
class CreaturePlan:
    """A creature and its clips, all motions of its family unless the data set ends before.

    Attributes:
        uid: name of its folder.
        family: its family's name.
        seed: of the creature; odd for those held out and even for training, whatever the data set's seed is.
        clips: at least one.
    """

    uid: str
    family: str
    seed: int
    clips: tuple[ClipPlan, ...]


def plan(
    clips: int, seed: int, families: Sequence[str] = tuple(FAMILY_MOTIONS), *, held_out: bool = False
) -> list[CreaturePlan]:
    """Plan creatures with so many clips in all; families take turns.

    A larger data set of the same seed begins with the clips of a smaller one.

    Raises:
        InputError: a family is unknown, or there is none.
    """
    unknown = [name for name in families if name not in FAMILY_MOTIONS]
    if unknown or not families:
        raise InputError(f"The families {list(families)} must be some of: {', '.join(FAMILY_MOTIONS)}.")
    creatures: list[CreaturePlan] = []
    missing = clips
    while missing > 0:
        creature = _creature(len(creatures), missing, seed, families, _HELD_OUT if held_out else _TRAIN)
        creatures.append(creature)
        missing -= len(creature.clips)
    return creatures


def _creature(number: int, most_clips: int, seed: int, families: Sequence[str], part: int) -> CreaturePlan:
    generator = np.random.default_rng([seed, part, number])
    family = families[number % len(families)]
    creature_seed = 2 * int(generator.integers(2**40)) + part
    clips = []
    for index, motion in enumerate(FAMILY_MOTIONS[family]):
        amplitude, speed = (float(x) for x in generator.uniform(1 - VARIATION, 1 + VARIATION, 2).round(4))
        clips.append(ClipPlan(f"{index:02d}", motion, amplitude, speed, int(generator.integers(2**31))))
    prefix = "h" if part == _HELD_OUT else "t"
    return CreaturePlan(f"{prefix}{number:05d}_{family}", family, creature_seed, tuple(clips[:most_clips]))
