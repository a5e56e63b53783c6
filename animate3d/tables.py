"""Tables that people write: rows of CSV, JSON Lines and Parquet files, and lists of prompts."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from animate3d.errors import InputError, require
from animate3d.files import existing_file

TABLES = {".csv": "CSV", ".tsv": "CSV", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines", ".parquet": "Parquet"}


def read_rows(path: Path, other: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The rows of a table by the names of its columns, each with a text that says where it stands.

    Args:
        other: what may be given in its place, for the sentence.

    Raises:
        InputError: it is no table, or the row that cannot be read.
    """
    kind = TABLES.get(existing_file(path, "table of jobs").suffix.lower())
    if kind is None:
        raise InputError(f"{path} is no table of jobs: give .csv, .tsv, .jsonl or .parquet{other and f', {other}'}.")
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
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # texts of JSON may hold what else ends a line
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


def read_prompts(path: Path) -> list[str]:
    """A prompt in every line that is not empty and begins with no `#`."""
    try:
        lines = existing_file(path, "file of prompts").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error}).") from error
    stripped = (line.strip() for line in lines)
    prompts = list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))
    if not prompts:
        raise InputError(f"{path} holds no prompts; write one in every line.")
    return prompts
