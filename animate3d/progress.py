"""How far a step is: a bar on a terminal, or lines for a program that listens, such as the app in the browser."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

PENDING = " …"
"""A line that ends in this says what has begun; the next line takes its place."""
LISTENED = "ANIMATE3D_PROGRESS"
"""Environment variable that a program sets to ``lines`` if it reads the output of a run and wants to be told more."""
BESIDE = "beside-"
"""How the names of threads begin that work in Python beside a step; then Blender gets a process of its own."""


def listened() -> bool:
    """Whether a program reads what is printed and takes lines that end in `PENDING`."""
    return os.environ.get(LISTENED) == "lines"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar that leaves no trace: drawn on a terminal, printed as lines for a program that listens, else nothing."""

    def __init__(self, iterable: Any = None, **settings: Any) -> None:
        settings = {"leave": False, "disable": None, "delay": 0.5, "mininterval": 0.5} | settings
        if listened():
            settings |= {"disable": False, "file": io.StringIO()}
        super().__init__(iterable, **settings)
        # tqdm draws nothing where a terminal does not say how large it is.
        self.ncols, self.nrows = (size if (size or 0) > 0 else None for size in self._size())

    def _size(self) -> tuple[int | None, int | None]:
        return getattr(self, "ncols", None), getattr(self, "nrows", None)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        if not listened():
            return super().display(msg, pos)
        if msg != "":  # an empty one takes the bar away
            of = "" if self.total is None else f" of {self.total}"
            say(f"  {self.desc} {self.n}{of} {self.unit.strip()}s{PENDING}")
        return True


@contextmanager
def counted(total: int | None, what: str, unit: str) -> Iterator[Callable[[int], None]]:
    """A `Bar`; yields a function to call with the number that is done."""
    with Bar(total=total, desc=what, unit=unit) as bar:

        def tell(done: int) -> None:
            bar.update(done - bar.n)

        yield tell


def count_steps(pipeline: Any, what: str) -> None:
    """Let a pipeline of diffusers count its denoising steps with a `Bar`."""

    def bar(iterable: Any = None, total: int | None = None) -> Bar:
        return Bar(iterable, total=total, desc=what, unit="step")

    pipeline.progress_bar = bar
