"""Ray on this machine for the time of a command, or a cluster that is there already."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from animate3d.errors import InputError, available, ended_like_interrupted, require

OBJECT_STORE = 128 << 20
"""Bytes of Ray's shared memory on this machine: jobs hand on files, not objects."""


def ray_module() -> ModuleType:
    """The package, told to be quiet and to send nothing home.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # as patient as the same work without Ray
    return require("ray", feature="Work on many machines", extra="cluster")


@contextmanager
def joined(address: str | None = None, *, cpus: int | None = None, gpus: int | None = None) -> Iterator[str]:
    """Connected to Ray inside; yields a sentence that says where.

    Args:
        address: None starts Ray on this machine and ends it afterwards; ``auto`` or ``ray://host:10001`` joins.
        cpus, gpus: of this machine that are used; None is all.

    Raises:
        InputError: there is no cluster at the address.
        MissingDependencyError: Ray is not installed.
    """
    ray = ray_module()
    folder = None
    if address is None:
        # The path of Ray's sockets may have 107 characters, and its logs belong on a disk that is thrown away.
        folder = tempfile.mkdtemp(prefix="a3d", dir="/tmp" if os.access("/tmp", os.W_OK) else None)
        where = {"address": "local", "num_cpus": cpus, "num_gpus": gpus, "_temp_dir": folder}
        where |= {"object_store_memory": OBJECT_STORE, "include_dashboard": available("aiohttp_cors")}
    else:
        where = {"address": address}
        _check_answers(address)
    try:
        connection = _connected(ray, where)
        with ended_like_interrupted():  # Ray has put a handler of its own there
            yield _described(connection, ray, address)
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _connected(ray: ModuleType, where: dict[str, Any]) -> Any:
    logging.getLogger("ray").setLevel(logging.ERROR)  # it says things before it reads its own settings
    try:
        connection = ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        _mute()
        return connection
    except (ConnectionError, RuntimeError, ValueError) as error:
        sentence = " ".join(str(error).split())[:300]
        if where["address"] == "local":
            raise InputError(f"Ray cannot be started on this machine: {sentence}") from error
        raise _no_cluster(where["address"], sentence) from error


def _check_answers(address: str) -> None:
    """Ray itself tries for minutes where nobody answers."""
    said = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    place = re.fullmatch(r"(?:ray://)?\[?([\w.:-]+?)\]?:(\d+)", said)
    if place is None:
        return
    try:
        socket.create_connection((place[1], int(place[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(said, str(error)) from error


def _no_cluster(address: str, why: str) -> InputError:
    return InputError(
        f"There is no Ray cluster at `{address}` that can be joined ({why}); start one with `ray start --head`, set "
        "RAY_AUTH_MODE=token if it has a token, or leave --address out to use this machine alone."
    )


def machines_have_gpus() -> bool:
    """Whether there are GPUs where Ray is connected."""
    return bool(ray_module().cluster_resources().get("GPU"))


def _mute() -> None:
    """What Ray prints when a worker ends is told by the engine in a sentence; Ray has no setting for it."""
    worker: Any = importlib.import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):
        vars(worker)["print_to_stdstream"] = lambda *arguments, **settings: None


def _described(connection: Any, ray: ModuleType, address: str | None) -> str:
    found = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    machines = "this machine" if address is None else f"{nodes} machine{'s' if nodes > 1 else ''} at {address}"
    gpus = f", {found['GPU']:g} GPUs" if found.get("GPU") else ""
    page = getattr(connection, "dashboard_url", None)
    return f"Ray on {machines}: {found.get('CPU', 0):g} CPUs{gpus}" + (f"; dashboard http://{page}" if page else "")
