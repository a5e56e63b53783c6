"""The table is whole whenever it is read, wherever it lies; jobs that are done are found again."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from animate3d.batch.places import Results, fetched
from animate3d.batch.record import Record, done_before
from animate3d.batch.stages import Order, note_done, summary
from animate3d.batch.table import BatchJob
from animate3d.cluster import Event, Job
from animate3d.errors import InputError

parquet = pytest.importorskip("pyarrow.parquet")


def a_job(folder: Path, name: str = "a") -> BatchJob:
    (folder / f"{name}.glb").write_text("mesh")
    return BatchJob(f"id-{name}", name, {"model": folder / f"{name}.glb", "seed": 1}, {"artist": "Ada", "n": [1]}, "")


def test_columns_of_the_user_and_of_the_steps_are_in_both_tables(tmp_path: Path) -> None:
    jobs = [a_job(tmp_path, "a"), a_job(tmp_path, "b")]
    record = Record(jobs, Results(str(tmp_path / "out"), tmp_path))
    record.note(Event(Job("b", None, ()), "done", {"seconds_3_videos": 2.5}, seconds=3.0))
    record.write()
    first, second = parquet.read_table(tmp_path / "out" / "jobs.parquet").to_pylist()
    assert (first["status"], second["status"]) == ("waiting", "done")
    assert second["seconds_3_videos"] == 2.5 and first["seconds_3_videos"] is None
    assert first["artist"] == "Ada"
    assert (tmp_path / "out" / "jobs.csv").read_text().splitlines()[0].split(",") == list(first)


def test_a_users_column_is_kept_beside_one_that_a_batch_writes(tmp_path: Path) -> None:
    job = BatchJob("id", "a", {"model": tmp_path / "a.glb"}, {"score": "mine", "seconds_left": 3}, "")
    record = Record([job], Results(str(tmp_path / "out"), tmp_path))
    record.already(job, {"score": None, "seconds_3_videos": 2.5, "seconds_5_tracking": 1.0})
    row = record.rows["a"]
    assert (row["own_score"], row["own_seconds_left"], row["score"], row["seconds"]) == ("mine", 3, None, 3.5)


def test_a_job_is_done_while_its_row_and_its_model_are_the_same(tmp_path: Path) -> None:
    job, out = a_job(tmp_path), tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "run.json").touch()
    note_done(Order(job, str(out)), {"explained": 0.5})
    results = Results(str(out), tmp_path)
    assert done_before([job], results) == {"a": {"explained": 0.5}}
    (tmp_path / "a.glb").write_text("another mesh")
    assert done_before([job], results) == {}


@pytest.mark.parametrize("scheme", ["memory://bucket/out", "file"])
def test_results_behind_a_url_come_back_for_the_next_attempt(tmp_path: Path, scheme: str) -> None:
    url = scheme if scheme != "file" else f"file://{tmp_path}/remote"
    first = Results(url, tmp_path / "one")
    folder = first.begin("job")
    (folder / "work").mkdir()
    (folder / "work" / "start.npz").write_bytes(b"half way")
    (folder / "run.json").write_text("{}")
    first.send("job")  # after a step; then the machine is lost
    second = Results(url, tmp_path / "two")
    again = second.begin("job")
    assert (again / "work" / "start.npz").read_bytes() == b"half way"
    (again / "work" / "start.npz").unlink()
    (again / "animation.glb").write_bytes(b"done")
    second.end("job")
    assert not again.exists()
    last = Results(url, tmp_path / "three").begin("job")
    assert sorted(path.name for path in last.rglob("*") if path.is_file()) == ["animation.glb", "run.json"]
    second.write("jobs.csv", b"id\n")
    second.write(".jobs/job.json", b"{}")
    assert second.read_all(".jobs") == {"job.json": b"{}"}


def test_an_input_behind_a_url_is_fetched_once(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_text("mesh")
    url = Path(f"file://{tmp_path}/a.glb")
    found = fetched(url, tmp_path / "cache")
    assert found.read_text() == "mesh" and found.name == "a.glb"
    assert fetched(url, tmp_path / "cache") == found
    with pytest.raises(InputError, match="There is nothing at file:///"):
        fetched(Path(f"file://{tmp_path}/b.glb"), tmp_path / "cache")


def test_the_summary_of_a_run_has_its_steps() -> None:
    steps = {
        "3 videos": {"seconds": 2.0, "peak_memory_mb": 900},
        "5 tracking": {"seconds": 3.0, "peak_memory_mb": 950, "facts": {"explained": 0.8}},
        "7 glb": {"state": "started"},
    }
    found = summary({"steps": steps})
    assert found["explained"] == 0.8 and found["peak_mb_3_videos"] == 900 and "seconds_7_glb" not in found


def test_mixed_columns_are_texts(tmp_path: Path) -> None:
    jobs = [BatchJob(n, n, {"model": Path("a.glb")}, {"size": size}, "") for n, size in (("a", 1), ("b", "large"))]
    record = Record(jobs, Results(str(tmp_path), tmp_path))
    record.write()
    read = parquet.read_table(io.BytesIO((tmp_path / "jobs.parquet").read_bytes())).to_pylist()
    assert [row["size"] for row in read] == ["1", "large"]
