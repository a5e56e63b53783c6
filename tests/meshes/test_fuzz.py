"""Damaged files of every format end in a mesh or in one sentence, soon and without much memory."""

from __future__ import annotations

import random
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.meshes import Material, Mesh, load_mesh
from animate3d.meshes.fbx_tree import Node, read_tree, write_tree

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
QUICK, LONG = settings(SETTINGS, max_examples=100), settings(SETTINGS, max_examples=1000)
JUNK = [b"/", b"//", b"-", b" ", b"\n", b"9e9", b"nan", b"f ", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"4294967295"]

OBJ = (
    "# made by hand\nmtllib m.mtl\no body\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 1 1 1\n"
    "vt 0 0\nvt 1 0\nvt 1 1\nvn 0 0 1\n#MRGB ffff0000ff00ff00ff0000ffff102030\nusemtl skin\ns 1\n"
    "f 1/1/1 2/2/1 3/3/1 4\ng wing\nf -4//1 -3//1 -2//1\nusemtl café\nf 1 2 \\\n3\n"
)
MTL = (
    "newmtl skin\nKd 1 0.5 0\nd 0.5\nTr 1\nKe 0 4 0\nmap_Kd -s 2 2 1 -o 0.5 0 -clamp on t.png\nmap_Bump -bm 0.3 t.png\n"
    "map_d t.png\nPm 0.1\nPr 0.2\nnewmtl café\nKd spectral x\nmap_Ke t.png\n"
)
PLY = (
    "ply\nformat ascii 1.0\ncomment TextureFile t.png\ncomment TextureFile u.png\nelement vertex 4\nproperty float x\n"
    "property float y\nproperty float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
    "element face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\n"
    "property int texnumber\nend_header\n"
    "0 0 0 255 0 0\n1 0 0 0 255 0\n1 1 0 0 0 255\n0 1 0 9 9 9\n3 0 1 2 6 0 0 1 0 1 1 0\n4 0 2 3 1 8 0 0 1 1 0 1 0 0 1\n"
)
FACET = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
OFF = "COFF\n4 2 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n1 1 0 0 0 255 255\n0 1 0 9 9 9 255\n3 0 1 2\n4 0 1 2 3\n"


def binary_ply() -> bytes:
    head = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "property float s\nproperty float t\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    points = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]], dtype="<f4")
    return head.encode() + points.tobytes() + b"\x03" + np.arange(3, dtype="<i4").tobytes()


def binary_stl() -> bytes:
    triangle = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0], dtype="<f4").tobytes() + b"\0\0"
    return bytes(80) + (2).to_bytes(4, "little") + 2 * triangle


FILES: dict[str, tuple[str, bytes]] = {
    "obj": ("m.obj", OBJ.encode()),
    "mtl": ("m.mtl", MTL.encode()),
    "mtl-gbk": ("m.mtl", MTL.replace("café", "皮肤").encode("gbk")),
    "ply": ("m.ply", PLY.encode()),
    "ply-binary": ("m.ply", binary_ply()),
    "stl": ("m.stl", f"solid a\n{FACET}endsolid a\nsolid b\n{FACET}endsolid b\n".encode()),
    "stl-binary": ("m.stl", binary_stl()),
    "off": ("m.off", OFF.encode()),
}


SEEDS = st.integers(0, 2**63)


def mutated(seed: int, content: bytes) -> bytes:
    """A file with some bytes replaced, put in, taken out, repeated, or its end cut off."""
    draw, data = random.Random(seed), bytearray(content)
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(max(len(data), 1))
        junk = draw.choice([draw.randbytes(draw.randint(0, 4)), draw.choice(JUNK)])
        data[at : at + draw.randint(0, 6)] = junk
    if draw.random() < 0.5:
        del data[draw.randint(0, len(data)) :]
    if draw.random() < 0.1:
        start, length = draw.randrange(max(len(data), 1)), draw.randint(1, 40)
        data += data[start : start + length] * draw.randint(1, 50)
    return bytes(data)


def read(path: Path) -> None:
    """Read a file that may be damaged.

    Raises:
        AssertionError: another error than one sentence, unusable values, or too long.
    """
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            mesh = load_mesh(path)
        except InputError as error:
            assert path.name in str(error) and "\n" not in str(error)
        else:
            assert np.isfinite(mesh.vertices).all()
            assert mesh.corners.min() >= 0 and mesh.corners.max() < mesh.n_vertices
            assert mesh.face_materials.min() >= 0 and mesh.face_materials.max() < len(mesh.materials)
            assert mesh.face_parts is None or mesh.face_parts.max() < len(mesh.parts)
            assert mesh.triangles()[0].shape[1] == 3
            assert np.isfinite(mesh.automatic_placement().scale)
    assert time.process_time() - start < 5


def check(folder: Path, kind: str, content: bytes) -> None:
    name, _ = FILES[kind]
    for texture in ("t.png", "u.png"):
        if not (folder / texture).exists():
            Image.new("RGB", (4, 4), (128, 128, 255)).save(folder / texture)
    (folder / "m.obj").write_bytes(OBJ.encode())
    (folder / "m.mtl").write_bytes(MTL.encode())
    (folder / name).write_bytes(content)
    read(folder / (name if kind not in ("mtl", "mtl-gbk") else "m.obj"))


@pytest.fixture
def bounded() -> None:
    """At most 6 GiB more than now."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (6 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("kind", FILES)
def test_the_whole_files_are_meshes(tmp_path, kind):
    check(tmp_path, kind, FILES[kind][1])
    suffix = "m.obj" if kind.startswith("mtl") else FILES[kind][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert load_mesh(tmp_path / suffix).n_faces


@pytest.mark.parametrize("kind", FILES)
@QUICK
@given(seed=SEEDS)
def test_damaged_files_end_in_a_mesh_or_a_sentence(tmp_path, bounded, kind, seed):
    check(tmp_path, kind, mutated(seed, FILES[kind][1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
@LONG
@given(seed=SEEDS)
def test_many_damaged_files_end_in_a_mesh_or_a_sentence(tmp_path, bounded, kind, seed):
    check(tmp_path, kind, mutated(seed, FILES[kind][1]))


@pytest.fixture(scope="module")
def fbx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An FBX file with parts, materials, textures and shapes."""
    pytest.importorskip("bpy")
    mesh = Mesh.from_faces(np.eye(3), [[0, 1, 2]], corner_uvs=np.zeros((3, 2)), material=Material("m"))
    mesh.materials[0].textures = {"diffuse": np.full((2, 2, 3), 99, dtype=np.uint8)}
    path = tmp_path_factory.mktemp("fbx") / "m.fbx"
    export(mesh, np.stack([mesh.vertices, mesh.vertices + 1]), path)
    return path


def changed_fbx(seed: int, content: bytes) -> bytes:
    """A file whose tree is whole while some of its values are not."""
    draw = random.Random(seed)
    root, version, tail = read_tree(content)
    nodes = [node for top in root.children for node in (top, *below(top)) if node.properties]
    for _ in range(draw.randint(1, 4)):
        node = draw.choice(nodes)
        place = draw.randrange(len(node.properties))
        kind, value = node.properties[place]
        if kind in "IL":
            value = draw.choice([-1, 0, 1, 7, 2**31 - 1])
        elif kind in "DF":
            value = draw.choice([0.0, -1.0, 1e30, float("nan"), float("inf")])
        elif kind in "SR":
            value = draw.choice([b"", b"\xff\xfe", bytes(value) * 20, bytes(value)[:3]])
        elif isinstance(value, np.ndarray) and len(value):
            value = value[: draw.randint(0, len(value))].copy()
            if len(value):
                value[draw.randrange(len(value))] = draw.choice([0, 1, 100])
        node.properties[place] = (kind, value)
    return write_tree(root, version, tail)


def below(node: Node) -> list[Node]:
    return [item for child in node.children for item in (child, *below(child))]


@settings(SETTINGS, max_examples=40)
@given(seed=SEEDS)
def test_damaged_fbx_files_end_in_a_mesh_or_a_sentence(tmp_path, fbx_file, seed):
    (tmp_path / "m.fbx").write_bytes(mutated(seed, fbx_file.read_bytes()))
    read(tmp_path / "m.fbx")


@pytest.mark.slow
@LONG
@given(seed=SEEDS)
def test_many_damaged_fbx_files_end_in_a_mesh_or_a_sentence(tmp_path, fbx_file, seed):
    (tmp_path / "m.fbx").write_bytes(mutated(seed, fbx_file.read_bytes()))
    read(tmp_path / "m.fbx")


@pytest.mark.slow
@settings(SETTINGS, max_examples=400)  # most of them are read to the end, by Blender: a tenth of a second each
@given(seed=SEEDS)
def test_fbx_files_with_wrong_values_end_in_a_mesh_or_a_sentence(tmp_path, fbx_file, seed):
    (tmp_path / "m.fbx").write_bytes(changed_fbx(seed, fbx_file.read_bytes()))
    read(tmp_path / "m.fbx")
