"""The outlines of the training's creatures, measured once so that the model can say what it does not know."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from animate3d.bundled_model.knowledge import AXES, World, outline, read_prompt, unexplained
from animate3d.creatures.captions import FAMILY_MOTIONS
from animate3d.small_model.clips import Clips

_MARGIN = 1.2  # on the largest distance that training creatures have: a creature may be somewhat unlike all of them


def world_of(clips: Clips) -> World:
    """The world of a data set; every caption names its family."""
    outlines = [outline(pixels.movedim(1, -1).numpy()) for pixels in clips.pixels[:, :, 0]]
    return fit_world(torch.stack(outlines), [str(read_prompt(text).family) for text in clips.texts])


def fit_world(outlines: Tensor, families: Sequence[str]) -> World:
    """Fit a `World` to outlines of creatures ``[N, D]`` and the family of each; every family needs at least four."""
    spaces, reaches = [], []
    generator = torch.Generator().manual_seed(0)
    for name in FAMILY_MOTIONS:
        own = outlines[torch.tensor([family == name for family in families])]
        own = own[torch.randperm(len(own), generator=generator)]
        halves = own[::2], own[1::2]
        # How well each half explains the other: what has been fitted would look better known than it is.
        unseen = [unexplained(there, *_space(here)) for here, there in (halves, halves[::-1])]
        spaces.append(_space(own))
        reaches.append(_MARGIN * torch.cat(unseen).max())
    means, axes = (torch.stack(parts) for parts in zip(*spaces, strict=True))
    return World(means, axes, torch.stack(reaches))


def _space(outlines: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[D]`` and main axes ``[K, D]``; axes of few outlines are filled up with zeros, which explain nothing."""
    mean = outlines.mean(dim=0)
    axes = torch.linalg.svd(outlines - mean, full_matrices=False).Vh[:AXES]
    return mean, nn.functional.pad(axes, (0, 0, 0, AXES - len(axes)))
