from __future__ import annotations

import numpy as np
import pytest
import torch
from moving_shapes import bending, footage, patterned_capsule

from animate3d.motion.tracking import Tracked
from animate3d.runs.quality import followed

FRAMES, SIZE = 3, 64


@pytest.mark.parametrize(("views", "again"), [(4, True), (2, False)])
def test_many_views_that_are_explained_poorly_are_followed_again_thoroughly(views: int, again: bool) -> None:
    mesh = patterned_capsule(2)
    truth = bending(mesh, FRAMES)
    frames, cameras = footage(mesh, truth, SIZE)
    asked = []

    def follow(thorough: bool) -> Tracked:
        asked.append(thorough)
        positions = truth if thorough else bending(mesh, FRAMES, angle=-0.7)
        return Tracked(positions, np.zeros((*positions.shape, 3)), np.ones(positions.shape[:2]))

    found = followed(follow, mesh, torch.from_numpy(frames[:views]), cameras[:views], keep=True)
    assert asked == [False, True][: 1 + again]
    assert (found.explained.total > 0.99) == again


def test_what_is_explained_well_is_followed_once() -> None:
    mesh = patterned_capsule(2)
    truth = bending(mesh, FRAMES)
    frames, cameras = footage(mesh, truth, SIZE)

    def follow(thorough: bool) -> Tracked:
        assert not thorough
        return Tracked(truth, np.zeros((*truth.shape, 3)), np.ones(truth.shape[:2]))

    assert followed(follow, mesh, torch.from_numpy(frames), cameras, keep=True).explained.total > 0.99


def test_a_second_search_that_finds_next_to_nothing_changes_nothing() -> None:
    mesh = patterned_capsule(2)
    frames, cameras = footage(mesh, bending(mesh, FRAMES), SIZE)
    wrong, hardly = bending(mesh, FRAMES, angle=-0.7), bending(mesh, FRAMES, angle=0.02)

    def follow(thorough: bool) -> Tracked:
        positions = hardly if thorough else wrong
        return Tracked(positions, np.zeros((*positions.shape, 3)), np.ones(positions.shape[:2]))

    assert followed(follow, mesh, torch.from_numpy(frames), cameras, keep=False).positions is wrong
    explains = followed(lambda _: follow(True), mesh, torch.from_numpy(frames), cameras, keep=False).explained.total
    assert 0.0 < explains < 0.2
