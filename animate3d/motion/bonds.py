"""Which loose pieces of a model belong together, and how firmly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from animate3d.motion.surfaces import Array, Ids

_FIRM = 0.25  # share of a piece's surface that touches another one, from which on they move together
_HOLD = 0.05  # of a firm bond, against a link inside of a piece: what a camera sees of a piece decides where it goes
_FAINT = 1e-3  # hold of a piece on its nearest neighbour: nothing against what a camera sees of it
_NEAREST = 8  # nodes by which a piece hangs on its nearest neighbour


class Bonds(NamedTuple):
    """Links between nodes of different pieces.

    Attributes:
        pairs: ``[B, 2]`` node ids.
        firmness: ``[B]`` 0..1 against a link inside of a piece.
    """

    pairs: Ids
    firmness: Array


def find_bonds(rest: Array, normals: Array, areas: Array, pieces: Ids, edge: float) -> Bonds:
    """Links across the gaps between pieces.

    A piece that another encloses, or that lies on it with much of its surface, belongs to it: the eye in its socket,
    the shell on its body. One that touches with little of it (the hand on a bowl, the foot on the ground) is free to
    leave. What touches nothing hangs faintly on what is nearest, so that it is not left behind when nobody sees it.

    Args:
        rest, normals: ``[M, 3]`` nodes.
        areas: ``[M]``
        pieces: ``[M]``
        edge: usual distance of neighbouring nodes of one piece.
    """
    count = int(pieces.max(initial=0)) + 1
    size = np.bincount(pieces, areas, count) + 1e-30
    pairs, inside = _across(rest, normals, pieces, edge)
    gap = np.linalg.norm(rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=1)
    close = (gap < edge) | inside
    pairs = pairs[close]
    key = pieces[pairs[:, 0]] * count + pieces[pairs[:, 1]]
    # Of every pair of pieces, which share of the first one's surface touches the second.
    contacts, of = np.unique(key, return_inverse=True)
    touching = np.zeros(len(contacts))
    first = np.unique(np.column_stack([of, pairs[:, 0]]), axis=0)
    np.add.at(touching, first[:, 0], areas[first[:, 1]])
    a = contacts // count
    share = dict(zip(contacts.tolist(), (touching / size[a]).tolist(), strict=True))
    both = np.array([max(share[k], share.get((k % count) * count + k // count, 0.0)) for k in contacts.tolist()])
    firm = _HOLD * np.minimum(both / _FIRM, 1.0) ** 2 if len(contacts) else np.zeros(0)
    nearest = _nearest_neighbours(rest, pieces, np.setdiff1d(np.arange(count), a))
    pairs, firmness = np.concatenate([pairs, nearest]), np.concatenate([firm[of], np.full(len(nearest), _FAINT)])
    pairs, kept = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    return Bonds(pairs, np.maximum(firmness[kept], _FAINT))


def _across(rest: Array, normals: Array, pieces: Ids, edge: float) -> tuple[Ids, np.ndarray]:
    """Every node's nearest few of other pieces ``[P, 2]``, and whether it lies under the surface of the other."""
    count = min(24, len(rest) - 1)
    distance, partner = cKDTree(rest).query(rest, k=count + 1, distance_upper_bound=3.0 * edge)
    i, k = np.nonzero(np.isfinite(distance[:, 1:]))
    pairs = np.stack([i, partner[i, k + 1]], axis=1)
    pairs = pairs[pieces[pairs[:, 0]] != pieces[pairs[:, 1]]]
    # The nearest of each other piece.
    key = pairs[:, 0] * (int(pieces.max(initial=0)) + 1) + pieces[pairs[:, 1]]
    pairs = pairs[np.unique(key, return_index=True)[1]]
    under = np.einsum("ij,ij->i", rest[pairs[:, 0]] - rest[pairs[:, 1]], normals[pairs[:, 1]]) < 0
    return pairs, under


def _nearest_neighbours(rest: Array, pieces: Ids, lonely: Ids) -> Ids:
    """Links from the pieces ``lonely`` to the nearest nodes of others ``[L, 2]``."""
    found = [np.zeros((0, 2), np.int64)]
    for piece in lonely if pieces.any() else []:
        own, others = np.flatnonzero(pieces == piece), np.flatnonzero(pieces != piece)
        distance, nearest = cKDTree(rest[others]).query(rest[own])
        chosen = np.argsort(distance)[:_NEAREST]
        found.append(np.stack([own[chosen], others[nearest[chosen]]], axis=1))
    return np.concatenate(found)
