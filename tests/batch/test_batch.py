"""The whole command with jobs that take moments: what goes wrong in a batch, and to a batch."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("ray")
HERE = Path(__file__).parent


def started(*words: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(HERE / "fake_batch.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def table_of(folder: Path, rows: list[dict[str, object]]) -> Path:
    for row in rows:
        if row["model"] != "missing.glb":
            (folder / str(row["model"])).write_text("garbage" if row["model"] == "garbage.glb" else "mesh")
    path = folder / "jobs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_table(out: Path) -> list[dict[str, str]]:
    with (out / "jobs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def good(count: int, seconds: float = 0.0) -> list[dict[str, object]]:
    return [
        {"model": f"{n}.glb", "prompt": f"it walks {n}", "seed": n, "settings": f"seconds={seconds}", "name": f"job{n}"}
        for n in range(count)
    ]


def broken(number: int) -> dict[str, object]:
    model, prompt, settings = [
        ("missing.glb", "x", ""),
        ("garbage.glb", "x", ""),
        ("0.glb", "", ""),
        ("0.glb", "x", "memory"),
        ("0.glb", "x", "hang" if number < 5 else "crash" if number < 10 else "memory"),
    ][number % 5]
    return {"model": model, "prompt": prompt, "seed": number, "settings": settings, "name": f"broken{number}"}


@pytest.mark.slow
def test_twenty_broken_jobs_among_forty_are_twenty_sentences(tmp_path: Path) -> None:
    rows = [row for pair in zip(good(20), map(broken, range(20)), strict=True) for row in pair]
    batch = started(str(table_of(tmp_path, rows)), "--out", str(tmp_path / "out"), "--timeout", "8", "--memory", "1")
    said, _ = batch.communicate(timeout=300)
    assert batch.returncode == 1, said
    assert "Traceback" not in said and "raylet" not in said
    found = {row["name"]: row for row in read_table(tmp_path / "out")}
    assert [found[f"job{n}"]["status"] for n in range(20)] == ["done"] * 20
    assert [found[f"broken{n}"]["status"] for n in range(20)] == ["failed"] * 20
    words = ["does not exist", "is no mesh", "Give either a prompt", "more memory than the 1.0 GB", ""]
    for number in range(20):
        assert words[number % 5] in found[f"broken{number}"]["error"]
    assert "longer than 8 s" in found["broken4"]["error"]
    assert "it crashed" in found["broken9"]["error"] and found["broken9"]["attempts"] == "2"


@pytest.mark.slow
def test_a_batch_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    rows, chance = good(20, 0.3), random.Random(0)
    table, out = table_of(tmp_path, rows), tmp_path / "out"
    for _ in range(3):
        batch = started(str(table), "--out", str(out))
        begin = time.monotonic()
        ended = len(list(out.glob("*/ended")))
        while len(list(out.glob("*/ended"))) < ended + 1 and time.monotonic() - begin < 120 and batch.poll() is None:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 1))
        batch.send_signal(signal.SIGKILL)
        batch.communicate()
        if (out / "jobs.csv").exists():
            assert len(read_table(out)) == 20  # whole, whenever it is read
    batch = started(str(table), "--out", str(out))
    said, _ = batch.communicate(timeout=300)
    assert batch.returncode == 0, said
    assert "are done already" in said
    undisturbed = started(str(table), "--out", str(tmp_path / "other"))
    undisturbed.communicate(timeout=300)
    for n in range(20):
        assert (out / f"job{n}" / "result").read_bytes() == (tmp_path / "other" / f"job{n}" / "result").read_bytes()
    for row, other in zip(read_table(out), read_table(tmp_path / "other"), strict=True):
        assert {**row, "seconds": "", "attempts": ""} == {**other, "seconds": "", "attempts": ""}
    ends = [len((out / f"job{n}" / "ended").read_text().split()) for n in range(20)]
    again = started(str(table), "--out", str(out))
    said, _ = again.communicate(timeout=300)
    assert "20 of 20 jobs are done already" in said
    assert ends == [len((out / f"job{n}" / "ended").read_text().split()) for n in range(20)]
    assert sum(ends) <= 20 + 3 * 2  # whose outcome a kill took along, of two workers, runs once more


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.slow
def test_tables_models_and_results_may_lie_behind_urls(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")  # fsspec's http
    table_of(tmp_path, good(3) + [broken(0)])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = f"http://127.0.0.1:{server.server_port}/jobs.csv", "--out", f"file://{tmp_path}/remote"
        batch = started(*words)
        said, _ = batch.communicate(timeout=300)
        assert batch.returncode == 1, said
        found = {row["name"]: row for row in read_table(tmp_path / "remote")}
        assert [found[f"job{n}"]["status"] for n in range(3)] == ["done"] * 3
        assert f":{server.server_port}/missing.glb" in found["broken0"]["error"]
        assert (tmp_path / "remote" / "job2" / "result").read_text() == '["mesh", "it walks 2", 2]'
        assert (tmp_path / "remote" / "index.html").is_file()
        said, _ = started(*words).communicate(timeout=300)
        assert "3 of 4 jobs are done already" in said
    finally:
        server.shutdown()
