"""What is refused before a run begins, whichever command asks for it; nothing heavy is imported here."""

from __future__ import annotations

import math
from typing import SupportsIndex

from animate3d.errors import InputError
from animate3d.mvvdm.sampler import LARGEST_SEED


def check_seed(seed: int, where: str = "The seed") -> None:
    """A seed that every source of random numbers takes.

    Args:
        where: begins the sentence.

    Raises:
        InputError: it is no whole number, negative or too large.
    """
    if not isinstance(seed, SupportsIndex):
        raise InputError(f"{where} is {seed!r}; it is a whole number.")
    if not 0 <= int(seed) <= LARGEST_SEED:
        raise InputError(f"{where} is {seed}; it lies between 0 and {LARGEST_SEED}.")


def check_degrees(what: str, degrees: float | None) -> None:
    """A finite angle, or none.

    Raises:
        InputError: it is not finite.
    """
    if degrees is not None and not math.isfinite(degrees):
        raise InputError(f"The {what} must be a number of degrees, got {degrees}.")
