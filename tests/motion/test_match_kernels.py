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
    inverse_depth[:, 7] = 0.49  # and something farther away at the right
    local = np.array([[-2.0, -2.0, 2.0], [2.0, -2.0, 2.0], [2.0, 2.0, 2.0]])
    places = {  # weights of corners 1 and 2, and whether frame 0 shows the point itself
        (0.25, 0.0): False,  # nothing is there
        (0.9, 0.0): True,  # right on a pixel
        (0.7, 0.2): True,  # between pixels
        (0.0, 1.0): False,  # behind what is nearer
        (0.1, 0.8): False,  # half a pixel above it
        (1.0, 0.0): False,  # beside what is farther away
    }
    winner, weights = np.full((8, 8), -1, np.int32), np.zeros((8, 8, 2), np.float32)
    winner[0, : len(places)] = 0
    weights[0, : len(places)] = list(places)
    image = np.zeros((8, 8, 4), np.uint8)
    of_rest = np.array([[0, 1, 2]]), local, np.ones((3, 3))
    half = np.array([4.0, 4.0])
    match_kernels.draw(winner, weights, *of_rest, first, inverse_depth, 3.0, half, 1.005, image)
    for pixel, itself in zip(image[0], places.values(), strict=False):
        assert pixel.tolist() == ([51, 102, 153, 255] if itself else [255] * 4)
    assert not image[1:].any()
