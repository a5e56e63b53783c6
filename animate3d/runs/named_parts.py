"""Parts that a sentence names and no move is for: a turret turns as a head does, and ears move as wings do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from animate3d.creatures.anatomy import Body


@dataclass(frozen=True)
class Stand:
    """A part that stands in for another one.

    Attributes:
        said: what of a sentence speaks of it, to be said otherwise.
        otherwise: what is said in its place, in words that a move has.
        part: its name.
        as_part: what it is called for the move.
        instead_of: what is not moved then.
    """

    said: re.Pattern[str]
    otherwise: str
    part: str
    as_part: str
    instead_of: tuple[str, ...]


_OF = r"\s+(?:(?:its|his|her|their|the)\s+)?(?:\w+\s+)?"
_SIDE = r"((?:left\s+|right\s+)?)"
_OF_A_SIDE = rf"\s+(?:(?:its|his|her|their|the|one)\s+)?(?:(?!left|right)\w+\s+)?{_SIDE}"
_TURN = r"(?:turn|rotate|rotat|spin|spinn|swivel|swivell|mov|move|swing|pivot)(?:s|ing|ed)?"
_MOVE = r"(?:wiggl|waggl|mov|flick|twitch|shak|flap|flapp|wag|wagg|flutter|wav|perk|swing)(?:e|es|s|ing|ed)?"
_STANDS = (
    Stand(re.compile(rf"\b{_TURN}{_OF}turret\b"), "turns its head", "turret", "head", ("head",)),
    Stand(re.compile(rf"\bturret\s+(?:is\s+)?{_TURN}\b"), "turns its head", "turret", "head", ("head",)),
    Stand(re.compile(rf"\b{_MOVE}{_OF_A_SIDE}ears?\b"), r"flaps its \1wings", "ear", "wing", ("wing", "arm")),
    Stand(re.compile(rf"\b{_SIDE}ears?\s+(?:are\s+|is\s+)?{_MOVE}\b"), r"\1wing flaps", "ear", "wing", ("wing", "arm")),
)


def said_otherwise(clause: str) -> tuple[str, Stand | None]:
    """A clause in words that a move has, and the part that it is about, where it names such a one."""
    low = clause.lower()
    for stand in _STANDS:
        if stand.said.search(low):
            return stand.said.sub(stand.otherwise, low), stand
    return clause, None


def standing_in(bodies: Iterable[Body], stand: Stand | None) -> Iterator[Body]:
    """Bodies whose named part is called what it moves as; as they are where nothing stands in."""
    for body in bodies:
        if stand is None:
            yield body
        else:
            names = dict.fromkeys(stand.instead_of, "trim") | {stand.part: stand.as_part}
            yield body.asked_for({stand.part}).called(names)
