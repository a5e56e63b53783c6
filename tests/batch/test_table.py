"""Rows become jobs with the types of the flags; what is wrong with a table is one sentence with row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from animate3d.batch.flags import command_of
from animate3d.batch.table import read_jobs, read_seeds, unknown_columns
from animate3d.errors import InputError
from animate3d.runs.options import AnimateCommand
from animate3d.tables import read_prompts

CSV = "model,--prompt,motion-strength,seed,loop,artist\na.glb,it walks,1.5,3,true,Ada\nb.obj,,,,,\n"


def written(folder: Path, text: str, name: str = "jobs.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_columns_are_flags_and_others_are_kept(tmp_path: Path) -> None:
    first, second = read_jobs(written(tmp_path, CSV), given={"prompt": "it stands"})
    assert first.values == {
        "model": tmp_path / "a.glb",
        "prompt": "it walks",
        "motion_strength": 1.5,
        "seed": 3,
        "loop": True,
    }
    assert first.own == {"artist": "Ada"}
    assert second.values == {"model": tmp_path / "b.obj", "prompt": "it stands"}


def test_a_row_makes_the_command_that_its_flags_make(tmp_path: Path) -> None:
    from animate3d.arguments import parse

    job, _ = read_jobs(written(tmp_path, CSV), given={})
    words = [str(tmp_path / "a.glb"), "--out", "o", "--prompt", "it walks", "--motion-strength", "1.5", "--seed", "3"]
    parsed, _ = parse(AnimateCommand, [*words, "--loop"], prog="animate", summary="s", examples="")
    assert command_of(job.values, job.values["model"], Path("o")) == parsed


def test_tables_of_all_kinds_are_the_same_jobs(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"model": "a.glb", "seed": 1, "video": ["a.mp4", "b.mp4"]}, {"model": "b.glb", "seed": None, "video": None}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "jobs.parquet")
    lines = written(tmp_path, "\n".join(map(json.dumps, rows)), "jobs.jsonl")
    table = written(tmp_path, "model,seed,video\na.glb,1,a.mp4;b.mp4\nb.glb,,\n")
    found = [
        [(job.id, job.name, job.values) for job in read_jobs(path, given={})]
        for path in (lines, table, tmp_path / "jobs.parquet")
    ]
    assert found[0] == found[1] == found[2]
    assert found[0][0][2]["video"] == (tmp_path / "a.mp4", tmp_path / "b.mp4")


def test_seeds_and_prompts_multiply(tmp_path: Path) -> None:
    table = written(tmp_path, "model,name\na.glb,\nb.glb,bear\n")
    jobs = read_jobs(table, given={}, seeds=read_seeds("0-2"), prompts=["it walks", "it runs"])
    assert len(jobs) == 12 == len({job.id for job in jobs}) == len({job.name for job in jobs})
    assert "bear-seed2-prompt1" in {job.name for job in jobs}


def test_an_id_follows_from_the_row_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here = read_jobs(written(tmp_path, "model,seed,artist\na.glb,1,Ada\nb.glb,2,Bo\n"), given={})
    there = read_jobs(written(tmp_path / "elsewhere", "seed,model\n2,b.glb\n1,a.glb\n"), given={})
    assert [job.id for job in here] == [job.id for job in reversed(there)]


def test_a_folder_of_models_is_a_job_for_each(tmp_path: Path) -> None:
    for name in ("b.glb", "a.OBJ", "c.splat", "notes.txt", "._b.glb"):
        (tmp_path / name).touch()
    (tmp_path / "dragon").mkdir()
    (tmp_path / "dragon" / "base.obj").touch()
    jobs = read_jobs(tmp_path, given={"prompt": "it walks"})
    assert [job.values["model"].name for job in jobs] == ["a.OBJ", "b.glb", "c.splat", "dragon"]


def test_urls_stay(tmp_path: Path) -> None:
    from animate3d.batch.places import is_url, url_of

    (job,) = read_jobs(written(tmp_path, "model\ns3://bucket/a.glb\n"), given={})
    assert is_url(job.values["model"]) and url_of(job.values["model"]) == "s3://bucket/a.glb"
    table = written(tmp_path, "model\nb.glb\n/c.glb\n", "t.csv")
    found = read_jobs(table, given={}, folder=Path("s3://bucket/in"))
    assert [str(job.values["model"]) for job in found] == ["s3:/bucket/in/b.glb", "/c.glb"]
    assert not is_url("/tmp/a:/b") and not is_url("a/b.glb")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model,seed\na.glb,1\nb.glb,two\n", r"Row 2 of .*, column `seed`: 'two' is not a whole number"),
        ("model,loop\na.glb,perhaps\n", r"Row 1 of .*, column `loop`: 'perhaps' is not true or false"),
        ("model,preset\na.glb,tower\n", r"column `preset`: 'tower' is not one of laptop, full"),
        ("model,seed\na.glb,inf\n", r"'inf' is not a whole number"),
        ("model,seed\na.glb,1\nb.glb,-1\n", r"Row 2 of .*: the seed is -1; it lies between 0 and 4294967295"),
        ("model,video\na.glb,[b\n", r"is not a list in JSON"),
        ("model,name\na.glb,index.html\n", r"Row 1 of .* has the name `index.html`, which is that of"),
        ("model,out\na.glb,here\n", r"column `out` is not for batches"),
        ("prompt\nit walks\n", r"Row 1 of .*: the column `model` is empty or missing"),
        ("model,seed\na.glb\n", r"Row 1 of .* has not the 2 columns"),
        ("model\na.glb\nb.glb\na.glb\n", r"Row 3 of .* has the same job as row 1"),
        ("model,name\na.glb,x\nb.glb,x\n", r"Row 2 of .* has the name `x` as row 1"),
        ("model\n", r"has no rows"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_jobs(written(tmp_path, text), given={})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("jobs.jsonl", b'{"model": "a.glb"}\n{model}\n', r"Row 2 of .* is not JSON"),
        ("jobs.jsonl", b"[1]\n", r"Row 1 of .* is not an object"),
        ("jobs.csv", b"model\n\xff\xfe\n", r"no CSV table in UTF-8"),
        ("jobs.xlsx", b"", r"no table of jobs: give \.csv, \.tsv, "),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_jobs(tmp_path / name, given={})


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "-1", "²", "0-1000000"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds is"):
        read_seeds(text)


def test_seeds_that_nothing_random_takes_are_refused() -> None:
    with pytest.raises(InputError, match=r"One of --seeds is 4294967296; it lies between 0 and 4294967295\.$"):
        read_seeds("3,4294967296")


def test_seeds_and_prompts_are_read(tmp_path: Path) -> None:
    assert read_seeds("0-2,7") == [0, 1, 2, 7]
    lines = "\ufeffit walks\n\n # slower:\n it runs \n"
    assert read_prompts(written(tmp_path, lines, "p.txt")) == ["it walks", "it runs"]


def test_a_line_of_json_may_hold_what_ends_lines_elsewhere(tmp_path: Path) -> None:
    (job,) = read_jobs(
        written(tmp_path, '\ufeff{"model": "a.glb", "prompt": "it\u2028walks"}\r\n', "a.jsonl"), given={}
    )
    assert job.values["prompt"] == "it\u2028walks"


def test_paths_may_start_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    (job,) = read_jobs(written(tmp_path, "model\n~/a.glb\n"), given={})
    assert job.values["model"] == Path("/home/ada/a.glb")


def test_a_misspelt_flag_is_told(tmp_path: Path) -> None:
    jobs: Any = read_jobs(written(tmp_path, "model,promt,artist\na.glb,x,y\n"), given={})
    assert unknown_columns(jobs) == ["the column `promt` is no flag and only kept; did you mean `prompt`?"]
