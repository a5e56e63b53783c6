from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.creatures import make_creature, move
from animate3d.mvvdm.model.origins import Origins, paint_from_origins
from animate3d.small_model.data.moving import sample_creature
from animate3d.small_model.data.points import draw_points
from animate3d.small_model.origins import Truth, origin_losses, true_origins


@cache
def truth_of(family: str, motion: str) -> tuple[Tensor, Truth]:
    """Pixels ``[V, F, 3, H, W]`` 0..1 of a creature's clip of 4 frames, and the truth."""
    creature = make_creature(family, 5)
    surface = sample_creature(creature, 8192, np.random.default_rng(0))
    placed = creature.mesh.automatic_placement().apply(surface.follow(move(creature, motion, 4)))
    colors = torch.from_numpy((surface.colors * 255).astype(np.uint8))
    pictures = draw_points(torch.from_numpy(placed)[None], colors[None], views=4, size=64)
    return pictures.pixels[0].float() / 255, true_origins(pictures, reconstruction_cameras(4, 64))


def test_in_frame_0_every_covered_pixel_comes_from_itself() -> None:
    _, truth = truth_of("ball", "spin")
    own, covered = truth.places[0, :, 0, 0], truth.coverage[0, :, 0] > 0.9
    grid = torch.arange(64) + 0.5
    x, y = grid.expand(64, 64), grid[:, None].expand(64, 64)
    distance = (own - torch.stack([x, y])).norm(dim=1)[covered]
    assert distance.max() < 1e-3 and truth.visible[0, :, 0, 0][covered].float().mean() > 0.95


@pytest.mark.parametrize(("family", "motion"), [("butterfly", "flap"), ("ball", "spin")])
def test_painting_with_the_true_origins_gives_the_video_back(family: str, motion: str) -> None:
    pixels, truth = truth_of(family, motion)
    shown = torch.cat([truth.visible, ~truth.visible.any(dim=3, keepdim=True)], dim=3)
    sources = torch.where(shown, 0.0, -50.0)
    sources[:, :, :, 0] += 20 * truth.visible[:, :, :, 0]  # the own view, where it can
    first = pixels[:, 0]
    grey = torch.full_like(pixels, 0.5)
    painted = paint_from_origins(grey[None], first[None], Origins(truth.places, sources))[0]
    known = truth.visible[0].any(dim=2)[:, :, None].expand_as(pixels) & (truth.coverage[0] > 0.95)[:, :, None]
    error = (painted - pixels)[known].abs().mean()
    still = (first[:, None] - pixels)[known].abs().mean()
    assert error < 0.05 and error < 0.45 * still


def test_losses_are_least_at_the_truth() -> None:
    _, truth = truth_of("butterfly", "flap")
    shown = torch.cat([truth.visible, ~truth.visible.any(dim=3, keepdim=True)], dim=3)
    shown[:, :, :, 1:-1] &= ~shown[:, :, :, :1]
    right = Origins(truth.places.clone().requires_grad_(), torch.where(shown, 30.0, 0.0).requires_grad_())
    places, sources, distance = origin_losses(right, truth)
    assert places == 0 and sources < 1e-6 and distance == 0
    wrong = Origins((truth.places + 3.0).requires_grad_(), torch.zeros_like(right.sources).requires_grad_())
    places, sources, distance = origin_losses(wrong, truth)
    assert places.item() == pytest.approx(2.5, abs=1e-3)  # 3 pixels in x and y: |3| - 1/2
    assert distance.item() == pytest.approx(3 * 2**0.5, abs=1e-3) and sources > 0.5
    (places + sources).backward()
    assert wrong.places.grad is not None and wrong.sources.grad is not None
    assert not wrong.places.grad[:, :, 0].any()  # frame 0 is given
