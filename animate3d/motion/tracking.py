"""A coarse start for the motion fit: the template surface is tracked through the videos, frame by frame.

Gradients of a photometric loss reach a pixel or two; a wing that has moved by ten is lost to them. So each frame is
first brought close by correspondences: draw the surface as it is believed to lie, with the colours it has in frame 0,
find the optical flow from this picture to the frame, and move the surface so that its points project where the flow
says, as rigidly as possible. A few rounds of draw, match and solve per frame; the stiffness falls from round to round.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from animate3d.cameras import Cameras
from animate3d.motion.rigid_fit import Anchors, Rays, RigidFit
from animate3d.motion.template import Array, Template
from animate3d.rasterize.visibility import visible_triangles

Image = NDArray[np.float32]

_MAX_SIZE = 256  # pixels; larger frames are reduced: they cost time and gain nothing
_MARGIN = 8  # pixels around what is matched
_MIN_WINDOW = 192  # pixels; in a smaller image the search would begin at a finer scale
_DEPTH_MARGIN = 1.02  # a point of the surface lies behind what frame 0 shows when it is this much farther away


@dataclass(frozen=True)
class TrackSettings:
    """Settings of `track`; docs/motion.md has the measurements behind them.

    Attributes:
        stiffness: weight of rigidity against the correspondences, for each round of a frame.
        turns: alternations of rotations and positions per round.
        stride: a correspondence is taken every so many pixels along both axes.
        residual: difference of brightness (0..1) at which a correspondence counts half.
        outline: weight of a pixel that only one of the two silhouettes covers, against one of the flow.
        velocity: share of the last frame's motion by which the next frame's start is extrapolated.
    """

    stiffness: tuple[float, ...] = (30.0, 10.0, 3.0, 1.0, 1.0)
    turns: int = 4
    stride: int = 2
    residual: float = 0.08
    outline: float = 0.3
    velocity: float = 0.5
    finest: tuple[int, ...] = (1, 1, 0, 0, 0)
    depth: float = 0.03
    ref: str = "rest"

    def scaled(self, rigidity: float) -> TrackSettings:
        """The same with every round's stiffness multiplied."""
        return replace(self, stiffness=tuple(rigidity * value for value in self.stiffness))


def track(
    template: Template,
    frames: Image,
    cameras: Cameras,
    settings: TrackSettings | None = None,
    progress: Callable[[int], None] = lambda frame: None,
) -> tuple[Array, Array]:
    """Follow the template through all frames.

    Args:
        frames: ``[V, F, H, W, 4]`` RGBA 0..1; frame 0 shows the template at rest.
        cameras: ``[V]`` with the size of the frames.
        progress: called with the number of every finished frame.

    Returns:
        positions ``[F, N, 3]`` and local rotations ``[F, N, 3, 3]`` of the vertices the template was made of.
    """
    settings = settings or TrackSettings()
    frames, cameras = _reduced(frames, cameras)
    matcher = _Matcher(template, frames, cameras, settings)
    fit = RigidFit(template)
    nodes = [template.rest]
    for f in range(1, frames.shape[1]):
        current = nodes[-1] + (settings.velocity * (nodes[-1] - nodes[-2]) if f > 1 else 0.0)
        for stiffness, finest in zip(settings.stiffness, settings.finest, strict=True):
            rays = matcher.match(current, f, finest)
            anchors = (
                depth_anchors(template, cameras, current, nodes[0 if settings.ref == "rest" else -1], settings.depth)
                if len(frames) == 1
                else None
            )
            current = fit.solve(current, rays, stiffness, settings.turns, anchors)
        nodes.append(current)
        progress(f)
    return template.carry(np.stack(nodes), np.stack([fit.rotations(positions) for positions in nodes]))


def depth_anchors(template: Template, cameras: Cameras, nodes: Array, like: Array, weight: float) -> Anchors:
    """Every node at the distance from the camera that it has in ``like``."""
    eye = cameras.positions[0].double().cpu().numpy()
    along = (nodes - eye) / np.linalg.norm(nodes - eye, axis=1, keepdims=True)
    say = template.areas / template.areas.mean()
    return Anchors(along, along @ eye + np.linalg.norm(like - eye, axis=1), weight * say)


def _reduced(frames: Image, cameras: Cameras) -> tuple[Image, Cameras]:
    """Frames and cameras of at most `_MAX_SIZE` pixels."""
    views, count, height, width, channels = frames.shape
    scale = _MAX_SIZE / max(height, width)
    if scale >= 1:
        return frames, cameras
    size = (round(width * scale), round(height * scale))
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in frames.reshape(-1, *frames.shape[2:])]
    return np.stack(small).reshape(views, count, size[1], size[0], channels), cameras.resized(size[1], size[0])


class _Matcher:
    """Finds where the frames show the points of the surface."""

    def __init__(self, template: Template, frames: Image, cameras: Cameras, settings: TrackSettings) -> None:
        self._template, self._cameras, self._settings = template, cameras, settings
        self._first = np.ascontiguousarray(frames[:, 0])
        self._targets = _stored(frames)
        self._viewmats = cameras.viewmats.double().cpu().numpy()
        self._c2w = cameras.c2w.double().cpu().numpy()
        self._focals = cameras.focal.double().cpu().numpy()
        self._half = np.array([cameras.width, cameras.height]) / 2
        winners, weights = visible_triangles(template.rest, template.triangles, cameras)
        self._first_inverse_depth = []
        for v, (winner, weight) in enumerate(zip(winners, weights, strict=True)):
            depth = self._local(v, self._on_surface(template.rest, winner, weight))[..., 2]
            self._first_inverse_depth.append(np.where(winner >= 0, 1.0 / np.maximum(depth, 1e-6), 0).astype(np.float32))

    def match(self, nodes: Array, frame: int, finest: int) -> Rays:
        """Rays of all views for the surface at ``nodes [M, 3]`` against one frame; ``finest``: see `find_flow`."""
        winners, weights = visible_triangles(nodes, self._template.triangles, self._cameras)
        views = range(len(winners))
        with ThreadPoolExecutor() as pool:  # OpenCV works outside of the interpreter's lock
            found = list(pool.map(lambda v: self._match_view(v, frame, winners[v], weights[v], finest), views))
        return Rays(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _match_view(self, v: int, frame: int, winner: NDArray[np.int32], weights: Image, finest: int) -> Rays:
        settings, target = self._settings, self._targets[v, frame]
        drawn = self._draw(v, winner, weights)
        window = _window(drawn[..., 3] > 0, target[..., 3] > 0)
        flow = find_flow(brightness(drawn[window]), brightness(target[window]), finest)
        rows, columns = _sparse(winner[window] >= 0, settings.stride)
        step = flow[rows, columns]
        rows, columns = rows + window[0].start, columns + window[1].start
        at = np.stack([columns, rows], axis=1) + step
        shown = _sample(target, at)
        difference = (shown[:, :3].astype(np.float64) - drawn[rows, columns, :3]) / 255
        trust = 1.0 / (1.0 + (difference**2).sum(axis=1) / settings.residual**2)
        trust[shown[:, 3] < 0.5 * 255] = 0.0  # the flow has left the object

        rim_rows, rim_columns, rim_at = _outline_pairs(drawn[..., 3] > 0, target[..., 3] > 0, settings.stride)
        rows, columns = np.concatenate([rows, rim_rows]), np.concatenate([columns, rim_columns])
        at = np.concatenate([at, rim_at])
        trust = np.concatenate([trust, np.full(len(rim_rows), settings.outline)])

        toward = np.concatenate([(at + 0.5 - self._half) / self._focals[v], np.ones((len(at), 1))], axis=1)
        toward = (toward * [1.0, -1.0, -1.0]) @ self._c2w[v, :3, :3].T
        toward /= np.linalg.norm(toward, axis=1, keepdims=True)
        w = weights[rows, columns].astype(np.float64)
        barycentrics = np.concatenate([1.0 - w.sum(axis=1, keepdims=True), w], axis=1)
        origins = np.broadcast_to(self._c2w[v, :3, 3], toward.shape)
        return Rays(winner[rows, columns], barycentrics, origins, toward, trust * settings.stride**2)

    def _draw(self, v: int, winner: NDArray[np.int32], weights: Image) -> NDArray[np.uint8]:
        """The surface in view v, as `_stored`: every point shows what frame 0 of this view shows there.

        Points that frame 0 hides, or that lie outside of it, show the model's own colour.
        """
        on = winner >= 0
        rest = self._local(v, self._on_surface(self._template.rest, winner, weights)[on])
        at = self._focals[v] * rest[:, :2] / rest[:, 2:] + self._half - 0.5
        shown = _sample(self._first[v], at)
        inverse_depth = _sample(self._first_inverse_depth[v], at, cv2.INTER_NEAREST)
        hidden = (inverse_depth > _DEPTH_MARGIN / rest[:, 2]) | (shown[:, 3] < 0.9)
        own = self._on_surface(self._template.colors, winner, weights)[on]
        image = np.zeros((*winner.shape, 4), np.float32)
        image[on, :3] = np.where(hidden[:, None], own, shown[:, :3])
        image[on, 3] = 1.0
        return _stored(image)

    def _local(self, v: int, points: Array) -> Array:
        """World -> camera coordinates, OpenCV axes."""
        return points @ self._viewmats[v, :3, :3].T + self._viewmats[v, :3, 3]

    def _on_surface(self, values: Array, winner: NDArray[np.int32], weights: Image) -> Array:
        """Values of the nodes at every pixel (where nothing is visible: those of triangle 0). ``[H, W, D]``"""
        corners = self._template.triangles[np.maximum(winner, 0)]
        w1, w2 = weights[..., :1], weights[..., 1:]
        a, b, c = (values[corners[..., k]] for k in range(3))
        return (1.0 - w1 - w2) * a + w1 * b + w2 * c


def find_flow(start: NDArray[np.uint8], end: NDArray[np.uint8], finest: int) -> Image:
    """Where the pixels of one image went in another: dense inverse search (Kroeger et al. 2016).

    Args:
        start, end: ``[H, W]``
        finest: the scale at which the search ends; 0 is full resolution, the preset alone stops at 1.

    Returns:
        (x, y) steps ``[H, W, 2]``.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(finest)
    return flow.calc(np.ascontiguousarray(start), np.ascontiguousarray(end), np.zeros((*start.shape, 2), np.float32))


def _window(drawn: NDArray[np.bool_], target: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns around both silhouettes, large enough for the search to begin as coarsely as in the whole."""
    both = drawn | target
    spans = []
    for axis in (1, 0):
        length = both.shape[1 - axis]
        used = np.flatnonzero(both.any(axis=axis))
        low, high = (used[0] - _MARGIN, used[-1] + 1 + _MARGIN) if len(used) else (0, 0)
        missing = max(min(_MIN_WINDOW, length) - (high - low), 0)
        low = max(min(low - missing // 2, length - (high - low) - missing), 0)
        spans.append(slice(int(low), int(min(max(high + missing, low + missing), length))))
    return spans[0], spans[1]


def brightness(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the flow goes by: brightness on black, lifted so that the outline of a dark object shows. ``[..., H, W]``"""
    luminance = stored[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return (0.4 * stored[..., 3] + 0.6 * luminance + 0.5).astype(np.uint8)


def _stored(rgba: Image) -> NDArray[np.uint8]:
    """Frames as bytes, on black: premultiplied colour and alpha. ``[..., H, W, 4]``"""
    on_black = np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)
    return (on_black * 255 + 0.5).astype(np.uint8)


def _sample(image: NDArray, at: Array, interpolation: int = cv2.INTER_LINEAR) -> NDArray:
    """Values of an image at pixel positions (x, y) ``[P, 2]``; black outside."""
    # remap takes at most 32766 rows: lay the points out as a picture.
    width = 4096
    padded = np.zeros((-(-max(len(at), 1) // width) * width, 2), np.float32)
    padded[: len(at)] = at
    grid = padded.reshape(-1, width, 2)
    values = cv2.remap(image, grid[..., 0], grid[..., 1], interpolation)
    return values.reshape(-1, *image.shape[2:])[: len(at)]


def _sparse(mask: NDArray[np.bool_], stride: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels of a mask on a grid of every ``stride`` pixels."""
    rows, columns = np.nonzero(mask[::stride, ::stride])
    return rows * stride, columns * stride


def _outline_pairs(
    drawn: NDArray[np.bool_], target: NDArray[np.bool_], stride: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Pairs that bring two silhouettes together.

    A drawn pixel outside the target goes to the target's nearest pixel; for a target pixel that is not covered, the
    nearest drawn pixel goes there.

    Returns:
        rows and columns of drawn pixels ``[P]`` and where they should go, (x, y) ``[P, 2]``.
    """
    if not drawn.any() or not target.any():
        none = np.zeros(0, np.intp)
        return none, none, np.zeros((0, 2))
    row, column = distance_transform_edt(~target, return_distances=False, return_indices=True)
    out_rows, out_columns = _sparse(drawn & ~target, stride)
    out_at = np.stack([column[out_rows, out_columns], row[out_rows, out_columns]], axis=1)
    row, column = distance_transform_edt(~drawn, return_distances=False, return_indices=True)
    bare_rows, bare_columns = _sparse(target & ~drawn, stride)
    rows = np.concatenate([out_rows, row[bare_rows, bare_columns]])
    columns = np.concatenate([out_columns, column[bare_rows, bare_columns]])
    return rows, columns, np.concatenate([out_at, np.stack([bare_columns, bare_rows], axis=1)]).astype(np.float64)
