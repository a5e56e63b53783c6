"""The demo from a sentence: a creature that the bundled model has not seen, and how it was meant to move."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.creatures.creatures import Creature, family_named, make_creature, move, save_creature


@dataclass(frozen=True)
class PromptedCreature:
    """A creature on disk and a sentence about it.

    Attributes:
        creature: what the generator made.
        folder: its mesh, an object folder.
        prompt: what it is to do.
    """

    creature: Creature
    folder: Path
    prompt: str

    def intended(self, frames: int) -> NDArray[np.float64] | None:
        """The generator's own motion for the prompt ``[F, N, 3]``, in the mesh's coordinates; None if it has none."""
        from animate3d.bundled_model.knowledge import read_prompt  # diffusers takes seconds to import

        reading = read_prompt(self.prompt)
        if reading.family != self.creature.family or reading.motion is None:
            return None
        return move(self.creature, reading.motion, frames)


def usual_prompt(family: str) -> str:
    """A sentence about the first motion of a family.

    Raises:
        InputError: the family is unknown.
    """
    family_named(family)
    return captions(family, FAMILY_MOTIONS[family][0])[0]


def write_prompted_creature(
    out: str | os.PathLike[str], family: str, prompt: str | None = None, seed: int = 0
) -> PromptedCreature:
    """Make a creature in ``out/creature``.

    Args:
        family: a name in `FAMILY_MOTIONS`.
        prompt: by default the family's usual one.
        seed: of its looks. No training creature is the same: theirs are even, this one's is made odd.

    Raises:
        InputError: the family is unknown.
    """
    family_named(family)
    creature = make_creature(family, 2 * seed + 1)
    folder = Path(out) / "creature"
    save_creature(creature, folder)
    return PromptedCreature(creature, folder, usual_prompt(family) if prompt is None else prompt)
