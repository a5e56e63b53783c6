"""The parts of a body of which only the surface is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from animate3d.creatures.anatomy import Body, find_bodies, find_body
from animate3d.creatures.anatomy import body as anatomy_body
from animate3d.creatures.anatomy.facing import Facing
from animate3d.creatures.anatomy.naming import Limb, names_of
from animate3d.creatures.dragon import demo_asset
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.creatures.moves import MOVES, Manner, pose_at, subject_of
from animate3d.creatures.moves.subject import yawed
from animate3d.creatures.rigs import FRONT, LEFT
from animate3d.meshes import Mesh, load_mesh
from animate3d.rotations import rotation_matrices


def body_of(mesh: Mesh) -> Body:
    return find_body(mesh.vertices, mesh.triangles()[0], mesh.welded())


def counted(body: Body) -> Counter[str]:
    return Counter(part.name for part in body.parts)


@pytest.mark.parametrize(
    "kind, seed, move",
    [
        pytest.param("person", 21, "walk", marks=pytest.mark.slow),
        ("animal", 23, "gallop"),
        ("vehicle", 20, "drive"),
    ],
)
def test_parts_are_found_and_move_as_the_true_ones(kind: str, seed: int, move: str) -> None:
    figure = draw_figure(seed, kind)
    mesh = figure_mesh(figure, 0.1 if kind == "vehicle" else 0.07)
    body = body_of(mesh)
    true, found = Counter(part.name for part in figure.parts), counted(body)
    for name in ("leg", "arm", "wheel"):
        assert found[name] == true[name]
    np.testing.assert_allclose(body.shares.sum(axis=1), 1, atol=1e-9)
    times = np.array([0.2, 0.4, 0.7])
    went, should = (
        pose_at(subject_of(who, mesh.vertices), [(MOVES[move], Manner())], times) - mesh.vertices
        for who in (body, figure)
    )
    assert (went * should).sum() > 0.85 * np.sqrt((went**2).sum() * (should**2).sum())


def test_the_dragon_has_wings_legs_a_head_with_horns_and_a_tail() -> None:
    found = counted(body_of(load_mesh(demo_asset())))
    assert (found["wing"], found["leg"], found["head"], found["tail"]) == (2, 2, 1, 1) and found["ear"] >= 2


def test_a_ball_has_no_limbs() -> None:
    u, v = np.meshgrid(np.linspace(0, np.pi, 14), np.linspace(0, 2 * np.pi, 24, endpoint=False), indexing="ij")
    points = np.stack([np.sin(u) * np.cos(v), np.cos(u), np.sin(u) * np.sin(v)], -1).reshape(-1, 3)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(13), np.arange(24), indexing="ij"))
    k = (j + 1) % 24
    quads = np.stack([i * 24 + j, (i + 1) * 24 + j, (i + 1) * 24 + k, i * 24 + k], axis=1)
    assert counted(body_of(Mesh.from_faces(points, quads))) == {"trunk": 1}


def test_arms_can_be_called_wings() -> None:
    body = body_of(figure_mesh(draw_figure(21, "person"), 0.07))
    winged = body.called({"arm": "wing"})
    assert winged.count("wing") == body.count("arm") == 2 and winged.count("arm") == 0


@pytest.mark.parametrize("yaw", [0.0, 40.0, -75.0, 90.0])
def test_a_body_is_turned_to_where_it_faces(yaw: float) -> None:
    mesh = load_mesh(demo_asset())
    turned = yawed(mesh.vertices, yaw)
    body = next(find_bodies(turned, mesh.triangles()[0], mesh.welded()))
    np.testing.assert_allclose(body.turn @ yawed(FRONT, yaw), FRONT, atol=0.2)
    assert body.count("wing") == 2 and body.count("leg") == 2


@pytest.mark.parametrize("yaw", [pytest.param(0.0, marks=pytest.mark.slow), 180.0])
def test_a_thin_tail_and_a_thick_head_tell_what_walks_backwards(yaw: float) -> None:
    mesh = figure_mesh(draw_figure(9500, "animal"), 0.1)
    body = next(find_bodies(yawed(mesh.vertices, yaw), mesh.triangles()[0], mesh.welded()))
    np.testing.assert_allclose(body.turn @ yawed(FRONT, yaw), FRONT, atol=0.01)
    assert counted(body) == {"trunk": 1, "leg": 4, "head": 1, "tail": 1}


def test_what_lies_on_its_back_stands_in_the_second_try() -> None:
    mesh = figure_mesh(draw_figure(23, "animal"), 0.07)
    lying = mesh.vertices @ rotation_matrices(-np.pi / 2 * LEFT).T
    bodies = list(find_bodies(lying, mesh.triangles()[0], mesh.welded()))
    assert [body.count("leg") for body in bodies][1] == 4
    np.testing.assert_allclose(lying @ bodies[1].turn.T, mesh.vertices, atol=1e-6)


def test_a_leg_in_a_step_is_found_and_a_shield_is_no_head() -> None:
    def limb(root: tuple[float, ...], tip: tuple[float, ...]) -> Limb:
        return Limb(np.array(root), np.array(tip), 0.1, 0.1)

    low, high = np.array([-0.5, 0.0, -0.5]), np.array([0.5, 2.0, 0.5])
    standing, stepping = limb((-0.1, 0.9, 0), (-0.1, 0, -0.2)), limb((0.1, 0.9, 0), (0.1, 0.6, 0.5))
    shield, head = limb((0, 1.4, 0.2), (0, 1.6, 0.5)), limb((0, 1.7, 0), (0, 2, 0))
    names = names_of([standing, stepping, shield, head], [-1, 1, 0, 0], low, high)
    assert names == ["leg", "leg", "", "head"]


def test_a_lifted_leg_is_found_between_standing_ones() -> None:
    """Its fellow on the other side is near another standing leg, which has a fellow of its own."""

    def limb(side: float, along: float, low: float) -> Limb:
        return Limb(np.array([0.2 * side, 0.5, along]), np.array([0.8 * side, low, 1.5 * along]), 0.1, 0.1)

    places = [(side, along) for along in (-0.15, 0.0, 0.15) for side in (-1.0, 1.0)]
    limbs = [limb(side, along, 0.3 if (side, along) == (-1.0, 0.15) else 0.0) for side, along in places]
    names = names_of(limbs, [int(side) for side, _ in places], np.array([-0.8, 0.0, -0.8]), np.array([0.8, 0.8, 0.8]))
    assert names == ["leg"] * 6


def test_legs_tell_the_front_of_who_is_alike_in_front_and_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy_body, "facings", lambda points: [Facing(90.0, 0.7), Facing(0.0, 0.3)])
    mesh = figure_mesh(draw_figure(21, "person"), 0.07)
    body = next(find_bodies(mesh.vertices, mesh.triangles()[0], mesh.welded()))
    assert np.allclose(body.turn, np.eye(3)) and body.pairs_of("leg") == 1


def rod(low: tuple[float, ...], high: tuple[float, ...], sides: int = 4) -> Mesh:
    """A box, or a disc around the x axis, of a few points along its length."""
    turns = np.linspace(0, 2 * np.pi, sides, endpoint=False) + np.pi / sides
    ring = np.stack([np.cos(turns), np.sin(turns)], -1) / np.cos(np.pi / sides)
    along = 0 if sides > 4 else 1
    levels = np.linspace(-1, 1, 9)
    points = np.insert(np.repeat(ring[None], 9, axis=0).reshape(-1, 2), along, np.repeat(levels, sides), axis=1)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(8), np.arange(sides), indexing="ij"))
    k = (j + 1) % sides
    quads = np.stack([i * sides + j, (i + 1) * sides + j, (i + 1) * sides + k, i * sides + k], axis=1)
    middle, half = 0.5 * (np.add(low, high)), 0.5 * np.subtract(high, low)
    return Mesh.from_faces(middle + half * points, quads)


def test_small_wheels_under_long_legs_are_feet_where_legs_are_asked_for() -> None:
    pieces = [rod((-0.2, 0.9, -0.5), (0.2, 1.1, 0.5))]
    for x, z in ((-0.2, -0.45), (0.2, -0.45), (-0.2, 0.45), (0.2, 0.45)):
        pieces.append(rod((x - 0.04, 0.08, z - 0.04), (x + 0.04, 0.92, z + 0.04)))
        pieces.append(rod((x - 0.03, 0.0, z - 0.05), (x + 0.03, 0.1, z + 0.05), 12))
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    points = np.concatenate([piece.vertices for piece in pieces])
    triangles = np.concatenate([piece.triangles()[0] + start for piece, start in zip(pieces, starts, strict=False)])
    body = find_body(points, triangles, np.arange(len(points)))
    assert counted(body.asked_for(["wheel"]))["wheel"] == 4 and counted(body.asked_for(["wheel"]))["leg"] == 0
    assert counted(body.asked_for(["leg"]))["wheel"] == 0 and counted(body.asked_for(["leg"]))["leg"] == 4
    rolls = body.shares[:, [part.name == "wheel" for part in body.parts]].sum(axis=1)
    assert set(np.unique(rolls)) == {0.0, 1.0}  # no wheel turns by half


def test_where_a_body_stands_changes_nothing() -> None:
    mesh = load_mesh(demo_asset())
    away = find_body(mesh.vertices + [5.0, 0.0, 0.0], mesh.triangles()[0], mesh.welded())
    here = body_of(mesh)
    for name in ("wing", "leg", "arm"):
        one, other = (body.shares[:, [part.name == name for part in body.parts]].sum(axis=1) for body in (here, away))
        assert (np.abs(one - other) > 0.05).mean() < 0.005  # rounding moves a border by a node here and there
