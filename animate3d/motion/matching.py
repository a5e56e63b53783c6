"""Where the frames show the points of a moving surface."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.motion import match_kernels
from animate3d.motion.flow import Bytes, Image, covered, find_flow, sample, stored
from animate3d.motion.outlines import bare_pairs, hidden_pairs, outside_pairs, sparse_pixels
from animate3d.motion.part_poses import PartPoses
from animate3d.motion.rigid_fit import Rays, joined
from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.template import Template
from animate3d.motion.texture import Sight, seen_by_texture
from animate3d.rasterize.visibility import on_surface, visible_through, visible_triangles

_DEPTH_MARGIN = 1.007  # what frame 0 shows so much nearer or farther away than a point of the surface is not it
_BLUR = 32  # a share of 1 / _BLUR of the image's height is averaged: fine texture may lie a pixel off
_REMEMBERED = 24  # drawn surfaces: the starts of a frame and what the last one ended with, of four ways
_REACH = 0.03  # of the image: how far a limb in front may be from a pixel that a limb behind it could show as well


_Made = TypeVar("_Made")


class FrameSource(Protocol):
    """Frames of V views ``[V, F, H, W, 4]``, RGBA 0..1, of which one at a time is asked for; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """V, F, H, W and 4."""

    def __getitem__(self, at: tuple[int, int], /) -> Any:
        """Frame f of view v ``[H, W, 4]``."""


class MatchSettings(NamedTuple):
    """See `TrackSettings`."""

    stride: int
    residual: float
    outline: float


class Misses(NamedTuple):
    """What a frame shows and a surface does not: squares of blurred colours on grey.

    Attributes:
        sums: ``[M]`` at the pixels where the surface around each node is drawn.
        pixels: ``[M]`` how many these are.
        total: of all pixels.
    """

    sums: Array
    pixels: Array
    total: float


class _Points(NamedTuple):
    """Points of the surface and where they should be seen in one view."""

    triangles: NDArray[np.int32]  # [P]
    barycentrics: Array  # [P, 3]
    seen: Sight
    weights: Array  # [P] what it counts, for every pixel that it stands for


class _Look(NamedTuple):
    """What one view sees of the surface."""

    triangles: NDArray[np.int32]  # [H, W]
    weights: Image  # [H, W, 2]
    image: Bytes  # [H, W, 4]


class Matcher:
    """Finds where the frames show the points of the surface."""

    def __init__(
        self,
        template: Template,
        frames: FrameSource,
        cameras: Cameras,
        settings: MatchSettings,
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """``known [V, H, W]``: where the frames show anything; what lies elsewhere is neither there nor missing."""
        self._known, self._borders = known, None if known is None else known & ~_eroded(known)
        self._template, self._cameras, self._settings = template, cameras, settings
        self._frames = frames
        self._first = np.stack([np.asarray(frames[v, 0], np.float32) for v in range(frames.shape[0])])
        self._drawn: deque[tuple[Array, list[_Look]]] = deque(maxlen=_REMEMBERED)
        self._targets: tuple[int, list[Bytes]] = (-1, [])  # of one frame, by its number: long clips are never held
        self._viewmats = cameras.viewmats.double().cpu().numpy()
        self._c2w = cameras.c2w.double().cpu().numpy()
        self._focals = cameras.focal.double().cpu().numpy()
        self._half = np.array([cameras.width, cameras.height]) / 2
        self._corner = _a_corner_of_each(template.triangles, template.n_nodes)
        self._blur = max(1, cameras.height // _BLUR)
        self._rest = np.stack([self._local(v, template.rest) for v in range(frames.shape[0])])
        winners, weights = visible_triangles(template.rest, template.triangles, cameras)
        self._first_inverse_depth = np.zeros(winners.shape, np.float32)
        for v, (winner, weight) in enumerate(zip(winners, weights, strict=True)):
            on = winner >= 0
            depth = on_surface(self._rest[v], template.triangles, winner[on], weight[on])[:, 2]
            self._first_inverse_depth[v][on] = 1.0 / np.maximum(depth, 1e-6)

    def match(self, nodes: Array, frame: int, finest: int) -> tuple[Rays, Array]:
        """Compare the surface at ``nodes [M, 3]`` with one frame; ``finest``: see `find_flow`.

        Returns:
            rays of all views, and how well each node was found again, 0..1 ``[M]``; 0 for what no camera sees.
        """
        looks, targets = self._looks(nodes), self.shown(frame)
        found = _each(lambda v: self._match_view(v, nodes, targets[v], looks[v], finest), len(looks))
        rays, confidence = zip(*found, strict=True)
        return joined(rays), np.max(confidence, axis=0)

    def missed(self, nodes: Array, frame: int) -> float:
        """How much of a frame the surface at ``nodes [M, 3]`` does not show, see `Misses`."""
        return sum(total for _, _, total in self._apart(nodes, frame))

    def misses(self, nodes: Array, frame: int) -> Misses:
        """How much of a frame the surface at ``nodes [M, 3]`` does not show, and where."""
        sums, pixels, total = np.zeros(len(nodes)), np.zeros(len(nodes)), 0.0
        for winner, squares, of_view in self._apart(nodes, frame):
            on = winner >= 0
            corners = self._template.triangles[winner[on]].ravel()
            sums += np.bincount(corners, np.repeat(squares[on] / 3, 3), len(nodes))
            pixels += np.bincount(corners, minlength=len(nodes)) / 3
            total += of_view
        return Misses(sums, pixels, total)

    def posing(self, nodes: Array, part: Ids, frame: int) -> PartPoses:
        """Compare poses of a part ``[L]`` of the surface at ``nodes [M, 3]`` with a frame."""
        eyes = self._viewmats, self._focals, float(self._cameras.near)
        look = self._rest, self._template.colors, self._first, self._first_inverse_depth, self._half, _DEPTH_MARGIN
        targets = np.stack(self.shown(frame))
        return PartPoses(nodes, part, self._template.triangles, eyes, look, targets, self._blur, self._known)

    def shown(self, frame: int) -> list[Bytes]:
        """What every view shows in a frame, as stored images."""
        targets = self._targets  # threads may ask for different frames
        if targets[0] != frame:
            images = [stored(np.asarray(self._frames[v, frame], np.float32)) for v in range(len(self._first))]
            if self._known is not None:
                images = [image * known[..., None] for image, known in zip(images, self._known, strict=True)]
            self._targets = targets = frame, images
        return targets[1]

    def _looks(self, nodes: Array) -> list[_Look]:
        """How every view sees the surface at ``nodes [M, 3]``; what was compared lately is not drawn again."""
        for known, looks in tuple(self._drawn):  # which another thread may add to
            if known is nodes:
                return looks
        cameras = self._cameras
        eyes = self._viewmats, self._focals, cameras.near, cameras.height, cameras.width
        winners, weights = visible_through(nodes, self._template.triangles, *eyes)
        if self._known is not None:
            winners = np.where(self._known, winners, -1)
        images = _each(lambda v: self._draw(v, winners[v], weights[v]), len(winners))
        return [_Look(*parts) for parts in zip(winners, weights, images, strict=True)]

    def _apart(self, nodes: Array, frame: int) -> Iterator[tuple[NDArray[np.int32], Image, float]]:
        """What every view sees of the surface ``[H, W]``, the squares by which it differs there, and their sum."""
        looks = self._looks(nodes)
        self._drawn.append((nodes, looks))  # a start is matched next, and what a frame ended with is a start
        for look, target in zip(looks, self.shown(frame), strict=True):
            apart = np.empty((*look.triangles.shape, 3), np.float32)
            match_kernels.apart_on_grey(look.image, target, apart)
            squares = np.empty(look.triangles.shape, np.float32)
            total = match_kernels.squared(cv2.blur(apart, (self._blur, self._blur)), squares)
            yield look.triangles, squares, total

    def _match_view(self, v: int, nodes: Array, target: Bytes, look: _Look, finest: int) -> tuple[Rays, Array]:
        winner, weights, drawn = look
        flow = self._flow_points(drawn, target, winner, weights, finest)
        corners, stride = self._template.triangles[flow.triangles].ravel(), self._stride(finest)
        found = np.bincount(corners, np.repeat(flow.weights, 3), len(nodes)) / stride**2
        confidence = found / np.maximum(np.bincount(corners, minlength=len(nodes)), 1)
        outline = self._outline_points(v, nodes, drawn, target, winner, weights)
        rays = self._rays(v, flow), self._rays(v, outline)
        return joined(rays), confidence

    def _flow_points(
        self, drawn: Bytes, target: Bytes, winner: NDArray[np.int32], weights: Image, finest: int
    ) -> _Points:
        """Visible points, and where the flow says they went; a change of colour takes the trust away."""
        stride = self._stride(finest)
        rows, columns = sparse_pixels(winner >= 0, stride)
        at = np.stack([columns, rows], axis=1) + find_flow(drawn, target, finest)[rows, columns]
        shown = sample(target, at)
        difference = (shown[:, :3].astype(np.float64) - drawn[rows, columns, :3]) / 255
        trust = 1.0 / (1.0 + (difference**2).sum(axis=1) / self._settings.residual**2)
        trust[shown[:, 3] < 128] = 0.0  # the flow has left the object
        seen = Sight.firm(at)
        if not finest:
            seen = seen_by_texture(drawn, target, rows, columns, at)
        return _Points(winner[rows, columns], _barycentrics(weights[rows, columns]), seen, trust * stride**2)

    def _outline_points(
        self, v: int, nodes: Array, drawn: Bytes, target: Bytes, winner: NDArray[np.int32], weights: Image
    ) -> _Points:
        """Points that bring the outlines together, and hidden ones that come into view."""
        stride, triangles = self._settings.stride, self._template.triangles
        inside, wanted = covered(drawn), covered(target)
        bare_rows, bare_columns = sparse_pixels(wanted & ~inside, stride)
        seen = np.zeros(len(triangles) + 1, bool)
        seen[winner] = True  # -1, which is nothing, is the one too many
        hidden = np.ones(len(nodes), bool)
        hidden[triangles[seen[:-1]].ravel()] = False
        local = self._local(v, nodes)
        at = self._focals[v] * local[:, :2] / np.maximum(local[:, 2:], 1e-6) + self._half - 0.5
        sought = np.stack([bare_columns, bare_rows], axis=1).astype(np.float64)
        colors = target[bare_rows, bare_columns, :3] / 255.0
        reach = _REACH * self._cameras.height
        node, behind = hidden_pairs(at, self._template.colors, hidden, sought, colors, reach)
        front = (bare_rows[~behind], bare_columns[~behind])
        border = None if self._borders is None else self._borders[v]
        pairs = (outside_pairs(inside, wanted, stride, border), bare_pairs(inside, front, border))
        rows, columns, to = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        triangle, corner = self._corner[0][node[behind]], self._corner[1][node[behind]]
        return _Points(
            np.concatenate([winner[rows, columns], triangle]).astype(np.int32),
            np.concatenate([_barycentrics(weights[rows, columns]), np.eye(3)[corner]]),
            Sight.firm(np.concatenate([to, sought[behind]])),
            np.full(len(rows) + len(triangle), self._settings.outline * stride**2),
        )

    def _stride(self, finest: int) -> int:
        """A flow of full resolution is taken at every pixel, where texture tells how firmly it holds."""
        return self._settings.stride if finest else 1

    def _rays(self, v: int, points: _Points) -> Rays:
        at, axes, firmness = points.seen
        toward = np.concatenate([(at + 0.5 - self._half) / self._focals[v], np.ones((len(at), 1))], axis=1)
        across = np.concatenate([axes, -(axes * toward[:, :2]).sum(axis=1, keepdims=True)], axis=1)
        toward, across = (self._unit(v, local) for local in (toward, across))
        origins = np.broadcast_to(self._c2w[v, :3, 3], toward.shape)
        return Rays(points.triangles, points.barycentrics, origins, toward, points.weights, across, firmness)

    def _unit(self, v: int, local: Array) -> Array:
        """Directions in the world, from a camera's with OpenCV axes. ``[P, 3]``"""
        turned = (local * [1.0, -1.0, -1.0]) @ self._c2w[v, :3, :3].T
        return turned / np.linalg.norm(turned, axis=1, keepdims=True)

    def _draw(self, v: int, winner: NDArray[np.int32], weights: Image) -> Bytes:
        """The surface in view v as a stored image: every point shows what frame 0 of this view shows there.

        Points that frame 0 hides, or that lie outside of it, show the model's own colour.
        """
        image = np.zeros((*winner.shape, 4), np.uint8)
        of_rest = self._template.triangles, self._rest[v], self._template.colors
        first = self._first[v], self._first_inverse_depth[v], self._focals[v], self._half, _DEPTH_MARGIN
        match_kernels.draw(winner, weights, *of_rest, *first, image)
        return image

    def _local(self, v: int, points: Array) -> Array:
        """World -> camera coordinates, OpenCV axes."""
        return points @ self._viewmats[v, :3, :3].T + self._viewmats[v, :3, 3]


def _each(work: Callable[[int], _Made], views: int) -> list[_Made]:
    """Something made of every view."""
    if views == 1:
        return [work(0)]
    with ThreadPoolExecutor() as pool:  # OpenCV and numpy work outside of the interpreter's lock
        return list(pool.map(work, range(views)))


def in_size(known: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """Masks ``[V, H, W]`` in another size: what is known altogether."""
    size = (width, height)
    return np.stack([cv2.resize(m.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999 for m in known])


def _eroded(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``[V, H, W]`` without the pixels beside one that is not known."""
    kernel = np.ones((3, 3), np.uint8)
    return np.stack([cv2.erode(mask.astype(np.uint8), kernel) > 0 for mask in known])


def _barycentrics(weights: Image) -> Array:
    """All three from those of corners 1 and 2. ``[P, 3]``"""
    both = weights.astype(np.float64)
    return np.concatenate([1.0 - both.sum(axis=1, keepdims=True), both], axis=1)


def _a_corner_of_each(triangles: Ids, count: int) -> tuple[Ids, Ids]:
    """A triangle at each node and the node's corner of it ``[M], [M]`` (nodes without one: the first)."""
    triangle, corner = np.zeros((2, count), np.int64)
    for k in range(3):
        triangle[triangles[:, k]], corner[triangles[:, k]] = np.arange(len(triangles)), k
    return triangle, corner
