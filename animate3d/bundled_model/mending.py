"""Other ways to put a sentence that was not understood: slips of the pen mended, and somebody for "he" and "they"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from animate3d.bundled_model.sentences import words_of
from animate3d.creatures.moves import MOVES
from animate3d.creatures.moves.wordings import paraphrases

_SHORTEST = 4
"""Letters of a word that a slip is looked for in."""
_PRONOUN = re.compile(r"\b(?:he|they|i|you|we)(?='s\b|'re\b|\b)", re.IGNORECASE)

_ENDINGS = re.compile(r"^(.{3,}?)(?:e?s|ed|ing)$")
"""What follows a word in its other forms: "lands" is no slip where "land" is a word."""
_LANDS = re.compile(r"\b(?:(?:is|are) landing|lands)\b|^land(?:ing|s)?\b")
_GOES = re.compile(r"\b(?:go|goes|going)\b(?= (?:forward|backward|left|right|to the (?:left|right)))")


def mended(prompt: str, known: frozenset[str]) -> Iterator[str]:
    """Sentences that may be meant by one, the likeliest first; ``known`` words are no slips."""
    corrected = _corrected(prompt, known)
    if corrected != prompt.lower():
        yield corrected
    moving = _GOES.sub("moves", corrected)
    if moving != corrected:
        yield moving
    if _LANDS.search(corrected):
        yield _LANDS.sub("comes down", corrected) + " gently"
    somebody = _PRONOUN.sub("the person", corrected)
    if somebody != corrected:
        yield somebody


def _corrected(prompt: str, known: frozenset[str]) -> str:
    """The sentence with every unknown word that is one slip away from a single word of the moves."""

    def replaced(found: re.Match[str]) -> str:
        word = found[0]
        if len(word) < _SHORTEST or not known.isdisjoint((word, *_ENDINGS.findall(word))) or word in _words():
            return word
        near = [other for other in _words() if abs(len(other) - len(word)) <= 1 and is_slip(word, other)]
        return near[0] if len(near) == 1 else word

    return re.sub(r"[a-z]+", replaced, prompt.lower())


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    """Words that say how things move."""
    phrases = [phrase for name in MOVES for phrase in paraphrases(name)]
    return frozenset(word for phrase in phrases for word in words_of(phrase) if len(word) >= _SHORTEST)


def is_slip(word: str, other: str) -> bool:
    """Whether one letter too many, too few or wrong, or two in the wrong order, makes one word of another."""
    short, long = sorted((word, other), key=len)
    same = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    swapped = short[:same] + short[same : same + 2][::-1] + short[same + 2 :]
    return word != other and (swapped == long or short[same + 1 :] == long[same + 1 :])
