"""Measure all metrics of one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.evaluation import motion_metrics
from animate3d.evaluation.consistency import FLOW_SIZE, warping_errors
from animate3d.evaluation.image_metrics import Video, image_scores, psnr
from animate3d.evaluation.model import GIVEN_VIEWS, VIEW_NAMES, load_model, load_view, save_views, saved_size
from animate3d.evaluation.testset import VIEWS, Checkpoint
from animate3d.frames import count_frames, load_frames

SIZE = 512
"""Pixels of renders, unless there are some already or another size is asked for."""


@dataclass
class Measurement:
    """The measurements of one object.

    Attributes:
        name: of the object.
        values: the numbers, by the keys of `metrics.METRICS`.
        curves: ``psnr``, ``iou`` and ``warping_error`` of frames 1 to F-1.
        renders: folder of the test cameras' images.
        frames, gaussians, size: F, N and the pixels of the renders.
        step: of the checkpoint.
        failure: why nothing was measured.
    """

    name: str
    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    renders: Path | None = None
    frames: int = 0
    gaussians: int = 0
    size: int = 0
    step: int | None = None
    failure: str = ""


def measure(
    name: str,
    checkpoint: Checkpoint,
    videos: Path,
    *,
    saved: Path | None,
    folder: Path,
    frames: int | None = None,
    size: int | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Render what is not rendered yet, and measure.

    Args:
        checkpoint: the trained model.
        videos: the given videos ``{v*F+f}.png``.
        saved: where the documented step would have left renders.
        folder: for renders that are made now; reused by the next call.
        frames: F; None takes that of the videos.
        size: pixels of the renders; None takes what is there, else `SIZE`.

    Raises:
        InputError: an input is missing or does not fit.
    """
    found = count_frames(videos, VIEWS)
    if frames is not None and found != frames:
        raise InputError(f"{videos} holds {VIEWS} videos of {found} frames; {frames} were asked for.")
    frames = found
    model = load_model(checkpoint)
    result = Measurement(name, frames=frames, gaussians=len(model), step=checkpoint.step)
    for candidate in (saved, folder):
        pixels = None if candidate is None else saved_size(candidate, frames, checkpoint.path)
        if pixels is not None and size in (None, pixels):
            result.renders, result.size = candidate, pixels
            announce(f"{name}: renders of {pixels} pixels are there ({candidate})")
            break
    if result.renders is None:
        result.renders, result.size = folder, size or SIZE
        announce(f"{name}: rendering {len(VIEW_NAMES)} views of {frames} frames, {result.size} pixels")
        save_views(model, folder, frames, result.size)
    _measure_images(result, videos, result.renders)
    paths = motion_metrics.shown(model.deform(frames)[0].cpu(), model.opacities)
    result.values["displacement"] = motion_metrics.mean_displacement(paths)
    result.values["arap"] = motion_metrics.relative_arap_energy(paths)
    return result


def _measure_images(result: Measurement, videos: Path, renders: Path) -> None:
    """Frames 1…: frame 0 is the static model, which nothing can improve."""
    given = load_frames(videos, VIEWS, result.frames)
    flow_size = min(FLOW_SIZE, given.shape[2])
    scores, still, seen_warping, given_warping = [], [], [], []
    for name in VIEW_NAMES:
        seen = Video.from_rendered(load_view(renders, name, result.frames))
        seen_warping.append(warping_errors(seen, flow_size))
        if name in GIVEN_VIEWS:
            target = Video.from_straight(given[GIVEN_VIEWS.index(name)])
            scores.append(image_scores(seen, target))
            still.append(image_scores(seen.standing_still(), target).squared_error)
            given_warping.append(warping_errors(target, flow_size))
    error = torch.stack([score.squared_error for score in scores])[:, 1:]  # [V, F - 1]
    iou = torch.stack([score.iou for score in scores])[:, 1:]
    warping = np.stack(seen_warping)  # [12, F - 1]
    result.values |= {
        "psnr": float(psnr(error.mean())),
        "still_psnr": float(psnr(torch.stack(still)[:, 1:].mean())),
        "ssim": float(torch.stack([score.ssim for score in scores])[:, 1:].mean()),
        "iou": float(iou.mean()),
        "warping_error": _mean(warping),
        "given_warping_error": _mean(np.stack(given_warping)),
    }
    result.curves = {
        "psnr": psnr(error.mean(dim=0)).double().numpy(),
        "iou": iou.mean(dim=0).double().numpy(),
        "warping_error": np.array([_mean(column) for column in warping.T]),
    }


def _mean(values: np.ndarray) -> float:
    """Mean over what was measurable; NaN when nothing was."""
    usable = values[np.isfinite(values)]
    return float(usable.mean()) if usable.size else float("nan")
