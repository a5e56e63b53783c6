"""Errors meant for the user: one clear sentence, no traceback (the commands print it and exit with 1)."""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType


class Animate3DError(Exception):
    """Something the user can put right; the message says what is wrong, where, and what to do."""


class InputError(Animate3DError, ValueError):
    """A file, flag or value that cannot be used."""


class MissingDependencyError(Animate3DError, ImportError):
    """An optional package that a feature needs is not installed."""


def require(module: str, *, feature: str, extra: str) -> ModuleType:
    """Import an optional dependency where it is used.

    Args:
        module: name to import, e.g. ``"bpy"``.
        feature: what needs it, as the subject of a sentence, e.g. ``"FBX export"``.
        extra: the extra of this package that installs it, e.g. ``"blender"``.

    Raises:
        MissingDependencyError: names the extra to install; chained to the original error.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{feature} needs the package `{module}`, which cannot be imported ({error}). "
            f"Install it with: pip install 'animate3d[{extra}]'"
        ) from error


def available(module: str) -> bool:
    """Whether an optional dependency is installed (without importing it)."""
    return importlib.util.find_spec(module) is not None


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command-line entry point: user errors become one line on stderr and exit code 1.

    A full disk and an interrupt count as user errors; anything else is a defect and keeps its traceback. Warnings are
    one sentence each.
    """
    # Searching for cycles among the million objects of the imports takes a second at the start and two at the end.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    shown = warnings.showwarning
    # Not formatwarning, which Lightning replaces when it is imported.
    warnings.showwarning = _warn
    try:
        code = main()
    except Animate3DError as error:
        code = _complain(f"error: {error}", 1)
    except KeyboardInterrupt:
        code = _complain("interrupted: run the same command again to continue", 130)
    except BrokenPipeError:  # whoever read the output has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + 13  # what the shell says of a program that the signal SIGPIPE ended
    except OSError as error:
        what = f"{error.filename} cannot be read or written" if error.filename else "The system gave an error"
        code = _complain(f"error: {what}: {error.strerror or error}.", 1)
    finally:
        warnings.showwarning = shown
    sys.exit(code or 0)


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """A request to end (SIGTERM) becomes a KeyboardInterrupt inside, so that what was begun is put in order."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _warn(message: Warning | str, *where: object, **more: object) -> None:
    """Print a warning without the Python file and line that it comes from."""
    _complain(f"warning: {' '.join(str(message).split())}", 0)


def _complain(sentence: str, code: int) -> int:
    """Print to stderr, on a line of its own even when a progress bar was cut off."""
    bars = getattr(getattr(sys.modules.get("tqdm"), "tqdm", None), "_instances", ())
    print(f"\n{sentence}" if len(bars) else sentence, file=sys.stderr)
    return code
