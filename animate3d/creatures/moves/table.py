"""The table of all moves, and the seven families' own motions under the same names."""

from __future__ import annotations

from animate3d.creatures.moves.gaits import GAITS
from animate3d.creatures.moves.gestures import GESTURES
from animate3d.creatures.moves.manner import Manner
from animate3d.creatures.moves.move import Move
from animate3d.creatures.moves.shapes import SHAPES
from animate3d.creatures.moves.whole import WHOLE

MOVES: dict[str, Move] = {move.name: move for move in (*WHOLE, *SHAPES, *GAITS, *GESTURES)}
"""All moves by name; first those of the whole body, then those that need parts."""

FAMILY_MOVES: dict[str, dict[str, tuple[str, Manner]]] = {
    "butterfly": {"flap": ("flap", Manner()), "rise": ("rise", Manner()), "turn": ("turn", Manner(direction="left"))},
    "bird": {"flap": ("flap", Manner()), "hop": ("hop", Manner(speed=0.5)), "peck": ("peck", Manner())},
    "fish": {"swim": ("swim", Manner()), "turn": ("turn", Manner(direction="left")), "dive": ("dive", Manner())},
    "dog": {
        "walk": ("walk", Manner()),
        "jump": ("jump", Manner(amplitude=0.8)),
        "shake": ("shake_head", Manner(speed=0.5)),
    },
    "flower": {"open": ("open_petals", Manner()), "close": ("close_petals", Manner()), "sway": ("sway", Manner())},
    "ball": {
        "bounce": ("jump", Manner(amplitude=0.8)),
        "squash": ("squash", Manner(amplitude=0.8)),
        "spin": ("spin", Manner(amplitude=0.5, direction="left")),
    },
    "snake": {"slither": ("slither", Manner()), "lift": ("raise_head", Manner()), "lower": ("lower_head", Manner())},
}
"""Which move, done how, each motion of a family is at amplitude 1 and speed 1.

To have a family do a move in some manner, its pose function takes the manner's amplitude and speed over these.
"""
