from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from assets import asset, filmed
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.motion.matching import Matcher, MatchSettings
from animate3d.motion.rigid_fit import RigidFit
from animate3d.motion.tracking import _BEHIND, TrackSettings, _mean, _Way, _within, track

FRAMES = 5


def relative_error(positions: np.ndarray, truth: np.ndarray) -> float:
    """Mean error over the mean displacement, frames after the first."""
    return float(
        np.linalg.norm(positions[1:] - truth[1:], axis=-1).mean() / np.linalg.norm(truth[1:] - truth[0], axis=-1).mean()
    )


def test_a_bending_body_is_followed() -> None:
    mesh = patterned_capsule()
    truth = bending(mesh, FRAMES)
    positions, rotations, _ = track(template_of(mesh), *footage(mesh, truth, size=128))
    assert relative_error(positions, truth) < 0.2
    np.testing.assert_array_equal(positions[0], mesh.vertices)
    # The surroundings turn with the bend: about y, by more than the angle at their height and less than twice that.
    upper = mesh.vertices[:, 2] > 0.3
    angles = np.arctan2(rotations[-1, upper, 0, 2], rotations[-1, upper, 2, 2])
    assert 1.0 < angles.mean() / (0.7 * mesh.vertices[upper, 2].mean()) < 2.0


def test_a_jump_of_the_whole_object_is_followed() -> None:
    mesh = patterned_capsule(2)
    truth = mesh.vertices + np.linspace(0, 1, FRAMES)[:, None, None] * np.array([0.15, 0.1, 0.2])
    positions, *_ = track(template_of(mesh), *footage(mesh, truth))
    assert relative_error(positions, truth) < 0.1


def test_a_thinned_template_moves_all_vertices() -> None:
    mesh = patterned_capsule()
    truth = bending(mesh, FRAMES)
    template = template_of(mesh, nodes=150)
    assert 75 < template.n_nodes <= 150
    positions, rotations, confidence = track(template, *footage(mesh, truth, size=128))
    assert positions.shape == truth.shape and rotations.shape == (*truth.shape, 3)
    assert confidence.shape == truth.shape[:2]
    assert relative_error(positions, truth) < 0.22


def test_nothing_moves_when_the_frames_stand_still() -> None:
    mesh = patterned_capsule(2)
    truth = np.repeat(mesh.vertices[None], 3, axis=0)
    positions, *_ = track(template_of(mesh), *footage(mesh, truth))
    assert np.abs(positions - truth).max() < 1e-2


def test_empty_frames_leave_the_object_where_it_was() -> None:
    mesh = patterned_capsule(2)
    frames, cameras = footage(mesh, np.repeat(mesh.vertices[None], 3, axis=0))
    frames[:, 1:] = 0
    positions, *_ = track(template_of(mesh), frames, cameras)
    assert np.isfinite(positions).all()
    assert np.abs(positions - mesh.vertices).max() < 0.2


def test_from_one_view_the_least_motion_in_depth_is_taken_that_explains_the_frames() -> None:
    # A lever swings across the picture of the second camera: nothing asks for motion in depth.
    mesh, truth = asset("machine")
    frames, cameras = filmed(mesh, truth, [1], "clean")
    strong, weak, both = (
        relative_error(track(template_of(mesh, nodes=500), frames, cameras, TrackSettings(depth=pulls))[0], truth)
        for pulls in ((0.05,), (0.0005,), (0.05, 0.0005))
    )
    assert both == strong < 0.7 * weak


def test_from_one_view_a_turn_that_the_frames_show_is_followed_in_depth() -> None:
    vertices = patterned_capsule().vertices * [1.0, 2.0, 0.8]
    mesh = dataclasses.replace(patterned_capsule(), vertices=vertices)
    angles = np.linspace(0, 0.9, FRAMES)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = vertices.T
    truth = np.stack([cos * x - sin * y, sin * x + cos * y, np.broadcast_to(z, (FRAMES, len(z)))], axis=-1)
    frames, cameras = footage(mesh, truth, size=128)
    strong, both = (
        relative_error(track(template_of(mesh), frames[:1], cameras[:1], TrackSettings(depth=pulls))[0], truth)
        for pulls in ((0.05,), (0.05, 0.0005))
    )
    assert both < 0.15 < 0.5 < strong


def a_way(missed: float, strain: float) -> _Way:
    way = object.__new__(_Way)
    way.missed, way.strain = [missed], [strain]
    return way


@pytest.mark.parametrize(("missed", "squeezed", "taken"), [(1.0, 0.9, 1), (1.0, 0.8, 0), (2.5, 0.9, 0), (0.8, 0.8, 1)])
def test_another_way_is_taken_if_less_is_missed_and_strained(missed: float, squeezed: float, taken: int) -> None:
    template = template_of(patterned_capsule(2))
    pairs = ((1.0, 0.8), (missed, squeezed))
    ways = [a_way(missed, template.strain(template.rest * squeezed)) for missed, squeezed in pairs]
    assert min(ways, key=_Way.cost) is ways[taken]


def test_a_way_that_falls_far_behind_is_not_followed_on() -> None:
    best, near, far = a_way(1.0, 0.1), a_way(1.5, 0.1), a_way(1.0, 0.4)
    assert _within([far, near, best], _BEHIND) == [best, near]
    still = a_way(1.0, 0.0)
    assert _within([still, still], _BEHIND) == [still, still]


def test_ways_that_cost_about_as_little_are_averaged() -> None:
    # A hair decides between two that cost the same: the processor's rounding, say.
    rest, up = np.zeros((3, 3)), np.array([0.0, 0.0, 1.0])

    def motion(*costs: float) -> np.ndarray:
        ways = [a_way(cost, 1.0) for cost in costs]
        for k, way in enumerate(ways):
            way.nodes, way.confidence = [rest, rest + k * up], [np.ones(3), np.full(3, k / 2)]
        nodes, confidence = _mean(ways)
        np.testing.assert_allclose(nodes[1][:, 2] / 2, confidence[1], atol=1e-12)
        return nodes[1]

    np.testing.assert_allclose(motion(1.0, 1.0), 0.5 * np.broadcast_to(up, (3, 3)))
    assert 0.2 < motion(1.0, 1.1)[:, 2].mean() < 0.3 and motion(1.0, 1.25)[:, 2].mean() < 0.07
    np.testing.assert_allclose(motion(0.0, 0.0), motion(1.0, 1.0))  # nothing moves, and nothing is missed
    np.testing.assert_array_equal(motion(1.0), rest)


@pytest.mark.parametrize(("goes_on", "share"), [(1.0, 0.8), (0.5, 0.4), (0.0, 0.0)])
def test_a_frame_starts_where_the_last_motion_leads_or_stops(goes_on: float, share: float) -> None:
    mesh = patterned_capsule(2)
    template, step = template_of(mesh), np.array([0.0, 0.1, 0.1])
    frames, cameras = footage(mesh, np.stack([mesh.vertices + k * step for k in (0.0, 1.0, 1.0 + goes_on)]))
    settings = TrackSettings()
    matcher = Matcher(template, frames, cameras, MatchSettings(settings.stride, settings.residual, settings.outline))
    way = _Way(template, matcher, settings, None, RigidFit(template))
    start = way._start(2, template.rest, template.rest + step, [])
    np.testing.assert_allclose(start, template.rest + (1.0 + share) * step)


@pytest.mark.parametrize("earlier", [0, None])
def test_a_frame_that_misses_more_than_the_one_it_returns_to_is_followed_from_there(earlier: int | None) -> None:
    mesh = patterned_capsule(2)
    template = template_of(mesh)
    frames, cameras = footage(mesh, np.repeat(mesh.vertices[None], 2, axis=0))
    settings = TrackSettings()
    matcher = Matcher(template, frames, cameras, MatchSettings(settings.stride, settings.residual, settings.outline))
    way = _Way(template, matcher, settings, None, RigidFit(template))
    lost = template.rest * [-1.0, -1.0, 1.0]  # turned by half
    way.nodes += [lost, lost]
    way.follow(1, earlier)
    error = np.abs(way.nodes[-1] - template.rest).max()
    assert error < 0.05 if earlier == 0 else error > 0.2


@pytest.mark.parametrize("lost", [1, 2])
def test_the_way_back_finds_a_frame_that_was_lost_and_keeps_the_other(lost: int) -> None:
    mesh = patterned_capsule(2)
    template, step = template_of(mesh), np.array([0.0, 0.08, 0.08])
    truth = np.stack([mesh.vertices + k * step for k in range(4)])
    frames, cameras = footage(mesh, truth)
    settings = TrackSettings()
    matcher = Matcher(template, frames, cameras, MatchSettings(settings.stride, settings.residual, settings.outline))
    way = _Way(template, matcher, settings, None, RigidFit(template))
    way.nodes = [template.rest + k * step for k in range(4)]
    way.nodes[lost] = template.rest - 3 * step
    way.confidence = [np.full(template.n_nodes, -1.0)] * 4
    told: list[int] = []
    way.go_back(template.links, told.append)
    for frame in (1, 2):
        np.testing.assert_allclose(way.nodes[frame], template.rest + frame * step, atol=0.03)
        assert way.confidence[frame].max() > 0.5
    np.testing.assert_array_equal(way.nodes[3], template.rest + 3 * step)
    assert told == [1, 2]


def test_what_lies_beyond_the_border_of_the_known_is_not_missing() -> None:
    """A body that rises out of the picture goes on as a whole; without the mask it is squeezed into what is left."""
    mesh = patterned_capsule(2)
    truth = mesh.vertices + np.linspace(0, 0.6, 5)[:, None, None] * [0.0, 0.0, 1.0]
    frames, cameras = footage(mesh, truth, 64)
    known = np.ones((4, 64, 64), bool)
    known[:, :18] = False
    frames *= known[:, None, :, :, None]
    squeezed, whole = (
        np.linalg.norm(track(template_of(mesh), frames, cameras, known=given).positions - truth, axis=-1)[-1].mean()
        for given in (None, known)
    )
    assert whole < 0.5 * squeezed
