"""Timing, memory and ceilings of a CUDA GPU."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

GIB = 2**30


def milliseconds(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> float:
    """Median time of a call on the device, by its events."""
    for _ in range(warm):
        work()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return round(statistics.median(times), 3)


def measured(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> dict[str, float]:
    """Time of a call and the most memory that was allocated meanwhile."""
    torch.cuda.reset_peak_memory_stats()
    time = milliseconds(work, repeats, warm)
    return {"ms": time, "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2)}


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """‖found - expected‖ / ‖expected‖; infinite where something is not a number."""
    if not bool(found.isfinite().all()):
        return float("inf")
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


@lru_cache(maxsize=1)
def rates() -> tuple[float, float]:
    """TFLOP/s of a large bf16 product, and TB/s of a copy on the device (read and written)."""
    side = 8192
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    product = milliseconds(lambda: a @ b, 20, 5)
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source), 20, 3)
    return 2 * side**3 / product / 1e9, 2 * source.nbytes / copy / 1e9


def ceilings() -> dict[str, Any]:
    """What the card itself reaches."""
    product, copy = rates()
    row = {"ceilings: bf16 product; copy": f"{product:.0f} TFLOP/s; {copy:.2f} TB/s"}
    return {"rows": row, "tflops": round(product, 1), "copy_tb_s": round(copy, 3)}
