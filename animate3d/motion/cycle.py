"""Close a motion, so that it can be played in a loop without a jump."""

from __future__ import annotations

import numpy as np

from animate3d.motion.trajectory import Trajectory

_LATEST_CUT = 0.5  # at least this share of the frames stays
_RETURNS = 0.5  # a motion whose best end is farther from the start than this share of its reach does not come back


def close_cycle(trajectory: Trajectory) -> Trajectory:
    """A motion whose last frame leads over into its first.

    A motion that comes back by itself, such as a wing beat, is cut where it is nearest to its start; what is left of
    the gap is spread over the frames. One that does not come back, such as a flower that opens, plays forward and then
    backward.

    Returns:
        frames ``[G, N, 3]``; after the last of them comes frame 0 again. Frame 0 is unchanged.
    """
    positions = trajectory.positions.astype(np.float64)
    count = len(positions)
    distance = np.sqrt(((positions - positions[0]) ** 2).sum(axis=-1).mean(axis=-1))  # [F] from the start
    reach = float(distance.max())
    if count < 3 or reach == 0.0:
        return trajectory
    first = max(int(np.ceil(_LATEST_CUT * count)), int(distance.argmax()) + 1)
    if first >= count or distance[first:].min() > _RETURNS * reach:
        return Trajectory(np.concatenate([positions, positions[-2:0:-1]]), trajectory.fps)
    end = first + int(distance[first:].argmin())  # this frame becomes frame 0 of the next round
    share = np.arange(end)[:, None, None] / end
    return Trajectory(positions[:end] + share * (positions[0] - positions[end]), trajectory.fps)
