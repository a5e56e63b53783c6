"""What the bundled model knows, so that it can say when it is asked for something else."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from animate3d.files import atomic_file, existing_file
from animate3d.mvvdm.bundled.clips import Clips
from animate3d.mvvdm.bundled.encoders import OTHER_NAMES
from animate3d.mvvdm.bundled.folder import bundled_model_folder
from animate3d.mvvdm.bundled.models import SIZE
from animate3d.mvvdm.conditions import prepare_images
from animate3d.synthetic.captions import MOTIONS, captions
from animate3d.synthetic.families import FAMILIES

WORLD = "world.safetensors"
_MARGIN = 1.5  # on the largest distance that training creatures have: a creature may be somewhat unlike all of them
_SHRINK = 0.1  # of the covariance towards a multiple of the identity
_HEARD = 0.5  # share of a phrase that has to be said


@dataclass(frozen=True)
class Reading:
    """What the model can make of a prompt.

    Attributes:
        family: the kind of creature that it names; None when it names none.
        motion: the motion of that family that it names; None when it names none.
    """

    family: str | None
    motion: str | None


def read_prompt(prompt: str) -> Reading:
    """Family by its noun, motion by the phrase of the training that the prompt has the largest part of."""
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    singular = words | {word.removesuffix("s") for word in words} | {word.removesuffix("ies") + "y" for word in words}
    named = [name for name in MOTIONS if singular & {name, *OTHER_NAMES.get(name, ())}]
    if not named:
        return Reading(None, None)
    family = named[0]
    heard = {
        motion: max(_part(words, phrase) for pair in FAMILIES[family].motions[motion].phrases for phrase in pair)
        for motion in MOTIONS[family]
    }
    best = max(heard, key=lambda motion: heard[motion])
    return Reading(family, best if heard[best][0] >= _HEARD else None)


def _part(words: set[str], phrase: str) -> tuple[float, int]:
    """The share and the number of a phrase's words that were said."""
    said = len(words & set(phrase.split()))
    return said / len(set(phrase.split())), said


def prompt_notices(prompt: str) -> list[str]:
    """Sentences for the user when the prompt is outside of what the model was trained on; empty when it is not."""
    reading = read_prompt(prompt)
    if reading.family is None:
        known = ", ".join(MOTIONS)
        return [
            f"The bundled model knows these creatures: {known}. The prompt names none of them, so the motion is a "
            "guess; for anything else use the released weights (--preset full, see docs/mvvdm.md)."
        ]
    if reading.motion is None:
        examples = ", ".join(f"“{captions(reading.family, motion)[0]}”" for motion in MOTIONS[reading.family])
        return [
            f"The bundled model does not know this motion of a {reading.family}, so what happens is a guess; it knows "
            f"{examples}."
        ]
    return []


@dataclass(frozen=True)
class World:
    """How the image encoder sees the creatures of the training: one Gaussian per family with a common covariance.

    Attributes:
        means: ``[families, D]``, in the order of `MOTIONS`.
        precision: ``[D, D]`` inverse covariance around them.
        reach: the largest Mahalanobis distance of a creature that counts as known.
    """

    means: Tensor
    precision: Tensor
    reach: float

    def distances(self, embeds: Tensor) -> Tensor:
        """Mahalanobis distance of creatures ``[N, D]`` from every family. ``[N, families]``"""
        apart = embeds[:, None] - self.means
        return torch.einsum("nfd,de,nfe->nf", apart, self.precision, apart).clamp_min(0).sqrt()

    def notices(self, embed: Tensor, prompt: str) -> list[str]:
        """Sentences for the user about the model ``[D]`` that is to move and the prompt for it."""
        notices = prompt_notices(prompt)
        distance = self.distances(embed[None])[0]
        nearest = list(MOTIONS)[int(distance.argmin())]
        if float(distance.min()) > self.reach:
            notices.append(
                "This model looks like none of the creatures the bundled model was trained on, which are smooth, "
                f"colourful cartoons of these kinds: {', '.join(MOTIONS)}. Expect small or wrong motion; use the "
                "released weights (--preset full) or videos of your own (--frames)."
            )
        elif (family := read_prompt(prompt).family) is not None and family != nearest:
            notices.append(
                f"The prompt speaks of a {family}; to the bundled model this looks more like a {nearest}. If it faces "
                "sideways or lies on its side, turn it with --rot-x-degree and --rot-z-degree."
            )
        return notices

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``world.safetensors``."""
        tensors = {"means": self.means, "precision": self.precision, "reach": torch.tensor(self.reach)}
        with atomic_file(Path(folder) / WORLD) as temporary:
            save_file({name: value.float().contiguous() for name, value in tensors.items()}, temporary)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> World:
        """Read it.

        Raises:
            InputError: there is no such file.
        """
        tensors = load_file(existing_file(Path(folder) / WORLD, "description of what the bundled model knows"))
        return cls(tensors["means"], tensors["precision"], float(tensors["reach"]))


def fit_world(embeds: Tensor, families: Sequence[str]) -> World:
    """From creatures ``[N, D]`` and the family of each; every family has to be there."""
    labels = torch.tensor([list(MOTIONS).index(name) for name in families])
    means = torch.stack([embeds[labels == index].mean(dim=0) for index in range(len(MOTIONS))])
    apart = embeds - means[labels]
    covariance = apart.T @ apart / len(embeds)
    size = len(covariance)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * covariance.trace() / size * torch.eye(size)
    world = World(means, torch.linalg.inv(covariance), 0.0)
    own = world.distances(embeds)[torch.arange(len(embeds)), labels]
    return World(world.means, world.precision, _MARGIN * float(own.quantile(0.99)))


def notices(prompt: str, images: Sequence[Path], model: str | os.PathLike[str] | None = None) -> list[str]:
    """Sentences for the user about a prompt and the views of the model that is to move.

    Args:
        images: the condition images, one per view.
        model: folder of the bundled model; its own when None.
    """
    folder = Path(model) if model is not None else bundled_model_folder()
    views = prepare_images([Image.open(path) for path in images], SIZE, SIZE)
    return World.load(folder).notices(embed_views(*load_encoder(folder), views), prompt)


def world_of(clips: Clips, encoder: CLIPVisionModelWithProjection, extractor: CLIPImageProcessorPil) -> World:
    """The world of a data set; every caption names its family."""
    embeds = []
    for pixels in tqdm(clips.pixels[:, :, 0], desc="known creatures", unit="creature"):
        views = [Image.fromarray(view.movedim(0, -1).numpy()) for view in pixels]
        embeds.append(embed_views(encoder, extractor, views))
    return fit_world(torch.stack(embeds), [str(read_prompt(text).family) for text in clips.texts])


@torch.inference_mode()
def embed_views(
    encoder: CLIPVisionModelWithProjection, extractor: CLIPImageProcessorPil, views: Sequence[Image.Image]
) -> Tensor:
    """One embedding ``[D]`` for all views of a creature, whatever their order."""
    pixels = extractor(images=list(views), return_tensors="pt").pixel_values
    return encoder(pixels).image_embeds.mean(dim=0)


def load_encoder(folder: Path) -> tuple[CLIPVisionModelWithProjection, CLIPImageProcessorPil]:
    """The image encoder of a model folder in float32, and what prepares images for it."""
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32)
    return encoder, CLIPImageProcessorPil.from_pretrained(folder / "feature_extractor")
