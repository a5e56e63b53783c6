"""Captions of moves in a small closed vocabulary: the only sentences that the video model sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from animate3d.creatures.moves.manner import ADVERBS, GENTLE, SLOW, STRONG, Manner
from animate3d.creatures.moves.move import Move
from animate3d.creatures.moves.table import MOVES
from animate3d.errors import InputError

LESS, MORE = 0.75, 1.25
"""Amplitudes and speeds below or above these have an adverb."""

PLAIN_NOUNS = ("thing", "object")
STILL = "standing still"
"""What is said of what does not move."""
_CANONICAL = 0.7
"""Share of captions with the canonical phrase; the others have a variant."""


def caption(moves: Sequence[tuple[Move, Manner]], noun: str, generator: np.random.Generator) -> str:
    """A sentence such as "the dog is hopping high"; the noun gives way to a plain one or to nothing at times."""
    actions = " while ".join(_action(move, manner, generator) for move, manner in moves)
    kind = generator.choice(3, p=[0.65, 0.2, 0.15])
    if kind == 2 or not noun:
        return actions
    named = noun if kind == 0 else str(generator.choice(PLAIN_NOUNS))
    article = "the" if generator.random() < 0.5 else "an" if named[0] in "aeiou" else "a"
    return f"{article} {named} is {actions}"


def canonical(moves: Sequence[tuple[Move, Manner]]) -> str:
    """The one sentence without a subject that names these moves: the same for the same moves and manners."""
    return " while ".join(" ".join([move.phrases[0], *adverbs(move, manner)]) for move, manner in moves) or STILL


def described(moves: Sequence[tuple[Move, Manner]]) -> str:
    """As `canonical`, but with how often each is done, for which captions have no words."""
    said = ((canonical([(move, replace(manner, count=0))]), how_often(manner.count)) for move, manner in moves)
    return " while ".join(f"{phrase} {times}".rstrip() for phrase, times in said) or STILL


def how_often(count: int) -> str:
    """A number of times in words; nothing for 0."""
    return ("", "once", "twice")[count] if count < 3 else f"{count} times"


def adverbs(move: Move, manner: Manner) -> list[str]:
    """The canonical adverbs of a manner, in the order of captions: direction, amplitude, speed."""
    words = [manner.direction] if manner.direction else []
    if move.graded and manner.amplitude < LESS:
        words.append("low" if move.rises else "gently")
    if move.graded and manner.amplitude > MORE:
        words.append("high" if move.rises else "strongly")
    pace = max(manner.speed, manner.count / move.beats) if manner.count else manner.speed
    if pace < LESS:
        words.append("slowly")
    if pace > MORE and move.fastest > 1.0:
        words.append("quickly")
    return words


def allowed_adverbs(move: Move) -> tuple[str, ...]:
    """The adverbs that a move can show."""
    words = list(move.directions)
    if move.graded:
        words += ["low", "high"] if move.rises else ["gently", "strongly"]
    words.append("slowly")
    if move.fastest > 1.0:
        words.append("quickly")
    if move.cyclic and move.beats == 1 and move.fastest >= 2.0:
        words.append("twice")
    return tuple(words)


def manner_of(move: Move, words: Iterable[str]) -> Manner:
    """How a move is done that adverbs in `ADVERBS` describe; what it cannot show is left out.

    Raises:
        InputError: a word is none of them.
    """
    amplitude, speed, direction, count = 1.0, 1.0, "", 0
    for word in words:
        if word not in ADVERBS:
            raise InputError(f"The adverb {word!r} is unknown; known are: {', '.join(ADVERBS)}.")
        said = ADVERBS[word]
        amplitude = said.amplitude if move.graded and said.amplitude != 1.0 else amplitude
        direction = said.direction if said.direction in move.directions else direction
        count = said.count if word in allowed_adverbs(move) else count
        speed = min(said.speed, move.fastest) if said.speed != 1.0 else speed
    return Manner(amplitude, speed, direction, count=count)


def draw_manner(move: Move, generator: np.random.Generator) -> Manner:
    """How a move is done, at random: mostly as usual, else gently or strongly, slowly or quickly."""
    amplitude = float(generator.choice([1.0, GENTLE, STRONG], p=[0.6, 0.2, 0.2])) if move.graded else 1.0
    speed = float(generator.choice([1.0, SLOW, move.fastest], p=[0.7, 0.12, 0.18]))
    direction = str(generator.choice(["", *move.directions])) if move.directions else ""
    vary, hurry = generator.uniform(0.92, 1.08, 2)
    return Manner(float(amplitude * vary), float(speed * (hurry if speed != move.fastest else 1.0)), direction)


def vocabulary() -> list[str]:
    """All words that captions can have beside the nouns of their subjects, sorted."""
    words = {"a", "an", "the", "is", "while", *PLAIN_NOUNS, *ADVERBS}
    for move in MOVES.values():
        for phrase in move.phrases:
            words.update(phrase.split())
    return sorted(words)


def _action(move: Move, manner: Manner, generator: np.random.Generator) -> str:
    variants = move.phrases[1:]
    phrase = move.phrases[0]
    if variants and generator.random() > _CANONICAL:
        phrase = str(generator.choice(variants))
    said = adverbs(move, manner)
    if said and said[-1] == "quickly" and "twice" in allowed_adverbs(move) and generator.random() < 0.5:
        said[-1] = "twice"
    return " ".join([phrase, *said])
