"""A motion that is never worse than none: what explains the frames less than standing still is held still.

The textured mesh is drawn as it was tracked and as it stands, and both are compared with the frames. Where the tracked
one is farther from them, the parts of the surface that are seen there go back to their place, smoothly towards what
moves on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor
from torch.nn.functional import avg_pool2d

from animate3d.cameras import Cameras
from animate3d.meshes import Mesh
from animate3d.motion.score import Explained, blur_size, blur_stride, blurred_change, explained
from animate3d.motion.surfaces import Array, Ids, edges_of
from animate3d.rasterize.textured import render_mesh
from animate3d.rasterize.visibility import visible_triangles

_PARTS = 24  # of a whole surface, about; what is held still is held part by part
_ROUNDS = 3  # holding one part changes what is seen of the others
_SOFTENING = 8  # steps of averaging over neighbours across the border of a held part


class Kept(NamedTuple):
    """A motion that explains the frames at least as well as standing still.

    Attributes:
        positions: ``[F, N, 3]``
        moving: ``[N]`` 1 where the tracked motion was kept, 0 where it was held still.
        explained: how much of the frames' change it shows.
        parts: ``[N]`` number of each vertex's part.
        gains: ``[P]`` how much of the frames' whole change the motion of each part explains; negative ones were held.
    """

    positions: Array
    moving: Array
    explained: Explained
    parts: Ids
    gains: Array


def keep_what_explains(mesh: Mesh, positions: Array, frames: Tensor, cameras: Cameras) -> Kept:
    """Hold still what explains the frames less than standing still.

    Args:
        mesh: gives triangles and looks, see `render_mesh`.
        positions: ``[F, N, 3]`` placed, frame 0 at rest.
        frames: ``[V, F, H, W, 4]`` RGBA 0..1.
        cameras: ``[V]`` with the size of the frames.
    """
    triangles, welded = mesh.triangles()[0], mesh.welded()
    parts = surface_parts(positions[0], triangles, welded)
    soften = _softener(triangles, welded)
    wanted = blurred_change(frames)
    total = max(float(wanted.square().sum()), 1e-12)
    still = np.repeat(positions[:1], len(positions), axis=0)
    moves = np.ones(parts.max() + 1)
    gains = np.zeros(len(moves))
    first: Array | None = None
    for _ in range(_ROUNDS):
        moving = soften(moves[parts])
        kept = still + moving[:, None] * (positions - still)
        drawn = _drawn(mesh, kept, cameras)
        better = wanted.square().sum(-1) - (wanted - blurred_change(drawn)).square().sum(-1)  # [V, F - 1, H', W']
        gains = _by_part(better.numpy() / total, still, kept, triangles, parts, cameras)
        first = gains if first is None else first
        harmful = (gains < 0) & (moves > 0)
        if not harmful.any():
            break
        moves[harmful] = 0.0
    moving = soften(moves[parts])
    kept = still + moving[:, None] * (positions - still)
    found = explained(frames, _drawn(mesh, kept, cameras))
    if found.total < 0:
        kept, moving = still, np.zeros(len(moving))
        found = explained(frames, _drawn(mesh, kept, cameras))
    return Kept(kept, moving, found, parts, np.where(moves > 0, gains, first if first is not None else gains))


def surface_parts(rest: Array, triangles: Ids, welded: Ids) -> Ids:
    """Parts of about equal extent, none of which spans two loose pieces: ``[N]`` numbers from 0."""
    edges = edges_of(welded[triangles])
    length = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1) + 1e-12
    graph = sparse.coo_matrix((length, edges.T), shape=(len(rest),) * 2).tocsr()
    piece = connected_components(graph, directed=False)[1]
    used = np.unique(welded[triangles])
    seeds = [int(used[0])]
    nearest = dijkstra(graph, directed=False, indices=seeds[0])
    owner = np.zeros(len(rest), np.int64)
    reach = float(np.linalg.norm(np.ptp(rest, axis=0))) / _PARTS**0.5
    while True:
        away = nearest[used]
        farthest = int(used[np.argmax(away)])  # unreached pieces are infinitely far
        if not away.max() > reach:
            break
        new = dijkstra(graph, directed=False, indices=farthest)
        owner[new < nearest] = len(seeds)
        nearest = np.minimum(nearest, new)
        seeds.append(farthest)
    assert (piece[np.array(seeds)[owner[used]]] == piece[used]).all()
    return np.unique(owner[welded], return_inverse=True)[1]


def _softener(triangles: Ids, welded: Ids):  # type: ignore[no-untyped-def]
    """A function that spreads values ``[N]`` a few vertices far; loose pieces keep theirs."""
    edges = edges_of(welded[triangles])
    both = np.concatenate([edges, edges[:, ::-1]])
    count = len(welded)
    links = sparse.coo_matrix((np.ones(len(both)), both.T), shape=(count, count)).tocsr() + sparse.identity(count)
    mean = sparse.diags(1.0 / np.asarray(links.sum(axis=1)).ravel()) @ links

    def soften(values: Array) -> Array:
        values = values[welded]
        for _ in range(_SOFTENING):
            values = mean @ values
        return np.round(values[welded], 12)  # what has only ones around it stays exactly one

    return soften


def _drawn(mesh: Mesh, positions: Array, cameras: Cameras) -> Tensor:
    return torch.from_numpy(render_mesh(mesh, positions, cameras, shading=False)).float() / 255


def _by_part(
    better: NDArray[np.float32], still: Array, moved: Array, triangles: Ids, parts: Ids, cameras: Cameras
) -> Array:
    """Sums of ``better [V, F - 1, H', W']`` over the blurred pixels in which each part is seen, moved or still."""
    count = int(parts.max()) + 1
    gains = np.zeros(count)
    of_triangle = parts[triangles[:, 0]]
    at_rest = _coverage(still[0], triangles, of_triangle, count, cameras)
    for f in range(better.shape[1]):
        shares = _coverage(moved[f + 1], triangles, of_triangle, count, cameras) + at_rest  # [V, P, H', W']
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
        gains += np.einsum("vphw,vhw->p", shares, better[:, f])
    return gains


def _coverage(points: Array, triangles: Ids, of_triangle: Ids, count: int, cameras: Cameras) -> NDArray[np.float32]:
    """How much of every blurred pixel each part covers. ``[V, P, H', W']``"""
    winners, _ = visible_triangles(points, triangles, cameras)
    part = np.where(winners >= 0, of_triangle[np.maximum(winners, 0)], count)
    layers = torch.nn.functional.one_hot(torch.from_numpy(part), count + 1)[..., :count].movedim(-1, 1).float()
    size = blur_size(cameras.height)
    return avg_pool2d(layers, size, stride=blur_stride(size)).numpy()
