"""The queue of the app: one run at a time, each can be ended, and nothing is forgotten."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from animate3d.errors import InputError
from animate3d.progress import LISTENED
from animate3d.viewer import jobs
from animate3d.viewer.jobs import Job, Queue
from animate3d.viewer.workspace import Workspace


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue whose jobs are lines of Python in place of the command's arguments."""
    popen = jobs.subprocess.Popen

    def started(command: list[str], **more: object) -> object:
        return popen([sys.executable, "-c", *command[3:]], **more)  # type: ignore[call-overload]

    monkeypatch.setattr(jobs.subprocess, "Popen", started)
    made = Queue()
    yield made
    made.close()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_jobs_run_one_after_the_other_and_their_lines_are_kept(tmp_path, queue):
    log = tmp_path / "log"
    lines = (
        f"import time; f = open({str(log)!r}, 'a', 1); f.write('<\\n'); time.sleep(.2); f.write('>\\n'); print('said')"
    )
    made = [Job(tmp_path / f"run{k}", [lines]) for k in range(3)]
    for job in made:
        queue.submit(job)
    until(lambda: not queue.jobs)
    assert log.read_text().split() == ["<", ">"] * 3
    for job in made:
        kept = Job.load(job.folder)
        assert kept is not None and (kept.state, kept.lines) == ("done", ["said"])


def test_how_far_a_step_is_is_told_and_not_kept(tmp_path, queue):
    say = f"import os, time; print('  tracking 2 of 9 frames …' * (os.environ[{LISTENED!r}] == 'lines'), flush=True)"
    job = Job(tmp_path / "a", [f"{say}; time.sleep(.3); print('✓ tracking', flush=True); time.sleep(.3)"])
    queue.submit(job)
    until(lambda: job.doing == "tracking 2 of 9 frames …")
    assert job.lines == []
    until(lambda: not queue.jobs)
    assert job.lines == ["✓ tracking"] and job.doing == ""


def test_a_run_that_cannot_be_noted_fails_and_the_next_one_starts(tmp_path, queue):
    first, lost, good = (Job(tmp_path / name, ["import time; time.sleep(.3)"]) for name in ("first", "lost", "good"))
    queue.submit(first)
    queue.submit(lost)
    queue.submit(good)
    (lost.folder / "job.json").unlink()
    lost.folder.rmdir()
    lost.folder.write_text("in the way")
    until(lambda: not queue.jobs)
    assert lost.state == "failed" and "lost" in lost.lines[-1] and good.state == "done"


def test_a_failed_run_says_why_and_the_next_one_starts(tmp_path, queue):
    bad, good = Job(tmp_path / "bad", ["print('error: no'); raise SystemExit(1)"]), Job(tmp_path / "good", ["pass"])
    queue.submit(bad)
    queue.submit(good)
    until(lambda: not queue.jobs)
    assert (bad.state, bad.lines, good.state) == ("failed", ["error: no"], "done")


def test_cancelling_ends_a_run_with_its_children_and_takes_a_waiting_one_out(tmp_path, queue):
    child = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    running, waiting = Job(tmp_path / "a", [child]), Job(tmp_path / "b", ["pass"])
    queue.submit(running)
    queue.submit(waiting)
    until(lambda: running.lines)
    queue.cancel(waiting)
    queue.cancel(running)
    until(lambda: not queue.jobs)
    assert (running.state, waiting.state) == ("cancelled", "cancelled")
    until(lambda: not Path(f"/proc/{running.lines[0]}").exists() or _is_dead(int(running.lines[0])))


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_run_that_is_killed_from_outside_failed_and_can_be_continued(tmp_path, queue):
    job = Job(tmp_path / "a", ["import os, time; print(os.getpid(), flush=True); time.sleep(60)"])
    queue.submit(job)
    until(lambda: job.lines)
    with pytest.raises(InputError, match="already"):
        queue.submit(Job(job.folder, ["pass"]))
    os.kill(int(job.lines[0]), signal.SIGKILL)
    until(lambda: not queue.jobs)
    assert job.state == "failed" and "run it again to continue" in job.lines[-1]
    again = Job.load(job.folder)
    assert again is not None
    again.arguments = ["pass"]
    queue.submit(again)
    until(lambda: not queue.jobs)
    assert again.state == "done"


def test_closing_the_app_stops_what_runs_and_waits(tmp_path, queue):
    made = [Job(tmp_path / name, ["import time; print('on', flush=True); time.sleep(60)"]) for name in "ab"]
    for job in made:
        queue.submit(job)
    until(lambda: made[0].lines)
    queue.close()
    until(lambda: all(Job.load(job.folder).state == "stopped" for job in made))


def test_a_workspace_knows_its_runs_after_a_crash(tmp_path):
    workspace = Workspace(tmp_path)
    job = workspace.new_job([workspace.keep_model("cat.obj", b"v 0 0 0\n")], "it runs")
    job.folder.mkdir()
    job.state = "running"
    job.save()
    reopened = Workspace(tmp_path)
    assert reopened.runs() == [job.folder.name]
    kept = Job.load(job.folder)
    assert kept is not None and kept.state == "stopped" and kept.arguments == job.arguments


@pytest.mark.parametrize("text", ["", "[]", "{", '{"state": "done"}', "null"])
def test_a_damaged_note_is_no_job(tmp_path, text):
    (tmp_path / "job.json").write_text(text)
    assert Job.load(tmp_path) is None
