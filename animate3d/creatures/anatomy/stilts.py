"""Legs as they are seen from below: what the ground meets first, up to where it meets the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from animate3d.creatures.anatomy.branches import Branch, find_branches
from animate3d.motion.template import Template

Points = NDArray[np.float64]

_STILT = 0.06
"""Share of the height that a leg has, at least, up to where it meets another one."""
_FEET = 0.1
"""Share of the height below which feet are."""
_PAIR = 0.12
"""How far the foot of a leg is from the mirror image of its fellow's, at most, against the size."""
_AS_THIN = 2.0
"""Girth of a leg against where it is thinnest, at most."""
_BODY = 2.5
"""Girth of half a body against its leg where this is thinnest, at least."""
_HEIGHTS = 12
"""Heights at which gaps are sought."""
_STEP = 0.02
"""Share of the height over which girths are measured."""


def find_stilts(template: Template, graph: sparse.csr_matrix) -> list[tuple[Branch, int]]:
    """Legs that stand apart, and on which side each is; of legs without a fellow none."""
    above = template.rest[:, 1] - template.rest[:, 1].min()
    tall = float(above.max())
    stilts = [branch for branch in find_branches(graph, tall - above, _STILT) if not branch.inside]
    return _paired(template, [branch for branch in stilts if above[branch.tip] < _FEET * tall])


def find_stilts_apart(template: Template, graph: sparse.csr_matrix) -> list[tuple[Branch, int]]:
    """Legs whose feet have grown together with those of the other side, with gaps between them higher up."""
    middle = _middle(template)
    left = template.rest[:, 0] >= middle
    entries = graph.tocoo()
    seam = np.unique(entries.row[left[entries.row] != left[entries.col]])
    graph = halves(template, graph)
    legs = [leg for leg, _ in find_stilts(template, graph)]
    if not legs:
        legs = [leg for side in (True, False) if (leg := _only_leg(template, graph, left == side)) is not None]
    return _paired(template, [leg for leg in legs if _is_open(template, leg, seam)])


def _only_leg(template: Template, graph: sparse.csr_matrix, half: NDArray[np.bool_]) -> Branch | None:
    """The leg of half of a body, up to where this is far wider.

    Args:
        graph: of halves.
        half: ``[M]`` its nodes.
    """
    above = template.rest[:, 1] - template.rest[:, 1].min()
    tall = float(above.max())
    step = max(_STEP * tall, 1.2 * template.edge)
    slices = (above / step).astype(int)
    girths = np.bincount(slices[half], template.areas[half], slices.max() + 1) / step
    low = int(0.6 * len(girths))
    if low < 3 or not girths[1:low].any():  # nothing there stands on the ground
        return None
    thin = 1 + int(np.where(girths[1:low] > 0, girths[1:low], np.inf).argmin())
    wider = np.flatnonzero(girths[thin:] > _AS_THIN * girths[thin])
    top = thin + int(wider[0]) if len(wider) else len(girths)
    if top * step < 2 * _STILT * tall or girths.max() < _BODY * girths[thin]:
        return None
    below = np.flatnonzero(half & (slices < top))
    _, piece = connected_components(graph[below][:, below], directed=False)
    nodes = below[piece == piece[above[below].argmin()]]
    nodes = nodes[np.argsort(-above[nodes])]
    return Branch(nodes, tall - float(above[nodes].max()), int(nodes[-1]))


def _is_open(template: Template, leg: Branch, seam: NDArray[np.int64]) -> bool:
    """Whether there is a gap beside a leg at half of its heights at least.

    Args:
        seam: nodes of the halves that touch the other one.
    """
    heights = template.rest[leg.nodes, 1]
    step = max(float(np.ptp(heights)) / _HEIGHTS, 1.2 * template.edge)
    places = ((heights - heights.min()) / step).astype(int)
    closed = np.unique(places[np.isin(leg.nodes, seam)])
    return len(closed) <= 0.5 * (places.max() + 1)


def halves(template: Template, graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Neighbours on the same side of the plane of symmetry."""
    entries = graph.tocoo()
    left = template.rest[:, 0] >= _middle(template)
    same = left[entries.row] == left[entries.col]
    return sparse.coo_matrix((entries.data[same], (entries.row[same], entries.col[same])), entries.shape).tocsr()


def _middle(template: Template) -> float:
    """Where the plane of symmetry is, x."""
    return 0.5 * float(template.rest[:, 0].min() + template.rest[:, 0].max())


def _paired(template: Template, legs: list[Branch]) -> list[tuple[Branch, int]]:
    """Those that have a fellow at the other side, with their sides."""
    size, middle = float(np.ptp(template.rest, axis=0).max()), _middle(template)
    feet = np.array([_foot(template.rest[leg.nodes]) for leg in legs]).reshape(-1, 3)
    off = np.linalg.norm((feet * [-1, 1, 1] + [2 * middle, 0, 0])[:, None] - feet, axis=2)
    np.fill_diagonal(off, np.inf)
    kept = [n for n in range(len(legs)) if off[n].min() < _PAIR * size and np.sign(feet[n, 0] - middle)]
    sides = {n: int(np.sign(feet[n, 0] - middle)) for n in kept}
    return [(legs[n], sides[n]) for n in kept if sides.get(int(off[n].argmin())) == -sides[n]]


def _foot(points: Points) -> Points:
    """Middle of the lowest points ``[K, 3]`` of a leg: of a flat sole no point is the lowest. ``[3]``"""
    heights = points[:, 1]
    return np.asarray(points[heights <= heights.min() + _FEET * np.ptp(heights)].mean(axis=0))
