"""What the bundled model knows, so that it can say when it is asked for something else."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from animate3d.bundled_model.folder import SIZE, bundled_model_folder
from animate3d.bundled_model.prompts import Understood, asked_moves
from animate3d.creatures.captions import FAMILY_MOTIONS, OTHER_NAMES, captions
from animate3d.creatures.families import FAMILIES
from animate3d.creatures.moves import FAMILY_MOVES
from animate3d.files import existing_file
from animate3d.frames import silhouette
from animate3d.mvvdm.conditions import prepare_images

WORLD = "world.safetensors"
_CELL = 4  # pixels per value of an outline
_HEARD = 0.5  # share of a phrase that has to be said
_NAMED = 1.4
"""How far from a family's reach a creature may look that the prompt names, with one of the family's motions."""
_SMALL = frozenset(
    ["a", "an", "the", "its", "his", "her", "to", "at", "in", "into", "from", "and", "of", "on", "is", "are"]
)
_FAINT = frozenset([("dog", "walk")])
"""Motions that the model's videos show too little of (docs/bundled_model.md): computed where parts are found."""
_NEGATIONS = frozenset(("not", "no", "never", "without"))


@dataclass(frozen=True)
class Reading:
    """The kind of creature that a prompt names, and the motion of that family; None where it names none."""

    family: str | None
    motion: str | None


def read_prompt(prompt: str) -> Reading:
    """Family by its noun, motion by the phrase of the training that the prompt has the largest part of."""
    words = re.findall(r"[a-z]+", prompt.lower())
    nouns = {noun: name for name in FAMILY_MOTIONS for noun in (name, *OTHER_NAMES.get(name, ()))}
    forms = [(word, word.removesuffix("s"), word.removesuffix("ies") + "y") for word in words]
    named = [nouns[form] for word_forms in forms for form in word_forms if form in nouns]
    if not named:
        return Reading(None, None)
    family = named[0]  # who is spoken of first does something
    if _NEGATIONS.intersection(words):
        return Reading(family, None)
    heard = {
        motion: max(_part(words, phrase) for pair in FAMILIES[family].motions[motion].phrases for phrase in pair)
        for motion in FAMILY_MOTIONS[family]
    }
    best = max(heard, key=lambda motion: heard[motion])
    return Reading(family, best if heard[best][0] >= _HEARD else None)


def _part(words: list[str], phrase: str) -> tuple[float, int]:
    """The share and the number of a phrase's words that were said; none without its verb, or about something else."""
    verb, *_ = phrase.split()
    if verb not in words:
        return 0.0, 0
    meant = set(phrase.split()) - _SMALL
    said = len(meant.intersection(words))
    others = set(words[words.index(verb) :]) - meant - _SMALL
    return (0.0, 0) if said < len(meant) and others else (said / len(meant), said)


def prompt_notices(prompt: str) -> list[str]:
    """Sentences for the user when the prompt is outside of what the model was trained on; empty when it is not."""
    reading = read_prompt(prompt)
    if reading.family is None:
        known = ", ".join(FAMILY_MOTIONS)
        return [
            f"The bundled model knows these creatures: {known}. The prompt names none of them, so the motion is a "
            "guess; for anything else use the released weights (--preset full, see docs/mvvdm.md), or a motion "
            "that can be computed (docs/moves.md)."
        ]
    if reading.motion is None:
        examples = ", ".join(f"“{captions(reading.family, motion)[0]}”" for motion in FAMILY_MOTIONS[reading.family])
        return [
            f"The bundled model does not know this motion of a {reading.family}, so what happens is a guess; it knows "
            f"{examples}."
        ]
    return []


@dataclass(frozen=True)
class World:
    """The outlines of the training's creatures: per family a mean and the main ways in which members differ from it.

    Attributes:
        means: ``[families, D]``, in the order of `FAMILY_MOTIONS`.
        axes: ``[families, K, D]`` orthonormal.
        reach: ``[families]`` the largest unexplained part of an outline that counts as known.
    """

    means: Tensor
    axes: Tensor
    reach: Tensor

    def distances(self, outlines: Tensor) -> Tensor:
        """Unexplained part of outlines ``[N, D]``, 1 at the reach of a family. ``[N, families]``"""
        spaces = zip(self.means, self.axes, strict=True)
        return torch.stack([unexplained(outlines, *space) for space in spaces], dim=1) / self.reach

    def notices(self, outline: Tensor, prompt: str) -> list[str]:
        """Sentences for the user about the model, by its outline ``[D]``, that is to move and the prompt for it."""
        notices = prompt_notices(prompt)
        distance = self.distances(outline[None])[0]
        nearest, reading = list(FAMILY_MOTIONS)[int(distance.argmin())], read_prompt(prompt)
        named = reading.family == nearest and reading.motion is not None
        if float(distance.min()) > (_NAMED if named else 1.0):
            notices.append(
                "This model looks like none of the creatures the bundled model was trained on, which are smooth, "
                f"colourful cartoons of these kinds: {', '.join(FAMILY_MOTIONS)}. Expect small or wrong motion; use "
                "the released weights (--preset full) or videos of your own (--frames), or ask for a motion "
                "that can be computed, such as hopping (docs/moves.md)."
            )
        elif reading.family is not None and reading.family != nearest:
            notices.append(
                f"The prompt speaks of a {reading.family}; to the bundled model this looks more like a {nearest}. If "
                "it faces sideways or lies on its side, turn it with --rot-x-degree and --rot-z-degree."
            )
        return notices

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> World:
        """Read the ``world.safetensors`` of a model folder.

        Raises:
            InputError: the file does not exist.
        """
        tensors = load_file(existing_file(Path(folder) / WORLD, "description of what the bundled model knows"))
        return cls(tensors["means"], tensors["axes"], tensors["reach"])


def unexplained(outlines: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    """Distance of outlines ``[N, D]`` from the space, relative to their own length. ``[N]``"""
    apart = outlines - mean
    rest = apart - (apart @ axes.T) @ axes
    return rest.norm(dim=-1) / outlines.norm(dim=-1).clamp_min(1e-6)


def in_own_words(prompt: str) -> str:
    """The caption of the motion that a prompt means in other words; the prompt itself when there is none."""
    reading = read_prompt(prompt)
    if reading.family is None or reading.motion is not None:
        return prompt
    asked = asked_moves(prompt)
    for motion, (name, usual) in FAMILY_MOVES[reading.family].items():
        alike = len(asked) == 1 and asked[0][0] == name and asked[0][1].direction in ("", usual.direction)
        if alike and not asked[0][1].side:
            return captions(reading.family, motion)[0]
    return prompt


def understand_families(prompt: str, images: Sequence[Path], model: str | os.PathLike[str] | None = None) -> Understood:
    """Read a prompt for a model that knows the families of creatures, see `notices`."""
    own = in_own_words(prompt)
    said = [] if own == prompt else [f"The prompt is read as “{own}”."]
    unknown = notices(own, images, model)
    return Understood(own, (*said, *unknown), known=not unknown, faint=shown_faintly(prompt))


def asks_for_trained(prompt: str) -> bool:
    """Whether a prompt, whatever model it is about, asks for a motion that the model was trained on and shows well."""
    return not prompt_notices(in_own_words(prompt)) and not shown_faintly(prompt)


def shown_faintly(prompt: str) -> bool:
    """Whether videos of the model show too little of what a prompt asks for, or not as often as it does."""
    reading = read_prompt(in_own_words(prompt))
    return (reading.family, reading.motion) in _FAINT or any(manner.count > 1 for _, manner in asked_moves(prompt))


def notices(prompt: str, images: Sequence[Path], model: str | os.PathLike[str] | None = None) -> list[str]:
    """Sentences for the user about a prompt and the views of the model that is to move, in their order."""
    folder = Path(model) if model is not None else bundled_model_folder()
    views = prepare_images([Image.open(path) for path in images], SIZE, SIZE)
    small = [np.asarray(view.resize((SIZE, SIZE), Image.Resampling.BOX)) for view in views]
    return World.load(folder).notices(outline(np.stack(small)), prompt)


def outline(views: NDArray[np.uint8]) -> Tensor:
    """Coarse silhouettes of a creature's views ``[V, H, W, 3]`` on grey, side by side. ``[D]``"""
    covered = torch.from_numpy(silhouette(views.astype(np.float32) / 255)).float()
    return nn.functional.avg_pool2d(covered[:, None], _CELL).flatten()
