"""Files that are either whole or not there: write to a temporary name, then rename."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError

_PREFIX = ".writing-"  # no part of the name: it may be as long as a name can be
_TEMPORARY = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}(\..*)?", flags=re.DOTALL)


def one_line(path: Path) -> Path:
    """``path`` if its name can stand in a line of text, as files that name it need.

    Raises:
        InputError: it holds a line break or a null byte.
    """
    if any(mark in str(path) for mark in "\n\r\0"):
        raise InputError(f"The name {str(path)!r} holds a line break or a null byte; rename it.")
    return path


def portable_name(name: str, default: str = "file") -> str:
    """A file name of plain letters, digits, spaces, ``_``, ``-`` and ``.``; names that differ stay different."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9_. -]+", "_", letters)[:60].strip(" .") or default
    return clean if clean == name else f"{clean}_{zlib.crc32(name.encode(errors='surrogateescape')):08x}"


@contextmanager
def plain_link(path: Path) -> Iterator[Path]:
    """Yield a link to a file under a name of plain letters, for libraries to which other characters mean something."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"file{path.suffix}"
        link.symlink_to(path.resolve())
        yield link


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path with the same suffix in the same folder; rename it to ``path`` on success.

    Parent folders are made. On an exception the temporary file is removed and ``path`` keeps what it had.
    """
    path = one_line(Path(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path):
        handle, temporary = _reserved(lambda: _temporary_file(path))
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            os.close(handle)
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder next to ``path``; rename it to ``path`` on success.

    A folder that was there before is replaced as a whole, so it never holds files of two runs.
    """
    path = one_line(Path(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(path) as temporary:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)


@contextmanager
def temporary_directory(path: Path) -> Iterator[Path]:
    """Yield a folder next to ``path``, which is removed in the end unless it was renamed."""
    with _named(path):
        handle, temporary = _reserved(lambda: Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent)))
        try:
            yield temporary
        finally:
            os.close(handle)
            shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders below a folder whose writers were killed; those at work have them locked.

    A file system without locks cannot tell them apart, so all stay.
    """
    for parent, folders, files in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, (*folders, *files)):
            if not (Path(parent) / name).is_symlink():
                _remove_abandoned(Path(parent) / name)
        folders[:] = [name for name in folders if not _TEMPORARY.fullmatch(name)]


def _remove_abandoned(temporary: Path) -> None:
    """Remove a temporary file or folder that nobody has locked; a writer that is about to waits, and makes another."""
    try:
        handle = os.open(temporary, os.O_RDONLY)
    except OSError:  # gone meanwhile
        return
    with suppress(OSError):  # in use, or a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
    os.close(handle)


def _temporary_file(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _reserved(make: Callable[[], Path]) -> tuple[int, Path]:
    """A temporary file or folder and what marks it as in use until it is closed, or the process ends in any way."""
    while True:
        temporary = make()
        try:
            handle = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:  # removed by a run that began meanwhile
            continue
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH)
        if is_open_at(handle, temporary):
            return handle, temporary
        os.close(handle)


def is_open_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system names the file that was asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str) and any(map(_TEMPORARY.fullmatch, Path(error.filename).parts)):
            error.filename = str(path)
        raise


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as JSON, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=indent) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or not JSON.
    """
    path = existing_file(path)
    try:
        return json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from error


def existing_file(path: str | os.PathLike[str], what: str = "file") -> Path:
    """``path`` if it is a file that is there; otherwise an `InputError` that names it."""
    path = one_line(Path(path))
    if path.is_dir():
        raise InputError(f"{path} is a folder; a {what} is needed.")
    if not path.is_file():
        raise InputError(f"The {what} {path} does not exist.")
    return path


def existing_folder(path: str | os.PathLike[str], what: str = "folder") -> Path:
    """``path`` if it is a folder that is there; otherwise an `InputError` that names it."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"The {what} {path} does not exist or is not a folder.")
    return path


def sha256(path: str | os.PathLike[str]) -> str:
    """Hash of a file's content, or of all files below a folder with their relative names.

    Raises:
        InputError: the path does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()
    for item in sorted(path.rglob("*")):
        if item.is_file():
            digest.update(str(item.relative_to(path)).encode() + b"\0" + sha256(item).encode())
    return digest.hexdigest()


def stamp(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A fingerprint that changes when a file, or any file below a folder, is replaced; reads no content, so it is fast.

    Returns:
        ``path``, ``bytes`` in all, and in ``files`` a hash of the names, sizes and times of the last change.

    Raises:
        InputError: the path does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    files = _files_below(path) if path.is_dir() else [path]
    found = sorted((str(file.relative_to(path)), file.stat()) for file in files if file.is_file())
    facts = [(name, state.st_size, state.st_mtime_ns) for name, state in found]
    return {"path": str(path), "bytes": sum(size for _, size, _ in facts), "files": content_hash(facts)}


def _files_below(folder: Path) -> list[Path]:
    """Every file below a folder; linked folders are followed, each of them once."""
    files, seen = [], {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        files += [Path(parent) / name for name in names]
        new = {name: real for name in sorted(folders) if (real := os.path.realpath(Path(parent) / name)) not in seen}
        folders[:] = new  # os.walk goes on into these
        seen |= set(new.values())
    return files


def content_hash(value: Any) -> str:
    """Hash of arrays, plain values, the files behind paths, and dataclasses, mappings and lists of these."""
    digest = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, np.ndarray):
            digest.update(f"{item.dtype}{item.shape}".encode())
            digest.update(np.ascontiguousarray(item).data)
        elif is_dataclass(item):
            add({field.name: getattr(item, field.name) for field in fields(item)})
        elif isinstance(item, Mapping):
            add([part for key in sorted(item) for part in (key, item[key])])
        elif isinstance(item, list | tuple):
            digest.update(f"[{len(item)}]".encode())
            for part in item:
                add(part)
        else:
            digest.update(f"{sha256(item) if isinstance(item, Path) else item!r};".encode())

    add(value)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
