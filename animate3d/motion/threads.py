"""Compiled loops in plain threads (they release the GIL)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

MAX_PIECES = 16
"""Upper limit of threads: callers keep an accumulator for each."""


def piece_count() -> int:
    """How many pieces `run_pieces` cuts its work into."""
    return min(torch.get_num_threads(), MAX_PIECES)


def run_pieces(work: Callable[[int, int, int], None], n: int) -> None:
    """Call ``work(start, stop, piece)`` for equal pieces of ``range(n)``, at the same time.

    Plain threads instead of numba's own: those would spin as well as those that torch keeps. The cut depends on
    torch's thread count only, so results do not depend on how threads are scheduled.
    """
    pieces = piece_count()
    if pieces == 1:
        work(0, n, 0)
        return
    bounds = [piece * n // pieces for piece in range(pieces + 1)]
    # list() waits, and raises what a piece raised.
    list(_pool(pieces).map(work, bounds[:-1], bounds[1:], range(pieces)))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="animate3d-motion")
