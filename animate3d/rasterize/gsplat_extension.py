"""gsplat's CUDA extension: whether it is compiled, and its first use, which compiles it for minutes without a word."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from animate3d.errors import require

logger = logging.getLogger(__name__)


def is_compiled() -> bool:
    """Whether gsplat's extension is there: in the package, or compiled earlier on this machine.

    Nothing is imported from gsplat, which would start the compiler.
    """
    spec = importlib.util.find_spec("gsplat")
    if spec is None or spec.origin is None:
        return False
    if any(Path(spec.origin).parent.glob("csrc*.so")) or any(Path(spec.origin).parent.glob("csrc*.pyd")):
        return True
    return any(path.suffix in (".so", ".lib") for path in _built("gsplat_cuda"))


def _built(name: str) -> Iterator[Path]:
    """Files named ``name.*`` where PyTorch keeps what it compiled."""
    given = os.environ.get("TORCH_EXTENSIONS_DIR")
    if given is not None:
        yield from Path(given).glob(f"{name}/{name}.*")
    else:  # one folder for every version of Python and CUDA
        version = f"py{sys.version_info.major}{sys.version_info.minor}_"
        yield from (Path.home() / ".cache" / "torch_extensions").glob(f"{version}*/{name}/{name}.*")


@lru_cache(maxsize=1)
def load() -> ModuleType:
    """gsplat, ready to draw; what takes long is said before and after."""
    compiled = is_compiled()
    if not compiled:
        logger.warning("gsplat's CUDA kernels are compiled now, once on this machine: this takes one to five minutes.")
    start = time.perf_counter()
    gsplat = require("gsplat", feature="Rendering on CUDA", extra="cuda")
    require("gsplat.cuda._backend", feature="Rendering on CUDA", extra="cuda")
    if not compiled:
        logger.warning("gsplat's CUDA kernels were compiled in %.0f s.", time.perf_counter() - start)
    return gsplat
