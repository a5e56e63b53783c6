"""Captions in a small closed vocabulary."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.families import FAMILIES
from animate3d.creatures.looks import COLORS, PATTERNS

FAMILY_MOTIONS: dict[str, tuple[str, ...]] = {name: tuple(family.motions) for name, family in FAMILIES.items()}
"""The names of the motions of every family."""

_ADJECTIVES = (("",), ("color",), ("pattern",), ("pattern", "color"))
_ADJECTIVE_SHARES = (0.5, 0.25, 0.1, 0.15)


def captions(family: str, motion: str, color: str = "", pattern: str = "") -> list[str]:
    """Every sentence for a motion of a creature of this colour and pattern; empty words are left out."""
    subject = " ".join(word for word in (pattern, color, family) if word)
    article = "an" if subject[0] in "aeiou" else "a"
    sentences = []
    for continuous, present in FAMILIES[family].motions[motion].phrases:
        sentences += [f"{article} {subject} is {continuous}", f"the {subject} is {continuous}"]
        sentences += [f"{article} {subject} {present}", f"the {subject} {present}"]
    return sentences


def draw_caption(seed: int, family: str, motion: str, color: str, pattern: str) -> str:
    """One of the captions, half of them without adjectives; a plain pattern is not mentioned."""
    generator = np.random.default_rng(seed)
    chosen = _ADJECTIVES[int(generator.choice(len(_ADJECTIVES), p=_ADJECTIVE_SHARES))]
    words = {"color": color, "pattern": "" if pattern == "plain" else pattern}
    named = {word: words[word] for word in chosen if word}
    return str(generator.choice(captions(family, motion, **named)))


def vocabulary() -> list[str]:
    """All words that captions can have, sorted."""
    words = {"a", "an", "the", "is", *COLORS, *(pattern for pattern in PATTERNS if pattern != "plain")}
    for family, motions in FAMILY_MOTIONS.items():
        for motion in motions:
            words.update(word for sentence in captions(family, motion) for word in sentence.split())
    return sorted(words)


OTHER_NAMES = {
    "butterfly": ("moth",),
    "bird": ("chick", "sparrow", "parrot"),
    "fish": ("goldfish",),
    "dog": ("puppy", "hound"),
    "flower": ("daisy", "blossom"),
    "ball": ("blob", "sphere"),
    "snake": ("serpent", "python"),
}
"""Words that the captions of the data do not have, for the same families."""
