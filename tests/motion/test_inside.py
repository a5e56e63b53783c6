from __future__ import annotations

import numpy as np
import trimesh

from animate3d.motion.inside import times_around


def test_a_surface_goes_around_what_is_inside_of_it_once_and_twice_where_its_parts_overlap() -> None:
    ball, other = trimesh.creation.icosphere(2), trimesh.creation.icosphere(2)
    other.apply_translation([1.2, 0, 0])
    both = trimesh.util.concatenate([ball, other])
    points = np.array([[-0.5, 0.1, 0], [0.6, 0, 0.1], [1.6, 0, 0.1], [0.6, 1.5, 0]])
    np.testing.assert_allclose(times_around(points, both.vertices, both.faces), [1, 2, 1, 0], atol=1e-9)


def test_the_way_that_faces_are_wound_does_not_matter() -> None:
    ball = trimesh.creation.icosphere(1)
    np.testing.assert_allclose(times_around(np.zeros((1, 3)), ball.vertices, ball.faces[:, ::-1]), [1], atol=1e-9)


def test_an_open_sheet_goes_half_around_what_lies_beside_it() -> None:
    sheet = np.array([[-100.0, -100, 0], [100, -100, 0], [100, 100, 0], [-100, 100, 0]])
    around = times_around(np.array([[0.3, 0.1, 0.01]]), sheet, np.array([[0, 1, 2], [0, 2, 3]]))
    np.testing.assert_allclose(around, [0.5], atol=1e-3)
