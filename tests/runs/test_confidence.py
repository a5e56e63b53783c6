"""The picture of confidence shows where a motion was seen."""

from __future__ import annotations

import numpy as np
from small_asset import finned_tube

from animate3d.cameras import orbit_cameras
from animate3d.runs.confidence import confidence_colors, confidence_picture


def test_more_confidence_is_brighter() -> None:
    colours = confidence_colors(np.linspace(0, 1, 9))
    assert colours.shape == (9, 3)
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) > 0).all()


def test_each_side_shows_its_own_confidence_over_a_scale() -> None:
    mesh = finned_tube()
    placed = np.asarray(mesh.automatic_placement().apply(mesh.vertices))
    confidence = (placed[:, 0] > 0).astype(float)  # what azimuth 0 sees
    picture = confidence_picture(mesh, placed, confidence, orbit_cameras(0.0, [0.0, 180.0], size=96))
    assert picture.shape[1] == 2 * 96 and picture.shape[0] > 96
    near, far = (picture[30:66, x + 40 : x + 56].astype(float).mean(axis=(0, 1)) for x in (0, 96))
    assert near[0] > far[0] + 40 and near[1] > far[1] + 40  # yellow against violet
