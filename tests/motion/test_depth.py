from __future__ import annotations

import numpy as np
from moving_shapes import patterned_capsule, template_of

from animate3d.cameras import reconstruction_cameras
from animate3d.motion.depth import DepthPrior

CAMERA = reconstruction_cameras(4, 64)[:1]
EYE = CAMERA.positions[0].double().numpy()


def prior_and_rest(weight: float = 1.0) -> tuple[DepthPrior, np.ndarray]:
    template = template_of(patterned_capsule(2), nodes=200)
    return DepthPrior(template, CAMERA, weight), template.rest


def test_a_drift_along_the_line_of_sight_is_taken_back_and_the_picture_stays() -> None:
    prior, rest = prior_and_rest()
    drifted = EYE + (rest - EYE) * 1.2
    np.testing.assert_allclose(prior.at_rest_depth(drifted), rest, atol=1e-9)


def test_what_jumps_goes_straight_up_and_not_around_the_camera() -> None:
    prior, rest = prior_and_rest()
    jumped = rest + [0.0, 0.0, 0.3]
    nearer = EYE + (jumped - EYE) * 0.97
    np.testing.assert_allclose(prior.at_rest_depth(nearer), jumped, atol=1e-9)


def test_what_stays_in_the_picture_keeps_its_depth_and_what_moves_need_not() -> None:
    prior, rest = prior_and_rest()
    bent = rest.copy()
    upper = rest[:, 2] > np.median(rest[:, 2])
    bent[upper] += [-0.2, 0.3, 0.0]  # away from the camera and to the side
    kept = prior.at_rest_depth(EYE + (bent - EYE) * 1.1)
    assert np.abs(kept - bent).max() < 0.01, "the mean of all nodes would come 0.1 nearer"


def test_a_node_is_pulled_to_its_depth_and_let_go_when_it_is_clearly_elsewhere() -> None:
    prior, rest = prior_and_rest()
    near, far = (EYE + (rest - EYE) * factor for factor in (1.001, 1.2))
    anchors = prior.anchors(near)
    now = np.einsum("ij,ij->i", anchors.directions, near)
    forward = np.array([-1.0, 0.0, 0.0])  # level, as the camera stands in front of the model, on the x axis
    above = near[:, 2] >= rest[:, 2].min()
    np.testing.assert_allclose((anchors.distances - now)[above], ((rest - near) @ forward)[above], atol=1e-6)
    assert above.mean() > 0.9 and prior.anchors(far).weights.mean() < 0.01 * anchors.weights.mean()


def test_feet_that_sink_are_pulled_up_to_the_ground_and_nothing_else_is() -> None:
    prior, rest = prior_and_rest()
    ground = rest[:, 2].min()
    sunk = rest - [0.0, 0.0, 0.01]
    below = sunk[:, 2] < ground
    assert 0 < below.sum() < 0.1 * len(rest)
    anchors = prior.anchors(sunk)
    upwards = anchors.directions[:, 2] == 1.0
    np.testing.assert_array_equal(upwards, below)
    np.testing.assert_array_equal(anchors.distances[below], ground)
    assert (anchors.weights[below] > 0).all()
    deep = prior.anchors(rest - [0.0, 0.0, 0.2])  # what dives is let go
    assert deep.weights[below].max() < 0.1 * anchors.weights[below].max()
    for above in (rest, rest + [0.0, 0.0, 0.01]):
        assert (prior.anchors(above).directions[:, 2] < 0.9).all()
