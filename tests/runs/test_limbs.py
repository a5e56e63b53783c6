"""Limbs of one side: what moves, and what the line says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from animate3d.creatures.anatomy import Body
from animate3d.creatures.figures.part import Part
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.runs.moves import UPRIGHT, Computed, MovingBody, read_moves

SIDED = ("arm", "leg", "wing", "ear")
POINTS = np.concatenate(
    [np.array([[0.0, -1.0, 0.3], [0.0, 1.0, -0.3]])]
    + [
        np.array([s * 0.1, 0.3 * row, 0.0])
        + np.outer([0.0, 0.25, 0.5], s * LEFT - 0.4 * UP)
        + np.outer([0.0, 0.1, 0.0], FRONT)
        for row in range(4)
        for s in (1, -1)
    ]
)
"""Two of the trunk, then three of each left and right limb."""


def body(fronted: bool = True) -> Body:
    def limb(name: str, row: int, side: int) -> Part:
        along = (side * LEFT - 0.4 * UP) / np.linalg.norm(LEFT + 0.4 * UP)
        return Part(name, 0, np.array([side * 0.1, 0.3 * row, 0.0]), along, FRONT, 0.5, side)

    limbs = [limb(name, row, side) for row, name in enumerate(SIDED) for side in (1, -1)]
    trunk = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)
    shares = np.zeros((len(POINTS), 9))
    shares[[0, 1], 0] = 1.0
    for number in range(8):
        shares[2 + 3 * number : 5 + 3 * number, 1 + number] = 1.0
    return Body((trunk, *limbs), shares, fronted=fronted)


def computed(prompt: str, of: Body | None = None) -> Computed:
    found = read_moves(prompt, lambda: [of or body()])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("prompt", "limb"),
    [
        ("the man waves his left arm", "left arm"),
        ("the man waves his right arm", "right arm"),
        ("the robot raises its right arm", "right arm"),
        ("the robot raises its left arm", "left arm"),
        ("the dog kicks with its left leg", "left leg"),
        ("the dog kicks with its right leg", "right leg"),
        ("the bird flaps its left wing", "left wing"),
        ("the bird flutters its right wing", "right wing"),
        ("the rabbit wiggles its right ear", "right ear"),
    ],
)
def test_the_named_side_moves_alone(prompt: str, limb: str) -> None:
    found = computed(prompt)
    rest = UPRIGHT.apply(POINTS)
    moving = MovingBody(rest, found, 16)
    far = np.max([np.linalg.norm(moving.at(rest, frame) - rest, axis=1) for frame in range(16)], axis=0)
    far = far[2:].reshape(8, 3)[:, 2]
    side, name = limb.split()
    number = 2 * SIDED.index(name) + (side == "right")
    assert far[number] > 2.0 * np.delete(far, number).max()
    assert f"own {side}" in str(found) and "left out" not in found.told("")


def test_a_side_that_is_not_found_or_has_no_move_is_told() -> None:
    whole = body()
    one_armed = replace(whole, parts=tuple(replace(part, side=1) for part in whole.parts))
    assert "“its right arm” is left out" in computed("it waves its right arm", one_armed).told("")
    assert "“its left wing” is left out" in computed("it tilts its left wing").told("")
    assert "left out" not in computed("it raises its left arm and its right arm").told("")


def test_left_and_right_of_what_has_no_front_are_said_to_be_guessed() -> None:
    assert "left and right are guessed" in computed("it waves its right arm", body(fronted=False)).told("")
    assert "guessed" not in computed("it waves its right arm").told("")
    assert "guessed" not in computed("it waves", body(fronted=False)).told("")


def test_degrees_that_a_motion_does_not_keep_to_are_told() -> None:
    assert "“30 degrees” is left out" in computed("it raises its arms by 30 degrees").told("")
    assert "left out" not in computed("it turns 90 degrees to the left").told("")
    assert "left out" not in computed("it rotates 360 degrees").told("")
