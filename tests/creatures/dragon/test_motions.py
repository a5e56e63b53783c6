"""The known motions: start at rest, smooth, sized as promised, inside every camera's view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from animate3d.cameras import reconstruction_cameras, testset_cameras
from animate3d.creatures.dragon import MOTIONS, demo_asset, unit_times
from animate3d.evaluation.motion_metrics import mean_displacement
from animate3d.meshes import Mesh, load_mesh


@pytest.fixture(scope="module")
def asset() -> Mesh:
    return load_mesh(demo_asset())


@pytest.fixture(scope="module", params=MOTIONS)
def positions(request: pytest.FixtureRequest, asset: Mesh) -> np.ndarray:
    return MOTIONS[request.param](asset.vertices, unit_times(16))


def test_frame_zero_is_the_rest_pose_to_the_last_bit(asset: Mesh, positions: np.ndarray) -> None:
    assert positions.shape == (16, asset.n_vertices, 3)
    assert (positions[0] == asset.vertices).all()


def test_mean_displacement_is_six_to_ten_percent_of_the_diagonal(positions: np.ndarray) -> None:
    assert 0.06 <= mean_displacement(torch.from_numpy(positions)) <= 0.10


def test_every_frame_stays_inside_every_documented_camera(asset: Mesh, positions: np.ndarray) -> None:
    placed = torch.from_numpy(asset.automatic_placement().apply(positions).reshape(-1, 3))
    for cameras in (reconstruction_cameras(4, 2), testset_cameras(2)):
        pixels, depth = cameras.to(torch.float64).project(placed.expand(len(cameras.fovy), -1, 3))
        assert (depth > 1.0).all()
        assert (pixels - 1).abs().max() < 0.95


def test_motion_is_smooth_in_time(asset: Mesh, positions: np.ndarray) -> None:
    steps = np.diff(positions, axis=0) / asset.diagonal()
    assert np.linalg.norm(steps, axis=-1).max() < 0.17
    assert np.linalg.norm(np.diff(steps, axis=0), axis=-1).max() < 0.11


def test_shape_is_kept_plausibly(asset: Mesh, positions: np.ndarray) -> None:
    triangles = asset.triangles()[0]
    a, b, c = (positions[:, triangles[:, k]] for k in range(3))
    volume = (a * np.cross(b, c)).sum(axis=(1, 2)) / 6
    assert np.abs(volume / volume[0] - 1).max() < 0.05
    edges = asset.edges()
    lengths = np.linalg.norm(positions[:, edges[:, 0]] - positions[:, edges[:, 1]], axis=-1)
    stretch = lengths / lengths[0]
    assert np.percentile(stretch, 1) > 0.7 and np.percentile(stretch, 99) < 1.4


def test_any_number_of_frames_samples_the_same_motion(asset: Mesh) -> None:
    for motion in MOTIONS.values():
        few, many = (motion(asset.vertices, unit_times(frames)) for frames in (3, 5))
        assert (few == many[::2]).all()
        assert motion(asset.vertices, unit_times(1)).shape == (1, asset.n_vertices, 3)
