"""One run at a time in a folder."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.lock import LOCK, alone_in

WAITS = """
import pathlib, signal, sys, time
from animate3d.lock import alone_in
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
with alone_in(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that is at work in the folder ``out``."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_told_who_is_at_work_and_stops(other: subprocess.Popen[str], tmp_path: Path) -> None:
    said = rf"out is in use: process {other.pid} on {platform.node()} has been at work there since \d{{4}}-\d\d-\d\d "
    with pytest.raises(InputError, match=said), alone_in(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / LOCK).exists(), "the lock of the other run stays"


def test_a_run_that_was_killed_keeps_nobody_out(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / "out" / LOCK).exists()
    with alone_in(tmp_path / "out"):
        assert json.loads((tmp_path / "out" / LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_lock_goes_with_a_run_that_is_asked_to_end(
    other: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    other.send_signal(number)
    _, said = other.communicate(timeout=30)
    assert "KeyboardInterrupt" in said and not (tmp_path / "out" / LOCK).exists()


def test_the_lock_goes_with_an_error_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
            assert (tmp_path / LOCK).exists()
            raise ZeroDivisionError
        assert not (tmp_path / LOCK).exists()


def test_of_many_that_start_together_one_works_at_a_time(tmp_path: Path) -> None:
    """Each writes a file and takes it away again; two at once would find the other's."""
    script = """
import pathlib, sys, time
from animate3d.errors import InputError
from animate3d.lock import alone_in
folder, done = pathlib.Path(sys.argv[1]), 0
while done < 20:
    try:
        with alone_in(folder):
            with (folder / "mine").open("x"):
                pass
            (folder / "mine").unlink()
            done += 1
    except InputError:
        time.sleep(0.0005)
"""
    started = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(4)]
    deadline = time.monotonic() + 120
    assert [process.wait(max(1.0, deadline - time.monotonic())) for process in started] == [0, 0, 0, 0]


def test_a_worker_that_outlives_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys, time
from animate3d.lock import alone_in
with alone_in(pathlib.Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
"""
    killed = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    worker = int(killed.stdout.readline())
    assert killed.wait() == -signal.SIGKILL
    try:
        with alone_in(tmp_path):
            os.kill(worker, 0)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_run_removes_what_killed_ones_were_writing_and_leaves_what_is_being_written(tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys
from animate3d.files import atomic_directory, atomic_file
with atomic_file(pathlib.Path(sys.argv[1]) / "work" / "x.png"), atomic_directory(sys.argv[1] + "/frames") as frames:
    (frames / "0.png").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (tmp_path / ".writing-down.txt").touch()  # a name of the user's own
    assert len(list(tmp_path.rglob(".writing-*"))) == 3
    with atomic_file(tmp_path / "y.txt") as being_written, alone_in(tmp_path):
        found = {path.name for path in tmp_path.rglob("*")}
        assert found == {"work", ".writing-down.txt", being_written.name, LOCK}


def test_folders_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    with alone_in(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()
    with alone_in(tmp_path / "a" / "b"):
        (tmp_path / "a" / "result").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_a_folder_that_takes_no_file_is_an_error_of_the_system() -> None:
    if not Path("/proc").is_dir():
        pytest.skip("no such file system here")
    with pytest.raises(OSError), alone_in(Path("/proc")):
        pass
