"""Timing, memory and ceilings of the device that is measured.

The environment variables `DEVICE_VARIABLE` and `TINY_VARIABLE` choose the device and tiny sizes, which only show that a
section works.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

GIB = 2**30
DEVICE_VARIABLE, TINY_VARIABLE = "ANIMATE3D_BENCHMARK_DEVICE", "ANIMATE3D_BENCHMARK_TINY"
DEVICE = os.environ.get(DEVICE_VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")
GPU = DEVICE == "cuda"
TINY = bool(os.environ.get(TINY_VARIABLE)) or not GPU
HALF = torch.float16 if GPU else torch.float32
"""Precision of the video model's weights."""


class Skipped(Exception):
    """This machine lacks what a section needs; says what."""


def device_name() -> str:
    """The device, and the sizes where they are tiny."""
    name = torch.cuda.get_device_name(0) if GPU else "CPU"
    return f"{name} in tiny sizes" if TINY else name


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if GPU:
        torch.cuda.synchronize()


def moment() -> float:
    """The time at which the device has done what it was given, in seconds."""
    synchronize()
    return time.perf_counter()


def fresh_memory() -> None:
    """Give back what is free, and measure peaks from here on."""
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib(reserved: bool = False) -> float:
    """The most memory that was allocated, or taken from the device, since `fresh_memory`; 0 on the CPU."""
    if not GPU:
        return 0.0
    return round((torch.cuda.max_memory_reserved if reserved else torch.cuda.max_memory_allocated)() / GIB, 2)


def cap_memory(gigabytes: float | None) -> None:
    """Let this process have as much memory as on a card of a size; None for all. CUDA itself takes 0.6 GB of it."""
    if GPU:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if gigabytes is None else (gigabytes * 1e9 - 0.6e9) / total)


def milliseconds(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> float:
    """Median time of a call on the device, by its events; of a single call where sizes are tiny."""
    repeats, warm = (1, 0) if TINY else (repeats, warm)
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        if GPU:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end))
        else:
            began = time.perf_counter()
            work()
            times.append(1e3 * (time.perf_counter() - began))
    return round(statistics.median(times), 3)


def measured(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> dict[str, float]:
    """Time of a call and the most memory that was allocated meanwhile."""
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    return {"ms": milliseconds(work, repeats, warm), "peak_gib": peak_gib()}


def shown(value: dict[str, float]) -> str:
    """What `measured` found, as a cell of the table."""
    return f"{value['ms']:.3g} ms, {value['peak_gib']} GiB"


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """‖found - expected‖ / ‖expected‖; infinite where something is not a number."""
    if not bool(found.isfinite().all()):
        return float("inf")
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


@lru_cache(maxsize=1)
def rates() -> tuple[float, float]:
    """TFLOP/s of a large bf16 product, and TB/s of a copy on the device (read and written)."""
    side, numbers = (256, 2**16) if TINY else (8192, 2**28)
    a, b = (torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in "ab")
    product = milliseconds(lambda: a @ b, 20, 5)
    source = torch.randn(numbers, device=DEVICE)
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source), 20, 3)
    return 2 * side**3 / product / 1e9, 2 * source.nbytes / copy / 1e9


def ceilings() -> dict[str, Any]:
    """What the card itself reaches."""
    product, copy = rates()
    row = {"ceilings: bf16 product; copy": f"{product:.0f} TFLOP/s; {copy:.2f} TB/s"}
    return {"rows": row, "tflops": round(product, 1), "copy_tb_s": round(copy, 3)}
