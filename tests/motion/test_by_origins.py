"""Origins of a motion that is known give it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.errors import InputError
from animate3d.meshes import Mesh
from animate3d.motion.by_origins import track_by_origins
from animate3d.motion.pixel_origins import ORIGINS, PixelOrigins, load_origins, save_origins
from animate3d.motion.tracking import Tracked
from animate3d.rasterize.visibility import visible_triangles
from animate3d.runs.quality import followed

FRAMES, SMALL, SIZE = 4, 48, 96


def true_origins(mesh: Mesh, positions: np.ndarray) -> PixelOrigins:
    """Where the points that small frames show rest in their own view's picture."""
    cameras, corners = reconstruction_cameras(4, SMALL), mesh.triangles()[0]
    places, trust = np.zeros((4, FRAMES - 1, 2, SMALL, SMALL)), np.zeros((4, FRAMES - 1, SMALL, SMALL))
    for frame in range(1, FRAMES):
        winners, weights = visible_triangles(positions[frame], corners, cameras)
        for v in range(4):
            y, x = np.nonzero(winners[v] >= 0)
            both = weights[v][y, x].astype(np.float64)
            shares = np.concatenate([1 - both.sum(axis=1, keepdims=True), both], axis=1)
            points = np.einsum("pc,pcd->pd", shares, positions[0][corners[winners[v][y, x]]])
            at, _ = cameras[v : v + 1].project(torch.from_numpy(points)[None].float())
            places[v, frame - 1, :, y, x] = at[0].numpy()
            trust[v, frame - 1, y, x] = 1.0
    return PixelOrigins(places, trust)


@pytest.fixture(scope="module")
def bend() -> tuple[Mesh, np.ndarray, PixelOrigins, np.ndarray, Cameras]:
    mesh = patterned_capsule()
    truth = bending(mesh, FRAMES)
    frames, cameras = footage(mesh, truth, SIZE)
    frames[..., :3] = 0.5  # colours are not looked at
    return mesh, truth, true_origins(mesh, truth), frames, cameras


def relative_error(positions: np.ndarray, truth: np.ndarray) -> float:
    apart = np.linalg.norm(positions[1:] - truth[1:], axis=-1).mean()
    return float(apart / np.linalg.norm(truth[1:] - truth[0], axis=-1).mean())


def test_true_origins_give_the_motion_back(bend: tuple) -> None:  # type: ignore[type-arg]
    mesh, truth, origins, frames, cameras = bend
    done: list[int] = []
    found = track_by_origins(template_of(mesh), origins, frames, cameras, progress=done.append)
    assert relative_error(found.positions, truth) < 0.15 and done == [1, 2, 3]
    np.testing.assert_allclose(found.positions[0], mesh.vertices)
    assert found.rotations.shape == (*truth.shape, 3) and found.confidence.shape == truth.shape[:2]
    assert found.confidence[1:].mean() > 0.7


def test_matches_that_rigidity_contradicts_hardly_count(bend: tuple) -> None:  # type: ignore[type-arg]
    mesh, truth, origins, frames, cameras = bend
    draw, places = np.random.default_rng(0), origins.places.copy()
    wrong = draw.random(origins.trust.shape) < 0.15
    places[np.broadcast_to(wrong[:, :, None], places.shape)] = draw.uniform(0, SMALL, 2 * int(wrong.sum()))
    found = track_by_origins(template_of(mesh), PixelOrigins(places, origins.trust), frames, cameras)
    assert relative_error(found.positions, truth) < 0.2


def test_origins_without_trust_move_nothing(bend: tuple) -> None:  # type: ignore[type-arg]
    mesh, _, origins, frames, cameras = bend
    found = track_by_origins(template_of(mesh), PixelOrigins(origins.places, 0 * origins.trust), frames, cameras)
    assert np.abs(found.positions - mesh.vertices).max() < 1e-6 and not found.confidence[1:].any()


def test_origins_are_kept_in_a_file(bend: tuple, tmp_path: Path) -> None:  # type: ignore[type-arg]
    origins, path = bend[2], tmp_path / ORIGINS
    save_origins(origins, path)
    loaded = load_origins(path)
    np.testing.assert_allclose(loaded.places, origins.places, atol=0.02)
    np.testing.assert_allclose(loaded.trust, origins.trust)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="no file of origins"):
        load_origins(path)


@pytest.mark.parametrize(
    ("better", "poor", "asked"), [(True, False, [False]), (False, False, [False]), (False, True, [False, True])]
)
def test_of_flow_and_origins_what_explains_more_is_kept(better: bool, poor: bool, asked: list[bool]) -> None:
    mesh = patterned_capsule(2)
    truth = bending(mesh, 3)
    frames, cameras = footage(mesh, truth, 64)
    calls = []

    def tracked(angle: float) -> Tracked:
        positions = bending(mesh, 3, angle=angle)
        return Tracked(positions, np.zeros((*positions.shape, 3)), np.full(positions.shape[:2], angle))

    def follow(thorough: bool) -> Tracked:
        calls.append(thorough)
        return tracked(-0.5 if poor and not thorough else -0.6 if better else 0.68)

    found = followed(
        follow, mesh, torch.from_numpy(frames), cameras, keep=True, by_origins=lambda: tracked(0.69 if better else -0.7)
    )
    assert calls == asked and found.explained.total > 0.9
    assert found.confidence[1, 0] == (0.69 if better else 0.68)
