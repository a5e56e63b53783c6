"""From a table, or a folder of models, to jobs: one for every row, seed and prompt."""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animate3d.batch.flags import flag_of, flag_types, is_path, read_value, refused
from animate3d.batch.places import joined_path
from animate3d.errors import InputError, require
from animate3d.files import existing_file, portable_name

TABLES = {".csv": "CSV", ".tsv": "CSV", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines", ".parquet": "Parquet"}
MODELS = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off", ".fbx")


@dataclass(frozen=True)
class BatchJob:
    """A run of `animate`.

    Attributes:
        id: follows from what the row says, whatever its place in the table and that of the table.
        name: of its folder among the results, unlike all others.
        values: of flags, read; paths as they lie.
        own: the other columns, as they are.
        where: table and row, for sentences.
    """

    id: str
    name: str
    values: Mapping[str, Any]
    own: Mapping[str, Any]
    where: str


def read_jobs(
    source: Path, *, given: Mapping[str, Any], seeds: Sequence[int] = (), prompts: Sequence[str] = ()
) -> list[BatchJob]:
    """The jobs of a table or of a folder of models.

    Args:
        given: values of flags for every row that does not say them.
        seeds, prompts: every row is done with each of them.

    Raises:
        InputError: the table cannot be read; the row and column of a value that cannot be used.
    """
    rows = _models(source) if source.is_dir() else _rows(source)
    jobs = [_job(row, where, given, source) for where, row in rows]
    if not jobs:
        raise InputError(f"{source} has no rows; every row is a job.")
    for name, values in (("seed", seeds), ("prompt", prompts)):
        if values:
            jobs = [_with(job, name, number, value) for job in jobs for number, value in enumerate(values)]
    return _named(jobs)


def unknown_columns(jobs: Iterable[BatchJob]) -> list[str]:
    """Sentences about columns that are kept but look like a misspelt flag."""
    said = {}
    for job in jobs:
        for column in job.own:
            near = difflib.get_close_matches(column.strip("- ").replace("-", "_"), flag_types(), 1, 0.8)
            if near and column not in said:
                said[column] = f"the column `{column}` is no flag and only kept; did you mean `{near[0]}`?"
    return list(said.values())


# Reading


def _models(folder: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    found = sorted(path for path in folder.iterdir() if _is_model(path))
    if not found:
        raise InputError(f"{folder} holds no models ({', '.join(MODELS)}, or folders of one).")
    return [(str(path), {"model": path.name}) for path in found]


def _is_model(path: Path) -> bool:
    if path.is_dir():
        return any(file.suffix.lower() in MODELS for file in path.iterdir())
    return path.suffix.lower() in MODELS


def _rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    kind = TABLES.get(existing_file(path, "table of jobs").suffix.lower())
    if kind is None:
        raise InputError(f"{path} is no table of jobs: give .csv, .jsonl or .parquet, or a folder of models.")
    read = {"CSV": _csv, "JSON Lines": _json_lines, "Parquet": _parquet}[kind]
    return [(f"Row {number} of {path}", row) for number, row in read(path)]


def _csv(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            rows: list[tuple[int, dict[str, Any]]] = []
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    count = len(reader.fieldnames or ())
                    raise InputError(f"Row {number} of {path} has not the {count} columns of the first line.")
                rows.append((number, dict(row)))
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV table in UTF-8 ({error}).") from error


def _json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error}).") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"Row {number} of {path} is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise InputError(f'Row {number} of {path} is not an object like {{"model": "dragon.glb"}}.')
        rows.append((number, row))
    return rows


def _parquet(path: Path) -> list[tuple[int, dict[str, Any]]]:
    parquet = require("pyarrow.parquet", feature="A Parquet table", extra="cluster")
    arrow = require("pyarrow", feature="A Parquet table", extra="cluster")
    try:
        return list(enumerate(parquet.read_table(path).to_pylist(), 1))
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is no Parquet table ({error}).") from error


# Jobs


def _job(row: Mapping[str, Any], where: str, given: Mapping[str, Any], source: Path) -> BatchJob:
    values, own = dict(given), {}
    for column, cell in row.items():
        if reason := refused(column):
            raise InputError(f"{where}: the column `{column}` is not for batches: {reason}.")
        flag = flag_of(column)
        if flag is None:
            own[column] = cell
            continue
        try:
            value = read_value(cell, flag_types()[flag])
        except ValueError as error:
            raise InputError(f"{where}, column `{column}`: {cell!r} is not {error}.") from error
        if value is not None:
            values[flag] = value
    if values.get("model") is None:
        raise InputError(f"{where}: the column `model` is empty or missing; it names the file to animate.")
    named = _id(values)
    folder = source if source.is_dir() else source.parent
    said = {name: value for name, value in values.items() if is_path(name) and name not in given}
    placed = {name: _placed(value, folder) for name, value in said.items()}
    return BatchJob(named, str(own.get("name") or ""), {**values, **placed}, own, where)


def _placed(value: Any, folder: Path) -> Any:
    """A path of a row, which starts from the folder that the table is in."""
    return tuple(_placed(part, folder) for part in value) if isinstance(value, tuple) else joined_path(folder, value)


def _id(values: Mapping[str, Any], also: str = "") -> str:
    said = json.dumps({name: values[name] for name in sorted(values)}, default=str) + also
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _with(job: BatchJob, name: str, number: int, value: Any) -> BatchJob:
    if name in job.values:
        raise InputError(f"{job.where}: the column `{name}` says {job.values[name]!r}, and so does --{name}s.")
    shown = value if name == "seed" else number
    called = f"{job.name}-{name}{shown}" if job.name else ""
    return replace(job, id=_id({"job": job.id, name: value}), name=called, values={**job.values, name: value})


def _named(jobs: list[BatchJob]) -> list[BatchJob]:
    """Give every job its folder; the same job or name twice is refused."""
    named = []
    places: dict[str, str] = {}
    for job in jobs:
        stem = Path(str(job.values["model"]).rstrip("/")).stem
        name = portable_name(job.name) if job.name else f"{portable_name(stem)}-{job.id}"
        if name in places:
            what = f"the name `{name}`" if job.name else "the same job"
            raise InputError(f"{job.where} has {what} as {places[name][0].lower()}{places[name][1:]}; leave one out.")
        places[name] = job.where
        named.append(replace(job, name=name))
    return named


def read_prompts(path: Path) -> list[str]:
    """A prompt in every line that is not empty."""
    try:
        lines = existing_file(path, "file of prompts").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error}).") from error
    prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not prompts:
        raise InputError(f"{path} holds no prompts; write one in every line.")
    return prompts


def read_seeds(text: str) -> list[int]:
    """Seeds as ``0-3`` or ``1,5,7``."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise InputError(f"--seeds is `{text}`; give whole numbers as 0-3 or 1,5,7.")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise InputError(f"--seeds is `{text}`, which holds no number: the first comes before the last, as in 0-3.")
    return list(dict.fromkeys(seeds))
