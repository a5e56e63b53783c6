"""Free wordings of every move, for the training of the text reader only: no caption has them."""

from __future__ import annotations

import re

from animate3d.creatures.moves.part_wordings import PART_WORDINGS
from animate3d.creatures.moves.whole_wordings import WHOLE_WORDINGS
from animate3d.errors import InputError

_DOUBLED = re.compile(r"[^aeiou]*(?:qu)?[aeiou][^aeiouwxy]")


def paraphrases(move_name: str) -> list[str]:
    """Many ways to say that something does a move: "flaps its wings", "flapping its wings", "flap its wings".

    Raises:
        InputError: there is no such move.
    """
    wordings = {**WHOLE_WORDINGS, **PART_WORDINGS}
    if move_name not in wordings:
        raise InputError(f"The move {move_name!r} is unknown; known are: {', '.join(wordings)}.")
    return [form for base in wordings[move_name] for form in conjugated(base)]


def conjugated(base: str) -> tuple[str, str, str]:
    """Present, continuous and plain form of a wording that begins with a verb."""
    verb, space, rest = base.partition(" ")
    return f"{_present(verb)}{space}{rest}", f"{_continuous(verb)}{space}{rest}", base


def _present(verb: str) -> str:
    if verb == "be":
        return "is"
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return f"{verb}es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}s"


def _continuous(verb: str) -> str:
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and verb != "be" and not verb.endswith(("ee", "oe", "ye")):
        return f"{verb[:-1]}ing"
    if _DOUBLED.fullmatch(verb):
        return f"{verb}{verb[-1]}ing"
    return f"{verb}ing"
