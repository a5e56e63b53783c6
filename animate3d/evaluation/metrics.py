"""The metrics of `animate3d evaluate`: the columns of its table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric: its name, unit and direction.

    Attributes:
        key: its name in the CSV file.
        title: its name for people, with the unit.
        digits: after the decimal point.
        better: "higher", "lower", or "" where more is not better by itself.
        factor: from the number to the unit of the title.
    """

    key: str
    title: str
    digits: int
    better: str = ""
    factor: float = 1.0

    def shown(self, value: float | None) -> str:
        """The value as text in the unit of the title; a dash for what was not measured."""
        return "–" if value is None or value != value else f"{self.factor * value:.{self.digits}f}"


MEASURED = (
    Metric("psnr", "PSNR, dB", 2, "higher"),
    Metric("still_psnr", "PSNR standing still, dB", 2),
    Metric("ssim", "SSIM", 3, "higher"),
    Metric("iou", "silhouette IoU", 3, "higher"),
    Metric("warping_error", "warping error, 10⁻³", 2, "lower", 1e3),
    Metric("given_warping_error", "warping error of given videos, 10⁻³", 2, "", 1e3),
    Metric("displacement", "displacement, %", 2, "", 100),
    Metric("arap", "ARAP energy, 10⁻³", 2, "lower", 1e3),
)
"""Metrics that are always measured."""

VBENCH = (
    Metric("i2v_subject", "I2V subject", 3, "higher"),
    Metric("motion_smoothness", "motion smoothness", 3, "higher"),
    Metric("dynamic_degree", "dynamic degree", 3),
    Metric("aesthetic_quality", "aesthetic quality", 3, "higher"),
)
"""Metrics of VBench-I2V, measured where it is installed."""

METRICS = MEASURED + VBENCH
