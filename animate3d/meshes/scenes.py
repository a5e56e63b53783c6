"""Linear light as the sRGB values that materials and vertex colours hold."""

from __future__ import annotations

import numpy as np


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to sRGB values in 0..1."""
    values = np.asarray(values, dtype=np.float32).clip(0, 1)
    curved = 1.055 * values ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, 12.92 * values, curved).clip(0, 1).astype(np.float32)
