"""What stands out of a surface: branches, by how far the surface around a point is on average from everything.

The mean geodesic distance to the whole surface is least in the middle of a body and greatest at the tips of its limbs,
however these are posed (Hilaga et al. 2001). From its tip down, a branch reaches to where it meets another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from animate3d.motion.template import Template

Points = NDArray[np.float64]
Ids = NDArray[np.int64]

_SOURCES = 48
"""Points, evenly spread, to which distances are measured."""
_STANDS_OUT = 0.12
"""How far a tip is above where its branch meets another one, as a share of the whole range of mean distances."""

_ROUND = 0.3
"""The range of mean distances of a body without limbs, as a share of the largest."""
_STEM = 0.5
"""Length of a stem against those of its twigs, at least."""


@dataclass(frozen=True, eq=False)
class Branch:
    """What stands out.

    Attributes:
        nodes: of it, those nearest to the body first.
        level: mean distance where it begins.
        tip: its outermost node.
        inside: branches that it carries, as a head carries ears.
    """

    nodes: Ids
    level: float
    tip: int
    inside: tuple[Branch, ...] = ()


def node_graph(template: Template) -> sparse.csr_matrix:
    """Distances along links and bonds; pieces that nothing holds are tied to what is nearest. ``[M, M]``"""
    pairs = np.concatenate([template.links, template.bonds.pairs])
    while True:
        lengths = np.linalg.norm(template.rest[pairs[:, 0]] - template.rest[pairs[:, 1]], axis=1)
        shape = (template.n_nodes, template.n_nodes)
        graph = sparse.coo_matrix((np.maximum(lengths, 1e-9), tuple(pairs.T)), shape).tocsr()
        count, piece = connected_components(graph, directed=False)
        if count == 1:
            return graph
        largest = piece == np.bincount(piece).argmax()
        inside, outside = np.flatnonzero(largest), np.flatnonzero(~largest)
        distance, nearest = cKDTree(template.rest[inside]).query(template.rest[outside])
        first = distance.argmin()
        pairs = np.concatenate([pairs, [[inside[nearest[first]], outside[first]]]])


def mean_distances(template: Template, graph: sparse.csr_matrix) -> Points:
    """Mean geodesic distance of every node to the whole surface. ``[M]``"""
    nearest = np.full(template.n_nodes, np.inf)
    source, rows = int(template.areas.argmax()), []
    for _ in range(min(_SOURCES, template.n_nodes)):
        rows.append(dijkstra(graph, directed=False, indices=source))
        nearest = np.minimum(nearest, rows[-1])
        source = int(nearest.argmax())
    distances = np.stack(rows)
    share = np.bincount(distances.argmin(axis=0), template.areas, len(rows))
    return np.asarray(share @ distances / share.sum())


def find_branches(graph: sparse.csr_matrix, height: Points, share: float = _STANDS_OUT) -> list[Branch]:
    """The branches that stand out, each before those that it is carried by.

    Args:
        graph: neighbours, see `node_graph`.
        height: ``[M]`` mean distances, or another function that is greatest at tips.
        share: of its range, by which a tip stands out at least.
    """
    both = (graph + graph.T).tocsr()
    least = share * max(float(np.ptp(height)), _ROUND * float(height.max()))
    found: list[Branch] = []
    rising = _Rising(len(height))
    for node in np.argsort(-height, kind="stable").tolist():
        tips = rising.beside(both.indices[both.indptr[node] : both.indptr[node + 1]].tolist())
        tips.sort(key=lambda tip: -height[tip])
        standing = [tip for tip in tips if height[tip] - height[node] >= least]
        if len(standing) > 1:  # branches meet here
            for tip in standing:
                inside = tuple(rising.inside[tip])
                found.append(Branch(np.array(rising.members[tip][::-1]), float(height[node]), tip, inside))
                rising.inside[tip] = [found[-1]]
        rising.join(node, tips)
    return found


def without_twigs(
    branches: list[Branch], sides_of: Callable[[list[Branch]], list[int]], height: Points
) -> list[Branch]:
    """Branches that are limbs: those of one side that sit on a stem, as fingers on an arm, are that stem.

    Args:
        branches: see `find_branches`.
        sides_of: the sides of branches, -1, 0 or 1.
        height: ``[M]``
    """
    single = [branch for branch in branches if not branch.inside]
    side = dict(zip((branch.tip for branch in single), sides_of(single), strict=True))
    for stem in (branch for branch in branches if branch.inside):
        nodes = set(stem.nodes.tolist())
        twigs = [branch for branch in single if branch.tip in nodes]
        lengths = [height[twig.tip] - twig.level for twig in twigs]
        below = min(twig.level for twig in twigs) - stem.level
        if len({side[twig.tip] for twig in twigs}) == 1 and below > _STEM * float(np.mean(lengths)):
            single = [branch for branch in single if branch not in twigs] + [stem]
    return single


class _Rising:
    """What of a surface lies above a level that sinks: components, each known by its highest node.

    Attributes:
        members: nodes of every component, the highest first.
        inside: branches of every component that none of its other branches carries.
    """

    def __init__(self, count: int) -> None:
        self._leader = np.full(count, -1)
        self.members: dict[int, list[int]] = {}
        self.inside: dict[int, list[Branch]] = {}

    def beside(self, nodes: list[int]) -> list[int]:
        """The components that any of the nodes belongs to."""
        return list({self._find(node) for node in nodes if self._leader[node] >= 0})

    def join(self, node: int, tips: list[int]) -> None:
        """Add a node, which makes one of all components beside it."""
        top = tips[0] if tips else node
        self._leader[node] = top
        self.members.setdefault(top, []).append(node)
        self.inside.setdefault(top, [])
        for tip in tips[1:]:
            self._leader[tip] = top
            self.members[top] += self.members.pop(tip)
            self.inside[top] += self.inside.pop(tip)

    def _find(self, node: int) -> int:
        while self._leader[node] != node:
            self._leader[node] = self._leader[self._leader[node]]
            node = int(self._leader[node])
        return node
