"""Courses in time that moves share, beside those of `animate3d.creatures.rigs`; all start at 0."""

from __future__ import annotations

import math

from animate3d.creatures.rigs import pulse, smooth_step


def hold(t: float, edge: float = 0.25) -> float:
    """Go from 0 to 1, stay there, and come back, once per cycle."""
    share = t % 1.0
    return float(smooth_step(share / edge) * smooth_step((1.0 - share) / edge))


def drop(t: float, end: float = 0.7) -> float:
    """From 0 to 1 as things fall: ever faster until ``end``, then lying still."""
    return min(t / end, 1.0) ** 2


def steady(t: float, edge: float = 0.1) -> float:
    """From 0 to 1 at an even rate that begins and ends softly, and still for the last ``edge``."""
    share = min(t / (1.0 - edge), 1.0)
    nearer = min(share, 1.0 - share)
    gone = (nearer - 0.5 * edge if nearer > edge else 0.5 * nearer * nearer / edge) / (1.0 - edge)
    return gone if share < 0.5 else 1.0 - gone


def lag(t: float, delay: float) -> float:
    """Time that runs late by up to ``delay`` within a cycle and is right at its start and end."""
    return t - delay * pulse(t)


def arc(t: float, start: float, end: float) -> float:
    """Height 0 to 1 of a throw that begins and ends at these times, 0 before and after."""
    share = min(max((t - start) / (end - start), 0.0), 1.0)
    return 4.0 * share * (1.0 - share)


def plateaus(t: float) -> float:
    """Go to one side, stay, go to the other, stay, and come back, once per cycle."""
    return math.tanh(1.6 * math.sin(2 * math.pi * t)) / math.tanh(1.6)
