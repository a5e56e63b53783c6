"""Where a long video from a prompt shows the pose at rest again, and a motion that passes there without a jerk.

A model of few frames makes a longer video in laps, and each lap begins in the pose at rest exactly. The last frame of
a lap is only about as far as the motion should be by then, so the step into the next lap is too large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from animate3d.motion.surfaces import Array, nearest_rotations

_PASSES = 2


def find_seams(frames: NDArray[np.floating]) -> list[int]:
    """The later frames that have the colours of frame 0 in all views, of ``[V, F, H, W, 3 or 4]``."""
    colors = frames[..., :3]
    return [f for f in range(1, colors.shape[1]) if np.array_equal(colors[:, f], colors[:, 0])]


def smooth_seams(
    positions: Array, rotations: NDArray[np.floating], seams: Sequence[int]
) -> tuple[Array, NDArray[np.floating]]:
    """Each seam and the frames beside it, averaged with their neighbours; the first and the last frame stay.

    Args:
        positions: ``[F, N, 3]``
        rotations: ``[F, N, 3, 3]``
        seams: frames, see `find_seams`.
    """
    last = len(positions) - 1
    touched = sorted({f + k for f in seams for k in (-1, 0, 1) if 0 < f + k < last})
    if not touched:
        return positions, rotations
    positions, turned = positions.copy(), rotations.astype(np.float64)
    for _ in range(_PASSES):
        for values in (positions, turned):
            values[touched] = [(values[f - 1] + 2 * values[f] + values[f + 1]) / 4 for f in touched]
    turned[touched] = nearest_rotations(turned[touched].reshape(-1, 3, 3)).reshape(len(touched), *rotations.shape[1:])
    return positions, turned.astype(rotations.dtype)
