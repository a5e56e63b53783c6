"""A clip that comes back to an earlier moment is noticed."""

from __future__ import annotations

import numpy as np

from animate3d.motion.returns import Returns


def shown(x: float) -> list[np.ndarray]:
    """A square ``x`` pixels from the left, in one view."""
    image = np.zeros((96, 96, 4), np.uint8)
    image[30:60, round(x) : round(x) + 30] = 255
    return [image]


def test_the_way_back_finds_the_moments_of_the_way_there() -> None:
    returns = Returns()
    there, back = np.arange(0, 60, 5), np.arange(52, -3, -5).clip(0)
    assert all(returns.add(shown(x)) is None for x in there)
    found = [returns.add(shown(x)) for x in back]
    assert found[0] is None  # too short a while ago to be another moment
    assert all(f is not None and abs(there[f] - x) <= 3 for f, x in zip(found[6:], back[6:], strict=True))
    assert found[-1] == 0


def test_what_stands_still_or_goes_on_comes_back_to_nothing() -> None:
    still, onwards = Returns(), Returns()
    assert all(still.add(shown(20)) is None for _ in range(12))
    assert all(onwards.add(shown(4 * x)) is None for x in range(12))
