"""Licences of the objects, brought to one spelling so that they can be counted and filtered."""

from __future__ import annotations

import re

from animate3d.errors import InputError

UNKNOWN = "unknown"
KINDS = ("CC0", "CC BY", "CC BY-SA", "CC BY-ND", "CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND")
_CONDITIONS = {
    "NC": re.compile(r"\bnc\b|non-? ?commercial"),
    "SA": re.compile(r"\bsa\b|share-? ?alike"),
    "ND": re.compile(r"\bnd\b|no-? ?deriv"),
}


def licence_kind(text: str) -> str:
    """One of `KINDS` for any usual spelling (``by-nc``, ``CC Attribution-NonCommercial``, the licence's address),
    `UNKNOWN` for none, else the text itself."""
    words = text.strip().lower().replace("_", "-")
    if not words or words == "none":
        return UNKNOWN
    if re.search(r"\bcc-? ?0\b|\bcc-? ?zero\b|public-? ?domain|publicdomain", words):
        return "CC0"
    if re.search(r"\bby\b|attribution", words):
        conditions = [name for name, pattern in _CONDITIONS.items() if pattern.search(words)]
        return "-".join(["CC BY", *conditions])
    return text.strip()


def wanted_kinds(names: str) -> set[str]:
    """The kinds a comma-separated list names, e.g. ``cc0,by,by-sa``.

    Raises:
        InputError: a name is not a kind.
    """
    kinds = {licence_kind(name) for name in names.split(",") if name.strip()}
    unknown = kinds - {*KINDS, UNKNOWN}
    if unknown or not kinds:
        raise InputError(f"{names!r} names no licence; known are {', '.join(KINDS)} and {UNKNOWN}.")
    return kinds
