"""What the text and image encoders of the bundled model read.

Nobody's released CLIP would fit in a few megabytes, and the world of the bundled model is small: its sentences have a
closed vocabulary. The encoders learn together with the UNet.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil

from animate3d.creatures.captions import OTHER_NAMES, vocabulary


def all_words() -> list[str]:
    """The words that the tokenizer knows as a whole."""
    others = [name for names in OTHER_NAMES.values() for name in names]
    return sorted({*vocabulary(), *others, ".", ","})


def normalized(images: Tensor, extractor: CLIPImageProcessorPil) -> Tensor:
    """Images ``[N, 3, H, W]`` in -1..1 as the feature extractor gives them to the encoder."""
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None] for values in (extractor.image_mean, extractor.image_std)
    )
    return ((images + 1) / 2 - mean) / std
