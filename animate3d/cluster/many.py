"""The same work for each of many: here, one after the other, or on the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from animate3d.arguments import HERE
from animate3d.cluster.engine import each_job
from animate3d.cluster.jobs import Job, Pool, Stage
from animate3d.cluster.ray import joined, machines_have_gpus
from animate3d.errors import Animate3DError


@dataclass(frozen=True)
class Ended:
    """How one of many has ended: with what its work returned, or with a sentence."""

    key: str
    facts: Any = None
    error: str | None = None


def each(
    work: Callable[[Any], Any],
    payloads: Mapping[str, Any],
    address: str | None,
    *,
    warm: Callable[[], object] | None = None,
    gpu: bool = False,
) -> Iterator[Ended]:
    """Do the work with every payload; yields how each has ended, when it does.

    Args:
        work: a function of a module. Paths start from the working folder, which all machines see.
        address: None: in this process, in the order of the payloads; ``local``: with Ray on this machine; else that of
            a cluster (`joined`).
        warm: see `Pool`; without Ray it is not called.
        gpu: with Ray, a worker has a GPU of its own where the machines have any.

    Raises:
        InputError: the cluster cannot be used.
    """
    if address is None:
        for key, payload in payloads.items():
            try:
                yield Ended(key, work(payload))
            except Animate3DError as error:
                yield Ended(key, error=str(error))
    elif payloads:
        folder, stage = os.getcwd(), (Stage("all", _in_folder),)
        jobs = [Job(key, (folder, work, payload), stage) for key, payload in payloads.items()]
        with joined(None if address == HERE else address):
            pool = Pool("all", gpus=float(gpu and machines_have_gpus()), warm=warm)
            for event in each_job(jobs, [pool]):
                yield Ended(event.job.key, event.facts, event.error)


def _in_folder(task: tuple[str, Callable[[Any], Any], Any]) -> Any:
    folder, work, payload = task
    os.chdir(folder)
    return work(payload)
