"""Soft masks and mixtures of colours on a surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.sculpt.fields import Points, mirrored


def soft_step(value: Points, low: float, high: float) -> Points:
    """Smooth 0 to 1 from ``low`` to ``high`` (which may be the smaller one)."""
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def mix(color: Points, other: ArrayLike, share: Points) -> Points:
    """Colours ``[..., 3]`` with a share ``[...]`` of another one."""
    return color + share[..., None] * (np.asarray(other) - color)


def blob(points: Points, center: ArrayLike, inner: float, outer: float) -> Points:
    """1 within ``inner`` of a place and of its mirror image, 0 beyond ``outer``, smooth between. ``[...]``"""
    left = mirrored(points)
    return soft_step(-np.linalg.norm(left - np.asarray(center), axis=-1), -outer, -inner)
