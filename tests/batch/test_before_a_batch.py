"""What cannot work is refused before Ray starts, and nothing that a user has written is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from animate3d.batch import run
from animate3d.batch.command import main
from animate3d.errors import InputError
from animate3d.lock import alone_in


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def started(address: str | None) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(run, "joined", started)
    path = tmp_path / "jobs.csv"
    path.write_text("model,prompt\na.glb,it walks\n")
    return path


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--timeout", "0"),
        ("--timeout", "nan"),
        ("--retries", "-1"),
        ("--memory", "inf"),
        ("--workers", "0"),
        ("--cpus-per-job", "0"),
        ("--gpus-per-job", "-1"),
        ("--gpus-per-job", "1.5"),
        ("--objects-per-call", "0"),
        ("--preset", "big"),
    ],
)
def test_a_flag_that_cannot_be_is_one_sentence(table: Path, flag: str, value: str) -> None:
    with pytest.raises(InputError, match=f"^{flag} is "):
        main([str(table), "--out", str(table.parent / "out"), flag, value])
    assert os.listdir(table.parent) == ["jobs.csv"]


def test_the_table_of_the_jobs_is_not_replaced_by_that_of_the_results(table: Path) -> None:
    before = table.read_bytes()
    with pytest.raises(InputError, match="would replace"):
        main([str(table), "--out", str(table.parent)])
    assert table.read_bytes() == before


def test_a_file_is_no_folder_for_the_results(table: Path) -> None:
    with pytest.raises(InputError, match=r"jobs.csv is a file, not a folder; give another --out\.$"):
        main([str(table), "--out", str(table / "below")])


def test_a_second_batch_in_a_folder_is_refused(table: Path) -> None:
    with alone_in(table.parent / "out"), pytest.raises(InputError, match="is in use"):
        main([str(table), "--out", str(table.parent / "out")])


def test_after_an_interrupt_no_job_is_said_to_run(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from animate3d.cluster import Event

    def interrupted(orders, pools, limits, tell, tick) -> None:  # type: ignore[no-untyped-def]
        tell(Event(next(orders), "running"))
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "joined", lambda address: nullcontext("here"))
    monkeypatch.setattr(run, "run_jobs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([str(table), "--out", str(table.parent / "out")])
    text = (table.parent / "out" / "jobs.csv").read_text()
    assert ",waiting,1," in text and "running" not in text
