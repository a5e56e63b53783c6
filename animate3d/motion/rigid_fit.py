"""Node positions that meet rays, as rigidly as possible (Sorkine and Alexa 2007): a sparse least-squares problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animate3d.motion import fit_kernels
from animate3d.motion.cholesky import Factor, conjugate_gradients, factorise, find_pattern
from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.template import Template

_HOLD = 1e-3  # pull towards the start, against the stiffness: what nothing observes stays
_JOINT = 0.1  # of the usual distance of nodes: a link this far from its shape is at a joint and holds half as firmly
_LEFT = 0.05  # of its firmness, at least
_CG_STEPS = 12  # enough with the preconditioner; the turns of rotations and positions do the rest
_CG_TOLERANCE = 1e-5
_EYES = 8  # cameras among which one is sought that sees across the first one's line of sight


class Rays(NamedTuple):
    """Points of the surface and the rays of sight on which they were found."""

    triangles: NDArray[np.int32]  # [P]
    barycentrics: Array  # [P, 3]
    origins: Array  # [P, 3]
    directions: Array  # [P, 3] unit
    weights: Array  # [P]
    across: Array  # [P, 3] unit, at right angles to the directions
    firmness: Array  # [P, 2] 0..1, say of the distances along `across` and at right angles to both


def joined(rays: Iterable[Rays]) -> Rays:
    """All of several rays."""
    return Rays(*(np.concatenate(parts) for parts in zip(*rays, strict=True)))


class Anchors(NamedTuple):
    """What is known of every node along one direction each: the plane it should lie on."""

    directions: Array  # [M, 3] unit
    distances: Array  # [M] of the plane from the origin, along the direction
    weights: Array  # [M] against the stiffness of the node's links


class _System(NamedTuple):
    """Block-sparse normal equations."""

    own: Array  # [M, 3, 3]
    shared: Array  # [E, 3, 3]
    right: Array  # [M, 3]
    factor: Factor  # of the preconditioner


class RigidFit:
    """The solver of one template; everything that depends on the rest shape alone is prepared once.

    Args:
        joints: links that are far from their shape hold less firmly and all others more, so that a limb turns about its
            joint where it would otherwise bend and shrink a little everywhere.
        bound: pieces hold to one another as firmly as they do in themselves.
    """

    def __init__(self, template: Template, *, joints: bool = False, bound: bool = False) -> None:
        self._rest, self._triangles = template.rest, template.triangles
        self._n, self._inner = template.n_nodes, len(template.links)
        self._edge, self._joints = template.edge, joints
        self._pairs = np.ascontiguousarray(np.concatenate([template.links, template.bonds.pairs]))
        i, j = self._pairs.T
        # Every part of the surface has the same say, however many nodes and links it has.
        say = template.areas / template.areas.mean()
        per_link = say / np.maximum(np.bincount(template.links.ravel(), minlength=self._n), 1)
        self._weights = per_link[i] + per_link[j]
        if not bound:
            self._weights[self._inner :] *= template.bonds.firmness
        ends = np.concatenate([self._pairs, self._pairs[:, ::-1]])
        order = np.argsort(ends[:, 0], kind="stable")
        starts = np.searchsorted(ends[order, 0], np.arange(self._n + 1))
        links = np.tile(np.arange(len(self._pairs)), 2)[order]
        self._graph = (starts, np.ascontiguousarray(ends[order, 1]), links)
        self._sides = _sides(template.triangles, template.links, self._n)
        self._pattern = find_pattern(self._pairs, self._n)

    def solve(self, start: Array, rays: Rays, stiffness: float, turns: int, anchors: Anchors | None = None) -> Array:
        """Positions close to ``start``.

        Args:
            start: ``[M, 3]``
            rays: what was seen.
            stiffness: weight of the rigidity of all links together against all rays together.
            turns: alternations of rotations and positions.
            anchors: what else is known.

        Returns:
            ``[M, 3]``
        """
        scale = stiffness * max(float(rays.weights.sum()), 1.0) / self._n
        weights = scale * self._firmness(start)
        system = self._system(start, rays, weights, _HOLD * scale, anchors, scale)
        positions = start
        for _ in range(turns):
            right = system.right.copy()
            rotations = self._rotations(positions, weights)
            fit_kernels.pull_to_shape(self._rest, rotations, weights, *self._graph, right)
            positions = self._conjugate_gradients(system, right, positions)
        return positions

    def rotations(self, positions: Array) -> Array:
        """The rotation that best explains each node's links: ``[M, 3]`` -> ``[M, 3, 3]``."""
        return self._rotations(np.ascontiguousarray(positions), self._weights)

    def _rotations(self, positions: Array, weights: Array) -> Array:
        found = np.empty((self._n, 3, 3))
        fit_kernels.find_rotations(self._rest, positions, weights, *self._graph, found)
        return found

    def _firmness(self, positions: Array) -> Array:
        """Weights of the links, as firmly as they hold at ``positions``. ``[E]``

        Bonds between pieces that the frames have pulled apart lose theirs, with joints the links inside of a piece too,
        in favour of the others.
        """
        first = 0 if self._joints else self._inner
        pairs = self._pairs[first:]
        if not len(pairs):
            return self._weights
        stretch = np.empty(len(pairs))
        fit_kernels.link_stretch(self._rest, positions, self.rotations(positions), pairs, stretch)
        stretch /= self._edge
        weights = self._weights.copy()
        weights[self._inner :] /= (1.0 + stretch[self._inner - first :] ** 2) ** 2
        if self._joints:
            inner = weights[: self._inner]
            whole = inner.sum()
            inner *= _LEFT + (1.0 - _LEFT) / (1.0 + (stretch[: self._inner] / _JOINT) ** 2)
            inner *= whole / max(inner.sum(), 1e-30)
        return weights

    def _system(
        self, start: Array, rays: Rays, weights: Array, hold: float, anchors: Anchors | None, scale: float
    ) -> _System:
        n, pairs = self._n, self._pairs
        own, shared = np.zeros((n, 3, 3)), np.zeros((len(pairs), 3, 3))
        right = hold * start
        fit_kernels.add_rays(*rays, self._triangles, self._sides, own, shared, right)
        if anchors is not None:
            along, pull = anchors.directions, scale * anchors.weights
            own += (pull[:, None] * along)[:, :, None] * along[:, None, :]
            right += (pull * anchors.distances)[:, None] * along
        fit_kernels.add_stiffness(pairs, weights, hold, own, shared)
        factor = factorise(self._pattern, pairs, own, shared, _sight_axes(start, rays.origins))
        return _System(own, shared, right, factor)

    def _conjugate_gradients(self, system: _System, right: Array, positions: Array) -> Array:
        """A few preconditioned steps from ``positions [M, 3]`` towards the solution."""
        found = positions.copy()
        goal = _CG_TOLERANCE * float(np.linalg.norm(right))
        system_of = (system.own, system.shared, *self._graph)
        conjugate_gradients(found, right, *system_of, *self._pattern.solved_by, *system.factor, _CG_STEPS, goal)
        return found


def _sight_axes(nodes: Array, origins: Array) -> Array:
    """Axes of every node along which the rays hardly join its coordinates ``[M, 3, 3]``, rows.

    A ray says nothing along itself: the first axis is the line of sight of one camera, the second nearly that of the
    camera that sees across it.

    Args:
        nodes: ``[M, 3]``
        origins: ``[P, 3]`` of the rays, those of one camera after the other.
    """
    begins = np.append(True, (origins[1:] != origins[:-1]).any(axis=1))[: len(origins)]
    eyes = origins[begins][:_EYES]
    axes = np.empty((len(nodes), 3, 3))
    if not len(eyes):
        axes[:] = np.eye(3)
        return axes
    sights = nodes.mean(axis=0) - eyes
    sights /= np.linalg.norm(sights, axis=1, keepdims=True) + 1e-30
    fit_kernels.find_axes(nodes, eyes[0], eyes[np.abs(sights @ sights[0]).argmin()], axes)
    return axes


def _sides(triangles: Ids, links: Ids, n: int) -> Ids:
    """The link opposite to each corner of each triangle. ``[S, 3]``"""
    sides = np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], axis=1)
    sides = np.sort(sides, axis=2)
    return np.searchsorted(links[:, 0] * n + links[:, 1], sides[..., 0] * n + sides[..., 1])
