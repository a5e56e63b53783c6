"""Random bodies: every kind gives parts, weights, colours and points on its surface, the same ones from a seed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from animate3d.creatures.figures import KINDS, Figure, Part, draw_figure, figure_mesh, surface_points
from animate3d.creatures.figures.draw import figure_noun
from animate3d.creatures.figures.plan import Plan, hinge_for, unit
from animate3d.creatures.figures.solids import Solids
from animate3d.creatures.rigs import turn_points
from animate3d.errors import InputError

LEFT, UP, FRONT = np.eye(3)


@cache
def some(kind: str, seed: int = 3) -> Figure:
    return draw_figure(seed, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_of_every_kind_is_whole(kind: str) -> None:
    for seed in (1, 2):
        figure = some(kind, seed)
        assert figure.kind == kind and figure.noun and figure.parts[0].name == "trunk"
        assert np.ptp([figure.low, figure.high], axis=0).max() == pytest.approx(2.0)
        points, normals = surface_points(figure, 600, np.random.default_rng(0))
        assert points.shape == normals.shape == (600, 3)
        pieces = figure.piece_distances(figure.solids.distances(points))
        assert np.abs(pieces).min(axis=0).max() < 0.06
        # Outside is where the normals point to.
        outer, inner = figure.distance(points + 0.004 * normals), figure.distance(points - 0.004 * normals)
        assert (outer > inner)[np.abs(pieces.min(axis=0)) < 0.01].mean() > 0.97
        weights = figure.weights(points)
        assert weights.shape == (600, len(figure.parts)) and weights.min() >= 0
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
        colors = figure.paint(points, normals)
        assert colors.min() >= 0 and colors.max() <= 1
        assert (np.linalg.norm(colors - 0.5, axis=1) > 0.1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_rigged(kind: str) -> None:
    for seed in range(6):
        for number, part in enumerate(some(kind, seed).parts):
            assert part.parent < number and (part.parent == -1) == (number == 0)
            assert np.linalg.norm(part.along) == pytest.approx(1) and np.linalg.norm(part.hinge) == pytest.approx(1)
            assert part.length > 0 and part.side in (-1, 0, 1) and 0 <= part.order <= 1


def tip_goes(part: Part) -> np.ndarray:
    """The direction in which the tip of a part starts when it turns by a positive angle."""
    return np.cross(part.hinge, part.along)


@pytest.mark.parametrize(
    ("kind", "name", "way"),
    [
        ("animal", "leg", FRONT),
        ("person", "arm", FRONT),
        ("bird", "wing", UP),
        ("animal", "tail", LEFT),
        ("fish", "tail", LEFT),
        ("octopus", "tentacle", LEFT),
        ("plant", "stem", LEFT),
        ("animal", "jaw", -UP),
        ("vessel", "lid", UP),
        ("vehicle", "wheel", FRONT),
    ],
)
def test_a_positive_turn_goes_where_the_part_says(kind: str, name: str, way: np.ndarray) -> None:
    found = [part for seed in range(40) for part in some(kind, seed).parts if part.name == name]
    assert len(found) > 3
    # What already points there can only turn across.
    aligned = [abs(part.along @ way) > 0.95 for part in found]
    assert all(tip_goes(part) @ way > (-0.1 if along else 0.1) for part, along in zip(found, aligned, strict=True))
    assert np.mean(aligned) < 0.4


def test_heads_nod_down_and_petals_open() -> None:
    for seed in range(20):
        for part in some("animal", seed).parts:
            if part.name in ("neck", "head"):
                assert np.cross(part.hinge, FRONT) @ UP < 0  # what looks ahead looks down
        for part in some("plant", seed).parts:
            if part.name == "petal":
                out = unit(part.along * [1, 0, 1])
                assert np.cross(part.hinge, UP) @ out > 0.9


def test_a_wing_that_points_up_still_has_a_hinge() -> None:
    hinge = hinge_for("wing", UP, LEFT)
    assert np.linalg.norm(hinge) == pytest.approx(1) and hinge @ FRONT > 0.9


def test_the_same_seed_gives_the_same_figure() -> None:
    one, other = draw_figure(11, "animal"), draw_figure(11, "animal")
    points, normals = surface_points(one, 300, np.random.default_rng(4))
    again, _ = surface_points(other, 300, np.random.default_rng(4))
    np.testing.assert_array_equal(points, again)
    np.testing.assert_array_equal(one.paint(points, normals), other.paint(points, normals))
    assert some("animal", 12).noun != one.noun or len(some("animal", 12).solids) != len(one.solids)


def test_the_noun_alone_is_that_of_the_figure() -> None:
    assert [figure_noun(seed) for seed in range(20)] == [draw_figure(seed).noun for seed in range(20)]


def test_points_are_spread_by_area() -> None:
    many = (some("geometric", seed) for seed in range(300))
    ball = next(f for f in many if len(f.solids) == 1 and np.ptp(f.high) < 1e-6 and f.solids.items[0].kind == "limb")
    points, _ = surface_points(ball, 20000, np.random.default_rng(0))
    slices = np.histogram(points[:, 1], bins=10, range=(-1, 1))[0]
    assert np.abs(slices / 2000 - 1).max() < 0.1  # by Archimedes, every slice of a sphere has the same area


def test_weights_are_rigid_away_from_joints_and_sharp_across_pieces() -> None:
    figure = next(f for f in (some("vehicle", s) for s in range(20)) if any(p.name == "wheel" for p in f.parts))
    points, _ = surface_points(figure, 3000, np.random.default_rng(0))
    weights = figure.weights(points)
    assert ((weights == 0) | (weights == 1)).all()
    animal = some("animal", 3)
    points, _ = surface_points(animal, 3000, np.random.default_rng(0))
    weights = animal.weights(points)
    for number, part in enumerate(animal.parts):
        if part.name == "leg":
            low = points[:, 1] < part.joint[1] - 0.8 * part.length
            assert set(weights[low, number]) <= {0.0, 1.0}
    soft = (weights.max(axis=1) < 0.95).mean()
    assert 0.005 < soft < 0.5


def test_a_lid_is_one_body_where_it_dips_into_the_box() -> None:
    figure = next(f for f in (some("vessel", s) for s in range(40)) if any(p.name == "lid" for p in f.parts))
    points, _ = surface_points(figure, 4000, np.random.default_rng(0))
    on_box, on_lid = np.abs(figure.piece_distances(figure.solids.distances(points)))
    clear = np.abs(on_box - on_lid) > 0.01
    lid = next(number for number, part in enumerate(figure.parts) if part.name == "lid")
    np.testing.assert_array_equal(figure.weights(points)[clear, lid] == 1.0, (on_lid < on_box)[clear])


def test_a_turned_leg_stays_on_the_body() -> None:
    figure = some("animal", 3)
    points, _ = surface_points(figure, 4000, np.random.default_rng(0))
    number, leg = next((i, p) for i, p in enumerate(figure.parts) if p.name == "leg")
    moved = turn_points(points, leg.joint, leg.hinge, 0.4 * figure.weights(points)[:, number])
    away = np.linalg.norm(moved - points, axis=1)
    foot = np.linalg.norm(points - leg.joint - leg.length * leg.along, axis=1).argmin()
    assert away[foot] == pytest.approx(away.max(), rel=0.35)
    assert (moved - points)[foot] @ FRONT > 0.2 * leg.length


def test_every_solid_is_where_its_points_are() -> None:
    """The grid that spreads points and the distance agree, for every kind of solid."""
    from animate3d.creatures.figures.solids import template

    seen = set()
    for kind in KINDS:
        for seed in range(5):
            for solid in some(kind, seed).solids.items:
                far = np.abs(Solids([solid]).distances(template(solid).reshape(-1, 3)))
                seen.add(solid.kind)
                # Sharp edges of the grid stand out from round ones by less than the rounding.
                assert np.median(far) < 0.06, (kind, seed, solid.kind)
    assert seen == {"limb", "plate", "box", "drum", "ring", "lathe"}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="unicorn"):
        draw_figure(0, "unicorn")


@pytest.mark.parametrize(("kind", "seed"), [("insect", 1), pytest.param("vehicle", 5, marks=pytest.mark.slow)])
def test_a_mesh_is_closed_and_textured(kind: str, seed: int) -> None:
    figure = some(kind, seed)
    mesh = figure_mesh(figure, 0.07)
    mesh.check()
    quads = mesh.corners.reshape(-1, 4)
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    texture = mesh.materials[0].textures["diffuse"]
    assert texture.ndim == 3 and texture.std() > 5
    assert (mesh.vertices.min(axis=0) > figure.low - 0.1).all() and (
        mesh.vertices.max(axis=0) < figure.high + 0.1
    ).all()
    # Thin wings and legs are there: the box is filled to its sides.
    assert (np.ptp(mesh.vertices, axis=0) > 0.85 * (figure.high - figure.low)).all()


def test_what_is_drawn_aside_changes_nothing_after_it() -> None:
    one, other = Plan(np.random.default_rng(5)), Plan(np.random.default_rng(5))
    with one.aside():
        drawn = one.among(0.0, 1.0)
    assert one.among(0.0, 1.0) == other.among(0.0, 1.0) != drawn
    with one.aside():
        assert one.among(0.0, 1.0) != drawn
