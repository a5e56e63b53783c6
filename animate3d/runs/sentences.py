"""Which object of a scene a common sentence speaks of, and what it says happens in turn."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BREAKS = re.compile(r"\s*(?:[;.,]|\bwhile\b|\band\b)\s*", re.IGNORECASE)
_THEN = re.compile(
    r"\s*[,;.]?\s*(?:\band\s+|\bbut\s+)?(?<!now and )(?<!back )(?<!since )"
    r"\b(?:then|after that|afterwards?|after which|thereafter|finally|before)\b\s*,?\s*",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^\s*(?:at )?first(?: of all)?\b\s*,?\s*|\bfirst\b\s*", re.IGNORECASE)
_AFTER = re.compile(r"^\s*after\s+(.+?),\s*(.+)$", re.IGNORECASE)
_SUBJECT = re.compile(r"(?:a|an|the|his|her|its|my|this|that) [^\W\d_]+", re.IGNORECASE)
"""What may come before "then" without being a clause of its own."""
_WORD = re.compile(r"[^\W\d_]+")


def shared_out(prompt: str, names: Sequence[str]) -> list[str | None]:
    """The part of a sentence that is meant for each object; None for those it does not speak of.

    An object is spoken of by a word of its name. A sentence that speaks of none is for all. One that says of each in
    turn what it does, "a dog is walking and a ball is bouncing", is taken apart.

    Args:
        prompt: the sentence.
        names: of the objects.
    """
    words = _own_words(names)
    named = _named(prompt, words)
    if not any(named):
        return [prompt] * len(names)
    clauses = [clause for clause in _BREAKS.split(prompt) if clause]
    speaks = [_named(clause, words) for clause in clauses]
    says = all(sum(who) == 1 and _goes_on(clause, words) for clause, who in zip(clauses, speaks, strict=True))
    if len(clauses) < 2 or not says:
        return [prompt if spoken else None for spoken in named]
    own = [[c for c, who in zip(clauses, speaks, strict=True) if who[k]] for k in range(len(names))]
    return [" and ".join(parts) or None for parts in own]


def names_none(prompt: str, names: Sequence[str]) -> bool:
    """Whether a sentence speaks of no object by a word of its name, and so is for all."""
    return not any(_named(prompt, _own_words(names)))


def in_turn(prompt: str) -> list[str]:
    """What a sentence says happens one after the other: "first it hops, then it spins" says two things."""
    after = _AFTER.match(prompt)
    said = f"{after[1]} then {after[2]}" if after else prompt
    clauses = [clause.strip(" ,;.") for clause in _THEN.split(said)]
    clauses = [clause for clause in clauses if clause]
    if len(clauses) < 2:
        return [prompt]
    clauses[0] = _FIRST.sub("", clauses[0], count=1)
    if _SUBJECT.fullmatch(clauses[0]):  # "the dog then walks"
        clauses[:2] = [f"{clauses[0]} {clauses[1]}"]
    return clauses


def _own_words(names: Sequence[str]) -> list[set[str]]:
    """The words of each name that not all names have."""
    words = [set(_words(name)) for name in names]
    common = set.intersection(*words) if len(words) > 1 else set()
    return [own - common for own in words]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if len(word) > 2]


def _named(text: str, words: Sequence[set[str]]) -> list[bool]:
    said = set(_words(text))
    said |= {word.removesuffix("s") for word in said}
    return [bool(own & said) for own in words]


def _goes_on(clause: str, words: Sequence[set[str]]) -> bool:
    """Whether something is said of the object after its name."""
    return not any(_named(_words(clause)[-1], words))
