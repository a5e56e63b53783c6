"""How far something is asked to turn, in degrees."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.bundled_model.degrees import degrees_of, without_degrees
from animate3d.bundled_model.prompts import asked_moves
from animate3d.creatures.moves import MOVES, subject_of_points


@pytest.mark.parametrize(
    ("prompt", "name", "direction"),
    [
        ("it rotates 360 degrees", "spin", ""),
        ("it turns by 360°", "spin", ""),
        ("it turns 90 degrees to the left", "turn", "left"),
        ("it rotates 45 degrees clockwise", "turn", "right"),
        ("it tilts 20 degrees to the right", "tilt", "right"),
    ],
)
def test_what_turns_by_degrees_turns(prompt: str, name: str, direction: str) -> None:
    ((found, manner),) = asked_moves(prompt)
    assert (found, manner.direction) == (name, direction)


@pytest.mark.parametrize(("prompt", "degrees"), [("it turns 90 degrees left", 90.0), ("it tilts 20° left", 20.0)])
def test_it_goes_as_far_as_it_is_asked_to(prompt: str, degrees: float) -> None:
    ((name, manner),) = asked_moves(prompt)
    subject = subject_of_points(np.random.default_rng(0).uniform(-1.0, 1.0, (50, 3)))
    there = MOVES[name].pose(subject, 1.0, manner)
    before, after = (points - points.mean(axis=0) for points in (subject.points, there))
    u, _, vt = np.linalg.svd(before.T @ after)
    angle = np.rad2deg(np.arccos((np.trace(u @ vt) - 1.0) / 2.0))
    assert abs(angle - degrees) < 0.5


def test_degrees_are_told_apart_from_whole_turns() -> None:
    assert without_degrees("it spins 720 degrees slowly") == "it spins around twice slowly"
    assert without_degrees("it turns by 90 degrees") == "it turns"
    assert degrees_of("it turns by 90 degrees") == 90 and degrees_of("it spins 360 degrees") == 0
