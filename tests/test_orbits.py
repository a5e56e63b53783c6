"""Random orbits: equal to the recorded ones, and what must hold for any draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.orbits import (
    OrbitDraws,
    OrbitRanges,
    draw_orbits,
    frame_times,
    place_orbits,
    turntable_azimuths,
)

VIEWS, FRAMES = 4, 4


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "cameras" / "cases.safetensors")


def _recorded_draws(recorded: dict[str, Tensor], case: str) -> OrbitDraws:
    draws = [recorded[key] for key in sorted(k for k in recorded if k.startswith(f"{case}.draw."))]
    return OrbitDraws(bool(draws[0] < 0.5), *draws[1:9])


@pytest.mark.parametrize("case", ["random_train.0", "random_train.1", "random_train.2"])
def test_same_numbers_give_the_recorded_cameras(golden: Path, recorded: dict[str, Tensor], case: str) -> None:
    given = json.loads((golden / "cameras" / "cases.json").read_text())[case]["ranges"]
    ranges = OrbitRanges(
        *(tuple(given[k]) for k in ("elevation_range", "azimuth_range", "fovy_range", "camera_distance_range")),
        tuple(given["zoom_range"]),
        *(given[k] for k in ("camera_perturb", "center_perturb", "up_perturb")),
    )
    orbits = place_orbits(_recorded_draws(recorded, case), ranges, VIEWS, FRAMES, 16)
    for name, value in {
        "c2w": orbits.cameras.c2w,
        "fovy": orbits.cameras.fovy,
        "elevation": orbits.elevation_deg,
        "azimuth": orbits.azimuth_deg,
        "camera_distances": orbits.distances,
        "timestamps": orbits.times[:, None],
    }.items():
        torch.testing.assert_close(value, recorded[f"{case}.{name}"], atol=2e-5, rtol=1e-5, msg=lambda m, n=name: n + m)


def test_an_orbit_shares_everything_but_the_azimuth() -> None:
    samples, views, frames = 2, 3, 5
    orbits = place_orbits(draw_orbits(samples, views, frames), OrbitRanges(), views, frames, 8)
    shaped = {name: getattr(orbits, name).view(samples, views, frames) for name in ("elevation_deg", "distances")}
    for value in shaped.values():
        assert (value == value[:, :1, :1]).all()
        assert not torch.equal(value[0], value[1])
    azimuth = orbits.azimuth_deg.view(samples, views, frames)
    assert (azimuth == azimuth[..., :1]).all()
    torch.testing.assert_close(azimuth[:, 1:, 0] - azimuth[:, :-1, 0], torch.full((samples, views - 1), 120.0))
    assert torch.equal(orbits.times.view(samples, views, frames)[1, 2], frame_times(frames))


def test_every_camera_stays_in_its_ranges_and_looks_at_the_origin() -> None:
    for seed in range(20):
        orbits = place_orbits(draw_orbits(1, 4, 2, torch.Generator().manual_seed(seed)), OrbitRanges(), 4, 2, 8)
        assert ((orbits.elevation_deg >= 0) & (orbits.elevation_deg <= 30)).all()
        assert ((orbits.azimuth_deg >= -180) & (orbits.azimuth_deg <= 180)).all()
        assert ((orbits.distances * torch.tan(orbits.cameras.fovy / 2) - 0.9).abs() <= 0.1 + 1e-5).all()
        pixels, depth = orbits.cameras.project(torch.zeros(1, 3))
        torch.testing.assert_close(pixels, torch.full_like(pixels, 4.0))
        torch.testing.assert_close(depth[:, 0], orbits.distances)


def test_a_generator_makes_the_draw_repeatable() -> None:
    first, second = (draw_orbits(2, 4, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.azimuth, second.azimuth) and torch.equal(first.up, second.up)


def test_turntable_is_open_for_a_loop_and_closed_for_the_static_render() -> None:
    assert turntable_azimuths(4).tolist() == [0, 90, 180, 270]


def test_one_frame_is_the_static_model() -> None:
    assert frame_times(1).tolist() == [-1.0]


@pytest.mark.parametrize(
    "bad", [{"elevation_deg": (30.0, 0.0)}, {"fovy_deg": (0.0, 60.0)}, {"fovy_deg": (15.0, 190.0)}]
)
def test_impossible_ranges_are_refused(bad: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(InputError):
        OrbitRanges(**bad)
