"""Jobs for tests of the engine: they take no time, or do what should never happen. Payloads are `(folder, name, …)`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError

Payload = tuple[str, ...]


def note(payload: Payload, what: str = "ran") -> int:
    """Add a line to the job's own file; returns how many there are."""
    path = Path(payload[0]) / payload[1]
    with path.open("a") as file:
        file.write(f"{what} {os.getpid()}\n")
    return len(path.read_text().splitlines())


def work(payload: Payload) -> dict[str, Any]:
    note(payload)
    return {"pid": os.getpid()}


def slow(payload: Payload) -> dict[str, Any]:
    note(payload)
    time.sleep(0.5)
    return {"pid": os.getpid()}


def prepare(payload: Payload) -> None:
    note(payload, "prepared")


def unusable(payload: Payload) -> None:
    note(payload)
    raise InputError(f"{payload[1]} does not exist.")


def fails_once(payload: Payload) -> dict[str, Any]:
    if note(payload) == 1:
        raise RuntimeError("the first\nattempt")
    return {"attempt": 2}


def crashes(payload: Payload) -> None:
    note(payload)
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(payload: Payload) -> None:
    note(payload)
    time.sleep(600)


def takes_memory(payload: Payload) -> float:
    note(payload)
    return float(np.ones(2**31, dtype=np.float64).sum())


def no_start() -> None:
    raise RuntimeError("no driver for this card")


BROKEN = {
    "unusable": (unusable, "does not exist"),
    "crashes": (crashes, "it crashed"),
    "hangs": (hangs, "longer than"),
    "takes_memory": (takes_memory, "more memory than"),
}
