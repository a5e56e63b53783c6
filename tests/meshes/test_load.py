"""Other mesh formats: vertex order, polygons, materials, node transforms; damaged files end in one sentence."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from plyfile import PlyData, PlyElement

from animate3d.errors import InputError
from animate3d.meshes import Mesh, load_mesh, vertex_colors

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RNG = np.random.default_rng(0)
VERTICES = RNG.normal(size=(6, 3)).astype(np.float32).astype(np.float64)
FACES = np.array([[0, 1, 2], [3, 4, 5], [2, 1, 5]])
UVS = RNG.random((6, 2)).astype(np.float32)
IMAGE = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (6, 4), dtype=np.uint8)


def plain() -> trimesh.Trimesh:
    return trimesh.Trimesh(VERTICES, FACES, process=False)


def export(path: Path, source: trimesh.Trimesh | trimesh.Scene) -> Path:
    if path.suffix == ".gltf":
        for name, data in source.export(file_type="gltf").items():
            (path.parent / (path.name if name == "model.gltf" else name)).write_bytes(data)
    else:
        data = source.export(file_type=path.suffix[1:])
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_gltf_keeps_order_textures_and_factors(tmp_path, suffix):
    packed = Image.fromarray(IMAGE)
    material = trimesh.visual.material.PBRMaterial(
        name="skin", baseColorTexture=packed, metallicRoughnessTexture=packed, normalTexture=packed,
        metallicFactor=0.25, roughnessFactor=0.75,
    )  # fmt: skip
    visual = trimesh.visual.TextureVisuals(uv=UVS, material=material)
    source = trimesh.Trimesh(VERTICES, FACES, process=False, visual=visual)
    mesh = load_mesh(export(tmp_path / f"a{suffix}", trimesh.Scene(source)))
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    np.testing.assert_array_equal(mesh.corners, FACES.ravel())
    np.testing.assert_allclose(mesh.corner_uvs, UVS[FACES].reshape(-1, 2), atol=1e-6)
    (skin,) = mesh.materials
    assert (mesh.up_axis, skin.name) == ("y", "skin")
    np.testing.assert_array_equal(skin.textures["diffuse"], IMAGE)
    np.testing.assert_allclose(skin.roughness * skin.textures["roughness"][..., 0], 0.75 * IMAGE[..., 1], atol=0.5)
    np.testing.assert_allclose(skin.metallic * skin.textures["metallic"][..., 0], 0.25 * IMAGE[..., 2], atol=0.5)
    assert "normal" in skin.textures


def test_gltf_nodes_are_placed_and_joined_and_mirrors_are_turned_round(tmp_path):
    scene = trimesh.Scene()
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[:3, 3] = [1, 2, 3]
    scene.add_geometry(plain(), node_name="first", geom_name="first")
    scene.add_geometry(plain(), node_name="second", geom_name="second", transform=mirror)
    mesh = load_mesh(export(tmp_path / "a.glb", scene))
    np.testing.assert_allclose(mesh.vertices[:6], VERTICES)
    np.testing.assert_allclose(mesh.vertices[6:], VERTICES * [-1, 1, 1] + [1, 2, 3], atol=1e-6)
    np.testing.assert_array_equal(mesh.corners.reshape(2, 3, 3)[1], FACES[:, ::-1] + 6)


def test_gltf_factors_are_linear_and_tint_textures(tmp_path):
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[0.5, 1.0, 0.0, 1.0])
    visual = trimesh.visual.TextureVisuals(uv=UVS, material=material)
    source = trimesh.Trimesh(VERTICES, FACES, process=False, visual=visual)
    color = load_mesh(export(tmp_path / "a.glb", trimesh.Scene(source))).materials[0].base_color
    np.testing.assert_allclose(color, [0.735, 1, 0, 1], atol=3e-3)
    material.baseColorTexture = Image.fromarray(np.full((4, 4, 3), 255, dtype=np.uint8))
    tinted = load_mesh(export(tmp_path / "b.glb", trimesh.Scene(source))).materials[0]
    np.testing.assert_allclose(tinted.textures["diffuse"][0, 0], [188, 255, 0], atol=1)
    assert tinted.base_color[:3] == (1, 1, 1)


def test_gltf_parts_without_vertex_colors_get_those_of_their_material(tmp_path):
    scene = trimesh.Scene()
    texture = Image.fromarray(np.full((4, 4, 3), 102, dtype=np.uint8))
    visual = trimesh.visual.TextureVisuals(
        uv=UVS, material=trimesh.visual.material.PBRMaterial(baseColorTexture=texture)
    )
    scene.add_geometry(trimesh.Trimesh(VERTICES, FACES, process=False, visual=visual), geom_name="a")
    painted = trimesh.Trimesh(VERTICES, FACES, process=False, vertex_colors=COLORS)
    scene.add_geometry(painted, geom_name="b")
    colors = vertex_colors(load_mesh(export(tmp_path / "a.glb", scene)))
    np.testing.assert_allclose(colors[:6], 0.4, atol=1e-6)
    assert np.ptp(colors[6:], axis=0).min() > 0.1


@pytest.mark.parametrize("suffix", [".ply", ".off"])
def test_ply_and_off_keep_order_and_colors_and_are_z_up(tmp_path, suffix):
    source = trimesh.Trimesh(VERTICES, FACES, process=False, vertex_colors=COLORS)
    mesh = load_mesh(export(tmp_path / f"a{suffix}", source))
    np.testing.assert_allclose(mesh.vertices, VERTICES, atol=1e-6)
    np.testing.assert_array_equal(mesh.corners, FACES.ravel())
    assert mesh.up_axis == "z"
    if suffix == ".ply":
        np.testing.assert_allclose(mesh.vertex_colors, COLORS[:, :3] / 255, atol=1e-6)


def test_off_with_polygons_colors_and_comments(tmp_path):
    black = "0 0 0 255"
    vertices = f"0 0 0 255 0 0 255\n1 0 0 {black}\n1 1 0 {black}\n\n0 1 0 {black}\n"
    text = f"COFF # colours\n4 2 0\n{vertices}4 0 1 2 3\n3 0 1 2 7\n"
    (tmp_path / "a.off").write_text(text)
    mesh = load_mesh(tmp_path / "a.off")
    np.testing.assert_array_equal(mesh.face_starts, [0, 4, 7])
    np.testing.assert_array_equal(mesh.vertex_colors[:2], [[1, 0, 0], [0, 0, 0]])


def test_colors_of_the_faces_of_an_off(tmp_path):
    (tmp_path / "a.off").write_text("OFF\n6 2 0\n" + "0 0 0\n1 0 0\n0 1 0\n" * 2 + "3 0 1 2 255 0 51\n3 3 4 5\n")
    colors = load_mesh(tmp_path / "a.off").vertex_colors
    np.testing.assert_allclose(colors, [[1, 0, 0.2]] * 3 + [[0.8, 0.8, 0.8]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "attributes", "expected"),
    [
        (b"VisCAM", [0x8000 | 31 << 10, 0x8000 | 31], [[1, 0, 0], [0, 0, 1]]),
        (b"VisCAM", [0x8000 | 31 << 5, 31], [[0, 1, 0], [0.8, 0.8, 0.8]]),
        (b"made by X COLOR=\xff\x00\x33\xff", [31, 0x8000], [[1, 0, 0], [1, 0, 0.2]]),
        (b"made by X COLOR=\xff\x00\x33\xff", [0, 0], [[1, 0, 0.2], [1, 0, 0.2]]),
        (b"plain", [0, 31], None),
    ],
)
def test_colors_of_a_binary_stl(tmp_path, head, attributes, expected):
    data = head.ljust(80, b" ") + struct.pack("<I", 2)
    for attribute in attributes:
        data += struct.pack("<12f", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0) + struct.pack("<H", attribute)
    (tmp_path / "a.stl").write_bytes(data)
    colors = load_mesh(tmp_path / "a.stl").vertex_colors
    if expected is None:
        assert colors is None
    else:
        np.testing.assert_allclose(colors, np.repeat(expected, 3, axis=0), atol=1e-6)


def test_colors_of_a_ply_named_by_letters_and_faces_of_two_corners(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uchar r\nproperty uchar g\nproperty uchar b\nelement face 2\n"
    body = "0 0 0 255 0 51\n1 0 0 0 0 0\n0 1 0 0 255 0\n3 0 1 2\n2 0 1\n"
    (tmp_path / "a.ply").write_text(f"{head}property list uchar int vertex_indices\nend_header\n{body}")
    with pytest.warns(UserWarning, match=r"a\.ply: a face has fewer than 3 corners and is left out"):
        mesh = load_mesh(tmp_path / "a.ply")
    assert mesh.corners.tolist() == [0, 1, 2]
    np.testing.assert_allclose(mesh.vertex_colors, [[1, 0, 0.2], [0, 0, 0], [0, 1, 0]], atol=1e-6)


def ply_bytes(tmp_path: Path, polygons: list[list[int]], *, text: bool, order: str = "<", **extra: str) -> Path:
    fields = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("s", "f4"), ("t", "f4")]
    vertex = np.array([(*v, *uv) for v, uv in zip(VERTICES, UVS, strict=True)], dtype=fields)
    face = np.empty(len(polygons), dtype=[("vertex_indices", object)])
    face["vertex_indices"] = [np.array(p, dtype=np.int32) for p in polygons]
    elements = [PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")]
    PlyData(elements, text=text, byte_order="=" if text else order, **extra).write(str(tmp_path / "a.ply"))
    return tmp_path / "a.ply"


@pytest.mark.parametrize(("text", "order"), [(True, "<"), (False, "<"), (False, ">")])
def test_ply_polygons_uvs_and_texture(tmp_path, text, order):
    Image.fromarray(IMAGE).save(tmp_path / "skin one.png")
    path = ply_bytes(tmp_path, [[0, 1, 2, 3], [3, 4, 5]], text=text, order=order, comments=["TextureFile skin one.png"])
    mesh = load_mesh(path)
    np.testing.assert_array_equal(mesh.face_starts, [0, 4, 7])
    np.testing.assert_allclose(mesh.corner_uvs, UVS[[0, 1, 2, 3, 3, 4, 5]], atol=1e-6)
    np.testing.assert_array_equal(mesh.materials[0].textures["diffuse"], IMAGE)


def test_a_gaussian_ply_is_not_a_mesh(golden):
    with pytest.raises(InputError, match=r"holds Gaussians, not a mesh; .*`animate3d animate .*gaussians_sh0\.ply`"):
        load_mesh(golden / "ply_transform" / "gaussians_sh0.ply")


@pytest.mark.parametrize("kind", ["stl", "stl_ascii"])
def test_stl_copies_are_found_as_coincident(tmp_path, kind):
    data = plain().export(file_type=kind)
    (tmp_path / "a.stl").write_bytes(data if isinstance(data, bytes) else data.encode())
    mesh = load_mesh(tmp_path / "a.stl")
    assert (mesh.n_vertices, mesh.up_axis) == (9, "z")
    np.testing.assert_allclose(mesh.vertices, VERTICES[FACES.ravel()], atol=1e-6)
    np.testing.assert_array_equal(mesh.welded(), [0, 1, 2, 3, 4, 5, 2, 1, 5])


def test_fbx_polygons_materials_and_textures(tmp_path):
    bpy = pytest.importorskip("bpy")
    Image.fromarray(IMAGE).save(tmp_path / "texture_diffuse.png")
    (tmp_path / "base.mtl").write_text("newmtl skin\nmap_Kd texture_diffuse.png\n")
    vertices = "".join(f"v {x} {y} {z}\n" for x, y, z in VERTICES)
    faces = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl skin\nf 1/1 2/2 3/3 4/4\nf 4/1 5/2 6/3\n"
    (tmp_path / "base.obj").write_text("mtllib base.mtl\n" + vertices + faces)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.obj_import(filepath=str(tmp_path / "base.obj"))
    bpy.ops.export_scene.fbx(filepath=str(tmp_path / "a.fbx"), path_mode="COPY", embed_textures=True)
    (tmp_path / "texture_diffuse.png").unlink()
    mesh = load_mesh(tmp_path / "a.fbx")
    x, y, z = VERTICES.T
    np.testing.assert_allclose(mesh.vertices, np.stack([x, -z, y], axis=1), atol=1e-5)
    np.testing.assert_array_equal(mesh.face_starts, [0, 4, 7])
    np.testing.assert_allclose(mesh.corner_uvs[:4], [[0, 0], [1, 0], [1, 1], [0, 1]], atol=1e-6)
    np.testing.assert_array_equal(mesh.materials[0].textures["diffuse"][..., :3], IMAGE)
    assert mesh.up_axis == "z"


@pytest.mark.parametrize("suffix", [".glb", ".gltf", ".ply", ".stl", ".off", ".fbx", ".obj"])
def test_empty_and_garbage_files_end_in_one_sentence(tmp_path, suffix):
    if suffix == ".fbx":
        pytest.importorskip("bpy")
    for content in (b"", b"\x00\x01garbage" * 20):
        (tmp_path / f"broken{suffix}").write_bytes(content)
        with pytest.raises(InputError, match=f"broken{suffix}"):
            load_mesh(tmp_path / f"broken{suffix}")


PLY_HEAD = b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.glb", b"", "a.glb is empty."),
        ("a.glb", b"some text", "begins neither like a .glb nor like the JSON"),
        ("a.glb", b"\x89PNG\r\n\x1a\n" + bytes(20), "begins neither like a .glb nor like the JSON"),
        ("a.glb", b"glTF" + struct.pack("<IIII", 1, 20, 0, 0), "is glTF 1; only version 2 is read."),
        ("a.glb", b"glTF\2\0\0", "it may be truncated (it has 7 bytes)."),
        ("a.gltf", b'{"asset": ', "its JSON breaks off or is damaged at line 1, column 11"),
        ("a.gltf", b'{"asset": "\xff"}', "its JSON has no text at byte 11"),
        ("a.ply", PLY_HEAD % (b"binary_little_endian", 5 * 10**11) + b"end_header\n", "its header promises more"),
        (
            "a.ply",
            PLY_HEAD % (b"ascii", 3)
            + b"element tristrips 1\nproperty list int int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
            "holds triangle strips (tristrips), which are not read; save it with plain faces.",
        ),
        ("a.fbx", b"; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n}\n", "save it as binary FBX"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_words_of_programmers(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(said)):
        load_mesh(tmp_path / name)


def test_unknown_suffix_names_the_known_ones(tmp_path):
    (tmp_path / "a.max").touch()
    with pytest.raises(InputError, match=r"'\.max'.*\.obj \.glb"):
        load_mesh(tmp_path / "a.max")


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".glb", ".ply", ".stl", ".off"])
def test_corruption_is_a_valid_mesh_or_one_sentence(tmp_path, suffix, data):
    source = trimesh.Trimesh(VERTICES, FACES, process=False, vertex_colors=COLORS)
    path = export(tmp_path / f"a{suffix}", trimesh.Scene(source) if suffix == ".glb" else source)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content) + 1))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            mesh = load_mesh(path)
        except InputError as error:
            assert "\n" not in str(error).strip() and path.name in str(error)
        else:
            assert isinstance(mesh, Mesh) and np.isfinite(mesh.vertices).all()
            assert mesh.corners.min() >= 0 and mesh.corners.max() < mesh.n_vertices
