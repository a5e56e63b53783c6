"""`animate3d batch` with a job that takes moments in place of a run: python fake_batch.py JOBS --out DIR …

A row's column `settings` says what goes wrong: hang, crash, memory, or `seconds=N`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.batch import command, run
from animate3d.batch.places import Results, fetched, scratch_folder
from animate3d.batch.stages import Order, note_done
from animate3d.errors import InputError, run_command
from animate3d.files import atomic_file, existing_file, write_json


def fake_job(order: Order) -> dict[str, Any]:
    """Write one file that follows from the row, and a line for every time that the job was begun."""
    results = Results(order.out, scratch_folder() / "out")
    folder = results.begin(order.job.name)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _made(order, folder)
    finally:
        results.end(order.job.name)


def _made(order: Order, folder: Path) -> dict[str, Any]:
    job = order.job
    with (folder / "begun").open("a") as file:
        file.write(f"{os.getpid()}\n")
    wanted = str(job.values.get("settings", ""))
    if wanted == "hang":
        time.sleep(600)
    if wanted == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if wanted == "memory":
        np.ones(2**40, dtype=np.uint8).sum()
    time.sleep(float(wanted.partition("=")[2] or 0))
    if not job.values.get("prompt"):
        raise InputError("Give either a prompt or a folder of frames.")
    model = existing_file(fetched(job.values["model"], scratch_folder() / "in"), "model").read_text()
    if model != "mesh":
        raise InputError(f"{job.values['model']} is no mesh.")
    with atomic_file(folder / "result") as temporary:
        temporary.write_text(json.dumps([model, job.values["prompt"], job.values.get("seed")]))
    write_json(folder / "run.json", {"steps": {}})
    with (folder / "ended").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return note_done(order, {"explained": 0.5})


def nothing() -> None:
    """In place of importing torch."""


def main() -> int:
    this = __import__("fake_batch")  # the workers find the job under this name
    run.animate_job, run.warm = this.fake_job, this.nothing  # type: ignore[attr-defined]
    return command.main(sys.argv[1:])


if __name__ == "__main__":
    run_command(main)
