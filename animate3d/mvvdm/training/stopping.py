"""A training that is asked to stop ends after its current step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and how everything else asks."""


@dataclass
class StopRequest:
    """Whether this process was asked to stop: the training looks at ``asked`` after every step."""

    asked: bool = False

    @contextmanager
    def awaited(self) -> Iterator[StopRequest]:
        """Inside, the signals set ``asked`` and do nothing else."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.asked = True

        before = {number: signal.signal(number, ask) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
