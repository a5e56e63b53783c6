"""The best silhouette for given evidence: a minimum cut, solved as a convex problem."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_jit: Any = numba.njit(fastmath={"contract", "reassoc", "nsz"}, cache=True, error_model="numpy", nogil=True)
_ITERATIONS = 200
_STEP = 0.35355  # 1 / sqrt(8): the primal-dual scheme converges up to this


def cut(evidence: Image, weights: Image, start: Image) -> Image:
    """Minimise ``sum(w |grad u|) - sum(evidence u)`` over u in 0..1 (Chambolle and Pock's primal-dual scheme).

    The minimum over this interval, thresholded anywhere, is a minimum among silhouettes too.

    Args:
        evidence: ``[H, W]`` log odds of every pixel for belonging to the object.
        weights: ``[H, W]`` cost of the outline per pixel of its length, at this place.
        start: ``[H, W]`` first guess of u.

    Returns:
        u ``[H, W]``
    """
    u = np.ascontiguousarray(start, dtype=np.float32).copy()
    given = (np.ascontiguousarray(part, dtype=np.float32) for part in (evidence, weights))
    _primal_dual(u, *given, np.zeros((2, *u.shape), np.float32), _ITERATIONS)
    return u


@_jit
def _primal_dual(u, evidence, weights, p, iterations):  # type: ignore[no-untyped-def]
    height, width = u.shape
    step = np.float32(_STEP)
    ahead = u.copy()  # u extrapolated by its last change
    for _ in range(iterations):
        for y in range(height):
            for x in range(width):
                dy = ahead[y + 1, x] - ahead[y, x] if y + 1 < height else np.float32(0)
                dx = ahead[y, x + 1] - ahead[y, x] if x + 1 < width else np.float32(0)
                py = p[0, y, x] + step * dy
                px = p[1, y, x] + step * dx
                limit = weights[y, x]
                length = np.sqrt(py * py + px * px)
                shrink = limit / length if length > limit else np.float32(1)
                p[0, y, x] = py * shrink
                p[1, y, x] = px * shrink
        for y in range(height):
            for x in range(width):
                divergence = p[0, y, x] + p[1, y, x]
                if y > 0:
                    divergence -= p[0, y - 1, x]
                if x > 0:
                    divergence -= p[1, y, x - 1]
                old = u[y, x]
                new = min(max(old + step * (divergence + evidence[y, x]), np.float32(0)), np.float32(1))
                u[y, x] = new
                ahead[y, x] = 2 * new - old
