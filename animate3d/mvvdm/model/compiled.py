"""Functions of a model compiled by PyTorch at their first use, with a cache that later runs find again."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
MOST_SHAPES = 128
"""Variants of a function that are compiled at most: layers of one kind come in so many shapes."""


def run_plainly(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Call a function as it is."""
    return function(*arguments)


def cache_folder() -> Path:
    """Where PyTorch's compiler keeps what it made: as its own variable says, else below the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    default = Path(tempfile.gettempdir()) / "torchinductor_"  # the import of the compiler writes this there, and a name
    if given and not os.path.abspath(given).startswith(str(default)):
        return Path(given)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "animate3d" / "compiled"


class Compiler:
    """Calls functions compiled; where one cannot be, it has ``failed``: that one and all later ones run as they are.

    Args:
        backend: of `torch.compile`.
    """

    def __init__(self, backend: str = "inductor") -> None:
        self._backend = backend
        self.failed = False
        self._told = False
        os.environ[CACHE_VARIABLE] = str(cache_folder())

    def __call__(self, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """``function(*arguments)``"""
        if self.failed:
            return function(*arguments)
        try:
            return _compiled(function, self._backend)(*arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a missing compiler, a full disk, something that cannot be traced
            self.failed = True
            said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". :")
            logger.warning("The video model cannot be compiled here (%s); it runs as it is.", said)
            return function(*arguments)

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Around a call of the model: what is compiled, or read from the cache, is said with the time it took."""
        folder, start, before = cache_folder(), time.perf_counter(), _graphs()
        if not (self._told or self.failed or any(folder.glob("*"))):
            logger.warning("The video model is compiled now, once on this machine: this takes minutes.")
        self._told = True
        yield
        if not self.failed and _graphs() > before:
            seconds = time.perf_counter() - start
            logger.warning("The video model is compiled, in %.0f s; %s keeps it for the next time.", seconds, folder)


def _graphs() -> int:
    """How many graphs PyTorch has traced in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@cache
def _compiled(function: Callable[..., Tensor], backend: str) -> Callable[..., Tensor]:
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, MOST_SHAPES)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 8 * MOST_SHAPES)
    return torch.compile(function, dynamic=False, fullgraph=True, backend=backend)
