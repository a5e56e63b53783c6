"""Objects that were moved into each other are parted, and nothing else is moved."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh
from scipy.interpolate import griddata

from animate3d.motion.contacts import TOLERANCE, keep_apart

DOWN = np.array([0.0, 0.0, -1.0])


def box() -> trimesh.Trimesh:
    return trimesh.creation.box((1.0, 1.0, 0.6)).subdivide().subdivide().subdivide()


def scene(ball_at: float, *, presses: float, yields: bool = False, lower: trimesh.Trimesh | None = None):
    """A box, or something else, and a ball above it that goes down in three frames."""
    lower, ball = lower or box(), trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    rest = np.concatenate([lower.vertices, ball.vertices + [0.03, 0.02, ball_at]])
    triangles = np.concatenate([lower.faces, ball.faces + len(lower.vertices)])
    objects = np.repeat([0, 1], [len(lower.vertices), len(ball.vertices)])
    positions = np.stack([rest + share * presses * DOWN * (objects == 1)[:, None] for share in (0.0, 0.5, 1.0)])
    if yields:
        positions[2, objects == 0, 0] += 1e-4  # it moves too
    return positions, triangles, objects


@pytest.mark.parametrize("yields", [False, True])
def test_a_ball_pressed_into_a_box_is_flattened_where_they_touch(yields: bool) -> None:
    positions, triangles, objects = scene(0.65, presses=0.13, yields=yields)  # 0.05 above, then 0.08 deep
    apart = keep_apart(positions, triangles, objects)
    deep = 0.08 / np.linalg.norm([0.6, 0.6, 0.6])
    assert apart.before[2] == pytest.approx(deep, rel=0.05) and apart.before[1] == pytest.approx(
        0.015 / 1.0392, rel=0.2
    )
    assert apart.after.max() < 2 * TOLERANCE
    ball, step = objects == 1, np.linalg.norm(apart.positions - positions, axis=-1)
    assert step[0].max() == 0
    top = positions[2, :, 2] > positions[2, ball, 2].mean() + 0.1
    assert step[2, ball & top].max() < 1e-3  # far from the contact nothing happens
    assert (step[2, ~ball].max() > 0.02) == yields
    lifted = (apart.positions - positions)[2, ball, 2]
    assert lifted.max() == pytest.approx(0.08 if not yields else 0.04, abs=0.015)


@pytest.mark.parametrize("yields", [False, True])
def test_no_place_of_the_surfaces_is_left_in_the_other(yields: bool) -> None:
    """Between the vertices, too: how far the ball's faces lie below the top of the box, straight down."""
    positions, triangles, objects = scene(0.65, presses=0.13, yields=yields)
    shares = np.array([(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]) / 6
    top = (objects == 0) & (positions[0, :, 2] > 0.3 - 1e-9)
    ball = triangles[objects[triangles[:, 0]] == 1]

    def deepest(frame: np.ndarray) -> float:
        places = np.einsum("sk,tki->tsi", shares, frame[ball]).reshape(-1, 3)
        return float((griddata(frame[top, :2], frame[top, 2], places[:, :2]) - places[:, 2]).max())

    assert deepest(positions[2]) == pytest.approx(0.08, abs=0.002)
    assert deepest(keep_apart(positions, triangles, objects).positions[2]) < 0.005  # of the ball's 1.04


def test_what_overlaps_at_rest_may_overlap_as_deep() -> None:
    positions, triangles, objects = scene(0.52, presses=0.0)  # 0.08 deep in all frames
    positions[1:, objects == 1, 1] += 0.05  # and slides
    apart = keep_apart(positions, triangles, objects)
    assert apart.before.max() < 0.05 and np.abs(apart.positions - positions).max() < 0.03
    still = np.repeat(positions[:1], 3, axis=0)
    np.testing.assert_array_equal(keep_apart(still, triangles, objects).positions, still)


def test_an_open_sheet_has_no_inside() -> None:
    sheet = trimesh.Trimesh([[-1, -1, 0.3], [1, -1, 0.3], [1, 1, 0.3], [-1, 1, 0.35]], [[0, 1, 2], [0, 2, 3]])
    positions, triangles, objects = scene(0.7, presses=0.3, lower=sheet)
    apart = keep_apart(positions, triangles, objects)
    ball = objects == 1
    np.testing.assert_array_equal(apart.positions[:, ball], positions[:, ball])


def test_objects_of_many_thousands_of_faces_are_parted_in_seconds() -> None:
    fine = box().subdivide().subdivide().subdivide()
    assert len(fine.faces) > 40000
    positions, triangles, objects = scene(0.65, presses=0.13, lower=fine)
    told: list[int] = []
    began = time.monotonic()
    apart = keep_apart(positions, triangles, objects, told.append)
    assert time.monotonic() - began < 20  # every point against every face takes minutes
    assert apart.before[2] > 0.07 and apart.after.max() < 2 * TOLERANCE and told == [1, 2]
