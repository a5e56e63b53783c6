"""Close a motion, so that it can be played in a loop without a jump."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animate3d.motion.trajectory import Trajectory

_LATEST_CUT = 0.5  # at least this share of the frames stays
_RETURNS = 0.5  # a motion whose best end is farther from the start than this share of its reach does not come back
_HEADING = 0.25  # weight of a change of velocity relative to one of position: the wings pass rest twice in every beat


def close_cycle(trajectory: Trajectory) -> Trajectory:
    """A motion whose last frame leads over into its first.

    A motion that comes back by itself, such as a wing beat, is cut where it is nearest to its start and moves on as it
    did there; what is left of the gap is spread over the frames. Where the last frame leads to the first, all stay.
    A motion that does not come back, such as a flower that opens, plays forward and then backward.

    Returns:
        frames ``[G, N, 3]``; after the last of them comes frame 0 again. Frame 0 is unchanged.
    """
    positions = trajectory.positions.astype(np.float64)
    count = len(positions)
    reach = float(_size(positions - positions[0]).max())
    if count < 3 or reach == 0.0:
        return trajectory
    # All frames can stay where the step back to the start is no larger than the others; what is too much is a gap. The
    # second half counts most: a motion that opens fast and then stays open does not come back by a step of that size.
    steps = _size(np.diff(positions, axis=0))
    usual = float(min(steps.max(), 2 * steps[count // 2 :].max()))
    back = positions[:1] - positions[-1:]
    part = min(1.0, usual / max(float(_size(back)[0]), 1e-12))
    longer = np.concatenate([positions, positions[-1:] + part * back])
    distance = _size(longer - longer[0])  # [F+1] from the start
    turn = _size(np.diff(longer, axis=0, prepend=longer[:1]) - (longer[1] - longer[0]))  # [F+1] of the velocity
    farthest = int(distance[:count].argmax())
    first = max(int(np.ceil(_LATEST_CUT * count)), farthest + 1)
    jump = np.where(distance <= _RETURNS * reach, np.hypot(distance, _HEADING * turn), np.inf)[first:]
    if farthest == count - 1 or np.isinf(jump).all():
        return Trajectory(np.concatenate([positions, positions[-2:0:-1]]), trajectory.fps)
    end = first + int(jump.argmin())  # this frame becomes frame 0 of the next round
    share = np.arange(end)[:, None, None] / end
    return Trajectory(positions[:end] + share * (longer[0] - longer[end]), trajectory.fps)


def _size(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square length of ``[F, N, 3]``. ``[F]``"""
    return np.sqrt((vectors**2).sum(axis=-1).mean(axis=-1))
