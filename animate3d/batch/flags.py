"""The flags of `animate` as columns of a table: their types, and a command from a row's values."""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from animate3d.runs.options import AnimateCommand

SETTINGS = "settings"
"""Column of the words ``key=value``, apart by spaces."""

_NOT_COLUMNS = {"out": "--out says where all results go", "verbose": "a batch shows one line"}
_YES, _NO = ("true", "yes", "1", "on"), ("false", "no", "0", "off", "")


def flag_of(column: str) -> str | None:
    """The name of the flag that a column's title means, with or without dashes; None where it is none."""
    name = column.strip().lstrip("-").replace("-", "_").lower()
    return name if name in flag_types() else None


def refused(column: str) -> str | None:
    """Why a column cannot be one of a batch."""
    return _NOT_COLUMNS.get(column.strip().lstrip("-").replace("-", "_").lower())


@cache
def flag_types() -> Mapping[str, Any]:
    """Every flag of `animate` that a column may give, with its type."""
    found: dict[str, Any] = {SETTINGS: str}

    def add(kind: type) -> None:
        hints = get_type_hints(kind)
        for item in fields(kind):
            if is_dataclass(hints[item.name]):
                add(hints[item.name])
            else:
                found[item.name] = hints[item.name]

    add(AnimateCommand)
    return {name: kind for name, kind in found.items() if name not in _NOT_COLUMNS}


def read_value(value: Any, kind: Any) -> Any:
    """A cell as the type of its flag; None where it is empty.

    Raises:
        ValueError: what such a cell should hold.
    """
    if value is None or (isinstance(value, float) and value != value) or value == "":
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return read_value(value, next(part for part in inner if part is not type(None)))
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"one of {', '.join(inner)}")
        return value
    if origin is tuple:
        return tuple(read_value(part, inner[0]) for part in _parts(value))
    if kind is bool:
        return _truth(value)
    if kind in (int, float):
        return _number(value, kind)
    if isinstance(value, dict | list):
        raise ValueError("a text")
    return kind(value) if kind is Path else str(value)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(";")]
        except json.JSONDecodeError as error:
            raise ValueError("a list in JSON, or texts apart by `;`") from error
    if not isinstance(value, list | tuple):
        raise ValueError("a list, or texts apart by `;`")
    return list(value)


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError("true or false")
    return word in _YES


def _number(value: Any, kind: type) -> Any:
    what = "a whole number" if kind is int else "a number"
    if isinstance(value, bool):
        raise ValueError(what)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(what) from error
    if not math.isfinite(number):
        raise ValueError(what)
    if kind is float:
        return number
    if number != int(number) or (isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d+(\.0+)?\s*", value)):
        raise ValueError(what)
    return int(number)


def command_of(values: Mapping[str, Any], model: Path, out: Path) -> AnimateCommand:
    """The command with a row's values; what it does not say is as without a flag."""

    def build(kind: type) -> Any:
        hints = get_type_hints(kind)
        given: dict[str, Any] = {}
        for item in fields(kind):
            if is_dataclass(hints[item.name]):
                given[item.name] = build(hints[item.name])
            elif item.name in values:
                given[item.name] = values[item.name]
        return kind(**given, **({"model": model, "out": out} if kind is AnimateCommand else {}))

    values = {name: value for name, value in values.items() if value is not None and name not in ("model", "out")}
    command: AnimateCommand = build(AnimateCommand)
    return command


def is_path(name: str) -> bool:
    """Whether a flag names a file or a folder."""
    kind = flag_types()[name]
    return any(part is Path for part in (kind, *get_args(kind)))
