"""Where a Gaussian model is put: not at all when the cameras see it, else centred and scaled by its bulk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from animate3d.gaussians import Gaussians
from animate3d.gaussians.placement import automatic_placement, core, filled, fits_cameras, inverse
from animate3d.meshes.placement import Placement


def ball(n: int = 3000, radius: float = 0.6, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    means = radius * directions * torch.rand(n, 1, generator=generator) ** (1 / 3) + torch.tensor(centre)
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1)
    return Gaussians(means, torch.zeros(n, 1, 3), torch.full((n,), 3.0), torch.full((n, 3), -4.0), quats)


def test_a_model_that_the_cameras_see_stays_where_it_is() -> None:
    for radius in (0.4, 0.9):
        assert np.array_equal(automatic_placement(ball(radius=radius)).matrix(), np.eye(4))


@pytest.mark.parametrize(
    "model",
    [ball(radius=0.05), ball(radius=7.0), ball(centre=(0.0, 0.0, 5.0)), ball(radius=40.0, centre=(-300.0, 10.0, 70.0))],
)
def test_other_sizes_and_places_are_centred_and_scaled_but_not_turned(model: Gaussians) -> None:
    placement = automatic_placement(model)
    assert np.array_equal(placement.rotation, np.eye(3))
    placed = placement.apply(core(model))
    assert fits_cameras(placed) and filled(placed) == pytest.approx(0.7, abs=0.01)
    assert np.abs(placed.min(axis=0) + placed.max(axis=0)).max() < 1e-6


def test_floaters_change_nothing() -> None:
    model = ball(radius=5.0)
    far = torch.tensor([[90.0, 0.0, 0.0], [0.0, -400.0, 3.0], [10.0, 10.0, 2000.0]])
    some = ball(n=3)
    strays = replace(some, means=far)
    faint = replace(ball(n=500, radius=80.0), opacity_logits=torch.full((500,), -6.0))
    parts = [model, strays, faint]
    both = Gaussians(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(model)))
    alone, together = automatic_placement(model), automatic_placement(both)
    assert together.scale == pytest.approx(alone.scale, rel=0.1)
    assert np.allclose(together.translation, alone.translation, atol=0.05)


def test_points_behind_a_camera_never_fit() -> None:
    assert filled(np.array([[0.0, 0.0, 0.0], [3.5, 0.0, 1.0]])) == float("inf")


def test_the_inverse_brings_placed_points_back() -> None:
    placement = Placement(Placement.from_flags(90, -90).rotation, 0.3, np.array([1.0, -2.0, 0.5]))
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(inverse(placement).apply(placement.apply(points)), points)
