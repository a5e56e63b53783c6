"""Objects (``o``) and groups (``g``) of an OBJ file as the parts of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from animate3d.meshes.mesh import Part

Label = tuple[int, str | None, str | None]
"""How many objects began so far, the name of the last of them, and the name of the group."""


def obj_parts(marks: Sequence[tuple[int, str, str]], face_lines: np.ndarray) -> tuple[list[Part], np.ndarray | None]:
    """The objects and groups that have faces, in their order, and the one of every face ``[P]``.

    An ``o`` line begins a new object and ends the groups of the one before; a group of the same name goes on. A group
    lies below its object, unless it is all of it and has its name.

    Args:
        marks: line, ``"o"`` or ``"g"``, and name, by line.
        face_lines: ``[P]``

    Returns:
        No parts and None when nothing has a name; what is outside of those that have one is called ``part``.
    """
    labels = _labels(marks)
    spans = np.searchsorted(np.array([line for line, _, _ in marks], dtype=np.int64), face_lines)
    used = [(int(span), labels[span]) for span in np.unique(spans)]
    groups_of: dict[int, set[str | None]] = {}
    for _, (count, _, group) in used:
        groups_of.setdefault(count, set()).add(group)
    parts: list[Part] = []
    places: dict[tuple[int, str | None], int] = {}

    def place(count: int, inner: str | None, part: Part) -> int:
        if (count, inner) not in places:
            places[count, inner] = len(parts)
            parts.append(part)
        return places[count, inner]

    number_of_span = np.zeros(len(labels), dtype=np.int64)
    for span, (count, outer, group) in used:
        if outer is None or group is None or groups_of[count] == {outer}:
            number_of_span[span] = place(count, group, Part(outer or group or ""))
        else:
            parent = place(count, None, Part(outer))
            number_of_span[span] = place(count, group, Part(group, parent))
    if not any(part.name for part in parts):
        return [], None
    return [part if part.name else replace(part, name="part") for part in parts], number_of_span[spans]


def _labels(marks: Sequence[tuple[int, str, str]]) -> list[Label]:
    """What holds before the first mark and after each."""
    labels: list[Label] = [(0, None, None)]
    for _, keyword, name in marks:
        count, outer, _ = labels[-1]
        labels.append((count + 1, name or None, None) if keyword == "o" else (count, outer, name or None))
    return labels
