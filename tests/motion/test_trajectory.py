"""Trajectories: coordinates, files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from animate3d.errors import InputError
from animate3d.meshes.placement import Placement
from animate3d.motion import Trajectory, load_placed_folder, save_placed_folder, weld


@pytest.fixture
def placement() -> Placement:
    return Placement.from_flags(90, 30, 0.76)


@pytest.fixture
def positions() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)


def test_placing_and_taking_back_is_exact_to_float32(positions: np.ndarray, placement: Placement) -> None:
    trajectory = Trajectory(positions, 12)
    placed = trajectory.to_placed(placement)
    np.testing.assert_allclose(placed, placement.apply(positions.astype(np.float64)), rtol=1e-6, atol=1e-6)
    back = Trajectory.from_placed(placed, placement, 12)
    assert (back.n_frames, back.n_vertices, back.fps) == (4, 7, 12)
    np.testing.assert_allclose(back.positions, positions, rtol=0, atol=1e-6)


def test_a_folder_of_npy_files_holds_the_placed_frame(
    positions: np.ndarray, placement: Placement, tmp_path: Path
) -> None:
    trajectory = Trajectory(positions)
    trajectory.save_npy_folder(tmp_path / "t", placement)
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["0.npy", "1.npy", "2.npy", "3.npy"]
    np.testing.assert_allclose(np.load(tmp_path / "t" / "2.npy"), trajectory.to_placed(placement)[2])
    back = Trajectory.load_npy_folder(tmp_path / "t", placement, 7)
    np.testing.assert_allclose(back.positions, positions, rtol=0, atol=1e-6)


def test_saving_again_leaves_no_frame_of_the_run_before(positions: np.ndarray, tmp_path: Path) -> None:
    save_placed_folder(tmp_path / "t", positions)
    save_placed_folder(tmp_path / "t", positions[:2])
    assert load_placed_folder(tmp_path / "t", 7).shape == (2, 7, 3)


def test_frames_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    save_placed_folder(tmp_path / "t", np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3)))
    assert load_placed_folder(tmp_path / "t", 2)[:, 0, 0].tolist() == list(range(12))


def _nan(folder: Path) -> None:
    np.save(folder / "1.npy", np.full((7, 3), np.nan))


def _pickled(folder: Path) -> None:
    np.save(folder / "1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _truncated(folder: Path) -> None:
    path = folder / "1.npy"
    path.write_bytes(path.read_bytes()[:100])


def _flat(folder: Path) -> None:
    np.save(folder / "1.npy", np.zeros(21))


def _text(folder: Path) -> None:
    np.save(folder / "1.npy", np.full((7, 3), "a"))


def _archive(folder: Path) -> None:
    with (folder / "1.npy").open("wb") as file:
        np.savez(file, a=np.zeros((7, 3)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "2.npy").unlink(), r"up to 3\.npy but lacks 2\.npy"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "no trajectory"),
        (lambda folder: np.save(folder / "1.npy", np.zeros((8, 3))), "another mesh"),
        (_nan, "NaN"),
        (_pickled, "not a readable array"),
        (_truncated, "not a readable array"),
        (_flat, r"shape \[21\]"),
        (_text, "real numbers"),
        (_archive, "real numbers"),
    ],
)
def test_unusable_folders_are_refused_with_the_reason(
    spoil, message: str, positions: np.ndarray, tmp_path: Path
) -> None:
    save_placed_folder(tmp_path, positions)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        load_placed_folder(tmp_path, 7)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        load_placed_folder(tmp_path / "nowhere", 7)


@pytest.mark.parametrize(
    ("array", "fps", "message"),
    [
        (np.zeros((4, 3)), 24, "frames, vertices, 3"),
        (np.zeros((0, 4, 3)), 24, "frames, vertices, 3"),
        (np.full((2, 4, 3), np.inf), 24, "Frame 0"),
        (np.zeros((2, 4, 3)), 0, "frame rate"),
        (np.zeros((2, 4, 3)), "24", "frame rate is '24'; it must be a positive number"),
    ],
)
def test_unusable_trajectories_are_refused(array: np.ndarray, fps: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Trajectory(array, fps)  # type: ignore[arg-type]


def test_welding_moves_coincident_vertices_to_their_mean(positions: np.ndarray) -> None:
    groups = np.array([0, 1, 1, 3, 1, 0, 6])
    welded = weld(positions, groups)
    assert welded.dtype == positions.dtype
    for members in ([0, 5], [1, 2, 4], [3], [6]):
        mean = positions[:, members].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(welded[:, members], np.broadcast_to(mean, (4, len(members), 3)), atol=1e-6)


def test_welding_nothing_changes_nothing(positions: np.ndarray) -> None:
    assert np.array_equal(weld(positions, np.arange(7)), positions)
