"""A motion that is never worse than none: what explains the frames less than standing still is held.

The textured mesh is drawn as it was tracked and as it stands, and both are compared with the frames. Where the tracked
one is farther from them, a loose piece goes back to its place, and a part of a piece that moves goes along with it
rigidly: standing still inside of something that moves would tear it. In a scene an object whose motion as a whole
explains less than none stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import spsolve
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv_transpose2d

from animate3d.cameras import Cameras
from animate3d.meshes import Mesh
from animate3d.meshes.scene import Scene
from animate3d.motion.matching import FrameSource, in_size
from animate3d.motion.score import Explained, believable, blur_size, blur_stride, blurred, explained_change
from animate3d.motion.surfaces import Array, Ids, edges_of, nearest_rotations, sum_at
from animate3d.rasterize.textured import render_mesh
from animate3d.rasterize.visibility import visible_triangles

_PARTS = 24  # of a whole surface, about; what is held is held part by part
_ROUNDS = 3  # holding one part changes what is seen of the others
_HARM = 0.1  # of the change that is seen where a part is: what its motion may cost a moving piece, less is noise
_HEIGHT = 128  # rows of the images that are compared
_AT_ONCE = 24  # frames that are drawn and compared together: memory does not grow with the length of a clip
_SOFTNESS = 0.05  # of the diagonal: how far the border of a held part reaches

_Parts: TypeAlias = NDArray[np.unsignedinteger]  # of small numbers, which take few bytes for every pixel of a clip


class Kept(NamedTuple):
    """A motion that explains the frames at least as well as standing still.

    Attributes:
        positions: ``[F, N, 3]``
        moving: ``[N]`` 1 where the tracked motion was kept, 0 where it was held.
        explained: how much of the frames' change it shows.
        parts: ``[N]`` number of each vertex's part.
        gains: ``[P]`` how much of the frames' whole change the motion of each part explains; negative ones were held.
    """

    positions: Array
    moving: Array
    explained: Explained
    parts: Ids
    gains: Array


def keep_what_explains(
    mesh: Mesh, positions: Array, frames: FrameSource, cameras: Cameras, known: NDArray[np.bool_] | None = None
) -> Kept:
    """Hold what explains the frames less than standing still.

    Args:
        mesh: gives triangles and looks, see `render_mesh`.
        positions: ``[F, N, 3]`` placed, frame 0 at rest.
        frames: ``[V, F, H, W, 4]`` RGBA 0..1, read a few at a time.
        cameras: ``[V]`` with the size of the frames.
        known: ``[V, H, W]`` where they show anything.
    """
    wanted, cameras = _wanted(frames, cameras)
    known = None if known is None else in_size(known, cameras.width, cameras.height)
    idle = _idle_objects(mesh, positions, wanted, cameras, known)
    positions = np.where(idle[:, None], positions[:1], positions) if idle.any() else positions
    surface = _Surface.of(_alike(mesh, positions[0]), mesh.triangles()[0], mesh.welded())
    total = max(float(wanted.square().sum()), 1e-12)
    held = np.zeros(len(surface.piece_of_part), bool)
    gains = np.zeros(len(held))
    kept = _Motion(positions, surface, held)
    shown, seen = _shown(mesh, kept, cameras, known), _seen(kept, surface, cameras, known)
    seen_still = np.broadcast_to(_seen(positions[[0, 0]], surface, cameras, known), seen.shape)

    def gained(change: Tensor | float, others: _Parts) -> Array:
        """What the motion of every part explains more than another motion does, and the change there. ``[2, P]``"""
        better = (wanted - change).square() - (wanted - shown).square()
        both = torch.stack([better, wanted.square()]).sum(-1) / total
        return _by_part(both, others, seen, len(held))

    for _ in range(_ROUNDS):
        over_still, _ = gained(0.0, seen_still)  # a render of what stands still does not change
        gains = np.where(held, gains, over_still)  # of a held part: what its motion had cost
        of_piece = np.bincount(surface.piece_of_part, over_still)[surface.piece_of_part]
        calm = _Motion(positions, surface, held, everywhere=True)
        over_calm, change = gained(_shown(mesh, calm, cameras, known), _seen(calm, surface, cameras, known))
        harmful = ~held & ((over_calm < -_HARM * change) | (of_piece < 0))
        if not harmful.any():
            break
        held |= harmful
        shown, seen = _shown(mesh, kept, cameras, known), _seen(kept, surface, cameras, known)
    moving = np.where(idle, 0.0, surface.soften(1.0 - held[surface.parts]))
    found = explained_change(wanted, shown)
    if not believable(wanted, shown):
        still, moving = np.repeat(positions[:1], len(positions), axis=0), np.zeros(len(moving))
        return Kept(still, moving, explained_change(wanted, torch.zeros_like(wanted)), surface.parts, gains)
    return Kept(kept.whole(), moving, found, surface.parts, gains)


def _idle_objects(
    mesh: Mesh, positions: Array, wanted: Tensor, cameras: Cameras, known: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Vertices ``[N]`` of those objects of a scene whose motion explains less than if they alone stood still.

    Where they stand before or behind others, what is seen there mostly changes by those, so parts cannot tell.
    """
    idle = np.zeros(positions.shape[1], bool)
    if not isinstance(mesh, Scene):
        return idle
    missed = (wanted - _shown(mesh, positions, cameras, known)).square().sum()
    for number in range(len(mesh.members)):
        own = mesh.objects == number
        held = np.where(own[:, None], positions[:1], positions)
        if (wanted - _shown(mesh, held, cameras, known)).square().sum() <= missed:
            idle |= own
    return idle


def _alike(mesh: Mesh, rest: Array) -> Array:
    """A rest pose ``[N, 3]`` for measuring: in a scene every object is centred and as large as any other."""
    if not isinstance(mesh, Scene):
        return rest
    alike = rest.copy()
    for number in range(len(mesh.members)):
        own = mesh.objects == number
        low, high = rest[own].min(axis=0), rest[own].max(axis=0)
        alike[own] = (rest[own] - (low + high) / 2) / np.linalg.norm(high - low)
    return alike


class _Surface(NamedTuple):
    """What is held together: parts ``[N]``, loose pieces ``[N]``, and the piece of every part ``[P]``."""

    triangles: Ids
    parts: Ids
    pieces: Ids
    piece_of_part: Ids
    soften: Callable[[Array], Array]

    @staticmethod
    def of(rest: Array, triangles: Ids, welded: Ids) -> _Surface:
        edges = edges_of(welded[triangles])
        links = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(rest),) * 2)
        pieces = connected_components(links, directed=False)[1][welded]
        parts = surface_parts(rest, triangles, welded)
        piece_of_part = np.zeros(parts.max() + 1, np.int64)
        piece_of_part[parts] = pieces
        return _Surface(
            triangles, parts, pieces, np.unique(piece_of_part, return_inverse=True)[1], _softener(rest, edges, welded)
        )


@dataclass(frozen=True)
class _Motion:
    """A motion in which parts are held, made a few frames at a time: a long one is not there twice.

    Held parts go rigidly with what else moves of their piece; pieces that are held altogether stand still.

    Attributes:
        positions: ``[F, N, 3]`` as tracked, frame 0 at rest.
        surface: what is held together.
        held: ``[P]``
        everywhere: let what is not held go rigidly with its piece as well.
    """

    positions: Array
    surface: _Surface
    held: NDArray[np.bool_]
    everywhere: bool = False

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, frames: slice) -> Array:
        positions, rest = self.positions[frames], self.positions[0]
        if not (self.everywhere or self.held.any()):
            return positions
        free = ~self.held[self.surface.parts]
        calm = _piece_motions(positions, rest, self.surface.pieces, free)
        if self.everywhere:
            return calm
        moving = self.surface.soften(free.astype(float))[:, None]
        return np.where(moving < 1.0, calm + moving * (positions - calm), positions)

    def whole(self) -> Array:
        """All frames ``[F, N, 3]``; as tracked where nothing is held."""
        if not self.held.any():
            return self.positions
        whole = np.empty_like(self.positions)
        for some in _spans(len(self)):
            whole[some] = self[some]
        return whole


def _spans(count: int) -> Iterator[slice]:
    """A few frames of so many at a time."""
    return (slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))


def _piece_motions(positions: Array, rest: Array, pieces: Ids, free: NDArray[np.bool_]) -> Array:
    """Every vertex moved by the rigid motion that the free vertices of its piece have together. ``[F, N, 3]``"""
    count = int(pieces.max()) + 1
    size = np.maximum(np.bincount(pieces, free, count), 1e-9)[:, None]

    def sums(values: Array) -> Array:
        return sum_at(values * free[:, None], pieces, count)

    center = sums(rest) / size
    calm = np.empty_like(positions)
    for f, moved in enumerate(positions):
        there = sums(moved) / size
        outer = (moved - there[pieces])[:, :, None] * (rest - center[pieces])[:, None, :]
        turns = nearest_rotations(sums(outer.reshape(-1, 9)).reshape(-1, 3, 3))
        along = np.einsum("nij,nj->ni", turns[pieces], rest - center[pieces]) + there[pieces]
        calm[f] = rest if np.array_equal(moved, rest) else np.where(size[pieces] > 0.5, along, rest)
    return calm


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


def _softener(rest: Array, edges: Ids, welded: Ids) -> Callable[[Array], Array]:
    """A function that spreads values ``[N]`` over the surface, as far in any tessellation; loose pieces keep theirs."""
    count = len(rest)
    squared = np.square(rest[edges[:, 0]] - rest[edges[:, 1]]).sum(1)
    width = _SOFTNESS * np.linalg.norm(np.ptp(rest, axis=0))
    weights = width**2 / np.maximum(squared, 1e-4 * width**2)
    links = sparse.coo_matrix((weights, edges.T), shape=(count, count))
    links = (links + links.T).tocsr()
    degree = np.maximum(np.diff(links.indptr), 1)
    laplacian = sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
    # Implicit diffusion; every neighbour counts 1 / degree, whatever the tessellation.
    system = (sparse.diags(degree.astype(float)) + laplacian).tocsc()

    def soften(values: Array) -> Array:
        if values.min() == values.max():
            return values
        spread = np.asarray(spsolve(system, degree * values[welded]))
        return np.clip(np.round(spread, 9), 0.0, 1.0)[welded]  # what has only ones around it stays exactly one

    return soften


def _wanted(frames: FrameSource, cameras: Cameras) -> tuple[Tensor, Cameras]:
    """The blurred change of frames of about `_HEIGHT` rows ``[V, F - 1, H', W', 3]``, and cameras of their size.

    What is compared is blurred anyway, and drawing costs in proportion to pixels.
    """
    height, width = frames.shape[2:4]
    most = max(1, height // _HEIGHT)
    factor = next(f for f in range(most, 0, -1) if height % f == 0 and width % f == 0)

    views, count = frames.shape[:2]
    soft = _room(views, count, height // factor, width // factor)
    for v in range(views):
        for f in range(count):
            soft[v, f] = blurred(_coarse(torch.as_tensor(frames[v, f])[None, None], factor))[0, 0]
    return soft[:, 1:] - soft[:, :1], cameras.resized(height // factor, width // factor)


def _room(views: int, count: int, height: int, width: int) -> Tensor:
    """For blurred frames of a size ``[V, F, H', W', 3]``.

    It is made first: small results between large ones would keep the memory of these from being used again.
    """
    one = blurred(torch.zeros(1, 1, height, width, 4))
    return torch.empty(views, count, *one.shape[2:])


def _coarse(frames: Tensor, factor: int) -> Tensor:
    """Frames ``[V, F, H, W, 4]`` reduced by a factor."""
    if factor == 1:
        return frames
    # Colours count as much as they cover; straight alpha again at the end.
    weighted = torch.cat([frames[..., :3] * frames[..., 3:], frames[..., 3:]], dim=-1)
    views, count = frames.shape[:2]
    small = avg_pool2d(weighted.flatten(0, 1).movedim(-1, 1), factor).movedim(1, -1).unflatten(0, (views, count))
    color = small[..., :3] / small[..., 3:].clamp_min(1e-6)
    return torch.cat([color, small[..., 3:]], dim=-1)


def _shown(mesh: Mesh, positions: Array | _Motion, cameras: Cameras, known: NDArray[np.bool_] | None) -> Tensor:
    """The blurred change that a motion shows where anything is known ``[V, F - 1, H', W', 3]``."""
    soft = _room(len(cameras.c2w), len(positions), cameras.height, cameras.width)
    for some in _spans(len(positions)):
        drawn = render_mesh(mesh, positions[some], cameras, shading=False)
        if known is not None:
            drawn = drawn * known[:, None, :, :, None]
        soft[:, some] = blurred(torch.from_numpy(drawn).float() / 255)
    return soft[:, 1:] - soft[:, :1]


def _seen(positions: Array | _Motion, surface: _Surface, cameras: Cameras, known: NDArray[np.bool_] | None) -> _Parts:
    """The part that every pixel of the frames after frame 0 shows, P where it shows none. ``[V, F - 1, H, W]``"""
    none = len(surface.piece_of_part)
    of_triangle = np.append(surface.parts[surface.triangles[:, 0]], none).astype(np.min_scalar_type(none))
    parts = [
        of_triangle[visible_triangles(points, surface.triangles, cameras)[0]]
        for some in _spans(len(positions))
        for points in positions[some]
    ]
    seen = np.stack(parts[1:], axis=1)
    return seen if known is None else np.where(known[:, None], seen, seen.dtype.type(none))


def _by_part(values: Tensor, one: _Parts, other: _Parts, count: int) -> Array:
    """Sums ``[Q, P]`` of values ``[Q, V, F - 1, H', W']`` of blurred pixels, shared among the parts seen there.

    Args:
        values: of the blurred pixels.
        one, other: ``[V, F - 1, H, W]`` the part that each pixel shows, moved either way.
        count: P
    """
    if one.shape[1] > _AT_ONCE:
        spans = _spans(one.shape[1])
        return np.sum([_by_part(values[:, :, some], one[:, some], other[:, some], count) for some in spans], axis=0)
    size = blur_size(one.shape[2])
    stride = blur_stride(size)
    seen = torch.from_numpy((one < count).astype(np.float32) + (other < count))
    covered = avg_pool2d(seen, size, stride=stride).clamp_min(1e-9)
    # Every pixel of a part gets an equal share of each blurred pixel that it is in: the transpose of the average.
    kernel = torch.full((1, 1, size, size), 1.0 / size**2)
    shares = conv_transpose2d((values / covered).flatten(0, 2)[:, None], kernel, stride=stride)[:, 0]
    shares = shares.unflatten(0, values.shape[:3])
    height, width = shares.shape[-2:]
    return np.stack(
        [
            sum(
                np.bincount(parts[..., :height, :width].ravel(), of_pixel.numpy().ravel(), count + 1)[:count]
                for parts in (one, other)
            )
            for of_pixel in shares
        ]
    )
