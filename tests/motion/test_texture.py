"""What the picture around a point tells of where it went."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.motion.texture import seen_by_texture

SIZE = 128


def picture(*colour: np.ndarray) -> np.ndarray:
    """A stored image ``[H, W, 4]``, opaque, of three colours ``[H, W]`` or of one for all."""
    red, green, blue = colour if len(colour) > 1 else colour * 3
    return (255 * np.stack([red, green, blue, np.ones_like(red)], axis=-1)).round().astype(np.uint8)


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = (x.ravel() for x in np.mgrid[30:98:3, 30:98:3])
    return rows, columns, np.stack([columns, rows], axis=1).astype(float)


def waves(moved: float) -> np.ndarray:
    """Waves across x, moved along x."""
    return np.tile(0.5 + 0.4 * np.sin(0.4 * (np.arange(SIZE) - moved)), (SIZE, 1))


def test_a_part_of_a_pixel_is_found_that_the_flow_has_left() -> None:
    rows, columns, at = grid()
    pictures = [picture(waves(dx), waves(dy).T, waves(dx + 4)) for dx, dy in ((0, 0), (0.6, -0.4))]
    found = seen_by_texture(*pictures, rows, columns, at)
    left = np.linalg.norm(found.at - at - [0.6, -0.4], axis=1)
    assert np.median(left) < 0.2 * np.hypot(0.6, 0.4)
    assert np.median(found.firmness) > 0.8


@pytest.mark.parametrize("flip", [False, True])
def test_a_stripe_holds_what_lies_across_it_and_not_along_it(flip: bool) -> None:
    rows, columns, at = grid()
    pictures = [picture(waves(dx).T if flip else waves(dx)) for dx in (0, 0.5)]
    found = seen_by_texture(*pictures, rows, columns, at)
    assert np.median(np.abs(found.axes[:, int(flip)])) > 0.99
    assert np.median(found.firmness[:, 0]) > 0.7
    assert found.firmness[:, 1].max() < 0.01
    assert np.abs((found.at - at)[:, 1 - int(flip)]).max() < 0.01


def test_plain_colour_holds_nothing_however_wrong_it_is() -> None:
    rows, columns, at = grid()
    found = seen_by_texture(picture(np.full((SIZE, SIZE), 0.2)), picture(np.full((SIZE, SIZE), 0.9)), rows, columns, at)
    assert found.firmness.max() < 1e-6
    np.testing.assert_allclose(found.at, at, atol=1e-3)


def test_light_that_changes_moves_nothing_farther_than_a_small_share_of_the_picture() -> None:
    rows, columns, at = grid()
    found = seen_by_texture(picture(waves(0)), picture(0.4 * waves(0)), rows, columns, at)
    step = np.linalg.norm(found.at - at, axis=1)
    assert 0.0 < step.max() <= np.sqrt(2) * SIZE / 192 + 1e-9
