"""Flags of `animate3d batch`; nothing heavy is imported here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from animate3d.arguments import OptionalCount, OptionalFile, OptionalFolder, OptionalNumber, OptionalText, group
from animate3d.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EveryJob:
    """What rows that do not say it take; seeds and prompts multiply the rows."""

    prompt: OptionalText = None
    """what happens"""
    seeds: Annotated[str | None, arg(metavar="A-B", help_behavior_hint="")] = None
    """do every row with each of these seeds, as 0-3 or 1,5,7"""
    prompts: OptionalFile = None
    """do every row with each line of this file as the prompt"""
    preset: Annotated[str | None, arg(metavar="{laptop,full}", help_behavior_hint="")] = None
    """as of `animate`"""
    weights: OptionalFolder = None
    """as of `animate`"""
    formats: Annotated[str | None, arg(metavar="A,B", help_behavior_hint="")] = None
    """as of `animate`"""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Where the work is done, with Ray."""

    address: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """join a cluster: auto, or ray://HOST:10001 (default: this machine alone)"""
    workers: OptionalCount = None
    """jobs at a time (default: as many as there is room for)"""
    cpus_per_job: Annotated[float, arg(metavar="N")] = 1.0
    """cores for a worker"""
    gpus_per_job: Annotated[float, arg(metavar="X", help_behavior_hint="")] = 0.0
    """GPUs for a worker that makes videos, 0.5 is two workers on a GPU; tracking and export then have workers of
    their own, without GPUs (default: 0, one kind of worker for all)"""
    objects_per_call: OptionalCount = None
    """objects whose videos are made in one call of the model (default: 1, with GPUs 4)"""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What may go wrong without stopping the others."""

    retries: Annotated[int, arg(metavar="N")] = 1
    """further attempts at a job that failed for no fault of its input"""
    timeout: Annotated[float | None, arg(metavar="SECONDS", help_behavior_hint="")] = None
    """give up a job after so long (default: never)"""
    memory: Annotated[OptionalNumber, arg(metavar="GB")] = None
    """for each job, on top of what a worker takes (default: an equal share of the machine)"""


@dataclass(frozen=True)
class BatchCommand:
    """Flags of `animate3d batch`."""

    jobs: Positional[Path]
    """table (.csv, .jsonl, .parquet; also a URL), or folder of models"""
    out: Annotated[str, arg(metavar="DIR")]
    """folder for the results, or a URL such as s3://bucket/folder"""
    every: Annotated[EveryJob, group("every job")]
    machines: Annotated[Machines, group("machines")]
    faults: Annotated[Faults, group("faults")]


def check_numbers(given: BatchCommand) -> None:
    """Before anything is begun.

    Raises:
        InputError: a number is one with which nothing could be done.
    """
    least = {"workers": 1, "cpus_per_job": 0.01, "gpus_per_job": 0, "objects_per_call": 1}
    least |= {"retries": 0, "timeout": 0.1, "memory": 0.1}
    for name, value in {**vars(given.machines), **vars(given.faults)}.items():
        flag = f"--{name.replace('_', '-')}"
        if name in least and value is not None and not (value >= least[name] and math.isfinite(value)):
            raise InputError(f"{flag} is {value}; it must be a number of at least {least[name]}.")
    gpus = given.machines.gpus_per_job
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"--gpus-per-job is {gpus:g}; above 1 it must be a whole number.")
