"""Parts that count only where they are asked for, joints inside of bodies, and legs that are seen from below."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from animate3d.creatures.anatomy import Body, find_bodies, find_body
from animate3d.creatures.anatomy.pieces import find_jaws
from animate3d.creatures.dragon import demo_asset
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.meshes import Mesh, load_mesh
from animate3d.motion.template import Template
from animate3d.rotations import rotation_matrices

Points = NDArray[np.float64]

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def boxes(*each: tuple[tuple[float, ...], tuple[float, ...]]) -> Mesh:
    """Boxes of a middle and half sides; the vertices of each are the next eight."""
    points = np.concatenate([CORNERS * half + middle for middle, half in each])
    return Mesh.from_faces(points, np.concatenate([QUADS + 8 * number for number in range(len(each))]))


def body_of(mesh: Mesh) -> Body:
    return find_body(mesh.vertices, mesh.triangles()[0], mesh.welded())


def airplane(at: tuple[float, float, float]) -> Mesh:
    """A long box with a loose bar in front of it or beside it."""
    return boxes(((0, 0, 0), (0.2, 0.2, 1.0)), (at, (0.5, 0.05, 0.03)))


def test_a_bar_at_the_nose_is_a_propeller_where_one_is_asked_for() -> None:
    body = body_of(airplane((0.0, 0.0, 1.04)))
    assert body.count("propeller") == 0
    asked = body.asked_for(("propeller",))
    (propeller,) = (part for part in asked.parts if part.name == "propeller")
    np.testing.assert_allclose(propeller.joint, [0, 0, 1.04], atol=0.03)
    np.testing.assert_allclose(propeller.hinge, FRONT, atol=0.02)
    follows = asked.shares[:, asked.parts.index(propeller)]
    np.testing.assert_allclose(follows, [0.0] * 8 + [1.0] * 8, atol=1e-9)
    np.testing.assert_allclose(asked.shares.sum(axis=1), 1.0, atol=1e-9)


def test_a_bar_that_touches_with_its_end_is_a_fin() -> None:
    assert body_of(airplane((0.71, 0.0, 0.9))).asked_for(("propeller",)).count("propeller") == 0


@pytest.mark.parametrize("yaw", [0.0, 90.0])
def test_a_lid_opens_at_the_back_of_what_it_lies_on(yaw: float) -> None:
    mesh = boxes(((0, 0, 0), (0.6, 0.4, 0.4)), ((0, 0.46, 0), (0.62, 0.05, 0.42)))
    turned = mesh.vertices @ rotation_matrices(np.deg2rad(yaw) * UP).T
    body = next(find_bodies(turned, mesh.triangles()[0], mesh.welded())).asked_for(("lid",))
    (lid,) = (part for part in body.parts if part.name == "lid")
    assert lid.joint[2] == pytest.approx(turned[8:, 2].min()) and lid.joint[1] == pytest.approx(0.41, abs=0.02)
    np.testing.assert_allclose(lid.hinge, -LEFT)
    assert body.shares[8:, -1].min() == 1.0 and body.shares[:8, -1].max() == 0.0


def test_a_box_without_a_lid_has_none() -> None:
    assert body_of(boxes(((0, 0, 0), (0.6, 0.4, 0.4)))).asked_for(("lid",)).count("lid") == 0


def test_a_mouth_is_the_lower_front_of_a_head() -> None:
    mesh = load_mesh(demo_asset())
    body = body_of(mesh)
    asked = body.asked_for(("jaw",))
    names = [part.name for part in asked.parts]
    head, jaw = names.index("head"), names.index("jaw")
    assert "jaw" not in [part.name for part in body.parts] and asked.parts[jaw].parent == head
    skull, chin = body.shares[:, head] > 0.5, asked.shares[:, jaw] > 0.5
    assert 0 < chin.sum() < 0.5 * skull.sum() and not (chin & ~skull).any()
    _, low, front = np.median(mesh.vertices[chin], axis=0) - np.median(mesh.vertices[skull], axis=0)
    assert low < 0 < front


def test_what_has_no_head_has_no_mouth() -> None:
    assert body_of(boxes(((0, 0, 0), (0.6, 0.4, 0.4)))).asked_for(("jaw",)).count("jaw") == 0


def test_a_head_without_depth_has_no_mouth() -> None:
    mesh = boxes(((0, 0, 0), (0.6, 0.4, 0.4)))
    for depth, found in ((1.0, 1), (0.0, 0)):
        points = mesh.vertices * [1.0, 1.0, depth]
        body = Template(points, mesh.triangles()[0], mesh.welded(), np.zeros((len(points), 3)))
        assert len(find_jaws(body, 1, np.ones(len(body.rest)))) == found


def test_limbs_turn_about_places_inside_of_the_body() -> None:
    figure = draw_figure(21, "person")
    body = body_of(figure_mesh(figure, 0.07))
    joints = np.array([part.joint for part in body.parts if part.name in ("leg", "arm")])
    assert len(joints) == 4 and figure.distance(joints).max() < 0


def test_legs_are_found_although_their_feet_have_grown_together() -> None:
    mesh = boxes(
        ((0, 0.8, 0), (0.3, 0.2, 0.5)),
        ((-0.12, 0.35, 0), (0.04, 0.26, 0.04)),
        ((0.12, 0.35, 0), (0.04, 0.26, 0.04)),
        ((0, 0.05, 0), (0.25, 0.05, 0.12)),
    )
    body = body_of(mesh)
    legs = {part.side: body.shares[:, number] for number, part in enumerate(body.parts) if part.name == "leg"}
    assert sorted(legs) == [-1, 1]
    for side, follows in legs.items():
        own = (mesh.vertices[:, 0] * side > 0) & (mesh.vertices[:, 1] < 0.3)
        assert follows[own].min() > 0.4 and follows[:8].max() < 0.1
