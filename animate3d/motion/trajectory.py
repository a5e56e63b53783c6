"""The result of a reconstruction: where every vertex of the mesh is in every frame."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from animate3d.errors import InputError
from animate3d.files import atomic_directory, existing_folder

if TYPE_CHECKING:
    from animate3d.meshes.placement import Placement


@dataclass(frozen=True)
class Trajectory:
    """Vertex positions over time, in the mesh file's own coordinates and vertex order.

    Attributes:
        positions: ``[F, N, 3]`` float32; frame 0 is the mesh as it is in its file.
        fps: frames per second.
    """

    positions: np.ndarray
    fps: float = 24.0

    def __post_init__(self) -> None:
        positions = np.ascontiguousarray(self.positions, dtype=np.float32)
        if positions.ndim != 3 or positions.shape[2] != 3 or 0 in positions.shape:
            raise InputError(f"A trajectory is [frames, vertices, 3], not {list(positions.shape)}.")
        if not np.isfinite(positions).all():
            frame = int(np.flatnonzero(~np.isfinite(positions).all(axis=(1, 2)))[0])
            raise InputError(f"Frame {frame} of the trajectory holds NaN or infinite coordinates.")
        if not (isinstance(self.fps, Real) and np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"The frame rate is {self.fps!r}; it must be a positive number.")
        object.__setattr__(self, "positions", positions)

    @property
    def n_frames(self) -> int:
        """F"""
        return self.positions.shape[0]

    @property
    def n_vertices(self) -> int:
        """N"""
        return self.positions.shape[1]

    @classmethod
    def from_placed(cls, placed: np.ndarray, placement: Placement, fps: float = 24.0) -> Trajectory:
        """From positions ``[F, N, 3]`` in the placed frame (where the reconstruction works)."""
        placed = np.asarray(placed)
        positions = np.empty(placed.shape, np.float32)
        for f, points in enumerate(placed):  # one frame at a time in double precision: a clip may be long
            positions[f] = placement.invert(np.asarray(points, dtype=np.float64))
        return cls(positions, fps)

    def to_placed(self, placement: Placement) -> np.ndarray:
        """Positions ``[F, N, 3]`` in the placed frame, float32."""
        placed = np.empty_like(self.positions)
        for f, points in enumerate(self.positions):
            placed[f] = placement.apply(points.astype(np.float64))
        return placed

    def save_npy_folder(self, folder: str | Path, placement: Placement) -> None:
        """Write ``{frame}.npy``, each ``[N, 3]`` in the placed frame (`load_npy_folder` reads it back)."""
        save_placed_folder(folder, self.to_placed(placement))

    @classmethod
    def load_npy_folder(
        cls, folder: str | Path, placement: Placement, n_vertices: int, fps: float = 24.0
    ) -> Trajectory:
        """Read what `save_npy_folder` or the original's test step wrote.

        Args:
            folder: holds ``0.npy, 1.npy, …``, each ``[N, 3]`` in the placed frame.
            placement: how the mesh was placed.
            n_vertices: vertices of the mesh the trajectory is for.
            fps: frames per second.

        Raises:
            InputError: no such folder, no or missing frames, another mesh's trajectory, unusable numbers.
        """
        return cls.from_placed(load_placed_folder(folder, n_vertices), placement, fps)


def save_placed_folder(folder: str | Path, placed: np.ndarray) -> None:
    """Write positions ``[F, N, 3]`` of the placed frame as ``{frame}.npy``; replaces the whole folder."""
    with atomic_directory(folder) as temporary:
        for frame, positions in enumerate(placed):
            np.save(temporary / f"{frame}.npy", np.asarray(positions, dtype=np.float32), allow_pickle=False)


def load_placed_folder(folder: str | Path, n_vertices: int) -> np.ndarray:
    """Read a folder of ``{frame}.npy`` -> ``[F, N, 3]`` float32 of the placed frame.

    Raises:
        InputError: see `Trajectory.load_npy_folder`.
    """
    folder = existing_folder(folder, "trajectory folder")
    frames = {int(path.stem): path for path in folder.glob("*.npy") if re.fullmatch(r"\d+", path.stem)}
    if not frames:
        raise InputError(f"{folder} holds no `{{frame}}.npy` file, so there is no trajectory in it.")
    missing = sorted(set(range(max(frames) + 1)) - set(frames))
    if missing:
        raise InputError(f"{folder} has frames up to {max(frames)}.npy but lacks {_listed(missing)}.")
    placed = np.empty((len(frames), n_vertices, 3), np.float32)
    for frame in range(len(frames)):
        placed[frame] = _load_frame(frames[frame], n_vertices)
    return placed


def _load_frame(path: Path, n_vertices: int) -> np.ndarray:
    try:
        positions = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a readable array of numbers ({error}).") from error
    if not isinstance(positions, np.ndarray) or positions.dtype.kind not in "fiu":
        raise InputError(f"{path} does not hold an array of real numbers.")
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"{path} has the shape {list(positions.shape)}; a frame is [vertices, 3].")
    if len(positions) != n_vertices:
        raise InputError(
            f"{path} has {len(positions)} vertices but the mesh has {n_vertices}: it is the trajectory of another mesh."
        )
    if not np.isfinite(positions).all():
        raise InputError(f"{path} holds NaN or infinite coordinates.")
    return positions.astype(np.float32)


def _listed(frames: Iterable[int]) -> str:
    names = [f"{frame}.npy" for frame in frames]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def weld(positions: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Move vertices that coincide at rest together, to their mean, so that seams stay closed.

    Args:
        positions: ``[F, N, 3]``
        groups: ``[N]`` the same id for vertices that belong together (`Mesh.welded`).

    Returns:
        ``[F, N, 3]`` of the same dtype.
    """
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) == positions.shape[1]:
        return positions.copy()
    welded = np.empty_like(positions)
    for frame, points in enumerate(positions):
        for axis in range(3):
            mean = np.bincount(group, weights=points[:, axis], minlength=len(counts)) / counts
            welded[frame, :, axis] = mean[group]
    return welded
