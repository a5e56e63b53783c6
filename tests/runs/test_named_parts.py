from __future__ import annotations

import numpy as np
import pytest
import trimesh

from animate3d.creatures.anatomy import Body, find_bodies
from animate3d.creatures.figures.part import Part
from animate3d.creatures.rigs import FRONT, UP
from animate3d.meshes import Mesh
from animate3d.runs.moves import UPRIGHT, MovingBody, _legend, read_moves
from animate3d.runs.named_parts import said_otherwise


def tank() -> Mesh:
    hull = trimesh.creation.box((1.0, 0.4, 2.0)).subdivide_to_size(0.15)
    turret = trimesh.creation.cylinder(0.3, 0.3, sections=16).subdivide_to_size(0.15)
    turret.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    turret.apply_translation((0, 0.36, 0))
    gun = trimesh.creation.cylinder(0.04, 0.8, sections=8).subdivide_to_size(0.15)
    gun.apply_translation((0, 0.36, 0.6))
    whole = trimesh.util.concatenate([hull, turret, gun])
    return Mesh.from_faces(np.array(whole.vertices), np.array(whole.faces))


def test_a_turret_turns_with_its_gun_and_the_hull_stays() -> None:
    mesh = tank()
    found = read_moves(
        "the tank turns its turret", lambda: find_bodies(mesh.vertices, mesh.triangles()[0], mesh.welded())
    )
    assert found is not None and str(found) == "turning its head"
    body = MovingBody(UPRIGHT.apply(mesh.vertices), found, 16)
    rest = UPRIGHT.apply(mesh.vertices)
    far = np.linalg.norm(body.at(rest, 8) - rest, axis=1)
    hull = mesh.vertices[:, 1] < 0.205
    assert far[hull].max() < 1e-6 < 0.2 < far[~hull].max()


def test_ears_move_and_wings_and_arms_do_not() -> None:
    def part(name: str, side: int) -> Part:
        return Part(name, 0, np.array([0.1 * side, 1.0, 0.0]), UP, FRONT, 0.5, side)

    trunk = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)
    rabbit = Body((trunk, part("arm", 1), part("arm", -1), part("ear", 1), part("ear", -1)), np.eye(5))
    found = read_moves("the rabbit wiggles its ears", lambda: [rabbit])
    assert found is not None and found.body is not None
    assert [part.name for part in found.body.parts] == ["trunk", "trim", "trim", "wing", "wing"]


@pytest.mark.parametrize("sentence", ["the tank turns", "the dog hears", "the dog turns its head", "it wags its tail"])
def test_other_sentences_stay_as_they_are(sentence: str) -> None:
    assert said_otherwise(sentence) == (sentence, None)


def test_the_names_of_many_parts_have_rows_enough() -> None:
    few, many = (_legend(names, np.full((len(names), 3), 200.0), 384) for names in (["leg"] * 3, ["propeller"] * 14))
    assert len(many) >= 3 * len(few)
    assert all(row.max() > 100 for row in np.split(many, len(many) // len(few)))
