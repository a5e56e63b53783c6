"""Random moves of a subject, and whether a move can be seen on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from animate3d.creatures.moves.captions import draw_manner
from animate3d.creatures.moves.manner import Manner
from animate3d.creatures.moves.move import Move, applies, combine, pose_at
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.moves.table import MOVES

_MOMENTS = np.array([0.2, 0.45, 0.7, 0.94])
_SAMPLE = 400
_MEAN, _FAR = 0.006, 0.05
"""Least mean displacement of all points, and of the farthest fiftieth of them, in sizes of the subject."""

_WEIGHTS = {
    "head": 0.5,
    "leg": 0.8,
    "swim": 5.0,
    "slither": 8.0,
    "dive": 0.7,
    "tail": 1.5,
    "wing": 2.5,
    "arm": 4.0,
    "petal": 5.0,
    "jaw": 8.0,
}
"""How much sooner a move, or one of a part, is drawn than others of a body: all are to be seen about equally often."""


def shows(subject: Subject, move: Move) -> bool:
    """Whether a move applies and enough of the subject goes far enough to be seen in small pictures."""
    if not applies(move, subject.parts):
        return False
    step = max(len(subject.points) // _SAMPLE, 1)
    thin = replace(subject, points=subject.points[::step], weights=subject.weights[::step])
    moved = pose_at(thin, [(move, Manner())], _MOMENTS) - thin.points
    far = np.linalg.norm(moved, axis=-1) / subject.size
    return bool(far.mean(axis=1).max() > _MEAN and np.quantile(far, 0.98, axis=1).max() > _FAR)


def draw_moves(subject: Subject, generator: np.random.Generator, pair_share: float = 0.12) -> list[tuple[Move, Manner]]:
    """One move that shows on a subject, or at ``pair_share`` two that can be done at once; manners at random."""
    whole = [move for move in MOVES.values() if not move.needs]
    parts = [move for move in MOVES.values() if move.needs and applies(move, subject.parts)]
    of_parts = bool(parts) and generator.random() < 0.5
    first = _drawn(subject, parts if of_parts else whole, generator) or _drawn(subject, whole, generator)
    chosen = [first or MOVES["spin"]]
    if generator.random() < pair_share:
        others = [move for move in (*parts, *(whole if of_parts else ())) if combine(chosen[0], move)]
        second = _drawn(subject, others, generator)
        chosen += [second] if second else []
    return [(move, draw_manner(move, generator)) for move in chosen]


def _drawn(subject: Subject, moves: list[Move], generator: np.random.Generator) -> Move | None:
    """The first one that shows, in random order; moves of rare parts come early."""
    weights = np.array([_WEIGHTS.get(move.name, _WEIGHTS.get("".join(move.needs[:1]), 1.0)) for move in moves])
    order = generator.choice(len(moves), len(moves), replace=False, p=weights / weights.sum()) if moves else ()
    for index in order:
        if shows(subject, moves[int(index)]):
            return moves[int(index)]
    return None
