"""Jobs for tests of the engine: they take no time, or do what should never happen. Payloads are `(folder, name, …)`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
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


def pid(payload: int) -> int:
    """Who did it."""
    return os.getpid()


def slow(payload: Payload) -> dict[str, Any]:
    note(payload)
    time.sleep(0.5)
    return {"pid": os.getpid()}


def prepare(payload: Payload) -> None:
    note(payload, "prepared")


def prepare_together(payloads: Sequence[Payload]) -> list[Any]:
    """As `prepare`, but a job named `odd…` fails, one named `fatal…` ends the worker if it is with others."""
    for payload in payloads:
        note(payload, f"prepared-{len(payloads)}")
    if len(payloads) > 1 and any(payload[1].startswith("fatal") for payload in payloads):
        os.kill(os.getpid(), signal.SIGKILL)
    return [InputError(f"{payload[1]} is odd.") if payload[1].startswith("odd") else {} for payload in payloads]


def unusable(payload: Payload) -> None:
    note(payload)
    raise InputError(f"{payload[1]} does not exist.")


def fails_once(payload: Payload) -> dict[str, Any]:
    if note(payload) == 1:
        raise RuntimeError("the first attempt")
    return {"attempt": 2}


def fails(payload: Payload) -> None:
    note(payload)
    raise RuntimeError("no\nluck")


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


def where(payload: int) -> str:
    """For `each`: the working folder; odd numbers are refused."""
    if payload % 2:
        raise InputError(f"{payload} is odd.")
    return os.getcwd()
