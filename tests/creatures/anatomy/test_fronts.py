from __future__ import annotations

import numpy as np
import pytest
import torch

from animate3d.creatures.anatomy import fronts
from animate3d.small_model.fronts import fitted, network, shares, varied


def test_a_view_says_as_much_in_any_size_and_place() -> None:
    points = np.random.default_rng(0).normal(size=(2000, 3)) * [0.3, 0.5, 1.0]
    np.testing.assert_allclose(fronts.view(points), fronts.view(8.0 * points + [1.0, 2.0, 4.0]), atol=1e-6)


def test_a_view_is_from_the_left_and_ahead_is_on_its_right() -> None:
    body = np.random.default_rng(0).uniform(-1, 1, size=(2000, 3)) * [0.3, 0.2, 1.0]
    nose = np.random.default_rng(1).uniform(-1, 1, size=(1000, 3)) * [0.02, 0.1, 0.1] + [0.0, 0.8, 0.9]
    middle = fronts.view(np.concatenate([body, nose]))[0]
    half = fronts.SIDE // 2
    assert middle[half:, half:].sum() > 3 * middle[half:, :half].sum()


def test_numpy_scores_as_torch_does() -> None:
    net, generator = network().eval(), np.random.default_rng(0)
    with np.load(fronts.WEIGHTS) as stored:
        net.load_state_dict({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files})
    views = generator.random((3, fronts.CHANNELS, fronts.SIDE, fronts.SIDE)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(fronts.score(views), net(torch.from_numpy(views))[:, 0].numpy(), atol=1e-4)
    assert fronts.WEIGHTS.stat().st_size < 300_000


@pytest.mark.slow
def test_a_front_is_learnt_the_same_way_every_time() -> None:
    generator = np.random.default_rng(0)
    cloud = np.concatenate([generator.normal(size=(700, 3)) * [0.2, 0.2, 0.6], generator.normal(0.6, 0.05, (300, 3))])
    cloud[700:, 0] -= 0.6
    points = np.stack([varied(cloud, generator)[:500] for _ in range(64)])
    answers = np.tile([1.0, 0.0, 0.0, 0.0], (64, 1))
    once, again = (shares(fitted(points, answers, 8), points[:4]) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert (once.argmax(axis=1) == 0).all()
