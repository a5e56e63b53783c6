"""Procedural creatures and motions: training data for the bundled model, and demo assets.

`FAMILIES` and `MOTIONS` list what there is, `make_creature` and `move` make it, `captions` names it;
`animate3d.synthetic.synthesize` writes data sets in MV-Video's layout.
"""

from animate3d.synthetic.captions import MOTIONS, captions, vocabulary
from animate3d.synthetic.creatures import Creature, make_creature, move, save_creature
from animate3d.synthetic.families import FAMILIES

__all__ = ["FAMILIES", "MOTIONS", "Creature", "captions", "make_creature", "move", "save_creature", "vocabulary"]
