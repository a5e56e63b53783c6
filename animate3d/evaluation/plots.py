"""Pictures for the table: the metrics of all objects, their course over the frames, given frames above renders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from animate3d.errors import require
from animate3d.evaluation.image_metrics import Video
from animate3d.evaluation.measure import Measurement
from animate3d.evaluation.metrics import METRICS, Metric
from animate3d.evaluation.model import GIVEN_VIEWS, load_view
from animate3d.evaluation.published import PUBLISHED
from animate3d.evaluation.table import mean_of
from animate3d.evaluation.testset import VIEWS
from animate3d.files import atomic_file
from animate3d.frames import contact_sheet, load_frames, save_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = {"psnr": "PSNR, dB", "iou": "silhouette IoU", "warping_error": "warping error, 10⁻³"}
_COLOR, _PUBLISHED_COLOR = "#3b6ea5", "#c0504d"
_SHEET_FRAMES, _SHEET_SIZE = 4, 160


def figure(width: float, height: float) -> Figure:
    """An empty figure that needs no display.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return require("matplotlib.figure", feature="Plots", extra="eval").Figure(
        figsize=(width, height), dpi=110, layout="constrained"
    )


def plot_metrics(path: Path, measurements: Sequence[Measurement]) -> Path:
    """One panel a metric, one bar an object, a line at the mean; dotted lines at published figures of the method."""
    shown = [m for m in METRICS if math.isfinite(mean_of(measurements, m))]
    columns = min(4, max(1, len(shown)))
    rows = math.ceil(len(shown) / columns)
    picture = figure(max(3.2, 0.3 * len(measurements) + 1.2) * columns, 2.6 * rows)
    for axes, metric in zip(picture.subplots(rows, columns, squeeze=False).flat, shown, strict=False):
        _bars(axes, metric, measurements)
    for axes in picture.axes[len(shown) :]:
        axes.set_axis_off()
    return _save(picture, path)


def _bars(axes: Any, metric: Metric, measurements: Sequence[Measurement]) -> None:
    values = [metric.factor * m.values.get(metric.key, math.nan) for m in measurements]
    at = range(len(values))
    finite = [value for value in values if math.isfinite(value)]
    if metric.key in ("psnr", "still_psnr", "ssim", "iou") and finite:
        # Bars would have to start at 0, which hides what differs.
        axes.plot(at, values, "o", color=_COLOR)
        low, high = min(finite), max(finite)
        axes.set_ylim(
            max(0.0, low - 0.5 * (high - low) - 0.02 * abs(high)), high + 0.1 * (high - low) + 0.02 * abs(high)
        )
    else:
        axes.bar(at, values, color=_COLOR, width=0.7)
    axes.axhline(metric.factor * mean_of(measurements, metric), color="black", linewidth=1)
    for figures in PUBLISHED:
        if figures.method == "Animate3D" and not figures.note and metric.key in figures.values:
            axes.axhline(figures.values[metric.key], color=_PUBLISHED_COLOR, linewidth=1, linestyle=":")
    axes.set_title(metric.title + {"higher": " ↑", "lower": " ↓", "": ""}[metric.better], fontsize=10)
    axes.set_xticks(at, [m.name for m in measurements], rotation=45, ha="right", fontsize=8)
    axes.tick_params(axis="y", labelsize=8)


def plot_frames(path: Path, measurements: Sequence[Measurement]) -> Path:
    """PSNR, IoU and warping error over the frames, one line an object."""
    picture = figure(4.2 * len(_CURVES), 3.0)
    for axes, (key, title) in zip(picture.subplots(1, len(_CURVES)), _CURVES.items(), strict=True):
        factor = 1e3 if key == "warping_error" else 1.0
        for m in measurements:
            frames = np.arange(1, len(m.curves[key]) + 1)
            axes.plot(frames, factor * m.curves[key], marker=".", linewidth=1, label=m.name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("frame", fontsize=9)
        axes.tick_params(labelsize=8)
    if len(measurements) <= 12:
        picture.axes[-1].legend(fontsize=8)
    return _save(picture, path)


def _save(picture: Figure, path: Path) -> Path:
    with atomic_file(path) as temporary:
        picture.savefig(temporary, format="png")
    return path


def save_sheet(path: Path, measurement: Measurement, videos: Path) -> Path:
    """Given frames above what was rendered, two rows a camera, evenly spaced frames."""
    assert measurement.renders is not None
    frames = np.unique(np.linspace(0, measurement.frames - 1, _SHEET_FRAMES).round().astype(int))
    given = load_frames(videos, VIEWS, measurement.frames)
    rows = []
    for v, name in enumerate(GIVEN_VIEWS):
        for video in (
            Video.from_straight(given[v]),
            Video.from_rendered(load_view(measurement.renders, name, measurement.frames)),
        ):
            rows.append([_tile(image) for image in video.color.numpy()[frames]])
    save_image(path, contact_sheet(np.array(rows)))
    return path


def _tile(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, (_SHEET_SIZE, _SHEET_SIZE), interpolation=cv2.INTER_AREA)
    return np.round(255 * small.clip(0, 1)).astype(np.uint8)
