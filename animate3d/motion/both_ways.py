"""One motion of two: the surface followed forwards in time and backwards, each believed where it misses less.

Both are wrong in places of their own, and by amounts that have little to do with each other, so even where neither is
better their mean is nearer to the truth than either of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter1d

from animate3d.motion.matching import Misses
from animate3d.motion.surfaces import Array, Ids

_SPREAD = 60  # steps along links over which a node asks its surroundings: what is unseen asks what carries it
_FRAMES = 1.0  # the same over time, standard deviation in frames
_LOCAL = 3.0  # power of what one way misses around a node against the other
_WHOLE = 1.0  # and of what it misses of the whole frame
_FEW_PIXELS = 0.02  # of the mean of all nodes: seen by less, both ways count as good as the better one of the frame


def back_share(there: Sequence[Misses], back: Sequence[Misses], links: Ids) -> Array:
    """How much the way back is to be believed against the way there, 0..1, of the frames between first and last.

    Errors add up from frame to frame, so a way is also believed by how far it has come: the way there from the first
    frame, which is known, the way back from there to the last frame and back again.

    Args:
        there, back: what either way misses of every frame but the first and the last, in order of time.
        links: ``[E, 2]`` nodes that are neighbours.

    Returns:
        ``[F - 2, M]``
    """
    nearby = _Nearby(links, len(there[0].sums))
    around = [nearby.mean(np.stack([(m.sums, m.pixels) for m in way])) for way in (there, back)]
    whole = np.array([[m.sums.sum() / max(m.pixels.sum(), 1.0) for m in way] for way in (there, back)]) + 1e-12
    least = whole.min(axis=0)[:, None]
    few = _FEW_PIXELS * np.mean([x[:, 1].mean() for x in around]) + 1e-12
    local = [(x[:, 0] + few * least) / (x[:, 1] + few) for x in around]
    ratio = (local[0] / local[1]) ** _LOCAL * (whole[0] / whole[1])[:, None] ** _WHOLE
    come = np.arange(1.0, len(there) + 1)[:, None]
    ratio *= come / (2 * (len(there) + 1) - come)
    return ratio / (1.0 + ratio)


class _Nearby:
    """Means over the surroundings of each of M nodes and over neighbouring frames."""

    def __init__(self, links: Ids, count: int) -> None:
        ends = np.concatenate([links, links[:, ::-1], np.repeat(np.arange(count)[:, None], 2, axis=1)]).T
        step = sparse.coo_matrix((np.ones(ends.shape[1]), ends), shape=(count, count)).tocsr()
        self._step = sparse.diags(1.0 / np.asarray(step.sum(axis=1)).ravel()) @ step

    def mean(self, values: Array) -> Array:
        """Of values ``[F, D, M]``."""
        frames, kinds, count = values.shape
        spread = np.ascontiguousarray(values.reshape(-1, count).T)
        for _ in range(_SPREAD):
            spread = self._step @ spread
        return gaussian_filter1d(spread.T.reshape(frames, kinds, count), _FRAMES, axis=0, mode="nearest")
