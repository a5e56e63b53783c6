"""Wheels: loose pieces that are upright discs on the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.figures.part import Part
from animate3d.creatures.rigs import LEFT, UP
from animate3d.motion.template import Template

_GROUND = 0.12
"""Share of the body's height within which a wheel's lowest point stands on the ground."""
_ROUND = 0.8
"""Of the two diameters of a wheel, the smaller against the larger, at least."""
_WIDE = 0.9
"""Width of a wheel against its diameter, at most."""
_LARGEST = 0.6
"""Diameter against the longest side of the body, at most."""


def find_wheels(template: Template) -> list[tuple[Part, NDArray[np.int64]]]:
    """Every wheel and its nodes, with what lies inside of it; none where there is only one."""
    low, high = template.rest.min(axis=0), template.rest.max(axis=0)
    boxes = {}
    for piece in np.unique(template.pieces):
        points = template.rest[template.pieces == piece]
        boxes[piece] = points.min(axis=0), points.max(axis=0)
    discs = []
    for piece, (bottom, top) in boxes.items():
        width, *diameters = top - bottom
        is_disc = min(diameters) > _ROUND * max(diameters) and width < _WIDE * min(diameters)
        stands = bottom[1] < low[1] + _GROUND * (high[1] - low[1])
        if is_disc and stands and max(diameters) < _LARGEST * (high - low).max():
            discs.append(piece)
    # A tyre, its rim and its hub are one wheel, known by its largest piece.
    discs.sort(key=lambda piece: -float(np.prod(boxes[piece][1] - boxes[piece][0])))
    taken: set[int] = set()
    wheels = []
    for disc in discs:
        if disc in taken:
            continue
        bottom, top = boxes[disc]
        room = 0.02 * (top - bottom) + 0.25 * (top - bottom) * LEFT
        members = [p for p, (b, t) in boxes.items() if (b >= bottom - room).all() and (t <= top + room).all()]
        taken.update(members)
        center = 0.5 * (bottom + top)
        side = int(np.sign(center[0] - 0.5 * (low[0] + high[0])))
        part = Part("wheel", 0, center, UP, LEFT, 0.5 * float(top[1] - bottom[1]), side)
        wheels.append((part, np.flatnonzero(np.isin(template.pieces, members))))
    return wheels if len(wheels) > 1 else []
