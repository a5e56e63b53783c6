"""The families, by name."""

from __future__ import annotations

from animate3d.creatures.families.ball import BALL
from animate3d.creatures.families.bird import BIRD
from animate3d.creatures.families.butterfly import BUTTERFLY
from animate3d.creatures.families.dog import DOG
from animate3d.creatures.families.fish import FISH
from animate3d.creatures.families.flower import FLOWER
from animate3d.creatures.families.snake import SNAKE
from animate3d.creatures.family import Family

FAMILIES: dict[str, Family] = {family.name: family for family in (BUTTERFLY, BIRD, FISH, DOG, FLOWER, BALL, SNAKE)}

__all__ = ["FAMILIES"]
