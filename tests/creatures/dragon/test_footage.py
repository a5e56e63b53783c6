"""Frames of a known motion on disk, and the numbers a recovered trajectory gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from animate3d.creatures.dragon import MOTIONS, demo_asset, write_demo_frames, write_frames
from animate3d.creatures.dragon.__main__ import main
from animate3d.errors import InputError
from animate3d.evaluation.recovery import held_out_psnr, recovery
from animate3d.frames import load_frames
from animate3d.meshes import load_mesh
from animate3d.motion.trajectory import Trajectory


def test_frames_are_rgba_with_grey_under_the_alpha_and_the_truth_beside(tmp_path: Path) -> None:
    truth = write_demo_frames("wing_flap", tmp_path / "frames", frames_per_view=3, size=48)
    frames = load_frames(tmp_path / "frames", 4, 3)
    outside = frames[..., 3] == 0
    assert frames.shape == (4, 3, 48, 48, 4)
    assert 0.4 < outside.float().mean() < 0.95
    assert (frames[outside][:, :3] * 255 == 128).all()
    saved = np.load(tmp_path / "frames_truth.npz")
    assert (saved["positions"] == truth).all() and saved["times"].tolist() == [0.0, 0.5, 1.0]
    assert (truth[0] == load_mesh(demo_asset()).vertices).all()


def test_frames_are_the_same_every_time(tmp_path: Path) -> None:
    mesh = load_mesh(demo_asset())
    for name in ("a", "b"):
        write_frames(mesh, MOTIONS["hop"], mesh.automatic_placement(), tmp_path / name, views=2, frames=2, size=32)
    for index in range(4):
        assert (tmp_path / "a" / f"{index}.png").read_bytes() == (tmp_path / "b" / f"{index}.png").read_bytes()


def test_an_unknown_motion_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=", ".join(MOTIONS)):
        write_demo_frames("moonwalk", tmp_path / "frames")


def test_recovery_measures_distance_over_the_diagonal_and_over_moving_vertices() -> None:
    rest = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 0]])
    truth = np.stack([rest, rest, rest])
    truth[1:, 0, 2] += 1.0  # displacement 0.2 of the diagonal 5
    truth[1:, 2, 2] += 0.2  # 0.04: does not count as moving
    found = truth.copy()
    found[1, 0, 2] -= 0.5
    found[1:, 1, 0] += 0.25
    result = recovery(Trajectory(found), truth)
    assert result.error == pytest.approx((0.1 + 2 * 0.05) / 6, rel=1e-5)
    assert result.relative_error == pytest.approx(0.25, rel=1e-5)
    assert result.displacement == pytest.approx((2 * 0.2 + 2 * 0.04) / 6)
    assert result.frame_errors == pytest.approx(((0.1 + 0.05) / 3, 0.05 / 3), rel=1e-5)


def test_a_static_copy_has_relative_error_one_and_the_truth_zero() -> None:
    mesh = load_mesh(demo_asset())
    truth = MOTIONS["bend"](mesh.vertices, np.array([0.0, 0.3, 0.7]))
    static = np.broadcast_to(truth[:1], truth.shape)
    assert recovery(static, truth).relative_error == pytest.approx(1.0)
    assert recovery(truth, truth).error == 0
    placement = mesh.automatic_placement()
    assert held_out_psnr(mesh, truth, truth, placement, size=32) == pytest.approx(120)
    near = truth + 0.002 * mesh.diagonal() * (np.arange(3) > 0)[:, None, None]
    scores = [held_out_psnr(mesh, p, truth, placement, size=64) for p in (near, static)]
    assert scores[0] > scores[1] + 3
    assert 10 < scores[1] < 25


def test_trajectories_of_another_mesh_are_refused() -> None:
    with pytest.raises(InputError, match="the true motion"):
        recovery(np.zeros((3, 5, 3)), np.zeros((3, 4, 3)))


@pytest.mark.slow
def test_the_command_regenerates_asset_frames_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animate3d.creatures.dragon.creature._TEXTURE_SIZE", 128)
    monkeypatch.setattr("animate3d.creatures.dragon.creature._SPACING", 0.07)
    assert main(["--out", str(tmp_path), "--motions", "bend", "--frames", "2", "--size", "32"]) == 0
    assert load_mesh(tmp_path / "little_dragon").n_vertices > 1000
    assert load_frames(tmp_path / "frames" / "bend", 4, 2).shape == (4, 2, 32, 32, 4)
    for name in ("placement.json", "frames/bend_truth.npz", "sheets/bend.png", "sheets/bend.gif"):
        assert (tmp_path / name).is_file()
