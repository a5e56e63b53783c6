"""One run at a time in a folder: who works there is written in a file that the system locks for this process."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from animate3d.errors import InputError, ended_like_interrupted
from animate3d.files import is_open_at, sweep

LOCK = ".running.json"

_held: set[int] = set()


@contextmanager
def alone_in(folder: Path, otherwise: str = "another --out") -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be; one that is still empty at the end goes again.

    The system releases the lock when the process ends in any way, so a file that was left behind keeps nobody out.
    Temporary files of killed runs are removed. A request to end (SIGTERM) becomes a KeyboardInterrupt, so that what was
    begun is put in order.

    Args:
        otherwise: what to give in place of waiting, as the sentence of the error names it.

    Raises:
        InputError: another run is at work there; says which process, where, and since when.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    file = _locked(folder / LOCK, otherwise)
    _held.add(file)
    try:
        sweep(folder)
        with ended_like_interrupted():
            yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        _held.discard(file)
        os.close(file)
        with suppress(OSError):  # as soon as one is not empty
            for place in made:
                place.rmdir()


def is_in_use(folder: Path) -> bool:
    """Whether a run is at work in a folder now."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(file)
    return False


def _let_go() -> None:
    """A child, such as a worker that loads data, may outlive a run that was killed and would keep its lock."""
    for file in _held:
        os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def _locked(path: Path, otherwise: str) -> int:
    """A file descriptor that holds the lock."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            if path.parent.exists():  # a file system of the kernel, such as /proc
                raise
            continue  # the run before removed the folder between the two calls
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 4096)
            os.close(file)
            raise InputError(
                f"{path.parent} is in use: {_described(holder)}. Wait for it, or give {otherwise}."
            ) from None
        except OSError:  # a file system without locks
            pass
        if is_open_at(file, path):
            break
        os.close(file)  # the run before removed the file between the two calls
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    os.ftruncate(file, 0)
    os.write(file, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now}).encode())
    return file


def _described(holder: bytes) -> str:
    try:
        found = json.loads(holder)
        return f"process {found['pid']} on {found['host']} has been at work there since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another run has just started there"
