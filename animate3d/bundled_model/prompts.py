"""From a prompt to the caption that the video model was trained with, and what the user is told about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from animate3d.bundled_model.manners import sayings
from animate3d.bundled_model.mending import mended
from animate3d.bundled_model.reading import Reading, bundled_reader, read, reading_notices
from animate3d.bundled_model.sentences import words_of
from animate3d.bundled_model.sides import named_limbs
from animate3d.creatures.moves import MOVES, Manner, allowed_adverbs, canonical, combine, manner_of

_OF_A_PART = re.compile(
    r"\b(?:heads?|tail|wings?|arms?|legs?|ears?|propeller|rotor|blades?|wheels?|lid|door|cover|jaw|mouth)$"
)
"""Ends what moves where that is no whole."""


@dataclass(frozen=True)
class Understood:
    """A prompt as the video model gets it.

    Attributes:
        caption: the canonical one.
        notes: sentences for the user about what was not taken at its word.
        known: the prompt is understood; else the caption is that of the nearest move.
        faint: the model's videos show too little of what is asked for.
    """

    caption: str
    notes: tuple[str, ...]
    known: bool
    faint: bool = False


def understand(prompt: str) -> Understood:
    """Read a prompt: one in the words of the captions is taken at them, any other wording goes through the reader.

    Raises:
        InputError: this copy of the package came without the reader.
    """
    reading = reading_of(prompt)
    notes = reading_notices(prompt, reading)
    moves = reading.moves if reading.known else ((reading.nearest[0], Manner()),)
    caption = canonical([(MOVES[name], manner) for name, manner in moves])
    if not notes and caption not in prompt.lower():
        notes = [f"The prompt is read as “{caption}”."]
    return Understood(caption, tuple(notes), reading.known)


def nearest_to(prompt: str) -> str:
    """What can be done that is nearest to a prompt that is not understood, in words for the user; else nothing."""
    reading = reading_of(prompt)
    nearest = ", ".join(f"“{MOVES[name].phrases[0]}”" for name in reading.nearest)
    return "" if reading.known else f"; the nearest that it can do: {nearest}"


def asked_moves(prompt: str) -> tuple[tuple[str, Manner], ...]:
    """The moves that a prompt asks for and how they are to be done; none when it is not understood."""
    reading = reading_of(prompt)
    return reading.moves if reading.known else ()


def reading_of(prompt: str) -> Reading:
    """What a prompt asks for, in the words of the captions or in free wording."""
    found = literal(prompt) or read(prompt)
    if found.known:
        return found
    known = frozenset(bundled_reader().words)
    others = (literal(other) or read(other) for other in mended(prompt, known))
    return next((other for other in others if other.known), found)


def directions_of(prompt: str) -> tuple[str, ...]:
    """The ways that a sentence names, whatever moves."""
    found = sayings(words_of(prompt), lambda word: False)
    return tuple(way for saying in found for way in saying.wish.directions)


def literal(prompt: str) -> Reading | None:
    """What a prompt in the words of the captions asks for, whoever moves; None for any other wording.

    It says one thing of the whole: "the propeller is spinning" asks for another move than "the toy is spinning".
    """
    *whose, said = prompt.lower().strip(" .!").split(" is ")
    if len(whose) > 1 or any(_OF_A_PART.search(who) or named_limbs(who) for who in whose):
        return None
    moves = [_named(part) for part in said.split(" while ")]
    named = tuple(found for found in moves if found)
    if len(named) < len(moves) or len(named) > 2:
        return None
    names = tuple(name for name, _ in named)
    if len(named) == 2 and not combine(MOVES[names[0]], MOVES[names[1]]):
        return Reading(named[:1], 1.0, names, True, names[1:])
    return Reading(named, 1.0, names, True)


def _named(text: str) -> tuple[str, Manner] | None:
    """The move whose phrase a text begins with, when only adverbs that the move has come after it."""
    for name, move in MOVES.items():
        for phrase in move.phrases:
            words = text.removeprefix(phrase).split()
            if (text == phrase or text.startswith(f"{phrase} ")) and set(words) <= set(allowed_adverbs(move)):
                return name, manner_of(move, words)
    return None
