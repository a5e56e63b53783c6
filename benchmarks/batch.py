"""`animate3d batch` against the same jobs as separate commands, and against itself with broken jobs and empty ones.

python benchmarks/batch.py --jobs 24 --singles 4     # true runs with the bundled model: minutes
python benchmarks/batch.py --empty 10000             # the scheduler alone

CPU seconds are those of all processes of a command: on a busy machine only they can be compared.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from animate3d.batch.places import Results
from animate3d.batch.record import Record
from animate3d.batch.table import BatchJob
from animate3d.cluster import Event, Job, Pool, Stage, joined, run_jobs
from animate3d.creatures import FAMILY_MOTIONS, make_creature, save_creature

DOES = {
    "butterfly": "a butterfly is flapping its wings",
    "bird": "a bird is flying",
    "fish": "a fish is swimming",
    "dog": "a dog is running",
    "flower": "a flower is swaying",
    "ball": "a ball is bouncing",
    "snake": "a snake is slithering",
}


class Cost(NamedTuple):
    """Of a command with all of its processes."""

    wall: float
    cpu: float
    peak_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--singles", type=int, default=4, help="of the jobs that are also done as single commands")
    parser.add_argument("--empty", type=int, default=0, help="only so many empty jobs through the scheduler")
    parser.add_argument("--folder", type=Path, help="to keep what is made")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    if given.empty:
        empty(folder, given.empty)
        return 0
    rows = creatures(folder / "models", given.jobs)
    table = folder / "models" / "jobs.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    singles = [single(folder, row) for row in rows[: given.singles]]
    for number, cost in enumerate(singles):
        print(f"single {number}: {cost.wall:.1f} s, {cost.cpu:.1f} CPU s")
    batch = measured("batch", str(table), "--out", str(folder / "batch"))
    print(f"batch of {given.jobs}: {batch.wall:.1f} s, {batch.cpu:.1f} CPU s, {batch.peak_mb:.0f} MB")
    print(f"a job: {batch.wall / given.jobs:.1f} s, {batch.cpu / given.jobs:.1f} CPU s")
    if singles:
        wall, cpu = (given.jobs * float(np.mean([cost[part] for cost in singles])) for part in (0, 1))
        print(f"batch / singles in turn: {batch.wall / wall:.2f} of the time, {batch.cpu / cpu:.2f} of the CPU seconds")
    return 0


def creatures(folder: Path, count: int) -> list[dict[str, str]]:
    """Models of all families on the disk, and the rows that animate them."""
    rows = []
    families = list(FAMILY_MOTIONS)
    for number in range(count):
        family = families[number % len(families)]
        save_creature(make_creature(family, number), folder / f"{family}{number}")
        rows.append(
            {"model": f"{family}{number}", "prompt": DOES[family], "seed": f"{number % 3}", "name": f"{number}"}
        )
    return rows


def single(folder: Path, row: dict[str, str]) -> Cost:
    """One job as a command of its own."""
    out = str(folder / "single" / row["name"])
    model = str(folder / "models" / row["model"])
    return measured("animate", model, "--prompt", row["prompt"], "--seed", row["seed"], "--out", out)


def measured(*words: str) -> Cost:
    """Run a command of `animate3d`; a watcher adds up what its processes take."""
    start, seen, peak = time.perf_counter(), {}, 0.0
    with subprocess.Popen([sys.executable, "-m", "animate3d", *words], stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            memory = 0.0
            for part in [watched, *watched.children(recursive=True)]:
                try:
                    times = part.cpu_times()
                    seen[part.pid] = times.user + times.system
                    memory += part.memory_info().rss / 2**20
                except psutil.Error:
                    continue
            peak = max(peak, memory)
            time.sleep(0.3)
    return Cost(time.perf_counter() - start, sum(seen.values()), peak)


def empty(folder: Path, count: int) -> None:
    """Jobs that do nothing, with the table written as they run."""
    jobs = [BatchJob(f"{n:012x}", f"job{n}", {"model": Path("a.glb"), "seed": n}, {}, "") for n in range(count)]
    record = Record(jobs, Results(str(folder), folder))
    told: Counter[str] = Counter()
    process = psutil.Process()

    def tell(event: Event) -> None:
        record.note(event)
        told[event.state] += 1

    with joined(cpus=2):
        start = time.perf_counter()
        work = (Job(job.name, {}, (Stage("all", dict),)) for job in jobs)
        run_jobs(work, [Pool("all")], tell=tell, tick=record.write_sometimes)
        record.write()
        seconds = time.perf_counter() - start
        parts = [process, *process.children(recursive=True)]
        print(f"{told['done']} of {count} empty jobs: {seconds:.1f} s", end=", ")
        print(f"driver {process.memory_info().rss / 2**20:.0f} MB", end=", ")
        print(f"with Ray's own processes {sum(part.memory_full_info().uss for part in parts) / 2**20:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
