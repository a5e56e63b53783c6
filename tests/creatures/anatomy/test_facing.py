from __future__ import annotations

import numpy as np
import pytest

from animate3d.creatures.anatomy import find_bodies
from animate3d.creatures.anatomy.facing import SAMPLE, SURE, Facing, chosen, evenly, facings, looks, turned
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.creatures.figures.sampling import surface_points

ANYWHERE = (0.0, 45.0, 110.0, 135.0, 180.0, -160.0, -90.0, -45.0)


def apart(one: float, other: float) -> float:
    return abs((one - other + 180.0) % 360.0 - 180.0)


def cloud(kind: str, seed: int) -> np.ndarray:
    return surface_points(draw_figure(seed, kind), SAMPLE, np.random.default_rng(0))[0]


def test_creatures_are_seen_to_face_where_they_face() -> None:
    right = []
    for kind, seed in (("animal", 31), ("bird", 33), ("fish", 31), ("snake", 33)):
        points = cloud(kind, seed)
        right += [apart(facings(turned(points, yaw))[0].yaw, yaw) <= 15.0 for yaw in ANYWHERE]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("yaw", [20.0, 110.0, -130.0])
def test_the_plane_of_symmetry_is_found_however_a_body_is_turned(yaw: float) -> None:
    # The middle of the box of a fish that looks aside is not in its plane of symmetry.
    for kind, seed in (("fish", 31), ("bird", 33), ("bust", 35), ("vehicle", 33)):
        sides = facings(turned(cloud(kind, seed), yaw))
        assert min(apart(side.yaw, yaw) for side in sides) <= 5.0, (kind, seed)


def test_a_ball_faces_the_camera() -> None:
    points = np.random.default_rng(0).normal(size=(SAMPLE, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert chosen(facings(points)).yaw == 0.0


def test_the_choice_turns_with_the_body() -> None:
    likely = (0.55, 0.2, 0.24, 0.01)
    for yaw in ANYWHERE:
        sides = [Facing((yaw + 90.0 * n + 180.0) % 360.0 - 180.0, share) for n, share in enumerate(likely)]
        assert apart(chosen(sides).yaw, yaw) == 0.0


def test_what_the_file_gives_as_front_counts_where_the_shape_hardly_tells() -> None:
    assert chosen([Facing(180.0, 0.55), Facing(0.0, 0.4), Facing(90.0, 0.05)]).yaw == 0.0
    assert chosen([Facing(-135.0, 0.35), Facing(45.0, 0.3), Facing(-45.0, 0.2), Facing(135.0, 0.15)]).yaw == 45.0


def test_what_has_no_plane_of_symmetry_faces_across_its_breadth() -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(size=(SAMPLE, 3)) * [1.0, 1.0, 0.3]
    points[:, 2] += 0.3 * points[:, 0] * (points[:, 1] > 0.5)  # turned above, so that no half is like the other
    points[:, 0] += 0.5 * points[:, 1] ** 2
    first = min(apart(side.yaw, 0.0) for side in facings(points))
    for yaw in (45.0, 135.0):
        assert min(apart(side.yaw, yaw) for side in facings(turned(points, yaw))) <= first + 15.0


def test_a_body_that_faces_away_is_turned_and_says_so() -> None:
    mesh = figure_mesh(draw_figure(21, "animal"), 0.07)
    away = turned(mesh.vertices, 180.0)
    body = next(find_bodies(away, mesh.triangles()[0], mesh.welded()))
    assert body.fronted and apart(body.yaw, 180.0) <= 15.0
    assert facings(evenly(away, mesh.triangles()[0]))[0].likely >= SURE


def test_a_body_faces_where_it_is_said_to() -> None:
    mesh = figure_mesh(draw_figure(21, "animal"), 0.07)
    triangles, groups = mesh.triangles()[0], mesh.welded()
    ahead = next(find_bodies(mesh.vertices, triangles, groups, 0.0))
    for yaw in (90.0, -135.0):
        body = next(find_bodies(turned(mesh.vertices, yaw), triangles, groups, yaw))
        assert body.fronted and apart(body.yaw, yaw) < 1e-6
        assert [part.name for part in body.parts] == [part.name for part in ahead.parts]
        np.testing.assert_allclose(body.shares, ahead.shares, atol=1e-6)


def test_what_is_looked_at_says_as_much_in_any_size() -> None:
    points = np.random.default_rng(0).normal(size=(SAMPLE, 3)) * [0.3, 0.5, 1.0]
    np.testing.assert_allclose(looks(points), looks(7.0 * points + [1.0, 2.0, 3.0]), atol=1e-9)
