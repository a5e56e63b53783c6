"""Motions one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from small_asset import finned_tube

from animate3d.creatures.anatomy import Body
from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves import Manner, subject_of_points
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.gaussians import from_mesh
from animate3d.rotations import rotation_matrices
from animate3d.runs.gaussians import carried
from animate3d.runs.in_turn import acts_of, closing, shared_frames
from animate3d.runs.moves import Computed, MovingBody, read_moves

POINTS = np.random.default_rng(3).normal(size=(40, 3))


def after(frames: int, *names: str) -> MovingBody:
    first, *then = (((name, Manner()),) for name in names)
    return MovingBody(POINTS, Computed(first, then=tuple(then)), frames)


def test_frames_are_shared_out() -> None:
    assert shared_frames(1, 16) == [(0, 16)]
    assert shared_frames(3, 16) == [(0, 5), (5, 6), (11, 5)]


def test_the_second_motion_begins_at_rest_where_the_first_returns_to_it() -> None:
    both, alone = after(16, "wobble", "tip"), after(8, "tip")
    np.testing.assert_allclose(both.at(POINTS, 8), POINTS, atol=1e-9)
    assert np.abs(both.at(POINTS, 3) - POINTS).max() > 0.05
    for frame in (3, 7):
        np.testing.assert_allclose(both.at(POINTS, 8 + frame), alone.at(POINTS, frame), atol=1e-9)


def test_it_is_done_on_top_where_the_first_stays() -> None:
    both, slid = after(16, "slide", "hop"), after(8, "slide")
    gone = slid.at(POINTS, 8) - POINTS
    assert np.abs(gone).max() > 0.3
    np.testing.assert_allclose(both.at(POINTS, 8), POINTS + gone, atol=1e-9)
    last = both.at(POINTS, 10) - POINTS - gone
    assert last[:, 2].mean() > 0.1 and np.abs(last[:, :2].mean(axis=0)).max() < 0.05


def test_a_cyclic_motion_ends_at_rest_however_slow_and_with_as_many_beats_as_are_seen() -> None:
    slow = (("jump", Manner(speed=0.5)),)
    for act in acts_of(subject_of_points(POINTS), (slow, (("tremble", Manner()),), (("hop", Manner(speed=1.5)),)), 24):
        assert act.rests
        assert act.moves[0][1].speed == {"jump": 1.0, "tremble": 0.5, "hop": 1.0}[act.moves[0][0].name]


@pytest.mark.parametrize(("name", "part"), [("spin", ""), ("roll", ""), ("propeller", "propeller"), ("drive", "wheel")])
def test_in_a_loop_what_turns_goes_round_evenly_on_the_spot(name: str, part: str) -> None:
    trunk = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)
    body = Body((trunk, Part(part, 0, np.zeros(3), UP, LEFT, 1.0)), np.tile([0.0, 1.0], (40, 1))) if part else None
    (act,) = closing([((name, Manner(0.5)),)], 16)
    moving = MovingBody(POINTS, Computed(act, body=body), 16)
    frames = np.stack([*(moving.at(POINTS, frame) for frame in range(16)), POINTS])
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=-1)
    np.testing.assert_allclose(steps, steps[:1].repeat(16, axis=0), atol=1e-3)
    assert steps.max() > 0.5
    center = moving.at(POINTS, 8) + POINTS  # half a turn on: opposite points, about one axis
    assert np.ptp(center, axis=0).min() < 1e-3


def test_a_loop_of_what_does_not_come_back_keeps_its_turns_as_they_are() -> None:
    spin = ("spin", Manner())
    for acts in ([(spin, ("grow", Manner()))], [(spin,), (("slide", Manner()),)]):
        assert closing(acts, 16) == acts
    assert closing([(("spin", Manner(count=2)), ("hop", Manner()))], 16) == [
        (("spin", Manner(count=2, closes=True)), ("hop", Manner()))
    ]


def test_parts_go_with_a_body_that_has_turned() -> None:
    trunk = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)
    head = Part("head", 0, np.array([0, 1.0, 0]), FRONT, LEFT, 0.5)
    shares = np.column_stack([POINTS[:, 1] < 0.5, POINTS[:, 1] >= 0.5]).astype(float)
    turned, _ = acts_of_body(Body((trunk, head), shares), "turn")
    assert abs(turned.facing - 45.0) < 1e-6
    np.testing.assert_allclose(turned.parts[1].along, [np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-9)


def acts_of_body(body: Body, name: str):
    from animate3d.creatures.moves import subject_of

    acts = list(acts_of(subject_of(body, POINTS), (((name, Manner()),), (("hop", Manner()),)), 16))
    return acts[1].subject, acts


def test_what_walks_lying_hops_up_in_the_picture() -> None:
    lying = rotation_matrices(np.deg2rad(90.0) * LEFT)
    legs = [Part("leg", 0, np.array([side, 0.0, 0.0]), -UP, LEFT, 1.0, side) for side in (1, -1)]
    shares = np.column_stack([np.zeros(40), POINTS[:, 0] > 0, POINTS[:, 0] <= 0]).astype(float)
    body = Body((Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0), *legs), shares, turn=lying)
    walk, hop = (("walk", Manner()),), (("hop", Manner()),)
    both = MovingBody(POINTS, Computed(walk, body=body, then=(hop,)), 16)
    alone = MovingBody(POINTS, Computed(hop), 8)
    for frame in (2, 5):
        np.testing.assert_allclose(both.at(POINTS, 8 + frame), alone.at(POINTS, frame), atol=1e-9)
    grown = MovingBody(POINTS, Computed((("grow", Manner()),), body=body, then=(walk,)), 16)
    np.testing.assert_allclose(np.ptp(grown.at(POINTS, 8), axis=0) / np.ptp(POINTS, axis=0), 1.5, atol=0.3)


def test_gaussians_of_a_part_keep_their_sizes_where_it_begins() -> None:
    trunk = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)
    head = Part("head", 0, np.array([0, 0.5, 0]), UP, LEFT, 0.5)
    model = from_mesh(finned_tube())
    placed = model.means.numpy().astype(float)
    shares = np.linspace(0, 1, len(placed))
    nodding = Computed((("nod", Manner()),), body=Body((trunk, head), np.column_stack([1 - shares, shares])))
    turned = carried(model, MovingBody(placed, nodding, 8), 2)
    assert float((turned.scales / model.scales).log().abs().max()) < 0.2


def test_gaussians_do_one_thing_after_the_other_too() -> None:
    model = from_mesh(finned_tube())
    means = model.means.numpy()
    both = MovingBody(means, Computed((("spin", Manner()),), then=((("grow", Manner()),),)), 16)
    spun, grown = carried(model, both, 8), carried(model, both, 15)
    assert float((spun.scales / model.scales).log().abs().max()) < 1e-2
    assert float((grown.scales / spun.scales).prod(-1).min()) > 1.2
    assert float((grown.means - spun.means).norm(dim=-1).max()) > 0.01


@pytest.mark.parametrize(
    ("prompt", "said", "left_out"),
    [
        ("the pot wobbles and then tips over", "wobbling, then tipping over", ()),
        ("first it jumps, then it spins while growing", "jumping, then spinning while growing", ()),
        ("it hops and then stands still", "hopping, then standing still", ()),
        ("it hops and then thinks about rice", "hopping", ("thinks about rice",)),
        ("it hops, then spins, then jumps, then falls", "hopping, then spinning, then jumping", ("falling",)),
    ],
)
def test_a_sentence_says_what_happens_in_turn(prompt: str, said: str, left_out: tuple[str, ...]) -> None:
    found = read_moves(prompt, lambda: [])
    assert found is not None and (str(found), found.left_out) == (said, left_out)
    if "falling" in left_out:
        assert "--frame-count 20" in found.told("")
        longer = read_moves(prompt, lambda: [], 20)
        assert longer is not None and not longer.left_out and len(longer.acts) == 4
    assert len(found.identity(16).get("then", ())) == len(found.acts) - 1
