"""What every exporter is given: a mesh, where its vertices are in every frame, and the frame rate; all checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from animate3d.errors import InputError
from animate3d.meshes.mesh import Mesh


@dataclass(frozen=True)
class Clip:
    """An animated mesh; make it with `checked_clip`.

    Attributes:
        mesh: gives faces, UVs, materials, colours and the up axis; frame 0 replaces its vertices.
        positions: ``[F, N, 3]`` float64 in the coordinates of the mesh's file.
        fps: frames per second; frame k is shown at k / fps seconds.
        loop: frame 0 follows the last frame, F / fps seconds after the start.
        clip_name: of the animation; None for the mesh's name.
        loop_mark: what the name of a loop ends in.
    """

    mesh: Mesh
    positions: np.ndarray
    fps: float
    loop: bool = False
    clip_name: str | None = None
    loop_mark: str = "-loop"

    @property
    def name(self) -> str:
        """Name of the animation; Godot plays what ends in ``-loop`` over and over."""
        name = self.clip_name or self.mesh.name
        return f"{name}{self.loop_mark}" if self.closes and not name.endswith(self.loop_mark) else name

    @property
    def closes(self) -> bool:
        """Whether a key equal to frame 0 follows the last frame in formats that play by time."""
        return self.loop and self.n_frames > 1

    @property
    def key_times(self) -> np.ndarray:
        """Seconds of every frame, and of the closing key of a loop. ``[F]`` or ``[F + 1]`` float64"""
        return np.arange(self.n_frames + self.closes) / self.fps

    @property
    def n_frames(self) -> int:
        """F"""
        return len(self.positions)

    @property
    def n_vertices(self) -> int:
        """N"""
        return self.positions.shape[1]

    @property
    def diagonal(self) -> float:
        """Diagonal of frame 0's bounding box: the length that errors are relative to."""
        return float(np.linalg.norm(np.ptp(self.positions[0], axis=0)))

    @property
    def still(self) -> Clip:
        """Frame 0 alone."""
        return replace(self, positions=self.positions[:1], loop=False)


def checked_clip(
    mesh: Mesh, trajectory: np.ndarray, fps: float, *, loop: bool = False, clip_name: str | None = None
) -> Clip:
    """Put a mesh and its trajectory together.

    Args:
        mesh: the mesh that was animated.
        trajectory: ``[F, N, 3]`` in the mesh's own file coordinates.
        fps: frames per second, > 0.
        loop, clip_name: see `Clip`.

    Raises:
        InputError: another mesh's trajectory, numbers that are not finite, no frames, a bad frame rate, or a name of
            two lines.
    """
    check_clip_name(clip_name)
    positions = np.asarray(trajectory)
    if positions.dtype.kind not in "fiu" or positions.ndim != 3 or positions.shape[2] != 3:
        raise InputError(f"A trajectory has the shape [frames, vertices, 3]; this one is {list(positions.shape)}.")
    if positions.shape[0] == 0:
        raise InputError("The trajectory has no frames.")
    if positions.shape[1] != len(mesh.vertices):
        raise InputError(
            f"The trajectory moves {positions.shape[1]} vertices but the mesh has {len(mesh.vertices)}: "
            "it belongs to another mesh, or to this mesh after a program merged or split its vertices."
        )
    positions = positions.astype(np.float64)
    finite = np.isfinite(positions).all(axis=(1, 2))
    if not finite.all():
        raise InputError(f"Frame {int(np.argmin(finite))} of the trajectory holds NaN or infinite coordinates.")
    if max(positions.max(), -positions.min()) > 1e30:
        raise InputError("The trajectory's coordinates are too large for the single precision of animation files.")
    if not (np.isfinite(fps) and 0.001 <= fps <= 10000):
        raise InputError(f"The frame rate is {fps}; it must be a number of frames per second between 0.001 and 10000.")
    return Clip(mesh, positions, float(fps), loop, clip_name)


def check_clip_name(clip_name: str | None) -> None:
    """Refuse a name with a line break, which formats made of lines cannot hold."""
    if clip_name is not None and len(f"{clip_name}.".splitlines()) > 1:
        raise InputError(f"The clip name {clip_name!r} has a line break; give a name of one line.")
