"""Colours of a quantity on a surface."""

from __future__ import annotations

import numpy as np

_RAMP = np.array(
    [[0.19, 0.21, 0.33], [0.20, 0.45, 0.60], [0.36, 0.68, 0.58], [0.86, 0.78, 0.42], [0.87, 0.42, 0.25]], np.float64
)


def ramp(values: np.ndarray) -> np.ndarray:
    """sRGB colours ``[..., 3]`` of values in 0..1, from dark blue over green to orange."""
    at = np.clip(np.nan_to_num(values), 0, 1) * (len(_RAMP) - 1)
    low = np.minimum(at.astype(int), len(_RAMP) - 2)
    share = (at - low)[..., None]
    return np.asarray(_RAMP[low] * (1 - share) + _RAMP[low + 1] * share)


def displacement(positions: np.ndarray) -> np.ndarray:
    """How far every vertex is from where it was in frame 0, as a share of the farthest. ``[F, N]`` in 0..1"""
    moved = np.linalg.norm(positions - positions[:1], axis=-1)
    return np.asarray(moved / max(float(moved.max()), 1e-12))
