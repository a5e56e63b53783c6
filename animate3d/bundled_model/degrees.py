"""How far something turns, in degrees: whole turns are said in words that the reader knows, others are kept apart."""

from __future__ import annotations

import re

_DEGREES = re.compile(
    r"\s*\b(?:by |through |for |about |around )?(?:an? |full )*(\d+)(?:[ -]?degrees?\b|[ -]?deg\b| ?°)"
)
_WHOLE = 360
_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times"}
_USUAL = {"turn": 45.0, "tilt": 32.0}
"""Degrees of the moves that go as far as they are asked to, at their usual amplitude."""


def without_degrees(sentence: str) -> str:
    """A sentence without its degrees: one that turns by 360 of them turns around once."""
    return _DEGREES.sub(lambda found: _around(int(found[1])), sentence)


def _around(degrees: int) -> str:
    times, rest = divmod(degrees, _WHOLE)
    return f" around {_TIMES.get(times, 'many times')}" if times and not rest else ""


def degrees_of(sentence: str) -> int:
    """The degrees that a sentence asks for beside whole turns; 0 where it asks for none, or more than once."""
    found = [int(match[1]) for match in _DEGREES.finditer(sentence)]
    return found[0] if len(found) == 1 and not _around(found[0]) else 0


def amplitude_of(name: str, sentence: str) -> float | None:
    """The amplitude at which a move goes as many degrees as a sentence asks for; None where it cannot be told."""
    degrees = degrees_of(sentence)
    return degrees / _USUAL[name] if degrees and name in _USUAL else None
