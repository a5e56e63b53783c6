"""Origins: where in the first images every pixel of a video comes from, and videos painted with their colours.

A small model puts a moving part in the right place long before it draws the pattern on it. But the pattern is known:
the condition images show it. So the UNet also says, for every pixel, which place in them shows the same point of the
object, and the sampled video only gives the colour of what none of them shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

_HIDDEN = 128  # channels of the head
_REACH = 10.0
"""Pixels per unit of the head's output, so that usual motions are of order one."""
_CONTRAST = 4.0
"""Logits per unit of the head's output."""
_SURE = 20.0
"""Logit of a source beside which no other counts."""
_DECISION = 2.0
"""Sharpens the choice among the sources when painting: two pictures half a pixel apart would mix to a blurred one."""


@dataclass(frozen=True)
class Origins:
    """Where the pixels of B samples with V views and F frames of H×W pixels come from.

    Attributes:
        places: ``[B, V, F, V, 2, H, W]`` x and y, in pixels, in the first image of the pixel's own view, then in those
            of the views that follow it, cyclically.
        sources: ``[B, V, F, V+1, H, W]`` logits of these images, and last of none of them.
    """

    places: Tensor
    sources: Tensor


def views_from(views: int) -> Tensor:
    """Row v: view v and those that follow it. ``[V, V]``"""
    numbers = torch.arange(views)
    return (numbers[:, None] + numbers) % views


class OriginHead(nn.Module):
    """Features of the UNet's last block to origins; ``factor`` pixels per feature, along each axis."""

    def __init__(self, channels: int, views: int, factor: int) -> None:
        super().__init__()
        self.views = views
        self.layers = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(_HIDDEN, (3 * views + 1) * factor**2, 1),
            nn.PixelShuffle(factor),
        )

    def forward(self, features: Tensor, frames: int) -> Origins:
        """``[(b v f), c, h, w]`` to origins at ``factor`` times the resolution, float32."""
        views = self.views
        out = self.layers(features).float().unflatten(0, (-1, views, frames))
        offsets = _REACH * out[:, :, :, : 2 * views].unflatten(3, (views, 2))
        return Origins(offsets + _starts(views, offsets), _CONTRAST * out[:, :, :, 2 * views :])


def _starts(views: int, like: Tensor) -> Tensor:
    """What offsets count from: the pixel itself in its own view, the middle of its row in the others."""
    height, width = like.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device) + 0.5, torch.arange(width, device=like.device) + 0.5, indexing="ij"
    )
    own, middle = torch.stack([x, y]), torch.stack([torch.full_like(x, width / 2), y])
    return torch.stack([own] + [middle] * (views - 1))


def at_rest(origins: Origins, frames: Tensor) -> Origins:
    """The origins, with those of pixels that stay where they are in ``frames [S]``."""
    places, sources = origins.places.clone(), origins.sources.clone()
    places[:, :, frames] = _starts(places.shape[3], places)
    sources[:, :, frames] = 0.0
    sources[:, :, frames, 0] = _SURE
    return Origins(places, sources)


def own_origins(origins: Origins) -> tuple[Tensor, Tensor]:
    """Where in the first image of its own view every pixel comes from, and how surely that shows its point.

    Returns:
        places ``[B, V, F, 2, H, W]`` and shares ``[B, V, F, H, W]`` 0..1.
    """
    return origins.places[:, :, :, 0], origins.sources.softmax(dim=3)[:, :, :, 0]


def paint_from_origins(frames: Tensor, first: Tensor, origins: Origins) -> Tensor:
    """Give a video the colours of the first images.

    Args:
        frames: ``[B, V, F, 3, H, W]`` sampled; what remains where no first image shows a point.
        first: ``[B, V, 3, H, W]``
        origins: at this size.

    Returns:
        ``[B, V, F, 3, H, W]``
    """
    batch, views, count, _, height, width = frames.shape
    images = first[:, views_from(views).to(first.device)].flatten(0, 2)  # [(b v r), 3, H, W]
    size = origins.places.new_tensor([width, height])
    grid = (2 * origins.places.movedim(4, -1).transpose(2, 3) / size - 1).flatten(0, 2)  # [(b v r), f, H, W, 2]
    taken = grid_sample(images.to(grid), grid.flatten(1, 2), padding_mode="border", align_corners=False)
    taken = taken.unflatten(2, (count, height)).unflatten(0, (batch, views, views)).permute(0, 1, 4, 2, 3, 5, 6)
    weights = (_DECISION * origins.sources).softmax(dim=3)[:, :, :, :, None]
    return (weights[:, :, :, :-1] * taken).sum(dim=3) + weights[:, :, :, -1] * frames
