"""Limbs of a surface, and poses of them that cannot be reached by following.

The flow finds an arm again that has moved by its own width or two. One that strikes further between two frames is lost,
and its surface is smeared over what is nearest. So where a frame is explained badly, limbs are turned about their
joints, stiff and shaped as in the last frame or at rest, and drawn: from the pose that shows more of the frame,
following goes on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra, minimum_spanning_tree
from scipy.spatial.transform import Rotation

from animate3d.motion.matching import Matcher
from animate3d.motion.surfaces import Array, Ids, nearest_rotations
from animate3d.motion.template import Template

SEARCH_SIZE = 96  # pixels of the frames that limbs are looked for in

_CUTS = 14  # distances from the middle of the body at which limbs are cut off
_LEAST, _MOST = 0.004, 0.5  # of the surface: a limb
_ALIKE = 0.8  # share that two limbs have in common: they are one
_GOOD = 0.002  # a frame of which less is missed, of what the surface at rest misses, needs no search
_BAD = 1.5  # times the mean that is missed: where a limb misses so much, or is not seen at all, it is looked for
_WORSE = 1.25  # times what a limb missed when it was looked for in vain: then it is looked for again
_GAIN = 0.985  # of what is missed: a pose that misses more than that is none
_PRICE = 0.08  # of what is missed, for a turn by a radian; a leg that is turned inside out may look as good

_DIAGONALS = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) / np.sqrt(3.0)
_WIDE, _NARROW = (40, 80, 130), (20, 10, 5)  # degrees
_NARROW_STEPS = 2  # of each of the narrow turns


class Limb(NamedTuple):
    """A part of a surface that may turn about a joint.

    Attributes:
        nodes: ``[L]`` node ids.
        joint: ``[J]`` ids of the nodes on both sides of where it hangs on the rest; their mean is the joint.
    """

    nodes: Ids
    joint: Ids


def limbs_of(template: Template) -> list[Limb]:
    """The limbs of a surface, the largest first.

    These are its loose pieces, and what lies beyond some distance along the surface from the middle of the body: arm,
    forearm, hand. They are cut off twice, with the pieces that they carry (a sword in a hand) and without, as what
    touches at rest may part.
    """
    share = template.areas / template.areas.sum()
    carried = np.concatenate([template.links, _carrying_bonds(template)])
    body = np.argmax(np.bincount(template.pieces, share))
    parts = [(template.pieces == piece, carried) for piece in np.unique(template.pieces) if piece != body]
    parts += [(part, pairs) for pairs in (carried, template.links) for part in _beyond(template, share, pairs)]
    kept: list[tuple[float, NDArray[np.bool_], Limb]] = []
    for part, pairs in parts:
        joint = np.unique(pairs[part[pairs[:, 0]] != part[pairs[:, 1]]])
        alike = (share[part & other].sum() > _ALIKE * share[part | other].sum() for _, other, _ in kept)
        if len(joint) and _LEAST <= share[part].sum() <= _MOST and not any(alike):
            kept.append((float(share[part].sum()), part, Limb(np.flatnonzero(part), joint)))
    return [limb for *_, limb in sorted(kept, key=lambda each: -each[0])]


class LimbSearch:
    """Poses of limbs that show more of a frame.

    Args:
        matcher: compares surfaces with small frames, as hundreds of poses are drawn.
        limbs: of the template, the largest first.
    """

    def __init__(self, template: Template, matcher: Matcher, limbs: list[Limb]) -> None:
        self._matcher, self._rest, self._limbs = matcher, template.rest, limbs
        self._given_up: dict[int, float] = {}  # limbs by what they missed when no pose was found that misses less

    def posed(self, nodes: Array, last: Array, frame: int) -> Array:
        """Nodes ``[M, 3]`` whose limbs show more of a frame; ``nodes`` itself where nothing better is found.

        Args:
            nodes: ``[M, 3]`` as they were found.
            last: ``[M, 3]`` in the frame before, which says how the limbs are shaped.
        """
        misses = self._matcher.misses(nodes, frame)
        if misses.total < _GOOD * self._matcher.missed(self._rest, frame):
            return nodes
        for number, limb in enumerate(self._limbs):
            mean = misses.sums.sum() / max(misses.pixels.sum(), 1.0)
            missed_here = misses.sums[limb.nodes].sum()
            if missed_here < _BAD * mean * misses.pixels[limb.nodes].sum():
                continue
            if number in self._given_up and missed_here <= _WORSE * self._given_up[number]:
                continue
            pose, missed = self._best_turn(limb, nodes, last, misses.total, frame)
            if missed < _GAIN * misses.total:
                nodes = pose
                misses = self._matcher.misses(nodes, frame)
                self._given_up.clear()
            else:
                self._given_up[number] = missed_here
        return nodes

    def _best_turn(self, limb: Limb, nodes: Array, last: Array, missed: float, frame: int) -> tuple[Array, float]:
        """The nodes with a limb turned, and what they miss with the price of the turn.

        It is shaped as in the last frame, or as at rest: what has been lost for a while is bent by wrong matches.
        """
        joint = nodes[limb.joint].mean(axis=0)
        poses = self._matcher.posing(nodes, limb.nodes, frame)

        def best_of(arms: Array, turns: Array) -> tuple[float, Array]:
            angles = np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1.0, 1.0))
            costs = poses.missed(arms @ turns.transpose(0, 2, 1) + joint) + _PRICE * missed * angles**2
            return float(costs.min()), turns[costs.argmin()]

        shapes = [_shaped(limb, nodes, shape) for shape in (last, self._rest)]
        (least, best), arms = min(((best_of(arms, _WIDE_TURNS), arms) for arms in shapes), key=lambda each: each[0][0])
        for turns in _NARROW_TURNS:
            for _ in range(_NARROW_STEPS):
                cost, turn = best_of(arms, turns @ best)
                if cost >= least:
                    break
                least, best = cost, turn
        turned = nodes.copy()
        turned[limb.nodes] = arms @ best.T + joint
        return turned, least


def _turns(degrees: float, axes: Array) -> Array:
    """Turns by an angle about every axis, both ways. ``[2 A, 3, 3]``"""
    return np.asarray(Rotation.from_rotvec(np.radians(degrees) * np.concatenate([axes, -axes])).as_matrix())


_WIDE_TURNS = np.concatenate([np.eye(3)[None], *(_turns(by, np.concatenate([np.eye(3), _DIAGONALS])) for by in _WIDE)])
_NARROW_TURNS = [_turns(by, np.eye(3)) for by in _NARROW]


def _shaped(limb: Limb, nodes: Array, shape: Array) -> Array:
    """A limb ``[L, 3]`` as stiff as in another pose of all nodes ``[M, 3]``, about its joint, which may have turned."""
    before, now = shape[limb.joint], nodes[limb.joint]
    there, here = before.mean(axis=0), now.mean(axis=0)
    turn = nearest_rotations(((now - here).T @ (before - there))[None])[0]
    return np.asarray((shape[limb.nodes] - there) @ turn.T)


def _beyond(template: Template, share: Array, pairs: Ids) -> list[NDArray[np.bool_]]:
    """What hangs together beyond some distance from the middle of the body, over pairs of nodes: masks ``[M]``.

    Args:
        share: ``[M]`` of every node in the surface.
    """
    i, j = pairs.T
    length = np.linalg.norm(template.rest[i] - template.rest[j], axis=1) + 1e-9
    graph = coo_matrix((length, (i, j)), (len(share), len(share))).tocsr()
    _, part = connected_components(graph, directed=False)
    body = np.flatnonzero(part == np.argmax(np.bincount(part, share)))
    middle = np.average(template.rest[body], axis=0, weights=share[body])
    start = body[np.argmin(np.linalg.norm(template.rest[body] - middle, axis=1))]
    far = dijkstra(graph, directed=False, indices=start)
    far = np.where(np.isfinite(far), far, 0.0)
    parts = []
    for cut in np.linspace(0.0, far.max(), _CUTS + 2)[1:-1]:
        beyond = far > cut
        inner = pairs[beyond[i] & beyond[j]].T
        _, group = connected_components(coo_matrix((np.ones(inner.shape[1]), inner), graph.shape), directed=False)
        size = np.bincount(group[beyond], share[beyond])
        parts += [beyond & (group == number) for number in np.flatnonzero(size >= _LEAST)]
    return parts


def _carrying_bonds(template: Template) -> Ids:
    """The bonds ``[B, 2]`` of every piece to the one that carries it: a tree of the firmest."""
    bonds, pieces = template.bonds, template.pieces
    if not len(bonds.pairs):
        return bonds.pairs
    count = int(pieces.max()) + 1
    between = np.sort(pieces[bonds.pairs], axis=1)
    loose = coo_matrix((bonds.firmness, between.T), (count, count)).tocsr()
    loose.data = 1.0 / loose.data
    tree = minimum_spanning_tree(loose).tocoo()
    carry = np.isin(between @ [count, 1], np.minimum(tree.row, tree.col) * count + np.maximum(tree.row, tree.col))
    return bonds.pairs[carry]
