"""How well a known motion was recovered: vertex errors, and what held-out cameras see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from animate3d.cameras import TESTSET_AZIMUTHS_DEG, TESTSET_ELEVATIONS_DEG, testset_cameras
from animate3d.errors import InputError
from animate3d.frames import GREY
from animate3d.meshes import Mesh, Placement
from animate3d.motion.trajectory import Trajectory
from animate3d.rasterize.textured import render_mesh

MOVING = 0.05
"""A vertex counts as moving in a frame when it is farther from its rest than this part of the diagonal."""


@dataclass(frozen=True)
class Recovery:
    """Fit of a trajectory to the true one, over frames 1 to F-1.

    Attributes:
        error: mean distance from the true position, as a fraction of the rest pose's bounding-box diagonal.
        relative_error: mean distance over moving vertices divided by their mean true displacement; NaN when
            nothing moves.
        displacement: mean true displacement, as a fraction of the diagonal.
        frame_errors: ``[F - 1]``, ``error`` frame by frame.
    """

    error: float
    relative_error: float
    displacement: float
    frame_errors: tuple[float, ...]


def recovery(trajectory: Trajectory | np.ndarray, truth: np.ndarray) -> Recovery:
    """Compare positions ``[F, N, 3]`` (mesh coordinates) with the true ones.

    Raises:
        InputError: other numbers of frames or vertices, or a single frame.
    """
    positions = _matching(trajectory, truth)
    diagonal = float(np.linalg.norm(np.ptp(truth[0], axis=0)))
    distance = np.linalg.norm(positions[1:] - truth[1:], axis=-1) / diagonal
    displacement = np.linalg.norm(truth[1:] - truth[0], axis=-1) / diagonal
    moving = displacement > MOVING
    return Recovery(
        error=float(distance.mean()),
        relative_error=float(distance[moving].mean() / displacement[moving].mean()) if moving.any() else float("nan"),
        displacement=float(displacement.mean()),
        frame_errors=tuple(distance.mean(axis=1).tolist()),
    )


def held_out_psnr(
    mesh: Mesh, trajectory: Trajectory | np.ndarray, truth: np.ndarray, placement: Placement, *, size: int = 256
) -> float:
    """PSNR in dB of the textured mesh in recovered against true motion, seen by cameras that were not fitted to.

    The cameras are those of the test set at elevations 0° and 30°; images are composited on grey; the squared error
    is averaged over cameras, pixels and frames 1 to F-1 (frame 0 is the rest pose in both). Both motions ``[F, N, 3]``
    are in the mesh's coordinates, ``placement`` is that of the reconstruction.
    """
    positions = _matching(trajectory, truth)
    fitted = TESTSET_ELEVATIONS_DEG.index(15.0)
    count = len(TESTSET_AZIMUTHS_DEG[0])
    cameras = testset_cameras(size)
    squares = []
    for v in range(len(cameras.fovy)):
        if v // count == fitted:
            continue
        recovered, true = (
            _on_grey(render_mesh(mesh, placement.apply(p[1:]), cameras[v : v + 1], shading=False))
            for p in (positions, truth)
        )
        squares.append(float(((recovered - true) ** 2).mean()))
    return float(-10.0 * np.log10(max(float(np.mean(squares)), 1e-12)))


def _matching(trajectory: Trajectory | np.ndarray, truth: np.ndarray) -> np.ndarray:
    positions = trajectory.positions if isinstance(trajectory, Trajectory) else trajectory
    positions = np.asarray(positions, dtype=np.float64)
    if positions.shape != truth.shape or len(truth) < 2:
        raise InputError(f"The trajectory is {list(positions.shape)}, the true motion {list(truth.shape)}.")
    return positions


def _on_grey(images: np.ndarray) -> np.ndarray:
    rgba = images.astype(np.float32) / 255
    return rgba[..., :3] * rgba[..., 3:] + GREY * (1 - rgba[..., 3:])
