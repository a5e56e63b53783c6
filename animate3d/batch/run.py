"""A batch from its table to its results: what is missing is done, told in one line, and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from animate3d.arguments import check_out
from animate3d.batch.flags import flag_types, read_value
from animate3d.batch.options import BatchCommand, check_numbers
from animate3d.batch.page import page
from animate3d.batch.places import Results, fetched, is_url, scratch_folder
from animate3d.batch.record import Record, done_before
from animate3d.batch.stages import Order, animate_job, make_videos_of, make_videos_together, warm
from animate3d.batch.table import TABLE_FILES, BatchJob, read_jobs, read_seeds, unknown_columns
from animate3d.cluster import Event, Job, Limits, Pool, Stage, joined, run_jobs
from animate3d.errors import InputError
from animate3d.lock import alone_in
from animate3d.tables import read_prompts

_QUIET = 60.0  # seconds between two lines where the output is no terminal
VIDEOS, MOTION = "videos", "motion"
OBJECTS_PER_CALL = 4
"""Of a GPU; where memory is short, a call is halved."""


def run_batch(given: BatchCommand, announce: Callable[[str], None]) -> int:
    """Do all jobs of a command; 1 if any has failed.

    Raises:
        InputError: the table, a flag or the cluster cannot be used.
    """
    check_numbers(given)
    jobs = jobs_of(given)
    for sentence in unknown_columns(jobs):
        announce(f"note: {sentence}")
    out = given.out if is_url(given.out) else str(Path(given.out).absolute())
    _check_kept(given, out)
    if not is_url(out):
        check_out(Path(out))
    with nullcontext() if is_url(out) else alone_in(Path(out)):
        return _run(jobs, out, given, announce)


def _check_kept(given: BatchCommand, out: str) -> None:
    """The tables of the results do not take the place of the table that was given."""
    table = given.jobs
    if table.name in TABLE_FILES and table.resolve() == (Path(out) / table.name).resolve():
        raise InputError(f"The results would replace {table}, since theirs is called so too; give another --out.")


def _run(jobs: list[BatchJob], out: str, given: BatchCommand, announce: Callable[[str], None]) -> int:
    results = Results(out, scratch_folder())
    record = Record(jobs, results, lambda rows: results.write("index.html", page(rows).encode()))
    before = done_before(jobs, results)
    for job in jobs:
        if job.name in before:
            record.already(job, before[job.name])
    missing = [job for job in jobs if job.name not in before]
    if before:
        announce(f"{len(before)} of {len(jobs)} jobs are done already")
    record.write()
    if missing:
        with joined(given.machines.address) as where:
            announce(where)
            try:
                _work(missing, out, given, record, announce)
            finally:
                record.stopped()
                record.write()
    return _conclude(record, out, announce)


def jobs_of(given: BatchCommand) -> list[BatchJob]:
    """The jobs of a command."""
    every = given.every
    shared = {
        name: _read_flag(name, value)
        for name in ("prompt", "preset", "weights", "formats")
        if (value := getattr(every, name)) is not None
    }
    if "weights" in shared and not is_url(shared["weights"]):
        shared["weights"] = shared["weights"].absolute()
    seeds = read_seeds(every.seeds) if every.seeds else ()
    prompts = read_prompts(every.prompts) if every.prompts else ()
    start = given.jobs.parent if is_url(given.jobs) else None
    table = fetched(given.jobs, scratch_folder() / "in")
    return read_jobs(table, given=shared, seeds=seeds, prompts=prompts, folder=start)


def _read_flag(name: str, value: Any) -> Any:
    try:
        return read_value(value, flag_types()[name])
    except ValueError as error:
        raise InputError(f"--{name} is `{value}`, not {error}.") from error


def pools_of(given: BatchCommand) -> tuple[list[Pool], tuple[Stage, ...]]:
    """The pools of workers, and the stages of a job in them: with GPUs, videos have workers of their own."""
    machines, memory = given.machines, given.faults.memory
    limit = None if memory is None else int(memory * 2**30)
    motion = Pool(MOTION, machines.cpus_per_job, workers=machines.workers, memory=limit, warm=warm)
    whole = Stage(MOTION, animate_job)
    together = _objects_per_call(given)
    if not machines.gpus_per_job:
        return [motion], (Stage(MOTION, make_videos_together, together), whole) if together > 1 else (whole,)
    videos = Pool(VIDEOS, 1.0, machines.gpus_per_job, memory=limit, warm=warm)
    first = Stage(VIDEOS, make_videos_together, together) if together > 1 else Stage(VIDEOS, make_videos_of)
    return [videos, motion], (first, whole)


def _objects_per_call(given: BatchCommand) -> int:
    asked = given.machines.objects_per_call
    if asked is not None:
        return asked
    return OBJECTS_PER_CALL if given.machines.gpus_per_job else 1


def _work(
    jobs: Sequence[BatchJob], out: str, given: BatchCommand, record: Record, announce: Callable[[str], None]
) -> None:
    pools, stages = pools_of(given)
    limits = Limits(given.faults.retries, given.faults.timeout)
    with Progress(len(jobs), announce) as progress:

        def tell(event: Event) -> None:
            record.note(event)
            progress.tell(event)

        orders = (Job(job.name, Order(job, out), stages) for job in jobs)
        run_jobs(orders, pools, limits, tell, record.write_sometimes)


class Progress:
    """One line: jobs done, their rate, failures and the time left; where nobody watches, such a line every minute."""

    def __init__(self, total: int, announce: Callable[[str], None]) -> None:
        self._bar = tqdm(total=total, unit=" jobs", disable=None, dynamic_ncols=True, smoothing=0.1)
        self._announce, self._total = announce, total
        self._ended = self._failed = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.close()

    def tell(self, event: Event) -> None:
        """What has happened to a job."""
        if event.state not in ("done", "failed"):
            return
        self._ended += 1
        self._failed += event.state == "failed"
        self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and (now - self._said > _QUIET or self._ended == self._total):
            self._said = now
            self._announce(self.line(now - self._start))

    def line(self, seconds: float) -> str:
        """How far it is after so many seconds."""
        rate = self._ended / max(seconds, 1e-9)
        left = (self._total - self._ended) / rate
        return (
            f"{self._ended}/{self._total} jobs, {self._failed} failed, {60 * rate:.1f} a minute, {_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _conclude(record: Record, out: str, announce: Callable[[str], None]) -> int:
    counts = record.counts()
    failed = [row for row in record.rows.values() if row["status"] == "failed"]
    for row in failed[:10]:
        announce(f"failed: {row['folder']}: {row['error']}")
    if len(failed) > 10:
        announce(f"… and {len(failed) - 10} more, in jobs.csv")
    announce(f"{counts.get('done', 0)} done, {len(failed)} failed: {out}/jobs.csv, {out}/index.html")
    return 1 if failed else 0
