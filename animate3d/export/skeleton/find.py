"""From a trajectory to few bones.

A large mesh is decomposed at some of its vertices and frames; its weights are spread over the surface and fitted at
every vertex, its bones fitted in every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from animate3d.errors import InputError
from animate3d.export.skeleton.decompose import decompose
from animate3d.export.skeleton.hierarchy import hierarchy, joints
from animate3d.export.skeleton.refine import fitted_bones, fitted_weights
from animate3d.export.skeleton.rig import INFLUENCES, Rig, Skinned, judged, storable
from animate3d.meshes.mesh import Mesh
from animate3d.motion.density import adjacency, gather
from animate3d.motion.surfaces import Array, Ids, edges_of, vertex_areas

MEAN_ERROR, MAX_ERROR = 0.003, 0.02
"""As fractions of the diagonal: ``auto`` takes bones until both are met."""
LADDER = (1, 4, 8, 12, 16, 24, 32)
"""Numbers of bones that ``auto`` tries."""
MOST = 256
"""Bones, at most."""

_NODES, _CROWDED = 2500, 1.25  # vertices that are decomposed, and how many more are left as they are
_FRAMES, _WEIGHT_FRAMES = 24, 48  # frames that are decomposed, and that weights are fitted to
_BONE_VERTICES = 20_000  # that bones are fitted to
_FRAMES_AT_ONCE = 32
_CANDIDATES = 8  # bones of a vertex before it chooses
_HOLD = 1e-3  # of the diagonal: see `fitted_weights`
_ROUNDS = 5


def find_skeleton(mesh: Mesh, positions: Array, bones: int | str = "auto") -> Skinned:
    """Few rigid bones that give a trajectory.

    Args:
        mesh: gives the faces and which vertices coincide: those get the same weights.
        positions: ``[F, N, 3]``, frame 0 the rest pose.
        bones: their number, or ``"auto"``: as few of `LADDER` as keep within `MEAN_ERROR` and `MAX_ERROR`, else 32.

    Raises:
        InputError: a number that is not 1 to 256.
        MissingDependencyError: `py_dem_bones` is not installed.
    """
    if bones != "auto" and not (isinstance(bones, int) and 1 <= bones <= MOST):
        raise InputError(f"A skeleton has 1 to {MOST} bones, or `auto`; {bones} cannot be made.")
    surface = _surface(mesh, positions)
    numbers = list(LADDER) if bones == "auto" else [int(bones)]
    best: Skinned | None = None
    while numbers:
        count = numbers.pop(0)
        found = judged(_rig(surface, count), positions)
        if best is None or found.mean_error < best.mean_error or found.max_error < best.max_error:
            best = found
        if found.mean_error <= MEAN_ERROR and found.max_error <= MAX_ERROR:
            return found
        if count > 1 and len(numbers) > 1 and (found.mean_error > 3 * MEAN_ERROR or found.max_error > 3 * MAX_ERROR):
            numbers.pop(0)  # far off: the next number would not do either
    assert best is not None
    return best


@dataclass(frozen=True)
class _Surface:
    """Vertices that differ, and those among them that are decomposed.

    Attributes:
        positions: ``[F, n, 3]``
        owner: ``[N]`` which of them every vertex of the mesh is.
        areas: ``[n]``
        spread: ``[n, n]`` sparse: means over a vertex and its neighbours.
        nodes: ``[m]`` the vertices that are decomposed.
        node_of: ``[n]`` the node that stands for each.
        triangles: ``[S, 3]`` nodes.
    """

    positions: Array
    owner: Ids
    areas: Array
    spread: sparse.csr_matrix
    nodes: Ids
    node_of: Ids
    triangles: Ids

    @property
    def size(self) -> float:
        return float(np.linalg.norm(np.ptp(self.positions[0], axis=0))) or 1.0


def _surface(mesh: Mesh, positions: Array) -> _Surface:
    kept, owner = np.unique(mesh.welded(), return_inverse=True)
    owner = owner.reshape(-1)
    points = positions[:, kept]
    corners = _proper(owner[mesh.triangles()[0]])
    used, triangles = np.unique(corners, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    nodes, node_of = used, np.arange(len(used))
    if len(used) > _CROWDED * _NODES:
        node_of, firsts = gather(points[0, used], triangles, _NODES)
        triangles = _proper(node_of[triangles])
        seen = np.unique(triangles)
        again = np.full(len(firsts), -1, dtype=np.int64)
        again[seen] = np.arange(len(seen))
        nodes, triangles = used[firsts[seen]], again[triangles]
        # Clusters that no triangle is left of go with the nearest node.
        lost = again[node_of] < 0
        nearest = cKDTree(points[0, nodes]).query(points[0, used[lost]])[1] if lost.any() else []
        node_of = np.where(lost, 0, again[node_of])
        node_of[lost] = nearest
    whole = np.empty(len(kept), dtype=np.int64)
    whole[used] = node_of
    loose = np.setdiff1d(np.arange(len(kept)), used)
    if len(loose):
        whole[loose] = cKDTree(points[0, nodes]).query(points[0, loose])[1]
    near = adjacency(edges_of(corners), len(kept)).astype(np.float64).tocsr()
    near = near + near.T + sparse.identity(len(kept))
    spread = sparse.diags(1.0 / np.asarray(near.sum(axis=1)).reshape(-1)) @ near
    return _Surface(points, owner, vertex_areas(points[0], corners), spread.tocsr(), nodes, whole, triangles)


def _proper(triangles: Ids) -> Ids:
    a, b, c = triangles.T
    return triangles[(a != b) & (b != c) & (c != a)]


def _rig(surface: _Surface, count: int) -> Rig:
    """So many bones, or fewer where some came out empty."""
    points, rest = surface.positions, surface.positions[0]
    frames = len(points)
    keys = _even(1, frames, _FRAMES)
    if count == 1 or not len(keys) or len(surface.nodes) < 4 * count:
        wanted, bones = np.ones((len(rest), 1)), 1
        rotations = np.broadcast_to(np.eye(3), (max(len(keys), 1), bones, 3, 3)).copy()
        translations = np.zeros((max(len(keys), 1), bones, 3))
    else:
        at = points[:, surface.nodes]
        found, rotations, translations = decompose(at[0], at[keys], surface.triangles, count)
        wanted = found[surface.node_of]
    weights = wanted
    if len(keys):
        chosen = points[_even(1, frames, _WEIGHT_FRAMES)]
        for _ in range(2):
            wanted = surface.spread @ weights
            rotations, translations = _bones(surface, wanted, rotations, translations)
            shown = _even(0, frames - 1, _WEIGHT_FRAMES)
            weights = _weights(rest, chosen, rotations[shown], translations[shown], wanted, surface.size)
        weights, rotations, translations = _without_idle(weights, rotations, translations)
        rotations, translations = _bones(surface, weights, rotations, translations)
    turns = np.concatenate([np.broadcast_to(np.eye(3), (1, *rotations.shape[1:])), rotations])[:frames]
    moves = np.concatenate([np.zeros((1, *translations.shape[1:])), translations])[:frames]
    return _assembled(surface, weights, turns, moves)


def _weights(rest: Array, poses: Array, rotations: Array, translations: Array, wanted: Array, size: float) -> Array:
    """Weights ``[n, B]`` of at most four bones."""
    for most in (_CANDIDATES, INFLUENCES):
        bones, values = fitted_weights(rest, poses, rotations, translations, wanted, most, _HOLD * size)
        wanted = np.zeros_like(wanted)
        np.put_along_axis(wanted, bones, values, axis=1)
    return wanted


def _without_idle(weights: Array, rotations: Array, translations: Array) -> tuple[Array, Array, Array]:
    """Leave out the bones that move next to nothing."""
    busy = weights.sum(axis=0) > 0.5
    busy |= ~busy.any()
    weights = weights[:, busy]
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(total > 0, weights / np.maximum(total, 1e-30), 1.0 / weights.shape[1])
    return weights, rotations[:, busy], translations[:, busy]


def _bones(surface: _Surface, weights: Array, rotations: Array, translations: Array) -> tuple[Array, Array]:
    """Bones in every frame after the first, from those in some of them."""
    frames, rest = len(surface.positions), surface.positions[0]
    some = _even(0, len(rest), _BONE_VERTICES)
    nearest = np.rint(np.linspace(0, len(rotations) - 1, frames - 1)).astype(np.int64)
    turns, moves = rotations[nearest], translations[nearest]
    rounds = _ROUNDS if len(rotations) == frames - 1 else 2 * _ROUNDS
    for start in range(0, frames - 1, _FRAMES_AT_ONCE):
        at = slice(start, start + _FRAMES_AT_ONCE)
        poses = surface.positions[1:][at][:, some]
        turns[at], moves[at] = fitted_bones(rest[some], poses, weights[some], turns[at], moves[at], rounds)
    return turns, moves


def _assembled(surface: _Surface, weights: Array, rotations: Array, translations: Array) -> Rig:
    rest = surface.positions[0]
    order, parents = hierarchy(rest, weights, surface.areas + 1e-12, rotations, translations)
    weights, rotations, translations = weights[:, order], rotations[:, order], translations[:, order]
    places = joints(rest, weights, parents, rotations, translations)
    shares = np.pad(weights, ((0, 0), (0, max(0, INFLUENCES - weights.shape[1]))))
    strongest = np.argsort(-shares, axis=1, kind="stable")[:, :INFLUENCES]
    influences, values = storable(strongest, np.take_along_axis(shares, strongest, axis=1))
    return Rig(
        names=[f"bone_{number:02d}" for number in range(len(order))],
        parents=parents,
        joints=places,
        # Not turned at rest: their angles stay small, and Euler angles of FBX far from where they lock.
        axes=np.broadcast_to(np.eye(3), (len(order), 3, 3)).copy(),
        rotations=rotations,
        translations=translations,
        influences=influences[surface.owner],
        weights=values[surface.owner],
    )


def _even(first: int, end: int, most: int) -> Ids:
    """At most so many of the numbers from ``first`` to before ``end``."""
    if end - first <= most:
        return np.arange(first, end)
    return np.unique(np.rint(np.linspace(first, end - 1, most)).astype(np.int64))
