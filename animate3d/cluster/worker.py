"""A worker: a process that stays warm, does one job after the other, and survives what goes wrong in them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from animate3d.errors import Animate3DError

SHARE = 0.9
"""Of a machine's memory, for all workers together."""


@dataclass(frozen=True)
class Outcome:
    """What a stage came to; with an error, whether another attempt may end better."""

    facts: Any = None
    error: str | None = None
    again: bool = False
    seconds: float = 0.0


class Worker:
    """The class of the Ray actors.

    Args:
        warm: see `Pool`.
        memory: bytes on top of those of a warm process; None is an equal share of the machine.
        neighbours: workers on the same machine, this one included.
    """

    def __init__(self, warm: Callable[[], object] | None, memory: int | None, neighbours: int) -> None:
        if warm is not None:
            warm()
        self._limit = memory or int(SHARE * psutil.virtual_memory().total / max(1, neighbours))
        process = psutil.Process()
        # Of private writable memory alone: Ray's shared memory and the address space that CUDA reserves are not in it.
        ceiling = process.memory_info().data + self._limit
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))

    def place(self) -> str:
        """The node that this worker is on; answers when it is warm."""
        from ray import get_runtime_context

        return str(get_runtime_context().get_node_id())

    def do(self, work: Callable[[Any], Any], payload: Any) -> Outcome:
        """One stage of a job. Whatever it raises becomes a sentence."""
        return self.do_together(lambda payloads: [work(payloads[0])], [payload])[0]

    def do_together(self, work: Callable[[Sequence[Any]], Sequence[Any]], payloads: Sequence[Any]) -> list[Outcome]:
        """One stage of several jobs in one call, whose time is shared equally (`Stage.together`)."""
        start = time.perf_counter()
        try:
            found = work(payloads)
        except Exception as problem:
            found = [problem] * len(payloads)
        seconds = (time.perf_counter() - start) / len(payloads)
        return [
            Outcome(None, *self._judged(item), seconds)
            if isinstance(item, Exception)
            else Outcome(item, seconds=seconds)
            for item in found
        ]

    def _judged(self, problem: Exception) -> tuple[str, bool]:
        if isinstance(problem, Animate3DError):  # the user can put it right, another attempt cannot
            return str(problem), False
        if _out_of_memory(problem):
            return f"It needs more memory than the {self._limit / 2**30:.1f} GB that a worker has (--memory).", False
        if isinstance(problem, OSError) and problem.filename:
            return f"{problem.filename} cannot be read or written: {problem.strerror}.", True
        return f"{type(problem).__name__}: {' '.join(str(problem).split())}", True


def _out_of_memory(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
            return True
        if isinstance(problem, RuntimeError) and "allocate memory" in str(problem):  # torch on the CPU
            return True
        problem = problem.__cause__ or problem.__context__
    return False
