"""Where inputs and results lie: on disks that every machine sees, or behind a URL that `fsspec` knows."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animate3d.errors import InputError, require
from animate3d.files import atomic_directory, atomic_file


def is_url(place: Any) -> bool:
    """Whether it is ``s3://…`` or the like."""
    return re.match(r"[a-z][a-z0-9+.-]+:/", str(place)) is not None  # pathlib makes one slash of two


def url_of(place: Any) -> str:
    """The URL, also after pathlib had it."""
    scheme, _, rest = str(place).partition(":/")
    return f"{scheme}://{rest.lstrip('/')}" if scheme != "file" else f"file:///{rest.lstrip('/')}"


def joined_path(folder: Path, path: Path) -> Path:
    """A path that starts from a folder, which may be a URL, or from ``~``, made absolute; URLs stay."""
    if is_url(path):
        return path
    if str(path).startswith("~") and (home := Path(os.path.expanduser(path))).is_absolute():
        return home
    if path.is_absolute():
        return path
    return folder / path if is_url(folder) else (folder / path).absolute()


def _file_system(url: str) -> tuple[Any, str]:
    fsspec = require("fsspec", feature=f"The URL {url}", extra="cluster")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be reached: {error}.") from error
    return system, path


def fetched(place: Path, cache: Path) -> Path:
    """A file or folder on this machine's disk; of a URL a copy, which is made once for each state of the source.

    Raises:
        InputError: there is nothing at the URL.
    """
    if not is_url(place):
        return place
    url = url_of(place)
    system, path = _file_system(url)
    try:
        state = system.ukey(path) if system.isfile(path) else str(sorted(system.find(path, detail=True)))
        is_folder = system.isdir(path)
    except FileNotFoundError as error:
        raise InputError(f"There is nothing at {url}.") from error
    if not is_folder and not system.exists(path):
        raise InputError(f"There is nothing at {url}.")
    folder = cache / hashlib.sha256(f"{url} {state}".encode()).hexdigest()[:16]
    target = folder / path.rstrip("/").rpartition("/")[2]
    if not target.exists():
        with atomic_directory(folder) as temporary:
            system.get(path, str(temporary / target.name), recursive=is_folder)
    return target


class Results:
    """The folder of results: local, or a URL with a copy of what is at work on this machine's disk.

    Args:
        out: folder or URL.
        scratch: local folder for the copies.
    """

    def __init__(self, out: str, scratch: Path) -> None:
        self.out, self.scratch = out, scratch
        self.remote = is_url(out)
        self._sent: dict[str, tuple[int, int]] = {}
        if self.remote:
            self._system, self._path = _file_system(url_of(out))

    def begin(self, name: str) -> Path:
        """The local folder of a job, with what an earlier attempt left."""
        if not self.remote:
            return Path(self.out) / name
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        source = f"{self._path}/{name}"
        if self._system.isdir(source):
            self._system.get(f"{source}/", f"{folder}/", recursive=True)
        self._sent = _states(folder)
        return folder

    def send(self, name: str) -> None:
        """Bring what has changed to the URL; the record of the run last, since it says what is whole."""
        if not self.remote:
            return
        folder = self.scratch / name
        states = _states(folder)
        changed = [file for file, state in states.items() if self._sent.get(file) != state]
        for file in sorted(changed, key=lambda file: file == "run.json"):
            self._system.makedirs(f"{self._path}/{name}/{file}".rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(folder / file), f"{self._path}/{name}/{file}")
        for file in self._sent.keys() - states.keys():
            self._system.rm(f"{self._path}/{name}/{file}")
        self._sent = states

    def end(self, name: str) -> None:
        """Bring everything to the URL and remove the copy."""
        self.send(name)
        if self.remote:
            shutil.rmtree(self.scratch / name, ignore_errors=True)

    def write(self, file: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        if self.remote:
            self._system.makedirs(f"{self._path}/{file}".rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(f"{self._path}/{file}", content)
            return
        with atomic_file(Path(self.out) / file) as temporary:
            temporary.write_bytes(content)

    def read_all(self, folder: str) -> dict[str, bytes]:
        """The contents of all files of a folder by their names."""
        if not self.remote:
            found = Path(self.out) / folder
            return {path.name: path.read_bytes() for path in found.glob("[!.]*")} if found.is_dir() else {}
        path = f"{self._path}/{folder}"
        files = self._system.find(path) if self._system.isdir(path) else []
        contents: Mapping[str, bytes] = self._system.cat(files) if files else {}
        return {name.rpartition("/")[2]: content for name, content in contents.items()}


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}
    return {str(path.relative_to(folder)): (state.st_size, state.st_mtime_ns) for path, state in files.items()}


def scratch_folder() -> Path:
    """This machine's folder for copies, the same for all workers of a user."""
    return Path(tempfile.gettempdir()) / "animate3d-scratch"
