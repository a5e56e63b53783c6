"""Files that come with the project: in the checkout, or their copies in the installed package."""

from __future__ import annotations

import os
from pathlib import Path

from animate3d.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def resource_roots() -> list[Path]:
    """Where relative resources are looked for: the current folder, the checkout, the package's own copies."""
    roots = [Path.cwd(), _PACKAGE / "project"]
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        roots.insert(1, _PACKAGE.parent)
    return list(dict.fromkeys(root.resolve() for root in roots))


def find_resource(relative: str | os.PathLike[str]) -> Path:
    """The file or folder ``relative`` in the first root that has it (an absolute path stands for itself).

    Raises:
        InputError: no root has it.
    """
    path = Path(relative)
    if path.is_absolute():
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        return path
    for root in resource_roots():
        if (root / path).exists():
            # The current folder's files keep their relative names in messages.
            return path if root == Path.cwd().resolve() else root / path
    raise InputError(f"{path} exists neither in {Path.cwd()} nor among the project's own files.")
