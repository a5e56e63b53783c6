from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animate3d.errors import InputError
from animate3d.motion import DeformationField
from animate3d.motion.start import load_start, save_start, start_at


def some_start(frames: int = 4, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(frames, n, 3), torch.nn.functional.normalize(torch.randn(frames, n, 4), dim=-1)


def test_a_start_survives_the_disk(tmp_path: Path) -> None:
    positions, quats = some_start()
    save_start(tmp_path / "start.npz", positions, quats)
    again = load_start(tmp_path / "start.npz", 6)
    assert torch.equal(again[0], positions) and torch.equal(again[1], quats)


def test_the_frames_come_back_at_their_times_and_the_middle_between() -> None:
    positions, quats = some_start()
    means, turned = start_at(positions, quats, torch.linspace(-1, 1, 4))
    torch.testing.assert_close(means, positions)
    torch.testing.assert_close((turned * quats).sum(-1).abs(), torch.ones(4, 6))
    middle, _ = start_at(positions, quats, torch.tensor([-1 + 1 / 3]))
    torch.testing.assert_close(middle[0], (positions[0] + positions[1]) / 2)


def test_an_untrained_field_shows_the_start_itself() -> None:
    positions, quats = some_start(3)
    field = DeformationField([[4, 4, 4, 3]], 2)
    times = torch.linspace(-1, 1, 3)
    rest, still = positions[0], quats[0]
    means, turned, _ = field.deform(
        rest, still, torch.zeros(6, 3), times, use_delta_scale=False, start=(positions, quats)
    )
    torch.testing.assert_close(means[1:], positions[1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close((turned * quats).sum(-1).abs(), torch.ones(3, 6), atol=1e-5, rtol=0)


def test_a_start_of_another_model_is_refused(tmp_path: Path) -> None:
    save_start(tmp_path / "start.npz", *some_start())
    with pytest.raises(InputError, match="the model has 7 Gaussians"):
        load_start(tmp_path / "start.npz", 7)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="not an initial motion"):
        load_start(tmp_path / "other.npz", 7)
    with pytest.raises(InputError, match="does not exist"):
        load_start(tmp_path / "none.npz", 7)
