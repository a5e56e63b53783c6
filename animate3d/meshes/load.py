"""One entry point for every mesh format."""

from __future__ import annotations

import os
from pathlib import Path

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.obj import load_obj


def load_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a mesh file, or an object folder that holds ``base.obj`` or one mesh."""
    path = Path(path)
    if path.is_dir():
        path = path / "base.obj"
    path = existing_file(path, "mesh file")
    if path.suffix.lower() == ".obj":
        return load_obj(path)
    raise InputError(f"{path}: unknown mesh format {path.suffix!r}.")
