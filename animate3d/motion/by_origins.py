"""The template surface found from origins: a video model that says which place in frame 0 every pixel shows again.

Such matches reach from any frame straight to frame 0, so nothing drifts, stripes are not mistaken for their neighbours,
and plain colour is no worse than texture. They are coarse,
though: in small videos, one in four is off by a pixel or more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.motion.matching import FrameSource
from animate3d.motion.objects import fit_of
from animate3d.motion.pixel_origins import PixelOrigins
from animate3d.motion.rigid_fit import Rays, joined
from animate3d.motion.surfaces import Array
from animate3d.motion.template import Template
from animate3d.motion.tracking import Tracked, TrackSettings
from animate3d.rasterize.visibility import visible_triangles

_LEAST = 0.05  # trust below which a match is none
_APART = 1 / 32  # of the image's height: a match so far from where its point is believed to be counts half


def track_by_origins(
    template: Template,
    origins: PixelOrigins,
    frames: FrameSource,
    cameras: Cameras,
    settings: TrackSettings | None = None,
    progress: Callable[[int], None] = lambda frame: None,
) -> Tracked:
    """Follow the template through all frames by origins alone; the colours of the frames are not looked at.

    Args:
        frames: ``[V, F, H, W, 4]``, whose alpha says where the object is; frame 0 shows the template at rest.
        cameras: ``[V]`` with the size of the frames.
        settings: of which the stiffness, the turns and the first share of velocity count.
        progress: called with the number of frames that are finished.
    """
    settings = settings or TrackSettings()
    fit, matches = fit_of(template), _Matches(template, origins, frames, cameras)
    found, confidence = [template.rest], [np.ones(template.n_nodes)]
    for frame in range(1, frames.shape[1]):
        before, last = [*found[:1], *found][-2:]
        nodes = last + settings.velocity[0] * (last - before)
        for stiffness in settings.stiffness:
            rays = matches.rays(nodes, frame)
            nodes = fit.solve(nodes, rays, stiffness, settings.turns)
        found.append(nodes)
        confidence.append(matches.confidence(nodes, frame))
        progress(frame)
    carried = [template.carry(nodes, fit.rotations(nodes).astype(np.float32)) for nodes in found]
    positions, rotations = (np.stack(parts) for parts in zip(*carried, strict=True))
    return Tracked(positions, rotations, template.carry_values(np.stack(confidence)))


class _Seen(NamedTuple):
    """Points of the surface and where one view shows them in a frame."""

    triangles: NDArray[np.int32]  # [P]
    barycentrics: Array  # [P, 3]
    at: Array  # [P, 2] x, y, in pixels of the frames
    trust: Array  # [P]


class _Matches:
    """The matches of every frame with frame 0."""

    def __init__(self, template: Template, origins: PixelOrigins, frames: FrameSource, cameras: Cameras) -> None:
        self._template, self._origins, self._frames = template, origins, frames
        self._viewmats = cameras.viewmats.double().cpu().numpy()
        self._c2w = cameras.c2w.double().cpu().numpy()
        self._focals = cameras.focal.double().cpu().numpy()
        self._half = np.array([cameras.width, cameras.height]) / 2
        self._apart = _APART * cameras.height
        self._winners, self._weights = visible_triangles(template.rest, template.triangles, cameras)

    def rays(self, nodes: Array, frame: int) -> Rays:
        """What every view says of a frame; matches far from ``nodes [M, 3]`` count less."""
        return joined(self._rays(v, nodes, self._seen(v, frame)) for v in range(len(self._winners)))

    def confidence(self, nodes: Array, frame: int) -> Array:
        """How well the matches agree with ``nodes [M, 3]`` around each of them, 0..1; 0 where there are none."""
        found = []
        for v in range(len(self._winners)):
            seen = self._seen(v, frame)
            corners, trust = self._template.triangles[seen.triangles].ravel(), self._trust(v, nodes, seen)
            sums = np.bincount(corners, np.repeat(trust, 3), len(nodes))
            found.append(sums / np.maximum(np.bincount(corners, minlength=len(nodes)), 1))
        return np.max(found, axis=0)

    def _seen(self, v: int, frame: int) -> _Seen:
        places, trust = (part[v, frame - 1].astype(np.float64) for part in self._origins)
        height, width = trust.shape
        alpha = np.asarray(self._frames[v, frame], np.float32)[..., 3]
        trust = trust * cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
        scale = 2 * self._half / [width, height]
        column, row = np.floor(places * scale[:, None, None]).astype(int)
        tall, wide = self._winners[v].shape
        row, column, inside = (
            row.clip(0, tall - 1),
            column.clip(0, wide - 1),
            (row >= 0) & (row < tall) & (column >= 0) & (column < wide),
        )
        winner = self._winners[v][row, column]
        y, x = np.nonzero(inside & (winner >= 0) & (trust > _LEAST))
        both = self._weights[v][row, column][y, x].astype(np.float64)
        corners = np.concatenate([1.0 - both.sum(axis=1, keepdims=True), both], axis=1)
        return _Seen(winner[y, x], corners, (np.stack([x, y], axis=1) + 0.5) * scale, trust[y, x])

    def _trust(self, v: int, nodes: Array, seen: _Seen) -> Array:
        """Less for what lies elsewhere than where the surface at ``nodes [M, 3]`` has the point. ``[P]``"""
        points = np.einsum("pc,pcd->pd", seen.barycentrics, nodes[self._template.triangles[seen.triangles]])
        local = points @ self._viewmats[v, :3, :3].T + self._viewmats[v, :3, 3]
        at = self._focals[v] * local[:, :2] / np.maximum(local[:, 2:], 1e-6) + self._half
        return seen.trust / (1.0 + ((at - seen.at) ** 2).sum(axis=1) / self._apart**2)

    def _rays(self, v: int, nodes: Array, seen: _Seen) -> Rays:
        count = len(seen.at)
        sight = np.concatenate([(seen.at - self._half) / self._focals[v], np.ones((count, 1))], axis=1)
        across = np.stack([np.ones(count), np.zeros(count), -sight[:, 0]], axis=1)
        toward, beside = (self._unit(v, local) for local in (sight, across))
        origins = np.broadcast_to(self._c2w[v, :3, 3], toward.shape)
        weights = self._trust(v, nodes, seen)
        return Rays(seen.triangles, seen.barycentrics, origins, toward, weights, beside, np.ones((count, 2)))

    def _unit(self, v: int, local: Array) -> Array:
        """Directions in the world, from a camera's with OpenCV axes. ``[P, 3]``"""
        turned = (local * [1.0, -1.0, -1.0]) @ self._c2w[v, :3, :3].T
        return turned / np.linalg.norm(turned, axis=1, keepdims=True)
