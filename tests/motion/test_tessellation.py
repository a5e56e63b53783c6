"""How a shape moves does not depend on how its author cut it into triangles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trimesh
from moving_shapes import bent

from animate3d.cameras import reconstruction_cameras
from animate3d.meshes import Mesh
from animate3d.motion.surfaces import vertex_areas
from animate3d.motion.template import Template
from animate3d.motion.tracking import track
from animate3d.rasterize.textured import render_mesh

FRAMES, SIZE = 6, 256
TOLERANCE = 0.002  # of the diagonal
Shape = tuple[trimesh.Trimesh, Callable[[np.ndarray, float], np.ndarray]]


def capsule() -> Shape:
    shape = trimesh.creation.icosphere(subdivisions=2)
    shape.apply_scale([0.3, 0.3, 0.8])
    return shape, lambda x, t: bent(x, 0.7 * t)


def walker() -> Shape:
    """A body on four legs of one piece each, which swing in pairs."""
    body = trimesh.creation.box([1.0, 0.4, 0.3]).apply_translation([0, 0, 0.2])
    places = [(x, y) for x in (-0.35, 0.35) for y in (-0.15, 0.15)]
    legs = [trimesh.creation.box([0.14, 0.12, 0.6]).apply_translation([x, y, -0.26]) for x, y in places]
    whole = trimesh.util.concatenate([body, *legs]).subdivide_to_size(0.25)

    def move(x: np.ndarray, t: float) -> np.ndarray:
        swing = 0.5 * np.sin(2.5 * t) * np.sign(x[:, 0] * x[:, 1])
        below = np.minimum(x[:, 2] - 0.045, 0.0)  # the legs begin under the body and bend from there
        return x + np.stack([swing * below, 0 * below, 0.0 * below], axis=1)

    return whole, move


def looks(shape: trimesh.Trimesh) -> np.ndarray:
    """Coloured waves at the vertices ``[N, 3]``, fine enough for what few vertices there are."""
    waves = np.random.default_rng(0).normal(size=(3, 12, 3)) * 6
    return np.stack([0.5 + 0.4 * np.tanh(np.sin(shape.vertices @ wave.T + 1).sum(axis=1)) for wave in waves], axis=1)


def finer(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same surface in the same colours with a vertex on every edge."""
    points, triangles, found = trimesh.remesh.subdivide(vertices, faces, vertex_attributes={"colors": colors})
    return points, triangles, found["colors"]


def error(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, move: Callable[[np.ndarray, float], np.ndarray]
) -> float:
    """Mean distance from the true positions, averaged by area, as a share of the diagonal."""
    mesh = Mesh.from_faces(vertices, faces, vertex_colors=colors, up_axis="z")
    truth = np.stack([move(vertices, t) for t in np.linspace(0, 1, FRAMES)])
    cameras = reconstruction_cameras(4, SIZE)
    frames = render_mesh(mesh, truth, cameras, shading=False).astype(np.float32) / 255
    positions = track(Template(vertices, faces, mesh.welded(), colors), frames, cameras).positions
    missed = np.linalg.norm(positions - truth, axis=-1)[1:].mean(axis=0)
    share = vertex_areas(vertices, faces)
    return float(np.average(missed, weights=share) / np.linalg.norm(np.ptp(vertices, axis=0)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [capsule, walker])
def test_a_quarter_and_four_times_the_vertices_move_alike(kind: Callable[[], Shape]) -> None:
    shape, move = kind()
    quarter = (np.array(shape.vertices), np.array(shape.faces), looks(shape))
    whole = finer(*quarter)
    errors = {len(cut[0]): error(*cut, move) for cut in (quarter, whole, finer(*whole))}
    assert max(errors.values()) - min(errors.values()) < TOLERANCE, errors
