"""One run at a time in a folder: who works there is written in a file that the system locks for this process."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from animate3d.errors import InputError, ended_like_interrupted

LOCK = ".running.json"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be.

    The system releases the lock when the process ends in any way, so a file that was left behind keeps nobody out.
    A request to end (SIGTERM) becomes a KeyboardInterrupt, so that what was begun is put in order.

    Raises:
        InputError: another run is at work there; says which process, where, and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _locked(folder / LOCK)
    try:
        with ended_like_interrupted():
            yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        os.close(file)


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


def _locked(path: Path) -> int:
    """A file descriptor that holds the lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 4096)
            os.close(file)
            raise InputError(
                f"{path.parent} is in use: {_described(holder)}. Wait for it, or give another --out."
            ) from None
        except OSError:  # a file system without locks
            pass
        if _is(file, path):
            break
        os.close(file)  # the run before removed the file between the two calls
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    os.ftruncate(file, 0)
    os.write(file, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now}).encode())
    return file


def _is(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _described(holder: bytes) -> str:
    try:
        found = json.loads(holder)
        return f"process {found['pid']} on {found['host']} has been at work there since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another run has just started there"
