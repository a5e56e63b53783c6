"""Procedural creatures and motions: training data for the bundled model, and demo assets.

`FAMILIES` and `FAMILY_MOTIONS` list what there is, `make_creature` and `move` make it, `captions` names it;
`animate3d.small_model.data.synthesize` writes data sets in MV-Video's layout.
"""

from animate3d.creatures.captions import FAMILY_MOTIONS, captions, vocabulary
from animate3d.creatures.creatures import make_creature, move, save_creature
from animate3d.creatures.families import FAMILIES

__all__ = ["FAMILIES", "FAMILY_MOTIONS", "captions", "make_creature", "move", "save_creature", "vocabulary"]
