"""Device, rank, checkpoints on disk: small helpers that plugins import from the host."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from packaging import version

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.studio.registry import get_rank as get_rank
from animate3d.studio.scalars import C as C
from animate3d.studio.scalars import C_max as C_max


def parse_version(text: str) -> version.Version:
    """Comparable version."""
    return version.parse(text)


def get_device() -> torch.device:
    """``cuda:{rank}`` where CUDA works, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", get_rank() % torch.cuda.device_count())
    return torch.device("cpu")


def cleanup() -> None:
    """Free unused memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def finish_with_cleanup(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: `cleanup` after each call."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        cleanup()
        return result

    return wrapped


def barrier() -> None:
    """Wait for the other processes of a distributed run."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Read a Lightning checkpoint; tensors and plain values only, so a file cannot run code.

    Raises:
        InputError: missing, damaged or another kind of file.
    """
    path = existing_file(path, "checkpoint")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises many kinds: zip, pickle, EOF, runtime
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path} cannot be read as a checkpoint: it is damaged or of another kind ({reason})."
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"{path} is not a checkpoint of this program: it has no 'state_dict'.")
    return checkpoint


def load_module_weights(
    path: str | os.PathLike[str],
    module_name: str | None = None,
    ignore_modules: list[str] | None = None,
    map_location: Any = None,
) -> tuple[dict[str, Any], int, int]:
    """Weights of one module, or of all but some, from a checkpoint.

    Args:
        path: checkpoint file.
        module_name: keep only keys below ``module_name.``, without that prefix.
        ignore_modules: drop keys below these names.
        map_location: as `torch.load`.

    Returns:
        state dict, epoch, global step.
    """
    if module_name is not None and ignore_modules is not None:
        raise ValueError("module_name and ignore_modules cannot be both set")
    checkpoint = read_checkpoint(path, map_location)
    state: Mapping[str, Any] = checkpoint["state_dict"]
    if ignore_modules is not None:
        state = {k: v for k, v in state.items() if not any(k.startswith(f"{m}.") for m in ignore_modules)}
    if module_name is not None:
        state = {k.removeprefix(f"{module_name}."): v for k, v in state.items() if k.startswith(f"{module_name}.")}
    return dict(state), checkpoint.get("epoch", 0), checkpoint.get("global_step", 0)


def find_last_path(path: str | None) -> str | None:
    """Replace ``tagLAST`` in a path by the newest folder whose name starts with ``tag``.

    Raises:
        InputError: no such folder.
    """
    if path is None or "LAST" not in path:
        return path
    before, after = path.split("LAST", 1)
    folder, prefix = os.path.split(before)
    names = (
        [name for name in os.listdir(folder or ".") if name.startswith(prefix)] if os.path.isdir(folder or ".") else []
    )
    if not names:
        raise LastPathError(f"'{path}' stands for the newest '{before}*', but there is none.")
    return os.path.join(folder, max(names)) + after


class LastPathError(InputError, IndexError):
    """No folder matches a path that contains LAST."""
