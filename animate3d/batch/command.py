"""``animate3d batch``: a table of jobs, on this machine or a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from animate3d.arguments import OptionalCount, OptionalFile, OptionalFolder, OptionalNumber, OptionalText, group, parse

_SUMMARY = "a table of jobs, or a folder of models and a prompt -> many animated files, on one machine or a cluster"
_EXAMPLES = """examples:
  animate3d batch jobs.csv --out outputs/all
  animate3d batch models/ --prompt "it is walking" --seeds 0-3 --out outputs/walks
  animate3d batch jobs.parquet --prompts prompts.txt --out s3://bucket/walks --address auto --gpus-per-job 1
  animate3d batch jobs.jsonl --out outputs/all --timeout 1800 --retries 2 --memory 8

Columns of the table are named as the flags of `animate3d animate`: model, prompt, seed, fps, …; others are kept. Paths
start from the folder of the table. Results: DIR/jobs.parquet and jobs.csv, DIR/index.html, and a folder for every job
as `animate` writes it. Run the same command again to do what is missing. The exit code is 1 if a job has failed.
"""


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
    gpus_per_job: Annotated[float, arg(metavar="X")] = 0.0
    """GPUs for a worker that makes videos, 0.5 is two workers on a GPU; tracking and export then have workers of
    their own, without GPUs (default: 0, one kind of worker for all)"""


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
    """table (.csv, .jsonl, .parquet), or folder of models"""
    out: Annotated[str, arg(metavar="DIR")]
    """folder for the results, or a URL such as s3://bucket/folder"""
    every: Annotated[EveryJob, group("every job")]
    machines: Annotated[Machines, group("machines")]
    faults: Annotated[Faults, group("faults")]


def main(arguments: Sequence[str]) -> int:
    """Do the jobs; 1 if any has failed."""
    given, _ = parse(BatchCommand, arguments, prog="animate3d batch", summary=_SUMMARY, examples=_EXAMPLES)

    from animate3d.batch.run import run_batch  # pyarrow and Ray take a second to import

    return run_batch(given, _say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
