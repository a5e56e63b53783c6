"""Where the pixels of drawn clips truly come from, and how far off the UNet's origins are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, smooth_l1_loss

from animate3d.cameras import Cameras
from animate3d.mvvdm.model.origins import Origins
from animate3d.small_model.data.points import Pictures

VIEW_WEIGHTS = (1.0, 0.5, 0.25, 0.5)
"""Weights of the places in a pixel's own first image and in those of the next views; the opposite one shares least."""
SAME_POINT = 0.09
"""Two pixels show the same point of the surface when their rest positions are nearer than this (objects: about 1)."""
SILHOUETTE_WEIGHT = 5.0


@dataclass(frozen=True)
class Truth:
    """True origins of the pixels of B clips.

    Attributes:
        places: as in `Origins`, for every view.
        visible: bool ``[B, V, F, V, H, W]`` whether the first image shows the pixel's point there.
        coverage: ``[B, V, F, H, W]`` 0..1
    """

    places: Tensor
    visible: Tensor
    coverage: Tensor


@torch.no_grad()
def true_origins(pictures: Pictures, cameras: Cameras) -> Truth:
    """The truth for drawn clips; ``cameras`` ``[V]`` have the size of the pictures."""
    rest, coverage = pictures.rest, pictures.coverage
    _, views, frames, _, height, width = rest.shape
    size = rest.new_tensor([width, height])
    points = rest.movedim(3, -1).flatten(2, 4)  # [B, V, P, 3]
    here = coverage.flatten(2) > 0.5
    # Seen in its own view, a point comes from beside where it rests as much as it is now beside the pixel's middle.
    aside = pictures.aside.movedim(3, -1).flatten(2, 4)
    places, visible = [], []
    for step in range(views):
        order = torch.arange(views).roll(-step)  # the views that follow, one for each
        projected, _ = cameras[order].project(points)
        pixels = projected + aside if step == 0 else projected
        grid = (2 * pixels / size - 1).flatten(0, 1)[:, None]
        first = torch.cat([rest[:, :, 0], coverage[:, :, 0, None]], dim=2)[:, order].flatten(0, 1)
        found = grid_sample(first, grid, mode="nearest", padding_mode="border", align_corners=False)
        found = found[:, :, 0].transpose(1, 2).unflatten(0, rest.shape[:2])
        same = (found[..., :3] - points).norm(dim=-1) < SAME_POINT
        places.append(pixels.unflatten(2, (frames, height, width)).movedim(-1, 3))
        visible.append((same & (found[..., 3] > 0.5) & here).unflatten(2, (frames, height, width)))
    return Truth(torch.stack(places, dim=3), torch.stack(visible, dim=3), coverage)


def origin_losses(origins: Origins, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """Losses over the frames after frame 0: error of the places, error of the sources, and mean distance in pixels.

    The distance is that in the own view, over the pixels that it shows.
    """
    places, sources = origins.places[:, :, 1:], origins.sources[:, :, 1:]
    true_places, visible, coverage = truth.places[:, :, 1:], truth.visible[:, :, 1:], truth.coverage[:, :, 1:]
    weight = visible[:, :, :, :, None] * places.new_tensor(VIEW_WEIGHTS)[:, None, None, None]
    place_loss = (smooth_l1_loss(places, true_places, reduction="none") * weight).sum() / weight.sum().clamp_min(1) / 2
    # The own view is the best source; without it any other that shows the point is right; else none.
    log = sources.log_softmax(dim=3)
    others = log[:, :, :, :-1].masked_fill(~visible, -30.0).logsumexp(dim=3)
    right = torch.where(visible[:, :, :, 0], log[:, :, :, 0], torch.where(visible.any(dim=3), others, log[:, :, :, -1]))
    source_loss = -(right * (1 + (SILHOUETTE_WEIGHT - 1) * (coverage > 0.05))).mean()
    own = visible[:, :, :, 0]
    distance = (places[:, :, :, 0] - true_places[:, :, :, 0]).norm(dim=3)
    return place_loss, source_loss, ((distance * own).sum() / own.sum().clamp_min(1)).detach()
