"""Compiled kernels on several threads.

The kernels release the interpreter lock, so plain threads run them side by side. Compared with numba's own parallel
loops: idle threads sleep instead of spinning against torch's (which costs tens of milliseconds per call on a busy
machine), several callers may run at once, and compiling takes a fraction of the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

PARTS_PER_THREAD = 4  # so that a thread that was held up does not hold up the others


def run_parts(kernel: Callable[..., None], items: int, *arguments: Any) -> None:
    """Call ``kernel(part, parts, *arguments)`` for every part, on as many threads as torch uses.

    Args:
        kernel: handles the items ``part, part + parts, part + 2·parts, …`` and writes results no other item writes.
        items: how many there are.
    """
    threads = torch.get_num_threads()
    parts = min(items, threads * PARTS_PER_THREAD)
    if threads == 1 or parts <= 1:
        kernel(0, 1, *arguments)
        return
    for future in [_pool(threads, os.getpid()).submit(kernel, part, parts, *arguments) for part in range(parts)]:
        future.result()


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool per process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="rasterize")
