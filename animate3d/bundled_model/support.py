"""Whether a sentence has any word of a move, beside the one for who moves: what is only like it may be anything."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

from animate3d.bundled_model.sentences import words_of
from animate3d.creatures.moves.wordings import paraphrases

_SMALL = frozenset(
    words_of(
        "a an the its his her their my this that it to at in on of and is are be with like from into as up down out "
        "left right around over back forth for by off side do does make makes making get put go move some one two both"
    )
)
_ARTICLES = frozenset(("a", "an", "the", "my", "this", "that"))
_ALIKE = 0.85
"""Share of letters from which two words are forms of one, or one of them a slip of the pen."""


def supported(name: str, sentence: str) -> bool:
    """Whether a sentence says a word of a move's wordings: "the duck quacks" says none of crouching."""
    words = words_of(sentence)
    if len(words) > 1 and words[0] in _ARTICLES and not words[1].endswith("ing"):
        words = words[2:]
    known = _words(name)
    return any(get_close_matches(word, known, 1, _ALIKE) for word in words if word not in _SMALL)


@lru_cache(maxsize=128)
def _words(name: str) -> tuple[str, ...]:
    """What the wordings of a move say that other sentences do not."""
    return tuple({word for phrase in paraphrases(name) for word in words_of(phrase)} - _SMALL)
