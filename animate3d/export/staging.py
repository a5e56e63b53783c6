"""Formats that are several files, or whose writers choose names themselves: write aside, then move into place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path
from typing import Any

from animate3d.errors import InputError
from animate3d.files import atomic_directory, one_line, read_json, temporary_directory, write_json

_LIST = ".export.json"
"""Names in a side folder that the next export replaces."""


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a plain name with the suffix of ``path``; what is written beside it ends up beside ``path``.

    Libraries take some characters of a name for something else, so they never see the real one. Side files and folders
    move first and ``path`` itself last: when it is there, all of it is. Hidden files are left behind. On an exception
    nothing moves. What an earlier export of this name left is replaced, other files are not.

    Raises:
        InputError: the name holds a line break, or a side file would replace one that is not of an earlier export.
        OSError: nothing was written under the yielded name.
    """
    one_line(path).parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(path) as folder:
        with tempfile.TemporaryDirectory() as elsewhere:
            link = Path(elsewhere) / "work"
            link.symlink_to(folder.resolve())
            yield link / f"result{path.suffix}"
        _move(folder, path)


def _move(folder: Path, path: Path) -> None:
    written = folder / f"result{path.suffix}"
    if not written.is_file():
        raise OSError(f"nothing was written to {path}")
    inside = {item.relative_to(folder): item for item in folder.rglob("*") if item.is_file() and item != written}
    beside = {item: path.parent / name for name, item in inside.items() if not name.parts[0].startswith(".")}
    folders = {target.parent for target in beside.values()} - {path.parent}
    own = {folder / name for folder in folders for name in _listed(folder)}
    for item, target in beside.items():
        ours = target in own or path.exists() or not target.exists()
        if not ours and not (target.is_file() and cmp(item, target, shallow=False)):
            raise InputError(f"{target} is there already and would be lost; give {path.name} another name.")
    for target in own:
        target.unlink(missing_ok=True)
    for item, target in beside.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(item, target)
    for side in folders:
        write_json(side / _LIST, sorted(target.name for target in beside.values() if target.parent == side))
    os.replace(written, path)


def _listed(folder: Path) -> list[str]:
    """The files of a side folder that an export has written."""
    names = read_json(folder / _LIST) if (folder / _LIST).is_file() else []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]


@contextmanager
def result_folder(path: Path, record: str, facts: Mapping[str, Any]) -> Iterator[Path]:
    """`atomic_directory` for a result that is a folder; only an earlier result is replaced.

    Args:
        record: name of the JSON file in it that holds the facts, and the names of all ``files``.

    Raises:
        InputError: the folder is there and holds a file that no export has written.
    """
    _refuse_others(path, record)
    with atomic_directory(path) as folder:
        yield folder
        write_json(folder / record, {**facts, "files": sorted({record, *_files(folder)})})


def _refuse_others(path: Path, record: str) -> None:
    found = _files(path)
    if not found:
        return
    facts = read_json(path / record) if record in found else {}
    if isinstance(facts, dict) and "frames" in facts and "files" not in facts:
        return  # an export of a version that did not list them
    others = found.difference(facts.get("files", ()) if isinstance(facts, dict) else ())
    if others:
        raise InputError(f"{path} holds {min(others)}, which no export has written and would be lost; move it away.")


def _files(folder: Path) -> set[str]:
    return {item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file()}
