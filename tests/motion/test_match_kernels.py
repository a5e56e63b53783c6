"""Compiled loops over pixels, against numpy."""

from __future__ import annotations

import numpy as np

from animate3d.motion import match_kernels

RNG = np.random.default_rng(0)
ONE, OTHER = (RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8) for _ in range(2))


def test_the_difference_on_grey_and_its_squares() -> None:
    apart = np.empty((5, 7, 3), np.float32)
    match_kernels.apart_on_grey(ONE, OTHER, apart)
    on_grey = [image[..., :3].astype(float) + 0.5 * (255.0 - image[..., 3:]) for image in (ONE, OTHER)]
    np.testing.assert_allclose(apart, on_grey[0] - on_grey[1], atol=1e-4)
    squares = np.empty((5, 7), np.float32)
    total = match_kernels.squared(apart, squares)
    np.testing.assert_allclose(squares, (apart**2).sum(axis=2), rtol=1e-5)
    assert np.isclose(total, squares.sum(), rtol=1e-5)


def test_a_surface_shows_frame_0_where_that_shows_it_and_its_own_colour_elsewhere() -> None:
    first = np.full((8, 8, 4), [0.2, 0.4, 0.6, 1.0], np.float32)
    first[:, :4, 3] = 0.0  # the left half is empty
    inverse_depth = np.full((8, 8), 0.5, np.float32)
    inverse_depth[6:] = 1.0  # something nearer is below
    local = np.array([[-2.0, -2.0, 2.0], [2.0, -2.0, 2.0], [2.0, 2.0, 2.0]])
    winner, weights = np.full((8, 8), -1, np.int32), np.zeros((8, 8, 2), np.float32)
    winner[0, :3] = 0
    weights[0, 0], weights[0, 1], weights[0, 2] = (0.25, 0.0), (1.0, 0.0), (0.0, 1.0)
    colors = np.ones((3, 3))
    image = np.zeros((8, 8, 4), np.uint8)
    triangles = np.array([[0, 1, 2]])
    half = np.array([4.0, 4.0])
    match_kernels.draw(winner, weights, triangles, local, colors, first, inverse_depth, 3.0, half, 1.02, image)
    assert (image[0, 0] == 255).all()  # where frame 0 is empty
    np.testing.assert_array_equal(image[0, 1], [51, 102, 153, 255])
    assert (image[0, 2] == 255).all()  # behind what is nearer
    assert not image[1:].any()
