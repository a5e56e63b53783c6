"""Scheduled scalars: a config may give a list wherever a number is read through `C`."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import ListConfig, OmegaConf


def C(value: Any, epoch: int, global_step: int, interpolation: str = "linear") -> float:
    """Value of a scheduled scalar now.

    Args:
        value: a number (returned unchanged), ``[v0, v1, s1]``, ``[s0, v0, v1, s1]``, or
            ``[s0, v0, v1, s1, v2, s2, ...]``, piecewise through ``(s0, v0), (s1, v1), ...``.
            A segment whose end ``s`` is an int counts steps, a float counts epochs.
        epoch, global_step: now.
        interpolation: ``"linear"``, or ``"exp"`` for a geometric course.

    Raises:
        ValueError: not an OmegaConf object. TypeError: not a list. AssertionError: a list of another length.
    """
    if isinstance(value, int | float):
        return value
    points = _as_list(value)
    start, v0, rest = points[0], points[1], points[2:]
    v1, end = rest[0], rest[1]
    for next_value, next_step in zip(rest[2::2], rest[3::2], strict=True):
        # Segments are chosen by the global step even where their ends are epochs, as upstream does.
        if global_step < end:
            break
        start, v0, v1, end = end, v1, next_value, next_step
    now = global_step if isinstance(end, int) else epoch
    t = max(min(1.0, (now - start) / (end - start)), 0.0)
    if interpolation == "linear":
        return float(v0 + (v1 - v0) * t)
    if interpolation == "exp":
        return math.exp(math.log(v0) * (1 - t) + math.log(v1) * t)
    raise ValueError(f"Unknown interpolation '{interpolation}': use 'linear' or 'exp'.")


def C_max(value: Any) -> float:
    """Largest value that a scheduled scalar takes at its ends and knots."""
    if isinstance(value, int | float):
        return value
    points = _as_list(value)
    return max([points[1], *points[2::2]])


def _as_list(value: Any) -> list[Any]:
    """``[s0, v0, v1, s1, ...]``"""
    if not OmegaConf.is_config(value):
        raise ValueError(f"Input cfg is not an OmegaConf config object ({type(value).__name__})")
    if not isinstance(value, ListConfig):
        raise TypeError(f"Scalar specification only supports list, got {type(OmegaConf.to_container(value))}")
    points = OmegaConf.to_container(value)
    assert isinstance(points, list)
    if len(points) == 3:
        points = [0, *points]
    assert len(points) >= 4 and len(points) % 2 == 0, f"A scheduled scalar has 3, 4, 6, 8, ... items, not {points}."
    return points
