"""Cameras in numbers, as matrices and as files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from animate3d.cameras import orbit_cameras
from animate3d.errors import InputError
from animate3d.files import write_json
from animate3d.meshes import Placement
from animate3d.runs.viewpoint import Viewpoint, load_viewpoint, save_viewpoint

ODD = Viewpoint(130.0, -25.0, 12.0, 33.0, 2.4, (0.2, -0.1), (0.5, 0.5), (640, 480))


def test_without_roll_and_offset_it_is_the_orbit_camera() -> None:
    ours = Viewpoint(70.0, 20.0, size=(64, 64)).cameras()
    known = orbit_cameras(20.0, [70.0], size=64)
    assert torch.allclose(ours.c2w.float(), known.c2w, atol=1e-6)
    assert torch.allclose(ours.fovy.float(), known.fovy)


def test_the_centre_is_seen_where_the_offset_says() -> None:
    pixel, depth = ODD.cameras().project(torch.zeros(1, 1, 3, dtype=torch.float64))
    assert np.allclose(pixel[0, 0].numpy(), [320 + 0.2 * 480, 240 + 0.1 * 480])
    assert 0 < depth[0, 0] < 2.4


def test_roll_turns_the_camera_clockwise_so_that_the_picture_turns_counter_clockwise() -> None:
    up = torch.tensor([[[0.0, 0.0, 0.5]]], dtype=torch.float64)
    pixel, _ = Viewpoint(0.0, 0.0, 20.0, size=(100, 100)).cameras().project(up)
    assert pixel[0, 0, 0] < 50 and pixel[0, 0, 1] < 50


@pytest.mark.parametrize("name", ["camera.json", "transforms.json"])
def test_both_files_bring_the_camera_back(tmp_path: Path, name: str) -> None:
    save_viewpoint(ODD, tmp_path / "camera.json", Placement.from_flags(90, 45, 0.7))
    found, placement = load_viewpoint(tmp_path / name)
    assert np.allclose(found.c2w(), ODD.c2w())
    assert found.size == ODD.size
    for field in ("azimuth", "elevation", "roll", "field_of_view", "distance", "offset", "principal_point"):
        assert np.allclose(getattr(found, field), getattr(ODD, field)), field
    assert (placement is not None) == (name == "camera.json")
    if placement is not None:
        assert np.allclose(placement.matrix(), Placement.from_flags(90, 45, 0.7).matrix())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"field_of_view": 190}, "field of view"),
        ({"azimuth": "front"}, "its `azimuth` is not a number but 'front'"),
        ({"size": None}, "its `size` is not two numbers but None"),
        ({"size": [float("inf"), 360]}, "its `size` is not two numbers"),
        ({"size": [10**400, 360]}, "its `size` is not two numbers"),
        ({"frames": [{"transform_matrix": np.eye(4).tolist()}], "w": 0, "h": 8, "fl_x": 9}, "0x8 pixels is empty"),
        ({"distance": True}, "its `distance` is not a number but True"),
        ({"placement": "yes"}, "its `placement` has no rotation"),
        ({"distance": -1}, "distance"),
        ({"frames": []}, "it has no"),
        ({"frames": [{"transform_matrix": np.eye(4).tolist()}], "w": 8, "h": 8, "fl_x": 9, "k1": 0.1}, "undistort"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, change: dict, said: str) -> None:
    save_viewpoint(ODD, tmp_path / "camera.json")
    value = json.loads((tmp_path / "camera.json").read_text())
    write_json(tmp_path / "wrong.json", {**value, **change})
    with pytest.raises(InputError, match=f"wrong.json is not a camera .*{said}"):
        load_viewpoint(tmp_path / "wrong.json")
