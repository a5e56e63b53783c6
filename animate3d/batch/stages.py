"""What a worker does of a job: the videos, the motion and the files, or all of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animate3d.batch.flags import SETTINGS, command_of, is_path
from animate3d.batch.places import Results, fetched, is_url, scratch_folder
from animate3d.batch.table import BatchJob
from animate3d.files import stamp

if TYPE_CHECKING:
    from animate3d.runs.mesh import MeshRun

RECORDS = ".jobs"
"""Folder among the results: what became of every job, written by the worker that did it."""
_PATIENCE = 60.0  # seconds to wait for a worker of a batch that was killed to let go of the folder


@dataclass(frozen=True)
class Order:
    """A job and where its results go: what is sent to a worker."""

    job: BatchJob
    out: str


def warm() -> None:
    """Import what takes seconds, and keep video models loaded from job to job."""
    import torch

    import animate3d.runs.requested  # noqa: F401
    from animate3d.mvvdm.inference import keep_loaded
    from animate3d.runs.console import quiet_libraries

    quiet_libraries()
    keep_loaded()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)


def make_videos_of(order: Order) -> dict[str, Any]:
    """The steps up to the videos and their masks, where a mesh is animated from a prompt."""
    (ended,) = make_videos_together([order])
    if isinstance(ended, Exception):
        raise ended
    return ended


def make_videos_together(orders: Sequence[Order]) -> list[dict[str, Any] | Exception]:
    """`make_videos_of` for several jobs, whose videos are made in one call of the model; what fails stops no other."""
    from animate3d.runs.videos import make_ahead

    ends: list[dict[str, Any] | Exception] = [{} for _ in orders]
    begun: list[tuple[int, ExitStack, MeshRun]] = []
    for number, order in enumerate(orders):
        stack = ExitStack()
        try:
            run = _before_videos(order, stack)
            begun += [] if run is None else [(number, stack, run)]
        except Exception as problem:
            ends[number] = problem
    if len(begun) > 1:
        make_ahead([wanted for _, _, run in begun for wanted in run.missing_videos()])
    for number, stack, run in reversed(begun):  # a run puts back what it found when it began
        try:
            with stack:
                run.choose_frames()
        except Exception as problem:
            ends[number] = problem
    return ends


def _before_videos(order: Order, stack: ExitStack) -> MeshRun | None:
    """A run up to its videos, at work until the stack ends; None, and the stack is empty, where it makes no videos."""
    from animate3d.runs.mesh import before_videos
    from animate3d.runs.options import AnimateOptions
    from animate3d.runs.scene import is_scene

    with ExitStack() as own:
        options, announce = own.enter_context(_at_work(order))
        if type(options) is not AnimateOptions or options.video is None or is_scene(options):
            return None
        run = own.enter_context(before_videos(options, announce))
        stack.push(own.pop_all())
        return run


def animate_job(order: Order) -> dict[str, Any]:
    """All of it, or what is missing."""
    from animate3d.runs.requested import carry_out

    with _at_work(order) as (options, announce):
        result = carry_out(options, announce)
        facts = summary(json.loads(result.record.read_text()))
        facts |= {"displacement": round(result.mean_displacement, 5), "score": result.score}
    return note_done(order, facts)


def note_done(order: Order, facts: dict[str, Any]) -> dict[str, Any]:
    """Write that a job is done, after its results, where a later batch looks for it; returns the facts."""
    note = {"id": order.job.id, "inputs": stamps(order.job), "facts": facts}
    Results(order.out, scratch_folder()).write(f"{RECORDS}/{order.job.name}.json", json.dumps(note).encode())
    return facts


@contextmanager
def _at_work(order: Order) -> Iterator[tuple[Any, Callable[[str], None]]]:
    """The options of a job, whose results are brought to their place after every step."""
    from animate3d.runs.requested import requested

    job, results = order.job, Results(order.out, scratch_folder() / "out")
    cache = scratch_folder() / "in"
    values = {name: _fetched(value, cache) if is_path(name) else value for name, value in job.values.items()}
    folder = results.begin(job.name)
    settings = str(values.pop(SETTINGS, "")).split()
    options = requested(command_of(values, values["model"], folder), settings)

    def announce(line: str) -> None:
        if line.startswith("✓"):
            results.send(job.name)

    _wait_until_free(folder)
    try:
        yield options, announce
    finally:
        results.end(job.name)


def _fetched(value: Any, cache: Path) -> Any:
    return tuple(_fetched(part, cache) for part in value) if isinstance(value, tuple) else fetched(value, cache)


def _wait_until_free(folder: Path) -> None:
    """The worker of a batch that was killed may live a little longer than it."""
    from animate3d.lock import is_in_use

    end = time.monotonic() + _PATIENCE
    while is_in_use(folder) and time.monotonic() < end:
        time.sleep(0.5)


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """What the table says of a run's record: seconds and peak memory of every step, and how well it was followed."""
    facts: dict[str, Any] = {}
    for name, entry in record["steps"].items():
        if "seconds" in entry:
            column = name.replace(" ", "_").replace("(", "").replace(")", "")
            in_call = entry.get("facts", {}).get("seconds_in_call", 0.0)  # its share of one with other objects
            facts[f"seconds_{column}"] = round(entry["seconds"] + in_call, 2)
            facts[f"peak_mb_{column}"] = entry["peak_memory_mb"]
    explained = record["steps"].get("5 tracking", {}).get("facts", {}).get("explained")
    return {"explained": explained, **facts}


def stamps(job: BatchJob) -> dict[str, Any]:
    """The state of the files that a job is made from, to see whether they have changed since."""
    found = {}
    for name, value in job.values.items():
        for place in value if isinstance(value, tuple) else [value] if is_path(name) else []:
            if isinstance(place, Path) and not is_url(place) and place.exists():
                found[str(place)] = stamp(place)["files"]
    return found
