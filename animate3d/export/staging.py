"""Formats that are several files, or whose writers choose names themselves: write aside, then move into place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animate3d.files import atomic_directory, one_line


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a plain name with the suffix of ``path``; what is written beside it ends up beside ``path``.

    Libraries take some characters of a name for something else, so they never see the real one. Side files and folders
    move first and ``path`` itself last: when it is there, all of it is. Hidden files are left behind. On an exception
    nothing moves.

    Raises:
        InputError: the name holds a line break.
        OSError: nothing was written under the yielded name.
    """
    one_line(path).parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent.resolve()))
    try:
        with tempfile.TemporaryDirectory() as elsewhere:
            link = Path(elsewhere) / "work"
            link.symlink_to(folder)
            yield link / f"result{path.suffix}"
        _move(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, path: Path) -> None:
    written = folder / f"result{path.suffix}"
    if not written.is_file():
        raise OSError(f"nothing was written to {path}")
    visible = [item for item in folder.iterdir() if not item.name.startswith(".")]
    for item in sorted(visible, key=lambda item: item == written):
        target = path if item == written else path.parent / item.name
        if item.is_dir():
            with atomic_directory(target) as replacement:
                for file in item.iterdir():
                    os.replace(file, replacement / file.name)
        else:
            os.replace(item, target)
