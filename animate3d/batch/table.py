"""From a table, or a folder of models, to jobs: one for every row, seed and prompt."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animate3d.batch.flags import flag_of, flag_types, is_path, read_value, refused
from animate3d.batch.places import joined_path
from animate3d.errors import InputError
from animate3d.files import portable_name
from animate3d.runs.checks import check_seed
from animate3d.tables import read_rows

MODELS = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off", ".fbx", ".splat", ".spz")
TABLE_FILES = ("jobs.parquet", "jobs.csv", "index.html")
"""What lies beside the folders of the jobs."""
_MOST_SEEDS = 1_000_000


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
    source: Path,
    *,
    given: Mapping[str, Any],
    seeds: Sequence[int] = (),
    prompts: Sequence[str] = (),
    folder: Path | None = None,
) -> list[BatchJob]:
    """The jobs of a table or of a folder of models.

    Args:
        given: values of flags for every row that does not say them.
        seeds, prompts: every row is done with each of them.
        folder: where paths start, or a URL; None is that of the table.

    Raises:
        InputError: the table cannot be read; the row and column of a value that cannot be used.
    """
    rows = _models(source) if source.is_dir() else read_rows(source, "or a folder of models")
    start = folder or (source if source.is_dir() else source.parent)
    jobs = [_job(row, where, given, start) for where, row in rows]
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
    if path.name.startswith("."):  # as other systems leave beside every file
        return False
    if path.is_dir():
        return any(file.suffix.lower() in MODELS for file in path.iterdir())
    return path.suffix.lower() in MODELS


# Jobs


def _job(row: Mapping[str, Any], where: str, given: Mapping[str, Any], folder: Path) -> BatchJob:
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
        if flag == "seed" and value is not None:
            check_seed(value, f"{where}: the seed")
        if value is not None:
            values[flag] = value
    if values.get("model") is None:
        raise InputError(f"{where}: the column `model` is empty or missing; it names the file to animate.")
    named = _id(values)
    said = {name: value for name, value in values.items() if is_path(name) and name not in given}
    placed = {name: _placed(value, folder) for name, value in said.items()}
    return BatchJob(named, str(own.get("name") or ""), {**values, **placed}, own, where)


def _placed(value: Any, folder: Path) -> Any:
    """A path of a row, which starts from the folder that the table is in."""
    return tuple(_placed(part, folder) for part in value) if isinstance(value, tuple) else joined_path(folder, value)


def _id(values: Mapping[str, Any]) -> str:
    said = json.dumps({name: values[name] for name in sorted(values)}, default=str)
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
        if name in TABLE_FILES:
            raise InputError(f"{job.where} has the name `{name}`, which is that of a table or page of the results.")
        if name in places:
            what = f"the name `{name}`" if job.name else "the same job"
            raise InputError(f"{job.where} has {what} as {places[name][0].lower()}{places[name][1:]}; leave one out.")
        places[name] = job.where
        named.append(replace(job, name=name))
    return named


def read_seeds(text: str) -> list[int]:
    """Seeds as ``0-3`` or ``1,5,7``."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"--seeds is `{text}`; give whole numbers as 0-3 or 1,5,7.")
        check_seed(int(last or first), "One of --seeds")
        if int(last or first) - int(first) >= _MOST_SEEDS:
            raise InputError(f"--seeds is `{text}`; give at most {_MOST_SEEDS} numbers.")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise InputError(f"--seeds is `{text}`, which holds no number: the first comes before the last, as in 0-3.")
    return list(dict.fromkeys(seeds))
