"""Published figures to compare the measured ones with. Only what was stated in text by its source is here."""

from __future__ import annotations

from dataclasses import dataclass, field

from animate3d.evaluation.metrics import VBENCH


@dataclass(frozen=True)
class Published:
    """Figures of a method on a set, as a source states them.

    Attributes:
        method: whose results.
        source: who measured.
        dataset: on what.
        values: by the keys of `metrics.VBENCH`.
        time: as stated.
        note: what keeps the figure from being comparable.
    """

    method: str
    source: str
    dataset: str
    values: dict[str, float] = field(default_factory=dict)
    time: str = ""
    note: str = ""


def _vbench(*values: float | None) -> dict[str, float]:
    """Those that are stated of the four of `metrics.VBENCH`."""
    return {metric.key: value for metric, value in zip(VBENCH, values, strict=True) if value is not None}


_ANYMESH, _TEN = "AnimateAnyMesh (ICCV 2025)", "10 samples"

PUBLISHED = (
    Published(
        "Animate3D",
        "the paper (NeurIPS 2024)",
        "25 objects made with GRM",
        time="about 30 min per object, A800 80 GB",
        note="the four values stand in its tables only, which are not quoted here",
    ),
    Published(
        "4Dfy, Gaussian variant",
        "the paper (NeurIPS 2024)",
        "25 objects made with GRM",
        _vbench(None, None, 0.0, None),
        note="nearly static; slightly smoother than Animate3D",
    ),
    Published("Animate3D", _ANYMESH, _TEN, _vbench(0.936, 0.992, None, 0.526), "14 min"),
    Published("Animate3D", "AnimaX (arXiv 2506.19851)", "35 pairs", _vbench(0.943, 0.986, 0.446, 0.481), "45 min"),
    Published(
        "Animate3D",
        "Track4DGen (arXiv 2512.06158)",
        "Diffusion4D set",
        _vbench(0.919, 0.991, 1.348, 0.465),
        note="dynamic degree is a score there, not a share",
    ),
    Published("Animate3D", "3D24D (arXiv 2412.20422)", "20 GSO objects", _vbench(None, 0.992, 0.215, None)),
    Published("Animate3D", "ARtRise", "one mesh stage", time="11 min 41 s, A100 40 GB"),
    Published("DreamGaussian4D", _ANYMESH, _TEN, _vbench(0.811, 0.926, None, 0.476), "10 min"),
    Published("L4GM", _ANYMESH, _TEN, _vbench(0.844, 0.992, None, 0.464), "30 s"),
    Published("AnimateAnyMesh", _ANYMESH, _TEN, _vbench(0.954, 0.995, None, 0.539), "6 s"),
)
"""Later papers measured with protocols of their own."""
