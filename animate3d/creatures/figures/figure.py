"""A random body: what it is, its parts, and functions of places on its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.figures.coat import Coat
from animate3d.creatures.figures.part import Part
from animate3d.creatures.figures.solids import Solids
from animate3d.creatures.sculpt import fields

Points = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Figure:
    """A body at rest: y is up, the front +z, its left +x, its largest extent is 2.

    Attributes:
        seed: makes it.
        kind: ``"animal"``, ``"bird"``, ``"plant"``, ``"vehicle"``, …
        noun: a plain English word for it.
        parts: the trunk first, parents before their children.
        low, high: ``[3]`` box of the surface.
        solids: what it is made of.
        softness: ``[P]`` how far the skin of a part gives way around its joint; 0 is a sharp border.
        coat: its colours.
    """

    seed: int
    kind: str
    noun: str
    parts: tuple[Part, ...]
    low: Points
    high: Points
    solids: Solids
    softness: Points
    coat: Coat

    def distance(self, points: Points) -> Points:
        """Signed distance of points ``[..., 3]``, negative inside; approximate away from the surface. ``[...]``"""
        flat = np.asarray(points).reshape(-1, 3)
        return self.piece_distances(self.solids.distances(flat)).min(axis=0).reshape(points.shape[:-1])

    def piece_distances(self, distances: Points) -> Points:
        """Distances to the loose pieces, with fillets, from those to the solids ``[S, N]``. ``[L, N]``"""
        found = []
        for piece in np.unique(self.solids.piece):
            members = np.flatnonzero(self.solids.piece == piece)
            rows, blends = distances[members], self.solids.blend[members]
            nearest = rows.min(axis=0)
            # A fillet needs two solids that are near; everywhere else the nearest one is all there is.
            filled = np.flatnonzero((rows < nearest + blends.max()).sum(axis=0) > 1)
            if len(filled) and blends.max() > 0:
                total, *others = rows[:, filled]
                for row, blend in zip(others, blends[1:].tolist(), strict=True):
                    close = np.flatnonzero(row < total + blend)
                    total[close] = fields.union(total[close], row[close], blend)
                nearest[filled] = total
            found.append(nearest)
        return np.stack(found)

    def weights(self, points: Points) -> Points:
        """How much every part moves a point ``[N, 3]``: soft around joints, rows sum to 1. ``[N, P]``"""
        return self.weights_at(self.solids.distances(points))

    def weights_at(self, distances: Points) -> Points:
        """`weights` from the distances to the solids ``[S, N]``. ``[N, P]``"""
        owner_part, near = self._part_distances(distances)
        nearest = near.min(axis=0)
        related = self._mixing()[owner_part].T  # [P, N]
        share = np.maximum(1.0 - (near - nearest) / np.maximum(related, 1e-6), 0.0)
        share = np.where(related > 0, share * share, 0.0)
        share[owner_part, np.arange(len(owner_part))] = 1.0
        return (share / share.sum(axis=0)).T.astype(np.float64)

    def paint(self, points: Points, normals: Points) -> Points:
        """sRGB colours 0..1 of places on the surface with normals, ``[N, 3]`` each. ``[N, 3]``"""
        return self.paint_at(points, normals, self.solids.distances(points))

    def paint_at(self, points: Points, normals: Points, distances: Points) -> Points:
        """`paint` from the distances to the solids ``[S, N]`` too. ``[N, 3]``"""
        owner_part, _ = self._part_distances(distances)
        return self.coat.colors(np.asarray(points), np.asarray(normals), owner_part)

    def _part_distances(self, distances: Points) -> tuple[NDArray[np.int64], Points]:
        """The part a surface point belongs to ``[N]`` and the distances to all parts of its piece ``[P, N]``."""
        pieces, rank = np.unique(self.solids.piece, return_inverse=True)
        if len(pieces) > 1:
            # The surface of a piece may run through the inside of another one, so the sign does not count.
            on_piece = np.abs(self.piece_distances(distances)).argmin(axis=0)
            distances = np.where(rank[:, None] == on_piece, distances, np.inf)
        having, starts = np.unique(self.solids.part, return_index=True)
        near = np.full((len(self.parts), distances.shape[1]), np.inf, dtype=np.float32)
        near[having] = np.minimum.reduceat(distances, starts, axis=0)
        return near.argmin(axis=0), near

    def _mixing(self) -> Points:
        """Width over which two parts share the skin: joint partners in one piece do, others do not. ``[P, P]``"""
        width = np.zeros((len(self.parts), len(self.parts)), dtype=np.float32)
        pieces = [set(self.solids.piece[self.solids.part == p].tolist()) for p in range(len(self.parts))]
        for child, part in enumerate(self.parts):
            if part.parent >= 0 and pieces[child] & pieces[part.parent]:
                width[child, part.parent] = width[part.parent, child] = self.softness[child]
        return width
