"""Of two ways of following a surface, each is believed where it misses less."""

from __future__ import annotations

import numpy as np

from animate3d.motion.both_ways import back_share
from animate3d.motion.matching import Misses

COUNT, FRAMES = 2000, 5
CHAIN = np.stack([np.arange(COUNT - 1), np.arange(1, COUNT)], axis=1)


def way(at_pixel: np.ndarray, pixels: np.ndarray | None = None) -> list[Misses]:
    """The same misses at every pixel of each node in all frames."""
    pixels = np.full(COUNT, 4.0) if pixels is None else pixels
    return [Misses(at_pixel * pixels, pixels, float((at_pixel * pixels).sum()))] * FRAMES


def test_two_ways_that_miss_as_much_are_believed_by_how_far_they_have_come() -> None:
    come = np.arange(1, FRAMES + 1)
    expected = np.repeat((come / (2 * (FRAMES + 1)))[:, None], COUNT, axis=1)
    same = way(np.ones(COUNT))
    np.testing.assert_allclose(back_share(same, same, CHAIN), expected)
    nothing = way(np.zeros(COUNT), np.zeros(COUNT))
    np.testing.assert_allclose(back_share(nothing, nothing, CHAIN), expected)


def test_each_way_is_believed_where_it_misses_less() -> None:
    first = np.arange(COUNT) < COUNT // 2
    share = back_share(way(np.where(first, 4.0, 1.0)), way(np.where(first, 1.0, 4.0)), CHAIN)
    assert share.shape == (FRAMES, COUNT)
    assert share[:, 0].min() > 0.8 and share[:, -1].max() < 0.05


def test_what_nobody_sees_asks_its_surroundings() -> None:
    pixels = np.where(np.abs(np.arange(COUNT) - 500) < 5, 0.0, 4.0)
    first = np.arange(COUNT) < COUNT // 2
    share = back_share(way(np.where(first, 4.0, 1.0), pixels), way(np.where(first, 1.0, 4.0), pixels), CHAIN)
    np.testing.assert_allclose(share[:, 500], share[:, 450], atol=0.02)


def test_one_bad_frame_of_one_way_is_left_out() -> None:
    there, back = way(np.ones(COUNT)), way(np.ones(COUNT))
    back[2] = way(np.full(COUNT, 50.0))[0]
    share = back_share(there, back, CHAIN)
    assert share[2].max() < 1e-3 < share[[0, 4]].min()
