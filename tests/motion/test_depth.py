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
    np.testing.assert_allclose(prior.at_rest_distance(drifted), rest, atol=1e-9)


def test_a_node_is_pulled_to_its_distance_and_let_go_when_it_is_clearly_elsewhere() -> None:
    prior, rest = prior_and_rest()
    near, far = (EYE + (rest - EYE) * factor for factor in (1.001, 1.2))
    anchors = prior.anchors(near)
    now = np.einsum("ij,ij->i", anchors.directions, near)
    pulled = np.linalg.norm(rest - EYE, axis=1) - np.linalg.norm(near - EYE, axis=1)
    np.testing.assert_allclose(anchors.distances - now, pulled, atol=1e-9)
    assert prior.anchors(far).weights.mean() < 0.01 * anchors.weights.mean()
