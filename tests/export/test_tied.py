"""A rig's joints turn in their parents; what they do is found again from the vertices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animate3d.export.skeleton.tied import tied_pose

PARENTS = np.array([-1, 0, 1, 1, 2])  # the first moves nothing by itself
JOINTS = np.array([[0.0, 0, 0], [0, 1, 0], [0, 2, 0], [1, 1, 0], [0, 3, 0.5]])


def posed(turns, moves, rest, weights):
    """Vertices ``[F, N, 3]`` of local turns ``[F, B, 3]`` in degrees and moves ``[F, B, 3]`` of the joints."""
    found = np.zeros((len(turns), *rest.shape))
    for frame in range(len(turns)):
        world, places = [], []
        for bone, above in enumerate(PARENTS):
            turn = Rotation.from_euler("xyz", turns[frame, bone], degrees=True).as_matrix()
            world.append(turn if above < 0 else world[above] @ turn)
            arm = JOINTS[bone] if above < 0 else places[above] + world[above] @ (JOINTS[bone] - JOINTS[above])
            places.append(arm + moves[frame, bone])
        for bone in range(len(PARENTS)):
            found[frame] += weights[:, bone, None] * ((rest - JOINTS[bone]) @ world[bone].T + places[bone])
    return found


@pytest.fixture
def limbs():
    """Vertices about the joints and their weights; turns of up to 100 degrees that begin at rest."""
    random = np.random.default_rng(0)
    owner = random.integers(1, 5, 200)
    rest = JOINTS[owner] + 0.3 * random.normal(size=(200, 3))
    weights = 0.7 * np.eye(5)[owner] + 0.3 * np.eye(5)[np.maximum(PARENTS[owner], 1)]
    turns = np.linspace(0, 1, 4)[:, None, None] * random.uniform(-100, 100, (5, 3)) * [[0], [1], [1], [1], [1]]
    return rest, weights, turns


def shown(pose, rest, weights):
    placed = np.einsum("fbij,nj->fbni", pose.rotations, rest) + pose.translations[:, :, None]
    return np.einsum("nb,fbni->fni", weights, placed)


def test_turns_are_found_and_only_the_topmost_joint_that_has_vertices_moves(limbs):
    rest, weights, turns = limbs
    moves = np.zeros_like(turns)
    moves[1:, 1] = [0.5, 1.0, 0.0]
    truth = posed(turns, moves, rest, weights)
    pose = tied_pose(truth, weights, PARENTS, JOINTS)
    np.testing.assert_allclose(shown(pose, rest, weights), truth, atol=1e-5)
    np.testing.assert_array_equal(pose.sliding, [False, True, False, False, False])
    np.testing.assert_allclose(pose.rotations[:, 0], np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-12)


def test_a_joint_that_clearly_leaves_its_place_may(limbs):
    rest, weights, turns = limbs
    moves = np.zeros_like(turns)
    moves[1:, 3] = [0.3, 0.0, 0.2]
    truth = posed(turns, moves, rest, weights)
    pose = tied_pose(truth, weights, PARENTS, JOINTS)
    np.testing.assert_array_equal(pose.sliding, [False, True, False, True, False])
    np.testing.assert_allclose(shown(pose, rest, weights), truth, atol=1e-5)


def test_noise_tears_no_joint_out(limbs):
    rest, weights, turns = limbs
    truth = posed(turns, np.zeros_like(turns), rest, weights)
    noisy = truth + 0.03 * np.random.default_rng(1).normal(size=truth.shape) * (np.arange(4) > 0)[:, None, None]
    pose = tied_pose(noisy, weights, PARENTS, JOINTS)
    np.testing.assert_array_equal(pose.sliding, [False, True, False, False, False])
    assert np.abs(shown(pose, rest, weights) - truth).mean() < 0.01
