"""Moves that several families share; all give the rest pose at time 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.sculpt.fields import Points

LEFT, UP, FRONT = np.eye(3)


def wave(t: float) -> float:
    """Swing to one side, to the other and back, once per cycle."""
    return float(np.sin(2 * np.pi * t))


def pulse(t: float) -> float:
    """Go from 0 to 1 and back, once per cycle, starting and ending at rest."""
    return float(0.5 - 0.5 * np.cos(2 * np.pi * t))


def settle(t: float) -> float:
    """Rise smoothly from 0 to 1 until 0.85 and stay there."""
    share = min(t / 0.85, 1.0)
    return share * share * (3 - 2 * share)


def turned(points: Points, center: Points, axis: Points, angle: float) -> Points:
    """Rotate all points about one centre and axis by an angle in radians. ``[N, 3]``"""
    return turn_points(points, center, axis, np.full(len(points), angle))


def stretched(points: Points, ground: float, height: float) -> Points:
    """Stretch points above the ground by ``height``, at about the same volume. ``[N, 3]``"""
    wide = height**-0.5
    return np.array([0.0, ground, 0.0]) + (points - [0.0, ground, 0.0]) * [wide, height, wide]


def jump(t: float) -> tuple[float, float]:
    """Height (0 to 1) and stretch (below 0 crouched, above 0 long) of a jump from the ground and back."""
    flight = float(np.clip((t - 0.18) / 0.64, 0.0, 1.0))
    rise = 4 * flight * (1 - flight)
    rise = rise * rise * (2 - rise)  # soft at take-off and landing
    crouch = np.exp(-(((t - 0.13) / 0.09) ** 2)) - np.exp(-((0.13 / 0.09) ** 2)) * (1 - smooth_step(t / 0.13))
    landing = np.exp(-(((t - 0.87) / 0.08) ** 2))
    return float(rise), float(0.45 * rise - crouch - 0.8 * landing)


def bend_limb(points: Points, reach: Points, origin: Points, along: Points, towards: Points, angle: float) -> Points:
    """Bend a limb that starts at ``origin`` and runs ``along``, ``towards`` a side, by ``angle`` at its end.

    Every point moves with the rigid frame at its ``reach`` on the limb's centre line, which turns evenly from 0 on;
    the centre line keeps its length.
    """
    length = max(float(reach.max()), 1e-9)
    curvature = angle / length
    theta = curvature * reach
    if abs(curvature) < 1e-9:
        return points.copy()
    forward, sideways = np.sin(theta) / curvature, (1 - np.cos(theta)) / curvature
    a, s = (points - origin) @ along, (points - origin) @ towards
    ahead = a - reach
    moved_a = forward + ahead * np.cos(theta) - s * np.sin(theta) - a
    moved_s = sideways + ahead * np.sin(theta) + s * np.cos(theta) - s
    return points + moved_a[:, None] * along + moved_s[:, None] * towards


def turn_points(points: Points, center: Points, axis: Points, angle: Points) -> Points:
    """Rotate each point ``[N, 3]`` about its centre ``[N, 3]`` or ``[3]`` by its own angle ``[N]``."""
    axis = axis / np.linalg.norm(axis)
    local = points - center
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return center + cos * local + sin * np.cross(axis, local) + (1 - cos) * (local @ axis)[:, None] * axis


def smooth_step(value: ArrayLike) -> Points:
    """0 below 0, 1 above 1, no kinks (its first two derivatives vanish at both ends)."""
    x = np.clip(value, 0.0, 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)
