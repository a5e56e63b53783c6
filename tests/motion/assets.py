"""Assets of many kinds in known motion, made on the fly: machines of loose pieces, crossing limbs, thin antennae."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import trimesh

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.meshes import Mesh
from animate3d.rasterize.textured import render_mesh

FRAMES = 6
Motion = Callable[[np.ndarray, int, float], np.ndarray]
"""Rest vertices of one piece ``[N, 3]``, its number and the time 0..1 to its vertices then."""


def box(size: tuple[float, float, float], at: tuple[float, float, float], edge: float = 0.12) -> trimesh.Trimesh:
    shape = trimesh.creation.box(extents=size).subdivide_to_size(edge)
    shape.apply_translation(at)
    return shape


def tube(radius: float, start: tuple[float, float, float], end: tuple[float, float, float]) -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=radius, segment=[start, end], sections=8).subdivide_to_size(0.15)


def ball(radius: float, at: tuple[float, float, float], detail: int = 2) -> trimesh.Trimesh:
    shape = trimesh.creation.icosphere(subdivisions=detail, radius=radius)
    shape.apply_translation(at)
    return shape


def turned(points: np.ndarray, axis: tuple[float, float, float], about: tuple[float, float, float], angle: float):  # type: ignore[no-untyped-def]
    turn = trimesh.transformations.rotation_matrix(angle, axis, about)
    return points @ turn[:3, :3].T + turn[:3, 3]


def machine() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [box((0.9, 0.5, 0.15), (0, 0, -0.3)), box((0.1, 0.12, 0.7), (0, 0, 0.1))]
    pieces += [ball(0.15, (x, y, -0.4), 1) for x in (-0.35, 0.35) for y in (-0.3, 0.3)]
    return pieces, lambda x, k, t: turned(x, (0, 1, 0), (0, 0, -0.2), 0.8 * t) if k == 1 else x


def walker() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [box((1.0, 0.4, 0.3), (0, 0, 0.2))]
    pieces += [box((0.12, 0.12, 0.6), (x, y, -0.2)) for x in (-0.35, 0.35) for y in (-0.15, 0.15)]

    def move(x: np.ndarray, k: int, t: float) -> np.ndarray:
        side = (-1) ** k * np.sin(2 * np.pi * t * 0.4) * 0.5
        return turned(x, (0, 1, 0), (-0.35 if k in (1, 2) else 0.35, 0, 0.1), side) if k else x

    return pieces, move


def scissors() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [box((0.12, 0.1, 1.2), (0, y, 0)) for y in (-0.07, 0.07)]
    return pieces, lambda x, k, t: turned(x, (0, 1, 0), (0, 0, 0), 0.7 * t * (-1) ** k)


def antennae() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [
        ball(0.35, (0, 0, -0.2), 3),
        tube(0.02, (0, -0.1, 0.1), (0, -0.3, 0.8)),
        tube(0.02, (0, 0.1, 0.1), (0, 0.3, 0.8)),
    ]
    return pieces, lambda x, k, t: turned(x, (1, 0, 0), (0, 0, 0.1), 0.5 * t * (-1) ** k) if k else x


def untextured() -> tuple[list[trimesh.Trimesh], Motion]:
    return [box((0.3, 0.3, 1.2), (0, 0, 0))], lambda x, k, t: turned(x, (1, 0, 0), (0, 0, -0.5), 0.4 * t)


def head() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [ball(0.5, (0, 0, 0), 3), ball(0.12, (0.42, -0.2, 0.15), 1), ball(0.12, (0.42, 0.2, 0.15), 1)]
    return pieces, lambda x, k, t: turned(x, (0, 0, 1), (0, 0, 0), 0.5 * t)


def coarse_tower() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [box((0.3, 0.3, 0.3), (0, 0, -0.45 + 0.3 * k), edge=1.0) for k in range(4)]
    return pieces, lambda x, k, t: x + np.array([0, 0.25, 0]) * t * k / 3


def loose_quads() -> tuple[list[trimesh.Trimesh], Motion]:
    cells = np.linspace(-0.5, 0.5, 9)
    pieces = []
    for y in cells[:-1]:
        for z in cells[:-1]:
            a, b = 0.001, 0.124
            corners = [[0, y + a, z + a], [0, y + b, z + a], [0, y + b, z + b], [0, y + a, z + b]]
            pieces.append(trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False))

    def wave(x: np.ndarray, k: int, t: float) -> np.ndarray:
        return x + np.stack([0.2 * np.sin(3 * x[:, 1]) * t, 0 * x[:, 1], 0.2 * t + 0 * x[:, 1]], axis=1)

    return pieces, wave


def dense_ball() -> tuple[list[trimesh.Trimesh], Motion]:
    return [ball(0.45, (0, 0, 0), 5)], lambda x, k, t: x * (1 - 0.2 * t) + np.array([0, 0.1, 0.3]) * t


def hidden_core() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [box((0.8, 0.5, 0.5), (0, 0, 0)), ball(0.15, (0, 0, 0), 1)]
    return pieces, lambda x, k, t: x + np.array([0, 0.3, 0.1]) * t


def bird() -> tuple[list[trimesh.Trimesh], Motion]:
    wing = trimesh.creation.box(extents=[0.3, 0.6, 0.01]).subdivide_to_size(0.12)
    left, right = wing.copy(), wing.copy()
    left.apply_translation([0, -0.4, 0])
    right.apply_translation([0, 0.4, 0])
    pieces = [ball(0.18, (0, 0, 0)), left, right]
    return pieces, lambda x, k, t: turned(x, (1, 0, 0), (0, 0, 0), 0.7 * t * (-1 if k == 1 else 1)) if k else x


def snake() -> tuple[list[trimesh.Trimesh], Motion]:
    pieces = [tube(0.08, (0, -0.7, 0), (0, 0.7, 0))]
    return pieces, lambda x, k, t: x + np.stack([0 * x[:, 0], 0 * x[:, 0], 0.2 * t * np.sin(5 * x[:, 1])], axis=1)


KINDS = {
    kind.__name__: kind
    for kind in (
        machine,
        walker,
        scissors,
        antennae,
        untextured,
        head,
        coarse_tower,
        loose_quads,
        dense_ball,
        hidden_core,
        bird,
        snake,
    )
}


def asset(name: str) -> tuple[Mesh, np.ndarray]:
    """A placed mesh with vertex colours and its true positions ``[F, N, 3]``."""
    pieces, motion = KINDS[name]()
    times = np.linspace(0, 1, FRAMES)
    whole = trimesh.util.concatenate(pieces)
    vertices, faces = np.array(whole.vertices), np.array(whole.faces)
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    truth = np.concatenate(
        [
            np.stack([motion(vertices[a:b], k, t) for t in times])
            for k, (a, b) in enumerate(itertools.pairwise(starts.tolist()))
        ],
        axis=1,
    )
    waves = np.random.default_rng(0).normal(size=(3, 12, 3)) * 6
    colors = np.stack([0.5 + 0.4 * np.tanh(np.sin(vertices @ wave.T + 1).sum(axis=1)) for wave in waves], axis=1)
    if name == "untextured":
        colors[:] = 0.6
    return Mesh.from_faces(vertices, faces, vertex_colors=colors, up_axis="z"), truth


def filmed(mesh: Mesh, truth: np.ndarray, views: list[int], how: str, size: int = 96) -> tuple[np.ndarray, Cameras]:
    """RGBA frames ``[V, F, H, W, 4]`` 0..1 as a user may have them.

    Args:
        views: which of the four reconstruction cameras.
        how: ``clean``; ``lit`` with noise and JPEG; ``small``; ``holes`` in the masks.
    """
    cameras = reconstruction_cameras(4, size // 2 if how == "small" else size)[views]
    frames = render_mesh(mesh, truth, cameras, shading=how == "lit")
    rng = np.random.default_rng(0)
    if how == "lit":
        noisy = np.clip(frames[..., :3] + rng.normal(0, 6, frames[..., :3].shape), 0, 255).astype(np.uint8)
        for v, f in np.ndindex(frames.shape[:2]):
            packed = cv2.imencode(".jpg", noisy[v, f], [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
            frames[v, f, ..., :3] = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    if how == "holes":
        for v, f in np.ndindex(frames.shape[:2]):
            for x, y in rng.integers(0, size, (3, 2)) if f else []:
                frames[v, f, y : y + size // 10, x : x + size // 10, 3] = 0
    return frames.astype(np.float32) / 255, cameras
