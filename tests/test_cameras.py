"""Cameras: the documented orbits, and what they see where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from animate3d.cameras import (
    Cameras,
    look_at,
    orbit_c2w,
    orbit_cameras,
    reconstruction_cameras,
    testset_cameras,
)


def test_an_orbit_camera_stands_where_azimuth_and_elevation_say_and_looks_at_the_origin() -> None:
    cameras = orbit_cameras([0.0, 30.0, -20.0], [0.0, 90.0, 215.0], distance=2.5)
    e, a = np.deg2rad([0.0, 30.0, -20.0]), np.deg2rad([0.0, 90.0, 215.0])
    expected = 2.5 * np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    assert np.allclose(cameras.positions.numpy(), expected, atol=1e-6)
    rotation = cameras.c2w[:, :3, :3]
    assert torch.allclose(rotation.transpose(1, 2) @ rotation, torch.eye(3).expand(3, 3, 3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(3), atol=1e-6)
    assert torch.allclose(-rotation[:, :, 2], -cameras.positions / 2.5, atol=1e-6)
    assert (rotation[:, 2, 1] > 0).all()  # up is up


def test_look_at_takes_any_centre_and_up() -> None:
    c2w = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    assert torch.allclose(c2w[:3, 2], torch.tensor([0.0, 0.0, 1.0])) and torch.allclose(c2w[:3, 1], torch.eye(3)[1])
    assert c2w[3].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_view_matrices_invert_c2w_with_opencv_axes() -> None:
    cameras = reconstruction_cameras()
    both = cameras.viewmats @ cameras.c2w
    assert torch.allclose(both, torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).expand(4, 4, 4), atol=1e-6)


def test_projection_by_hand() -> None:
    """From +x: the origin in the middle, +y to the right, +z up; a quarter up at the edge of the image."""
    cameras = orbit_cameras(0.0, [0.0], distance=3.0, fovy_deg=40.0, size=100)
    edge = float(3.0 * np.tan(np.deg2rad(20.0)))
    points = torch.tensor([[0.0, 0, 0], [0, edge, 0], [0, 0, edge], [1, 0, 0], [1.5, 0, edge / 2]])
    pixels, depth = cameras.project(points)
    expected = [[50.0, 50], [100, 50], [50, 0], [50, 50], [50, 0]]
    assert torch.allclose(pixels[0], torch.tensor(expected), atol=1e-3)
    assert depth.reshape(-1).tolist() == pytest.approx([3, 3, 3, 2, 1.5], abs=1e-5)


def test_projection_agrees_with_intrinsics_and_view_matrices() -> None:
    cameras = orbit_cameras(20.0, [10.0, 200.0], size=64).resized(48, 80)
    points = torch.rand(7, 3) - 0.5
    local = torch.einsum("vij,nj->vni", cameras.viewmats, torch.cat([points, torch.ones(7, 1)], dim=1))[..., :3]
    image = torch.einsum("vij,vnj->vni", cameras.Ks, local)
    pixels, depth = cameras.project(points)
    assert torch.allclose(pixels, image[..., :2] / image[..., 2:], atol=1e-4)
    assert torch.allclose(depth.reshape(2, 7), local[..., 2], atol=1e-5)


def test_resizing_keeps_the_view_and_indexing_keeps_the_size() -> None:
    cameras = reconstruction_cameras(size=64)
    large = cameras.resized(128, 128)
    points = torch.rand(5, 3) - 0.5
    assert torch.allclose(2 * cameras.project(points)[0], large.project(points)[0], atol=1e-3)
    assert torch.allclose(2 * cameras.focal, large.focal)
    one = cameras[2]
    assert one.shape == () and cameras[1:].shape == (3,) and one.height == 64
    assert torch.equal(one.c2w, cameras.c2w[2])
    assert cameras.to(torch.float64).c2w.dtype == torch.float64


def test_the_documented_rigs() -> None:
    four, three, test = reconstruction_cameras(), reconstruction_cameras(3, 32), testset_cameras()
    assert four.shape == (4,) and (four.height, four.width) == (256, 256) and three.shape == (3,)
    height = np.sin(np.deg2rad(15.0)) * 3
    assert four.positions[:, 2].numpy() == pytest.approx(np.full(4, height), abs=1e-5)
    assert torch.allclose(four.fovy, torch.deg2rad(torch.full((4,), 40.0)))
    assert test.shape == (12,) and test.height == 1024
    elevation = torch.rad2deg(torch.asin(test.positions[:, 2] / 3))
    azimuth = torch.rad2deg(torch.atan2(test.positions[:, 1], test.positions[:, 0])) % 360
    assert elevation.numpy() == pytest.approx(np.repeat([15.0, 0.0, 30.0], 4), abs=1e-3)
    expected = [0.0, 90, 180, 270, 30, 120, 210, 300, 315, 45, 135, 225]
    assert ((azimuth - torch.tensor(expected) + 180) % 360 - 180).abs().max() < 1e-3


@pytest.mark.parametrize("case", ["default_testset", "custom"])
def test_cameras_of_the_test_set_are_the_recorded_ones(golden: Path, case: str) -> None:
    given = json.loads((golden / "cameras" / "cases.json").read_text())[f"test_dataset.{case}"]
    recorded = load_file(golden / "cameras" / "cases.safetensors")[f"test_dataset.{case}.c2w"]
    c2w = recorded.reshape(-1, 4, 4)[:: given["total_frame"]]
    if case == "default_testset":
        found = testset_cameras()
    else:
        rows = zip(given["eval_elevation_deg"], given["eval_azimuth_deg"], strict=True)
        found = Cameras(
            torch.cat([orbit_c2w(torch.full((len(row),), e), torch.tensor(row), 2.0) for e, row in rows]),
            torch.full((6,), torch.pi / 3),
            16,
            16,
        )
    assert torch.allclose(found.c2w, c2w, atol=1e-5)


def test_cameras_of_the_videos_are_the_recorded_ones(golden: Path) -> None:
    recorded = load_file(golden / "cameras" / "cases.safetensors")["simple_multi_image.cfg_refine.c2w4x4"]
    assert torch.allclose(reconstruction_cameras().c2w, recorded.reshape(4, 4, 4, 4)[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("case", "index"), [("cfg_refine", 0), ("cfg_refine", 15), ("cfg_other", 1), ("cfg_other", 63)]
)
def test_view_matrices_and_projection_are_those_of_the_recorded_rasteriser(golden: Path, case: str, index: int) -> None:
    recorded = load_file(golden / "cameras" / "cases.safetensors")
    given = json.loads((golden / "cameras" / "cases.json").read_text())[f"simple_multi_image.{case}"]
    info = {name: recorded[f"cam_info.{case}.{index}.{name}"] for name in _INFO}
    cameras = orbit_cameras(
        given["default_elevation_deg"],
        given["default_azimuth_deg"],
        distance=given["default_camera_distance"],
        fovy_deg=given["default_fovy_deg"],
        size=given["height"],
    )
    camera = cameras[index // given["total_frame"]]
    assert torch.allclose(camera.viewmats, info["world_view_transform"].T, atol=1e-5)
    assert torch.allclose(camera.positions, info["camera_center"], atol=1e-5)
    points = torch.rand(9, 3) - 0.5
    clip = torch.cat([points, torch.ones(9, 1)], dim=1) @ info["full_proj_transform"]
    pixels = (clip[:, :2] / clip[:, 3:] + 1) / 2 * given["height"]
    assert torch.allclose(camera.project(points)[0], pixels, atol=1e-3)


_INFO = ("world_view_transform", "full_proj_transform", "camera_center")
