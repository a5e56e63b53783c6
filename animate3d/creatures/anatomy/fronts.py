"""How much a body looks as if it showed its front: a small convolutional net on its side view, in numpy.

The view is from the left, folded along the plane of symmetry: how much surface lies at a height, a place along the
body and a distance from the plane. What it says is learnt from random figures by `animate3d.small_model.fronts`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Points = NDArray[np.float64]
Images = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("fronts.npz")
SIDE = 24
"""Cells of a view along the body and up, each."""
_BANDS = np.array([0.06, 0.16, 0.32, 0.55, 0.8])
"""Where bands of the distance from the plane of symmetry end, as shares of half the breadth; the last one at 1."""
CHANNELS = len(_BANDS) + 2 + 3
"""The bands, how much more lies on the left than on the right, and the three extents."""
_CROWDED = 700.0
"""The share of the surface in a cell that is much is one in so many."""


def view(points: Points) -> Images:
    """Points ``[N, 3]`` of a body, y up, seen from the left as if it faced +z. ``[CHANNELS, SIDE, SIDE]``"""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    place = (points - low) / extent
    up, along = (np.minimum((SIDE * place[:, axis]).astype(np.int64), SIDE - 1) for axis in (1, 2))
    across = 2.0 * place[:, 0] - 1.0
    band = np.searchsorted(_BANDS, np.abs(across))
    cells, area = up * SIDE + along, SIDE * SIDE
    amount = _CROWDED / len(points)
    counts = np.bincount(band * area + cells, minlength=(len(_BANDS) + 1) * area)
    left = np.bincount(cells, np.sign(across), minlength=area)
    whole = np.broadcast_to((extent / extent.max() - 0.5)[:, None], (3, area))
    rows = [(1.0 - np.exp(-amount * counts)).reshape(-1, area), np.tanh(0.5 * amount * left)[None], whole]
    return np.concatenate(rows).reshape(CHANNELS, SIDE, SIDE).astype(np.float32)


def score(views: Images) -> Images:
    """How much views ``[N, CHANNELS, SIDE, SIDE]`` look as if the front were ahead; only differences count. ``[N]``"""
    net = _net()
    seen = _convolved(_convolved(views, net["0.weight"], net["0.bias"]), net["2.weight"], net["2.bias"])
    hidden = np.maximum(seen.reshape(len(views), -1) @ net["5.weight"].T + net["5.bias"], 0.0)
    return np.asarray((hidden @ net["8.weight"].T + net["8.bias"])[:, 0])


def _convolved(images: Images, kernel: Images, bias: Images) -> Images:
    """Every other place of images ``[N, C, H, W]`` convolved with a kernel ``[D, C, 3, 3]``, at least 0."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]  # type: ignore[call-overload]
    found = np.einsum("nchwij,dcij->ndhw", windows, kernel, optimize=True)
    return np.asarray(np.maximum(found + bias[:, None, None], 0.0))


@lru_cache(maxsize=1)
def _net() -> dict[str, Images]:
    with np.load(WEIGHTS) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
