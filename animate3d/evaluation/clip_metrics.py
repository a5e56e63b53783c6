"""How well a generated clip shows the motion that was asked for, and a trajectory follows the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animate3d.evaluation.recovery import MOVING
from animate3d.frames import silhouette

VideoArray = NDArray[np.float32]
"""A multi-view video ``[V, F, H, W, 3]``, 0..1, on mid-grey; frame 0 is the condition."""


@dataclass(frozen=True)
class ClipScore:
    """A generated clip against the true ones of its creature.

    Attributes:
        nearest: number of the true motion it is closest to.
        nearest_or_static: the same with a static copy of frame 0 as one more answer; -1 for that copy.
        iou: of its silhouettes with those of the prompted motion, mean over views and frames 1 to F-1.
        static_iou: the same for a static copy of frame 0.
        energy: its squared change since frame 0, relative to that of the prompted motion.
        psnr: of frames 1 to F-1, dB.
    """

    nearest: int
    nearest_or_static: int
    iou: float
    static_iou: float
    energy: float
    psnr: float


def score_clip(generated: VideoArray, truths: Sequence[VideoArray], prompted: int) -> ClipScore:
    """Compare a clip with those of every motion of the same creature, of which number ``prompted`` was asked for."""
    made, truth = generated[:, 1:], truths[prompted][:, 1:]
    still = np.repeat(truths[prompted][:, :1], made.shape[1], axis=1)
    errors = [float(((made - other[:, 1:]) ** 2).mean()) for other in truths]
    static_error = float(((made - still) ** 2).mean())
    nearest = int(np.argmin(errors))
    return ClipScore(
        nearest=nearest,
        nearest_or_static=-1 if static_error < errors[nearest] else nearest,
        iou=mean_silhouette_iou(made, truth),
        static_iou=mean_silhouette_iou(still, truth),
        energy=static_error / max(float(((truth - still) ** 2).mean()), 1e-12),
        psnr=float(-10 * np.log10(max(errors[prompted], 1e-12))),
    )


def mean_silhouette_iou(a: VideoArray, b: VideoArray) -> float:
    """Overlap (IoU) of two videos' silhouettes, mean over views and frames; 1 where neither shows anything."""
    first, second = (silhouette(video) for video in (a, b))
    both = (first & second).sum(axis=(-2, -1))
    either = (first | second).sum(axis=(-2, -1))
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())


@dataclass(frozen=True)
class TrajectoryScore:
    """A recovered trajectory against the true one, over moving vertices of frames 1 to F-1.

    Attributes:
        cosine: mean cosine between displacements; NaN when nothing should move.
        amplitude: mean length of displacements relative to the true one.
        error: mean distance over all vertices, as a share of the rest pose's diagonal.
    """

    cosine: float
    amplitude: float
    error: float


def score_trajectory(positions: NDArray[np.floating], truth: NDArray[np.floating]) -> TrajectoryScore:
    """Compare a trajectory ``[F, N, 3]`` with the true one in the same coordinates."""
    diagonal = float(np.linalg.norm(np.ptp(truth[0], axis=0)))
    moved, should = positions[1:] - positions[:1], truth[1:] - truth[:1]
    length, wanted = np.linalg.norm(moved, axis=-1), np.linalg.norm(should, axis=-1)
    error = float(np.linalg.norm(positions[1:] - truth[1:], axis=-1).mean() / diagonal)
    moving = wanted > MOVING * diagonal
    if not moving.any():
        return TrajectoryScore(float("nan"), float("nan"), error)
    cosine = (moved * should).sum(axis=-1)[moving] / np.maximum(length[moving] * wanted[moving], 1e-12)
    return TrajectoryScore(float(cosine.mean()), float(length[moving].mean() / wanted[moving].mean()), error)
