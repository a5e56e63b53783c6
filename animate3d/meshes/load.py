"""One entry point for every mesh format."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.fbx import load_fbx
from animate3d.meshes.fbx_check import refuse_ascii_fbx
from animate3d.meshes.gltf import load_gltf
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.obj import load_obj
from animate3d.meshes.polygon_files import gaussians_sentence, load_off, load_ply_mesh
from animate3d.meshes.stl import load_stl

_READERS: dict[str, Callable[[Path], Mesh]] = {
    ".obj": load_obj,
    ".glb": load_gltf,
    ".gltf": load_gltf,
    ".ply": load_ply_mesh,
    ".stl": load_stl,
    ".off": load_off,
    ".fbx": load_fbx,
}
_GAUSSIANS = (".splat", ".spz")


def load_mesh(path: str | os.PathLike[str], *, keeps_rig: bool = False) -> Mesh:
    """Read a mesh with its materials and textures.

    The up axis is the format's convention: y for OBJ and glTF; z for PLY, STL, OFF, and for FBX, whose importer
    converts every file to z up and metres. Animations, skins and cameras in a file are left aside. A mesh far from the
    file's origin is taken to its own (`Mesh.origin`).

    Args:
        path: ``.obj .glb .gltf .ply .stl .off .fbx``, or an object folder that holds ``base.obj`` or one mesh file.
        keeps_rig: somebody uses the file's rig (`animate3d.export.skeleton`): it is not said that it is left out.

    Raises:
        InputError: missing, unknown, damaged or empty; the message names the file.
        MissingDependencyError: FBX without Blender's Python package.

    Example::

        import animate3d
        from animate3d.creatures.dragon import demo_asset

        mesh = animate3d.load_mesh(demo_asset())  # a file, or a folder with base.obj
        print(mesh.n_vertices, mesh.vertices.shape, mesh.up_axis)
    """
    path = _mesh_in_folder(Path(path)) if Path(path).is_dir() else existing_file(path, "model file")
    reader = _READERS.get(path.suffix.lower())
    if path.suffix.lower() in _GAUSSIANS:
        raise InputError(gaussians_sentence(path))
    if reader is None:
        known = " ".join(_READERS)
        raise InputError(f"{path}: the suffix {path.suffix!r} is none of the mesh formats {known}.")
    if reader is load_fbx:
        refuse_ascii_fbx(path)
    if keeps_rig and reader in (load_gltf, load_fbx):
        reader = partial(reader, keeps_rig=True)
    return reader(path).near_origin()


def _mesh_in_folder(folder: Path) -> Path:
    if (folder / "base.obj").is_file():
        return folder / "base.obj"
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _READERS and path.is_file())
    objs = [path for path in found if path.suffix.lower() == ".obj"]
    chosen = objs or found
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise InputError(f"The folder {folder} holds no mesh ({' '.join(_READERS)}).")
    names = ", ".join(path.name for path in chosen[:5])
    raise InputError(f"The folder {folder} holds several meshes ({names}); name the one you mean.")
