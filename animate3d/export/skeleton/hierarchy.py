"""Which bone hangs below which, and where their joints are."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree, shortest_path

from animate3d.motion.surfaces import Array, Ids

_FAINT = 1e-6  # of the strongest tie: what bones that share no vertex get, the more the nearer they are
_HOLD = 0.03  # how much a joint is drawn to where two bones meet, against where they agree


def hierarchy(rest: Array, weights: Array, areas: Array, rotations: Array, translations: Array) -> tuple[Ids, Ids]:
    """A tree of bones: neighbours by the vertices they share, from one in the middle that moves little.

    Args:
        rest: ``[n, 3]``
        weights: ``[n, B]``
        areas: ``[n]`` of the surface at every vertex.
        rotations: ``[F, B, 3, 3]``
        translations: ``[F, B, 3]``

    Returns:
        the bones in an order in which parents come before their children ``[B]``, and the parent of each, as a
        number in that order, -1 for the first ``[B]``.
    """
    count = weights.shape[1]
    share = areas @ weights
    middles = (weights * areas[:, None]).T @ rest / np.maximum(share, 1e-30)[:, None]
    ways = np.linalg.norm(np.einsum("fbij,bj->fbi", rotations, middles) + translations - middles, axis=-1).mean(axis=0)
    ties = (weights * areas[:, None]).T @ weights
    np.fill_diagonal(ties, 0.0)
    apart = np.linalg.norm(middles[:, None] - middles, axis=-1)
    ties = ties / (ties.max() or 1.0) + _FAINT / (1.0 + apart / (apart.max() or 1.0))
    np.fill_diagonal(ties, 0.0)
    lengths = np.where(ties > 0, 1.0 - np.log(np.maximum(ties, 1e-300)), 0.0)
    tree = minimum_spanning_tree(lengths)
    # The root is in the middle of the tree, counted by surface, and moves little.
    away = shortest_path(tree, directed=False, unweighted=True) @ share
    root = int(np.argmin(away / (away.mean() + 1e-30) + ways / (ways.mean() + 1e-30)))
    order, above = breadth_first_order(tree, root, directed=False)
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    parents = np.array([-1 if bone == root else place[above[bone]] for bone in order], dtype=np.int64)
    return order.astype(np.int64), parents


def joints(rest: Array, weights: Array, parents: Ids, rotations: Array, translations: Array) -> Array:
    """Where bones begin: the place that a bone and its parent move alike, near where their vertices meet.

    Args:
        rest: ``[n, 3]``
        weights: ``[n, B]``
        parents: ``[B]``, -1 for the first, which begins in the middle of its vertices.
        rotations: ``[F, B, 3, 3]``
        translations: ``[F, B, 3]``

    Returns:
        ``[B, 3]``
    """
    found = np.empty((len(parents), 3))
    size = float(np.linalg.norm(np.ptp(rest, axis=0))) or 1.0
    for bone, parent in enumerate(parents):
        own = weights[:, bone]
        if parent < 0:
            found[bone] = own @ rest / own.sum()
            continue
        shared = own * weights[:, parent]
        if shared.sum() < 1e-9:
            # They share no vertex: the own one that is nearest to the parent's.
            middle = weights[:, parent] @ rest / weights[:, parent].sum()
            mine = np.flatnonzero(own > 0.5 * own.max())
            shared = np.zeros(len(rest))
            shared[mine[np.linalg.norm(rest[mine] - middle, axis=1).argmin()]] = 1.0
        meeting = shared @ rest / shared.sum()
        # Both take the joint c to the same place in every frame: (R - R') c = t' - t, in the sense of least squares.
        turn = (rotations[:, bone] - rotations[:, parent]).reshape(-1, 3)
        move = (translations[:, parent] - translations[:, bone]).reshape(-1)
        hold = _HOLD * len(rotations)
        system = turn.T @ turn + hold * np.eye(3)
        shift = np.linalg.solve(system, turn.T @ (move - turn @ meeting))
        reach = 0.1 * size / max(float(np.linalg.norm(shift)), 1e-30)
        found[bone] = meeting + min(1.0, reach) * shift
    return found
