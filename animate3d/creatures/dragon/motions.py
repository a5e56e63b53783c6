"""Known motions of the demo dragon, in its own coordinates (y up, facing +z).

A motion maps rest vertices ``[N, 3]`` and times ``[F]`` in 0..1 to positions ``[F, N, 3]``. At time 0 it returns the
rest pose exactly. Limbs turn as rigid frames that vary smoothly along the body, so volumes stay plausible.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.dragon import shape as dragon
from animate3d.creatures.dragon.shape import Part
from animate3d.creatures.rigs import bend_limb, smooth_step, turn_points

Positions = NDArray[np.float64]
VertexMotion = Callable[[Positions, Positions], Positions]

_LEFT, _UP, _BACK = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
_WING_HINGE = np.array([0.0, 0.35, 0.94])  # along the root of the membrane, so that a stroke fans air
_TAIL_BASE = np.array([0.0, -0.1, -0.25])


def unit_times(frames: int) -> Positions:
    """Evenly spaced times of F frames, from 0 to 1. ``[F]``"""
    return np.linspace(0.0, 1.0, frames)


def wing_flap(vertices: Positions, times: Positions) -> Positions:
    """One full stroke of both wings, tips trailing, while the body rises and sinks against it."""
    weight, span = _wing_weight(vertices)
    tail = _tail_reach(vertices)

    def pose(t: float) -> Positions:
        start = smooth_step(t / 0.3)
        stroke = start * np.sin(2 * np.pi * t - 0.5 * start)
        posed = _lift_wings(vertices, weight * 1.08 * start * np.sin(2 * np.pi * t - 0.55 * start * span))
        posed = bend_limb(posed, tail, _TAIL_BASE, _BACK, _UP, -0.35 * stroke)
        posed = turn_points(posed, np.array([0.0, 0.1, 0.0]), _LEFT, np.full(len(posed), 0.17 * stroke))
        return posed + stroke * np.array([0.0, -0.20, 0.05])

    return _animate(vertices, times, pose)


def bend(vertices: Positions, times: Positions) -> Positions:
    """The body leans and twists to one side and the other, the tail sweeps, the head looks back along the curve."""
    wing, _ = _wing_weight(vertices)
    # A wing follows its root as one piece; bending it like the spine would crush the inner one.
    tail = _tail_reach(vertices)
    stays = 1 - smooth_step(tail / 0.3)
    reach = np.clip((1 - wing) * (vertices[:, 1] + 0.25) + wing * 0.55, 0.0, None) * stays
    twist = ((1 - wing) * smooth_step((vertices[:, 1] + 0.25) / 0.9) + wing * 0.6) * stays
    turn_head = smooth_step((vertices[:, 1] - 0.34) / 0.3) * (1 - wing)
    hips, neck = np.array([0.0, -0.25, -0.05]), np.array([0.0, 0.45, 0.16])

    def pose(t: float) -> Positions:
        start = smooth_step(t / 0.3)
        sway, late = start * np.sin(2 * np.pi * t), start * np.sin(2 * np.pi * t - 0.7 * start)
        posed = turn_points(vertices, neck, _UP, 0.4 * late * turn_head)
        posed = turn_points(posed, hips, _UP, 0.75 * late * twist)
        posed = bend_limb(posed, reach, hips, _UP, _LEFT, 1.10 * sway)
        return posed + bend_limb(vertices, tail, _TAIL_BASE, _BACK, _LEFT, 1.7 * late) - vertices

    return _animate(vertices, times, pose)


def hop(vertices: Positions, times: Positions) -> Positions:
    """Crouch, jump forwards with a turn of the whole body, land and rise again."""
    ground = np.array([0.0, vertices[:, 1].min(), 0.0])
    wing, _ = _wing_weight(vertices)

    def pose(t: float) -> Positions:
        flight = np.clip((t - 0.16) / 0.70, 0.0, 1.0)
        rise = 16 * flight**2 * (1 - flight) ** 2
        crouch = _bump(t, 0.0, 0.2, 0.42) + _bump(t, 0.66, 0.85, 1.0)
        stretch = 1.0 - 0.16 * crouch + 0.08 * rise
        posed = _lift_wings(vertices, wing * (0.35 * rise - 0.12 * crouch))
        posed = ground + (posed - ground) * [stretch**-0.5, stretch, stretch**-0.5]
        turned = smooth_step((t - 0.12) / 0.76)
        posed = turn_points(posed, ground, _UP, np.full(len(posed), 0.50 * turned))
        return posed + turned * np.array([0.05, 0.0, 0.12]) + 0.36 * rise * _UP

    return _animate(vertices, times, pose)


MOTIONS: dict[str, VertexMotion] = {"wing_flap": wing_flap, "bend": bend, "hop": hop}


def _animate(vertices: Positions, times: Positions, pose: Callable[[float], Positions]) -> Positions:
    """``[F, N, 3]``; time 0 is the rest pose to the last bit."""
    return np.stack([vertices if t == 0.0 else pose(float(t)) for t in times])


def _lift_wings(vertices: Positions, angle: Positions) -> Positions:
    """Turn each wing vertex up by its angle ``[N]`` about the hinge of its wing."""
    side = np.where(vertices[:, :1] < 0, -1.0, 1.0)
    hinge = np.concatenate([side * dragon.WING_ROOT[0], np.broadcast_to(dragon.WING_ROOT[1:], (len(side), 2))], axis=1)
    return turn_points(vertices, hinge, _WING_HINGE, side[:, 0] * angle)


def _wing_weight(vertices: Positions) -> tuple[Positions, Positions]:
    """How far a vertex follows its wing (0..1, a soft shoulder) and its distance along it. ``[N], [N]``"""
    distance = dragon.parts(vertices)
    others = np.minimum.reduce([distance[part] for part in Part if part is not Part.WING])
    span = dragon.wing_coordinates(vertices)[..., 0]
    member = smooth_step((others - distance[Part.WING] + 0.05) / 0.20)
    return member * smooth_step(span / 0.34), np.clip(span, 0.0, None)


def _tail_reach(vertices: Positions) -> Positions:
    """Distance along the tail, 0 elsewhere. ``[N]``"""
    distance = dragon.parts(vertices)
    wing = smooth_step((np.minimum(distance[Part.TAIL], distance[Part.SPIKE]) - distance[Part.WING] + 0.03) / 0.1)
    above = smooth_step((vertices[:, 1] - 0.30) / 0.1)
    return np.clip(-vertices[:, 2] - 0.25, 0.0, None) * (1 - wing) * (1 - above)


def _bump(t: float, start: float, top: float, end: float) -> float:
    return float(smooth_step((t - start) / (top - start)) * (1 - smooth_step((t - top) / (end - top))))
