"""Limbs of one side of a body: whether it has them, and what the user is told about them and about degrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from animate3d.bundled_model.degrees import amplitude_of, degrees_of
from animate3d.bundled_model.sides import named_limbs
from animate3d.creatures.anatomy import Body
from animate3d.creatures.moves import MOVES, STILL, Manner, described
from animate3d.creatures.moves.move import SIDES
from animate3d.runs.in_turn import Moves

_GUESSED = "left and right are guessed, as its shape does not tell where it faces (--facing says it)"


def unheard(clause: str, moves: Moves) -> list[str]:
    """What a clause says more closely than any move of it can be done: "its left leg", "30 degrees"."""
    degrees = degrees_of(clause)
    kept = any(amplitude_of(name, clause) for name, _ in moves)
    return [*_unheard_sides(clause, moves), *([f"{degrees} degrees"] if degrees and not kept else ())]


def _unheard_sides(clause: str, moves: Moves) -> list[str]:
    """The sides of limbs that a clause names and no move of it keeps to: "its left leg"."""
    kept = {manner.side for _, manner in moves}
    named = named_limbs(clause)
    if {side for side, _ in named} == set(SIDES) and not any(kept):
        return []  # "its left and right arms" are both
    return [f"its {side} {limb}".strip() for side, limb in named if side not in kept]


def on_found_sides(acts: Sequence[Moves], body: Body | None) -> tuple[list[Moves], list[str]]:
    """Moves that keep to a side only where the body has such a limb there, and the limbs that it lacks."""
    done, lacking = [], []
    for act in acts:
        moves = []
        for name, manner in act:
            limb = next(iter(MOVES[name].needs), "")
            if manner.side and body is not None and not _has(body, limb, manner.side):
                lacking.append(f"its {manner.side} {limb}")
                manner = replace(manner, side="")
            moves.append((name, manner))
        done.append(tuple(moves))
    return done, lacking


def _has(body: Body, limb: str, side: str) -> bool:
    return any(part.name == limb and part.side == SIDES[side] for part in body.parts)


def said(act: Moves) -> str:
    """What is done at once, and with which limb alone."""
    return " while ".join(_said(name, manner) for name, manner in act) or STILL


def _said(name: str, manner: Manner) -> str:
    move = MOVES[name]
    only = f" (its own {manner.side} {move.needs[0]} only)" if manner.side else ""
    return described([(move, manner)]) + only


def guessed(acts: Sequence[Moves], body: Body | None) -> str:
    """That left and right are guessed, where a side is asked for of a body whose front is not known; else nothing."""
    asked = any(manner.side for act in acts for _, manner in act)
    return _GUESSED if asked and body is not None and not body.fronted else ""
