"""Formats that are several files, or whose writers choose names themselves: write aside, then move into place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animate3d.files import atomic_directory


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield ``<temporary folder>/<name of path>``; what is written into that folder ends up beside ``path``.

    Side files and folders move first and ``path`` itself last: when it is there, all of it is. Hidden files are
    left behind. On an exception nothing moves.

    Raises:
        OSError: nothing was written under the yielded name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
    try:
        yield folder / path.name
        if not (folder / path.name).is_file():
            raise OSError(f"nothing was written to {path}")
        visible = [item for item in folder.iterdir() if not item.name.startswith(".")]
        for item in sorted(visible, key=lambda item: item.name == path.name):
            target = path.parent / item.name
            if item.is_dir():
                with atomic_directory(target) as replacement:
                    for file in item.iterdir():
                        os.replace(file, replacement / file.name)
            else:
                os.replace(item, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
