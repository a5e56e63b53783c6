"""A textured shape in a motion we made ourselves, as frames and as truth."""

from __future__ import annotations

import numpy as np
import trimesh

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.meshes import Mesh
from animate3d.motion.template import Template
from animate3d.rasterize.textured import render_mesh


def patterned_capsule(subdivisions: int = 3) -> Mesh:
    """A long rounded body with coloured waves as vertex colours, already placed (z up)."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = np.array(ball.vertices) * [0.3, 0.3, 0.8]
    waves = np.random.default_rng(0).normal(size=(3, 12, 3)) * 6
    colors = np.stack([0.5 + 0.4 * np.tanh(np.sin(vertices @ wave.T + 1).sum(axis=1)) for wave in waves], axis=1)
    return Mesh.from_faces(vertices, np.array(ball.faces), vertex_colors=colors, up_axis="z")


def bent(vertices: np.ndarray, angle: float) -> np.ndarray:
    """Bend about y by ``angle`` radians per unit of height. ``[N, 3]``"""
    cos, sin = np.cos(angle * vertices[:, 2]), np.sin(angle * vertices[:, 2])
    x, y, z = vertices.T
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=1)


def bending(mesh: Mesh, frames: int, angle: float = 0.7) -> np.ndarray:
    """``[F, N, 3]`` from rest to ``angle``."""
    return np.stack([bent(mesh.vertices, angle * f / (frames - 1)) for f in range(frames)])


def footage(mesh: Mesh, positions: np.ndarray, size: int = 96) -> tuple[np.ndarray, Cameras]:
    """RGBA frames ``[V, F, H, W, 4]`` 0..1 of the four reconstruction cameras."""
    cameras = reconstruction_cameras(4, size)
    return render_mesh(mesh, positions, cameras, shading=False).astype(np.float32) / 255, cameras


def template_of(mesh: Mesh, nodes: int = 600) -> Template:
    """The template of a placed mesh."""
    assert mesh.vertex_colors is not None
    return Template(mesh.vertices, mesh.triangles()[0], mesh.welded(), mesh.vertex_colors, nodes=nodes)
