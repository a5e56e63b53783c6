"""What the text and image encoders of the bundled model read.

Nobody's released CLIP would fit in a few megabytes, and the world of the bundled model is small: its sentences have a
closed vocabulary. The encoders learn together with the UNet.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil

from animate3d.creatures.captions import FAMILY_MOTIONS, OTHER_NAMES
from animate3d.creatures.figures.draw import figure_noun
from animate3d.creatures.moves import STILL, vocabulary

_FIGURES = 500
"""Figures whose nouns are learned; rarer nouns fall apart into pieces."""


@cache
def all_words() -> tuple[str, ...]:
    """The words that the tokenizer knows as a whole."""
    families = [name for family, others in OTHER_NAMES.items() for name in (family, *others)]
    nouns = [word for seed in range(0, 2 * _FIGURES, 2) for word in figure_noun(seed).split()]
    return tuple(sorted({*vocabulary(), *STILL.split(), *FAMILY_MOTIONS, *families, *nouns, ".", ","}))


def normalized(images: Tensor, extractor: CLIPImageProcessorPil) -> Tensor:
    """Images ``[N, 3, H, W]`` in -1..1 as the feature extractor gives them to the encoder."""
    statistics = (extractor.image_mean, extractor.image_std)
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in statistics)
    return ((images + 1) / 2 - mean) / std
