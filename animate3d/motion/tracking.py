"""A coarse start for the motion fit: the template surface is tracked through the videos, frame by frame.

Gradients of a photometric loss reach a pixel or two; a wing that has moved by ten is lost to them. So each frame is
first brought close by correspondences: draw the surface as it is believed to lie, with the colours it has in frame 0,
find the optical flow from this picture to the frame, and move the surface so that its points project where the flow
says, as rigidly as possible (local rotations and a sparse least-squares problem in turns; Sorkine and Alexa 2007).
A few rounds of draw, match and solve per frame; the stiffness falls from round to round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu
from scipy.spatial import cKDTree

from animate3d.cameras import Cameras
from animate3d.rasterize.visibility import visible_triangles

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackSettings:
    """
    Attributes:
        stiffness: weight of the as-rigid-as-possible term against one observed pixel, for each round of a frame.
        solves: turns of rotations and positions per round.
        stride: every how many pixels (along both axes) a correspondence is taken.
        max_residual: difference of brightness (0..1) at which a correspondence counts half.
    """

    stiffness: tuple[float, ...] = (30.0, 10.0, 3.0, 1.0, 1.0)
    solves: int = 4
    stride: int = 2
    max_residual: float = 0.08


class Template:
    """The rest surface: welded vertices, triangles and the links that hold it together.

    Args:
        vertices: ``[N, 3]`` placed rest positions.
        triangles: ``[T, 3]`` vertex ids.
        groups: ``[N]`` representative id of coincident vertices, which move as one.
        colors: ``[N, 3]`` 0..1, shown where frame 0 does not show the surface.
    """

    def __init__(self, vertices: Array, triangles: NDArray[np.int64], groups: NDArray[np.int64], colors: Array) -> None:
        unique, self.expand = np.unique(groups, return_inverse=True)
        self.rest = np.ascontiguousarray(vertices[unique], dtype=np.float64)
        self.colors = colors[unique].astype(np.float64)
        tri = self.expand[triangles]
        proper = (tri[:, 0] != tri[:, 1]) & (tri[:, 1] != tri[:, 2]) & (tri[:, 2] != tri[:, 0])
        self.triangles = np.ascontiguousarray(tri[proper])
        self.links = _links(self.rest, self.triangles)

    @property
    def n_vertices(self) -> int:
        return len(self.rest)


def track(
    template: Template,
    frames: NDArray[np.float32],
    cameras: Cameras,
    settings: TrackSettings | None = None,
    progress: Callable[[int], None] = lambda frame: None,
) -> Array:
    """Follow the template through all frames.

    Args:
        frames: ``[V, F, H, W, 4]`` RGBA 0..1; frame 0 shows the template at rest.
        cameras: ``[V]`` with the size of the frames.
        progress: called with the number of every finished frame.

    Returns:
        ``[F, N, 3]`` in the order of the vertices that the template was made of.
    """
    settings = settings or TrackSettings()
    appearance = _Appearance(template, frames[:, 0], cameras)
    targets = _features(frames)
    solver = _Solver(template, settings)
    positions = [template.rest]
    for f in range(1, frames.shape[1]):
        current = positions[-1]
        for stiffness in settings.stiffness:
            seen = [
                _observe(template, appearance, current, targets[:, f], cameras, v, settings) for v in range(len(frames))
            ]
            current = solver.solve(current, [np.concatenate(parts) for parts in zip(*seen, strict=True)], stiffness)
        positions.append(current)
        progress(f)
    return np.stack(positions)[:, template.expand]


def _links(rest: Array, triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of vertices that keep their distance: mesh edges, across thin parts, and between loose pieces. ``[E, 2]``"""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    spacing = float(np.median(np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)))
    corners = rest[triangles]
    facets = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(rest)
    for k in range(3):
        np.add.at(normals, triangles[:, k], facets)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-30
    tree = cKDTree(rest)
    near = tree.query_pairs(4.0 * spacing, output_type="ndarray")
    i, j = near[:, 0], near[:, 1]
    step = rest[j] - rest[i]
    inside = (np.einsum("ij,ij->i", step, normals[i]) < 0) & (np.einsum("ij,ij->i", step, normals[j]) > 0)
    opposite = np.einsum("ij,ij->i", normals[i], normals[j]) < -0.3
    through = near[inside & opposite]
    pieces = sparse.csgraph.connected_components(
        sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(rest),) * 2), directed=False
    )[1]
    across = near[pieces[i] != pieces[j]]
    # Few of each: the nearest partners only, so that the mesh's own edges keep the say.
    extra = [_nearest_partners(pairs, rest, 2) for pairs in (through, across) if len(pairs)]
    return np.unique(np.sort(np.concatenate([edges, *extra]), axis=1), axis=0)


def _nearest_partners(pairs: NDArray[np.int64], rest: Array, count: int) -> NDArray[np.int64]:
    """Of all pairs, those in which one is among the ``count`` nearest partners of the other."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    length = np.linalg.norm(rest[both[:, 0]] - rest[both[:, 1]], axis=1)
    both = both[np.lexsort((length, both[:, 0]))]
    start = np.searchsorted(both[:, 0], both[:, 0], side="left")
    return both[np.arange(len(both)) - start < count]


def _features(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What is matched: brightness on black, lifted so that the outline of a dark object counts too. uint8 ``[..., H, W]``"""
    luminance = frames[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return (frames[..., 3] * (0.4 + 0.6 * luminance) * 255 + 0.5).astype(np.uint8)


class _Appearance:
    """The colour that a point of the surface shows in a view, taken from that view's own frame 0."""

    def __init__(self, template: Template, first: NDArray[np.float32], cameras: Cameras) -> None:
        self.first = np.ascontiguousarray(first)
        self.viewmats = cameras.viewmats.double().cpu().numpy()
        self.focals = cameras.focal.double().cpu().numpy()
        self.size = (cameras.height, cameras.width)
        self.rest = template.rest
        self.colors = template.colors
        self.triangles = template.triangles
        self.inverse_depth = []
        for v in range(len(first)):
            winner, weights = visible_triangles(template.rest, template.triangles, cameras, v)
            points = _interpolate(template.rest, template.triangles, winner, weights)
            depth = points @ self.viewmats[v, 2, :3] + self.viewmats[v, 2, 3]
            self.inverse_depth.append(np.where(winner >= 0, 1.0 / np.maximum(depth, 1e-6), 0.0).astype(np.float32))

    def draw(self, v: int, winner: NDArray[np.int32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[H, W, 4]`` RGBA of the surface whose visible triangles are given."""
        on = winner >= 0
        rest = _interpolate(self.rest, self.triangles, winner, weights)[on]
        local = rest @ self.viewmats[v, :3, :3].T + self.viewmats[v, :3, 3]
        xy = self.focals[v] * local[:, :2] / local[:, 2:] + np.array([self.size[1], self.size[0]]) / 2 - 0.5
        maps = xy.astype(np.float32)
        shown = cv2.remap(self.first[v], maps[:, None, 0], maps[:, None, 1], cv2.INTER_LINEAR)[:, 0]
        inverse = cv2.remap(self.inverse_depth[v], maps[:, None, 0], maps[:, None, 1], cv2.INTER_NEAREST)[:, 0]
        hidden = (inverse > 1.02 / local[:, 2]) | (shown[:, 3] < 0.9)
        own = _interpolate(self.colors, self.triangles, winner, weights)[on]
        image = np.zeros((*winner.shape, 4), np.float32)
        image[on] = np.concatenate([np.where(hidden[:, None], own, shown[:, :3]), np.ones((len(own), 1))], axis=1)
        return image


def _interpolate(values: Array, triangles: NDArray[np.int64], winner: NDArray[np.int32], weights: NDArray) -> Array:
    """Values of the vertices at every sample (those of triangle 0 where there is none). ``[H, W, D]``"""
    corners = triangles[np.maximum(winner, 0)]
    w1, w2 = weights[..., :1], weights[..., 1:]
    return (1 - w1 - w2) * values[corners[..., 0]] + w1 * values[corners[..., 1]] + w2 * values[corners[..., 2]]


def _observe(
    template: Template,
    appearance: _Appearance,
    current: Array,
    targets: NDArray[np.uint8],
    cameras: Cameras,
    v: int,
    settings: TrackSettings,
) -> tuple[NDArray, ...]:
    """Correspondences of one view: triangle ids, barycentrics, ray origins and directions, weights."""
    winner, weights = visible_triangles(current, template.triangles, cameras, v)
    drawn = _features(appearance.draw(v, winner, weights))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = flow.calc(drawn, targets[v], None)
    rows, columns = np.nonzero(winner[:: settings.stride, :: settings.stride] >= 0)
    rows, columns = rows * settings.stride, columns * settings.stride
    at = np.stack([columns, rows], axis=1) + moved[rows, columns]
    maps = at.astype(np.float32)
    found = cv2.remap(targets[v], maps[:, None, 0], maps[:, None, 1], cv2.INTER_LINEAR)[:, 0]
    difference = (found.astype(np.float64) - drawn[rows, columns]) / 255
    confidence = 1.0 / (1.0 + (difference / settings.max_residual) ** 2)
    confidence[found < 0.3 * 255] *= 0.05  # left the silhouette

    rotation = cameras.c2w[v, :3, :3].double().cpu().numpy() * np.array([1.0, -1.0, -1.0])
    focal, (height, width) = float(cameras.focal[v]), (cameras.height, cameras.width)
    directions = np.stack(
        [(at[:, 0] + 0.5 - width / 2) / focal, (at[:, 1] + 0.5 - height / 2) / focal, np.ones(len(at))], axis=1
    )
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True) @ rotation.T
    origins = np.broadcast_to(cameras.c2w[v, :3, 3].double().cpu().numpy(), directions.shape)
    w = weights[rows, columns].astype(np.float64)
    barycentrics = np.concatenate([1 - w.sum(1, keepdims=True), w], axis=1)
    return winner[rows, columns], barycentrics, origins, directions, confidence


class _Solver:
    """Positions that meet the rays of the correspondences, as rigidly as possible with respect to the rest surface."""

    def __init__(self, template: Template, settings: TrackSettings) -> None:
        self.template, self.settings = template, settings
        n, (i, j) = template.n_vertices, template.links.T
        self.edges = template.rest[i] - template.rest[j]
        count = len(i)
        rows = np.repeat(np.arange(count), 2)
        self.incidence = sparse.csr_matrix(
            (np.tile([1.0, -1.0], count), (rows, template.links.ravel())), shape=(count, n)
        )
        degree = np.bincount(template.links.ravel(), minlength=n)
        # Every vertex has the same say whatever the number of its links.
        self.link_weight = 1.0 / degree[i] + 1.0 / degree[j]
        self.laplacian = (self.incidence.T @ sparse.diags(self.link_weight) @ self.incidence).tocsc()
        self.one_sided = abs(self.incidence).T.tocsr()

    def solve(self, start: Array, observed: list[NDArray], stiffness: float) -> Array:
        triangle_ids, barycentrics, origins, directions, weight = observed
        n, tri = self.template.n_vertices, self.template.triangles[triangle_ids]
        weight = weight * self.settings.stride**2
        project = np.eye(3) - directions[:, :, None] * directions[:, None, :]
        project *= weight[:, None, None]
        # Normal equations of the rays: block (a, b) of vertices a, b of the hit triangle is w_a w_b (I - d dT).
        blocks = np.einsum("pa,pb,pij->pabij", barycentrics, barycentrics, project)
        rows = 3 * tri[:, :, None, None, None] + np.arange(3)[:, None]
        columns = 3 * tri[:, None, :, None, None] + np.arange(3)
        shape = blocks.shape
        data = sparse.csr_matrix(
            (blocks.ravel(), (np.broadcast_to(rows, shape).ravel(), np.broadcast_to(columns, shape).ravel())),
            shape=(3 * n, 3 * n),
        )
        right = np.zeros((n, 3))
        pulled = np.einsum("pij,pj->pi", project, origins)
        for k in range(3):
            for axis in range(3):
                right[:, axis] += np.bincount(tri[:, k], barycentrics[:, k] * pulled[:, axis], n)
        # A point of the surface is one of about (pixels / vertices); the ARAP term has the same total as stiffness 1.
        scale = stiffness * max(float(weight.sum()), 1.0) / n
        hold = 1e-3 * scale
        system = data + sparse.kron(self.laplacian, scale * np.eye(3)) + hold * sparse.identity(3 * n)
        mean_weight = np.zeros(n)
        for k in range(3):
            mean_weight += np.bincount(tri[:, k], barycentrics[:, k] * weight, n) * (2 / 3) / 1.0
        factor = splu((scale * self.laplacian + sparse.diags(mean_weight * 0.5 + hold)).tocsc())
        preconditioner = LinearOperator(
            (3 * n, 3 * n), matvec=lambda r: factor.solve(r.reshape(n, 3)).ravel(), dtype=np.float64
        )
        x = start
        for _ in range(self.settings.solves):
            rotations = self._rotations(x)
            turned = self._turned_edges(rotations)
            full = right + scale * (self.incidence.T @ (self.link_weight[:, None] * turned)) + hold * start
            solution, _ = cg(system.tocsr(), full.ravel(), x0=x.ravel(), M=preconditioner, maxiter=12, rtol=1e-5)
            x = solution.reshape(n, 3)
        return x

    def _rotations(self, x: Array) -> Array:
        """Best rotation of every vertex's links. ``[N, 3, 3]``"""
        now = self.incidence @ x
        outer = self.link_weight[:, None, None] * now[:, :, None] * self.edges[:, None, :]
        covariance = (self.one_sided @ outer.reshape(len(outer), 9)).reshape(-1, 3, 3)
        u, _, vt = np.linalg.svd(covariance)
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
        return u @ vt

    def _turned_edges(self, rotations: Array) -> Array:
        """Rest links turned by the mean rotation of their two ends. ``[E, 3]``"""
        i, j = self.template.links.T
        return 0.5 * np.einsum("eij,ej->ei", rotations[i] + rotations[j], self.edges)
