"""A world of motions: whole-body moves for any shape, moves of parts, the manners and the words for them.

`MOVES` lists them, `move_points` does them with a `Subject`, `caption` names them in a closed vocabulary and
`paraphrases` in free wording. Directions are those of the first camera's picture, see `DIRECTIONS`.
"""

from animate3d.creatures.moves.captions import (
    STILL,
    adverbs,
    allowed_adverbs,
    canonical,
    caption,
    described,
    draw_manner,
    how_often,
    manner_of,
    vocabulary,
)
from animate3d.creatures.moves.draw import draw_moves, shows
from animate3d.creatures.moves.manner import ADVERBS, DIRECTIONS, Manner
from animate3d.creatures.moves.move import Move, applies, combine, move_points, pose_at
from animate3d.creatures.moves.subject import Subject, subject_of, subject_of_points
from animate3d.creatures.moves.table import FAMILY_MOVES, MOVES
from animate3d.creatures.moves.wordings import paraphrases

__all__ = [
    "ADVERBS",
    "DIRECTIONS",
    "FAMILY_MOVES",
    "MOVES",
    "STILL",
    "Manner",
    "Move",
    "Subject",
    "adverbs",
    "allowed_adverbs",
    "applies",
    "canonical",
    "caption",
    "combine",
    "described",
    "draw_manner",
    "draw_moves",
    "how_often",
    "manner_of",
    "move_points",
    "paraphrases",
    "pose_at",
    "shows",
    "subject_of",
    "subject_of_points",
    "vocabulary",
]
