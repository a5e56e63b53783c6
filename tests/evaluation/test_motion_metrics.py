"""Known answers of displacement and ARAP energy."""

from __future__ import annotations

import math

import pytest
import torch

from animate3d.errors import InputError
from animate3d.evaluation.motion_metrics import mean_displacement, relative_arap_energy, shown


@pytest.fixture
def cloud() -> torch.Tensor:
    return torch.rand(300, 3) - 0.5


def turned(points: torch.Tensor, angle: float) -> torch.Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


def test_what_stands_still_has_no_displacement_and_no_energy(cloud: torch.Tensor) -> None:
    positions = cloud.expand(5, -1, -1)
    assert mean_displacement(positions) == 0.0
    assert relative_arap_energy(positions) == 0.0


def test_displacement_is_a_share_of_the_diagonal_over_the_frames_after_the_first() -> None:
    box = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
    positions = torch.stack([box, box + torch.tensor([0.0, 0.0, 1.0]), box + torch.tensor([0.0, 0.0, 3.0])])
    assert mean_displacement(positions) == pytest.approx(0.4)
    assert mean_displacement(7 * positions) == pytest.approx(0.4)


def test_rigid_motion_has_no_energy(cloud: torch.Tensor) -> None:
    positions = torch.stack([turned(cloud, 0.7 * f) + f * torch.tensor([0.1, -0.2, 0.3]) for f in range(4)])
    assert mean_displacement(positions) > 0.1
    assert relative_arap_energy(positions) < 1e-9


def test_growth_by_s_has_the_energy_s_minus_1_squared(cloud: torch.Tensor) -> None:
    assert relative_arap_energy(torch.stack([cloud, 1.2 * cloud])) == pytest.approx(0.04, rel=1e-3)
    both = torch.stack([cloud, 1.2 * turned(cloud, 1.0), 0.9 * cloud])
    assert relative_arap_energy(both) == pytest.approx((0.04 + 0.01) / 2, rel=1e-3)


def test_the_energy_does_not_depend_on_the_size(cloud: torch.Tensor) -> None:
    positions = torch.stack([cloud, cloud + 0.02 * torch.randn_like(cloud)])
    assert relative_arap_energy(50 * positions) == pytest.approx(relative_arap_energy(positions), rel=1e-3)


def test_faint_gaussians_do_not_count(cloud: torch.Tensor) -> None:
    far = torch.cat([cloud, torch.full((1, 3), 100.0)]).expand(2, -1, -1)
    kept = shown(far, torch.cat([torch.ones(300), torch.tensor([0.01])]))
    assert kept.shape == (2, 300, 3)
    assert shown(far, torch.zeros(301)).shape == (2, 301, 3), "all of them when none can be seen"


def test_a_single_gaussian_is_rigid_and_a_single_frame_is_no_motion(cloud: torch.Tensor) -> None:
    assert relative_arap_energy(torch.rand(3, 1, 3)) == 0.0
    with pytest.raises(InputError, match="2 frames"):
        mean_displacement(cloud[None])
