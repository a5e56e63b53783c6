from __future__ import annotations

import numpy as np

from animate3d.rasterize.visibility import on_surface


def test_values_of_the_corners_are_mixed_by_the_barycentrics() -> None:
    rng = np.random.default_rng(0)
    values, triangles = rng.normal(size=(9, 4)), rng.integers(0, 9, (5, 3))
    winner, weights = rng.integers(0, 5, 40).astype(np.int32), rng.random((40, 2), np.float32) / 2
    a, b, c = (values[triangles[winner, k]] for k in range(3))
    w1, w2 = weights[:, :1], weights[:, 1:]
    np.testing.assert_array_equal(on_surface(values, triangles, winner, weights), (1 - w1 - w2) * a + w1 * b + w2 * c)
    assert on_surface(values, triangles, winner[:0], weights[:0]).shape == (0, 4)
