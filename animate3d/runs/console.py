"""What a run shows on the terminal: a line per step, no chatter of libraries."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from animate3d.progress import PENDING, listened

_listening: list[object] = []


class Console:
    """Prints the lines of a run; on a terminal what has begun is overwritten by how it ended.

    A program that listens gets what has begun as a line of its own.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._open = False
        self._first = ""

    def begin_with(self, line: str) -> None:
        """Print a line before the first one, if any comes: an input that cannot be used is told without it."""
        self._first = line

    def __call__(self, line: str) -> None:
        first, self._first = self._first, ""
        if first:
            self(first)
        pending = line.endswith(PENDING)
        live = self._stream.isatty()
        if pending and not live:
            if listened():
                self._stream.write(f"{line}\n")
                self._stream.flush()
            return
        erase = "\r\033[K" if self._open else ""
        self._stream.write(f"{erase}{line}" if pending else f"{erase}{line}\n")
        self._stream.flush()
        self._open = pending


@contextmanager
def compiling_told(announce: Callable[[str], None]) -> Iterator[None]:
    """Announce once when numba has to compile, because its cache is cold."""
    from numba.core import event

    if _listening:  # a run inside a run: the outer one says it
        yield
        return
    told: list[bool] = []

    class Listener(event.Listener):
        def on_start(self, compiled: event.Event) -> None:
            if not told:
                told.append(True)
                announce("compiling kernels, once for this kind of run, up to 20 s")

        def on_end(self, compiled: event.Event) -> None:
            pass

    listener = Listener()
    event.register("numba:compile", listener)
    _listening.append(listener)
    try:
        yield
    finally:
        _listening.remove(listener)
        event.unregister("numba:compile", listener)


def quiet_libraries() -> None:
    """No chatter of Lightning, transformers and diffusers; before they are imported."""
    for library in ("TRANSFORMERS", "DIFFUSERS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for library in ("pytorch_lightning", "lightning_fabric", "transformers", "diffusers", "huggingface_hub"):
        warnings.filterwarnings("ignore", module=library)
