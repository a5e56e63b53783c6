"""What is asked of a surface through its clusters is what every one of its triangles would say."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from animate3d.motion.clusters import Clusters, clustered
from animate3d.motion.inside import times_around


def bumpy(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    ball, random = trimesh.creation.icosphere(4), np.random.default_rng(seed)
    waves = np.sin(ball.vertices @ random.normal(size=(3, 4)) * 5).sum(axis=1)
    return ball.vertices * (1 + 0.08 * waves[:, None]), ball.faces


@pytest.mark.parametrize("faces", [5120, 4000, 3, 0])  # closed, open, almost and altogether nothing
def test_a_surface_goes_around_points_as_often_as_all_its_triangles_do(faces: int) -> None:
    vertices, triangles = bumpy()
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (400, 3))
    found = Clusters.of(vertices, clustered(vertices, triangles[:faces])).times_around(points)
    np.testing.assert_allclose(found, times_around(points, vertices, triangles[:faces]), atol=0.02)


def test_the_nearest_place_is_that_of_all_triangles_also_when_the_surface_has_moved() -> None:
    vertices, triangles = bumpy()
    order = clustered(vertices, triangles)
    moved, _ = bumpy(seed=2)
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (200, 3))
    distance, places = Clusters.of(moved, order).nearest(points)
    wanted, far, _ = trimesh.proximity.closest_point_naive(trimesh.Trimesh(moved, triangles, process=False), points)
    np.testing.assert_allclose(distance, far, atol=1e-9)
    np.testing.assert_allclose(places, wanted, atol=1e-6)


def test_clusters_hold_every_triangle_once() -> None:
    vertices, triangles = bumpy()
    order = clustered(vertices, triangles[:1000])
    proper = order[order[:, 0] != order[:, 1]]
    np.testing.assert_array_equal(np.unique(proper, axis=0), np.unique(triangles[:1000], axis=0))
