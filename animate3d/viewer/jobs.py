"""Runs that wait for each other: one at a time, each a process of its own that can be ended, noted in its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from animate3d.errors import InputError
from animate3d.files import read_json, write_json
from animate3d.progress import LISTENED, PENDING

State = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]
NOTE = "job.json"
_PATIENCE = 5.0  # seconds from a request to end to the end
_LINES = 200


@dataclass(eq=False)
class Job:
    """A run of the command.

    Attributes:
        folder: of its results.
        arguments: of `animate3d`.
        state: ``stopped`` is a run that ended with the program that had started it.
        lines: what it has said, the latest last.
        doing: what it is at, and how far; empty where it says nothing of it.
    """

    folder: Path
    arguments: list[str]
    state: State = "waiting"
    lines: list[str] = field(default_factory=list)
    doing: str = ""

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    def save(self) -> None:
        """Note it in its folder."""
        note = {"arguments": self.arguments, "state": self.state, "lines": self.lines[-_LINES:]}
        write_json(self.folder / NOTE, note)

    @classmethod
    def load(cls, folder: Path) -> Job | None:
        """What `save` noted; None where there is no note, or a damaged one."""
        try:
            note = read_json(folder / NOTE)
            return cls(folder, [str(word) for word in note["arguments"]], note["state"], list(note["lines"]))
        except (InputError, KeyError, TypeError):
            return None


class Queue:
    """Jobs in the order in which they came; a thread takes one after the other.

    Args:
        changed: called with a job after it has said something or changed its state.
    """

    def __init__(self, changed: Callable[[Job], None] = lambda job: None) -> None:
        self._changed = changed
        self._jobs: list[Job] = []
        self._process: subprocess.Popen[str] | None = None
        self._wake = threading.Condition(threading.RLock())
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def jobs(self) -> list[Job]:
        """Those that wait or run, the running one first."""
        with self._wake:
            return list(self._jobs)

    def submit(self, job: Job) -> None:
        """Put a job at the end of the line; a folder that is in it already is not taken twice.

        Raises:
            InputError: the folder has a job that waits or runs.
        """
        with self._wake:
            if any(other.folder == job.folder for other in self._jobs):
                raise InputError(f"{job.folder.name} is being animated already.")
            job.state = "waiting"
            job.folder.mkdir(parents=True, exist_ok=True)
            job.save()
            self._jobs.append(job)
            self._wake.notify_all()
        self._changed(job)

    def cancel(self, job: Job) -> None:
        """End a job that runs, with all that it started, or take it out of the line."""
        with self._wake:
            if job not in self._jobs:
                return
            job.state = "cancelled"
            if self._jobs[0] is job and self._process is not None:
                _end(self._process)
            else:
                self._jobs.remove(job)
                job.save()
        self._changed(job)

    def close(self) -> None:
        """End what runs and start nothing more."""
        with self._wake:
            self._closed = True
            for job in self._jobs[1:]:
                job.state = "stopped"
                job.save()
            if self._jobs:
                self._jobs[0].state = "stopped"
            del self._jobs[1:]
            if self._process is not None:
                _end(self._process)
            self._wake.notify_all()
        self._thread.join(2 * _PATIENCE)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                job = self._jobs[0]
                if job.state == "waiting":
                    self._begin(job)
            if self._process is not None:
                self._follow(job, self._process)
            with self._wake:
                self._process = None
                self._jobs.remove(job)
                with contextlib.suppress(OSError):  # somebody has deleted its folder
                    job.save()
            self._changed(job)

    def _begin(self, job: Job) -> None:
        try:
            job.state = "running"
            job.save()
            self._process = _started(job.arguments)
        except OSError as error:  # the disk is full, or no process can be started
            job.state = "failed"
            job.lines.append(f"error: {error.filename or job.folder}: {error.strerror}")

    def _follow(self, job: Job, process: subprocess.Popen[str]) -> None:
        self._changed(job)
        assert process.stdout is not None
        for line in process.stdout:
            if text := line.strip():
                job.doing = text[:500] if text.endswith(PENDING) else ""
                if not job.doing:
                    job.lines.append(text[:500])
                self._changed(job)
        code = process.wait()
        job.doing = ""
        with self._wake:
            if job.state == "running":
                job.state = "done" if code == 0 else "failed"
                if code < 0:
                    job.lines.append(f"the run was ended from outside (signal {-code}); run it again to continue")


def _started(arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "animate3d", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", LISTENED: "lines"},
        start_new_session=True,  # so that it can be ended together with what it starts
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a process and its children to end, and make them after a while."""

    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def insist() -> None:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            send(signal.SIGKILL)

    send(signal.SIGTERM)
    threading.Thread(target=insist, daemon=True).start()
