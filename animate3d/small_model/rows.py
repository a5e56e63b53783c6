"""Rows of an evaluation on disk, so that one that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from animate3d.files import read_json, write_json

Row = dict[str, Any]

_ROWS = "rows"


def row_file(out: Path, part: str, uid: str) -> Path:
    """Where the row of a case lies, once it is there."""
    return out / _ROWS / part / f"{uid}.json"


def remembered(out: Path, part: str, uid: str, make: Callable[[], Mapping[str, Any]]) -> Row:
    """The row of a case, made unless it was made before."""
    path = row_file(out, part, uid)
    if not path.is_file():
        write_json(path, dict(make()))
    return read_json(path)
