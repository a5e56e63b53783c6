"""Which of a pair of limbs a sentence speaks of: its own left or right arm, leg, wing or ear."""

from __future__ import annotations

import re

from animate3d.creatures.moves import Move

_ARMS = r"arms?|hands?(?! side)|fists?|palms?|elbows?|fingers?|wings?|fins?|flippers?|ears?"
_LEGS = r"legs?|foot|feet|knees?|hoof|hooves|heels?|toes?"
_EITHER = r"paws?|claws?|limbs?"
_PLACE = r"(?:front|fore|hind|rear|back|upper|lower|index|middle)"
_LIMB = re.compile(
    r"\b(?P<side>left|right)(?P<both> (?:and|or|&) (?:(?:the|its|his|her|their) )?(?:left|right))?"
    rf"(?: {_PLACE})? (?P<limb>{_ARMS}|{_LEGS}|{_EITHER})\b"
)
_WITH_ONE = re.compile(r"\b(?:with|using) (?:the|its|his|her|their) (?P<side>left|right)(?P<limb> one)?$")
_MOVED = {"arm": rf"{_ARMS}|{_EITHER}| one|", "wing": rf"{_ARMS}|{_EITHER}| one|", "leg": rf"{_LEGS}|{_EITHER}| one|"}
"""Words for what the moves of a part move."""


def named_limbs(text: str) -> list[tuple[str, str]]:
    """The sides of limbs that a text names, and their words: "left", "arm"."""
    plain = " ".join(text.lower().replace("-", " ").strip(" .!").split())
    found = [*_LIMB.finditer(plain), *_WITH_ONE.finditer(plain)]
    both = [
        ("right" if limb["side"] == "left" else "left", limb["limb"]) for limb in found if limb.groupdict().get("both")
    ]
    return [*((limb["side"], (limb["limb"] or "").strip()) for limb in found), *both]


def side_of(text: str, move: Move) -> str:
    """The one side on which a text wants a move done; empty where it is done on both, or as usual."""
    if not move.sided:
        return ""
    sides = {side for side, limb in named_limbs(text) if re.fullmatch(_MOVED[move.needs[0]], limb)}
    return sides.pop() if len(sides) == 1 else ""
