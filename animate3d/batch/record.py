"""The table of what became of every job: jobs.parquet and jobs.csv, whole at every moment while a batch runs."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from animate3d.batch.places import Results
from animate3d.batch.stages import RECORDS, stamps
from animate3d.batch.table import BatchJob
from animate3d.cluster import Event
from animate3d.errors import require

FIRST = ("id", "folder", "status", "attempts", "seconds", "error", "model", "prompt", "seed")
_FACTS = ("explained", "displacement", "score")
INTERVAL = 3.0
"""Seconds between two writings, more where writing takes long."""


class Record:
    """One row for every job, in the order of the jobs.

    Args:
        results: where the tables are written.
        also: called with the rows at every writing.
    """

    def __init__(
        self, jobs: Sequence[BatchJob], results: Results, also: Callable[[list[dict[str, Any]]], None] | None = None
    ) -> None:
        self.rows = {job.name: _first_row(job) for job in jobs}
        self._results, self._also = results, also
        self._next, self._changed = 0.0, True

    def note(self, event: Event) -> None:
        """What has happened to a job."""
        row = self.rows[event.job.key]
        row |= {"status": event.state, "attempts": event.job.attempts + 1, "seconds": round(event.seconds, 2)}
        row["error"] = event.error
        if event.state in ("done", "failed"):
            row["attempts"] = event.job.attempts + (event.state == "done")
        row |= event.facts or {}
        self._changed = True

    def already(self, job: BatchJob, facts: dict[str, Any]) -> None:
        """A job was done by an earlier batch; its time is that of its steps."""
        seconds = sum(value for name, value in facts.items() if name.startswith("seconds_"))
        self.rows[job.name] |= {"status": "done", "seconds": round(seconds, 2), **facts}

    def stopped(self) -> None:
        """Nobody is at any job now: the batch ends before them."""
        for row in self.rows.values():
            if row["status"] == "running":
                row["status"] = "waiting"

    def write_sometimes(self) -> None:
        """Write the tables if that was long enough ago; the time that it takes stays a small share."""
        if self._changed and time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write the tables now."""
        start = time.monotonic()
        rows = aligned(list(self.rows.values()))
        self._results.write("jobs.parquet", _parquet(rows))
        self._results.write("jobs.csv", _csv(rows))
        if self._also is not None:
            self._also(rows)
        self._changed = False
        end = time.monotonic()
        self._next = end + max(INTERVAL, 20 * (end - start))

    def counts(self) -> dict[str, int]:
        """Jobs in every state."""
        found: dict[str, int] = {}
        for row in self.rows.values():
            found[row["status"]] = found.get(row["status"], 0) + 1
        return found


def done_before(jobs: Sequence[BatchJob], results: Results) -> dict[str, dict[str, Any]]:
    """Facts of the jobs that an earlier batch has done from the same files, by their names."""
    notes = results.read_all(RECORDS)
    found = {}
    for job in jobs:
        try:
            note = json.loads(notes[f"{job.name}.json"])
            same = note["id"] == job.id and note["inputs"] == stamps(job)
        except (KeyError, ValueError):
            continue
        if same and (results.remote or (results.begin(job.name) / "run.json").is_file()):
            found[job.name] = note["facts"]
    return found


def aligned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the same columns in the same order."""
    columns = dict.fromkeys([*FIRST, *(name for row in rows for name in row)])
    return [{name: row.get(name) for name in columns} for row in rows]


def _first_row(job: BatchJob) -> dict[str, Any]:
    said = {name: _plain(value) for name, value in job.values.items()}
    own = {f"own_{name}" if _is_ours(name) else name: _plain(value) for name, value in job.own.items()}
    return {"id": job.id, "folder": job.name, "status": "waiting", "attempts": 0, **said, **own}


def _is_ours(column: str) -> bool:
    """Whether a batch writes a column of that name itself."""
    return column in (*FIRST, *_FACTS) or column.startswith(("seconds_", "peak_mb_"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else list(FIRST))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    arrow = require("pyarrow", feature="The table jobs.parquet", extra="cluster")
    parquet = require("pyarrow.parquet", feature="The table jobs.parquet", extra="cluster")
    columns = {name: _column(arrow, [row[name] for row in rows]) for name in (rows[0] if rows else FIRST)}
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def _column(arrow: Any, values: list[Any]) -> Any:
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):  # texts and numbers in a column of the user's own
        return arrow.array([None if value is None else str(value) for value in values])
