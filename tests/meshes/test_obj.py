"""The OBJ reader keeps the file's vertices, whatever the file is like; broken files end in one sentence."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from animate3d.errors import InputError
from animate3d.meshes import Material, Mesh, Part, load_mesh, load_obj, save_obj

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


def write(folder: Path, text: str, name: str = "base.obj") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def texture(path: Path, color: tuple[int, int, int] = (200, 100, 50)) -> None:
    Image.new("RGB", (4, 4), color).save(path)


def test_vertices_keep_order_duplicates_and_unused_ones(tmp_path):
    mesh = load_obj(write(tmp_path, "v 5 5 5\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 1 0 0\nf 2 3 4\nf 2 5 4\n"))
    np.testing.assert_array_equal(mesh.vertices, [[5, 5, 5], [0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(mesh.corners, [1, 2, 3, 1, 4, 3])


def test_uv_seams_do_not_split_vertices(tmp_path):
    text = SQUARE + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0.5 0.5\nf 1/1 2/2 3/3\nf 1/4 3/2 4/1\n"
    mesh = load_obj(write(tmp_path, text))
    assert mesh.n_vertices == 4
    np.testing.assert_allclose(mesh.corner_uvs, [[0, 0], [1, 0], [1, 1], [0.5, 0.5], [1, 0], [0, 0]])


def test_polygons_of_different_sizes_stay_polygons(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "v 0.5 1.5 0\nf 1 2 3 5 4\nf 1 2 3 4\nf 1 2 3\n"))
    np.testing.assert_array_equal(mesh.face_starts, [0, 5, 9, 12])


def test_negative_indices_count_back_from_the_face(tmp_path):
    mesh = load_obj(write(tmp_path, "v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\nv 0 1 0\nf -4 -2 -1\n"))
    np.testing.assert_array_equal(mesh.corners, [0, 1, 2, 0, 2, 3])


@pytest.mark.parametrize(
    ("corner", "has_uv", "has_normal"),
    [("{0}", False, False), ("{0}/{0}", True, False), ("{0}//{0}", False, True), ("{0}/{0}/{0}", True, True)],
)
def test_every_corner_notation(tmp_path, corner, has_uv, has_normal):
    tables = "vt 0 0\nvt 1 0\nvt 1 1\nvn 0 0 1\nvn 0 1 0\nvn 1 0 0\n"
    face = "f " + " ".join(corner.format(k) for k in (1, 2, 3)) + "\n"
    mesh = load_obj(write(tmp_path, SQUARE + tables + face))
    assert (mesh.corner_uvs is not None) == has_uv
    assert (mesh.corner_normals is not None) == has_normal
    np.testing.assert_array_equal(mesh.corners, [0, 1, 2])
    if has_normal:
        np.testing.assert_array_equal(mesh.corner_normals, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_notations_may_be_mixed_and_missing_uvs_are_nan(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "vt 0.25 0.5\nvn 0 0 1\nf 1/1 2//1 3\nf 1/1/1 3/1 4\n"))
    np.testing.assert_array_equal(np.isnan(mesh.corner_uvs[:, 0]), [False, True, True, False, False, True])
    np.testing.assert_array_equal(np.isnan(mesh.corner_normals[:, 0]), [True, False, True, False, True, True])


def test_comments_tabs_continued_lines_and_windows_line_ends(tmp_path):
    text = "# made by hand\r\nv\t0 0 0 # origin\r\n  v 1 0 0\r\nv 1 1 \\\r\n0\r\ng part\r\ns off\r\nf 1 2 \\\r\n3\r\n"
    (tmp_path / "a.obj").write_bytes(text.encode())
    np.testing.assert_array_equal(load_obj(tmp_path / "a.obj").vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])


@pytest.mark.parametrize("scale", [1, 255])
def test_vertex_colors(tmp_path, scale):
    lines = "".join(f"v {k} {k * k} 0 {0.2 * k * scale} 0 {scale}\n" for k in range(3))
    mesh = load_obj(write(tmp_path, lines + "f 1 2 3\n"))
    np.testing.assert_allclose(mesh.vertex_colors, [[0, 0, 1], [0.2, 0, 1], [0.4, 0, 1]], atol=1e-6)


def test_colors_on_some_lines_are_kept(tmp_path):
    text = "v 0 0 0 1 0 0\nv 1 0 0 1 0 0\nv 0 1 0\nv 5 0 0\nv 6 0 0 1\nv 5 1 0\nf 1 2 3\nf 4 5 6\n"
    mesh = load_obj(write(tmp_path, text))
    # White where a face has others; the second triangle has none and keeps its material.
    nan = [np.nan] * 3
    np.testing.assert_array_equal(mesh.vertex_colors, [[1, 0, 0], [1, 0, 0], [1, 1, 1], nan, nan, nan])
    np.testing.assert_array_equal(mesh.colored_faces(), [True, False])
    again = load_obj(save_obj(mesh, tmp_path / "again"))
    np.testing.assert_array_equal(again.vertex_colors, mesh.vertex_colors)


def test_a_homogeneous_coordinate_is_not_a_color(tmp_path):
    assert load_obj(write(tmp_path, "v 0 0 0 1\nv 1 0 0 1\nv 0 1 0 1\nf 1 2 3\n")).vertex_colors is None


def test_several_materials_in_order_of_use(tmp_path):
    write(tmp_path, "newmtl blue\nKd 0 0 1\nnewmtl red\nKd 1 0 0\nd 0.5\nPm 0.25\nPr 0.75\n", "base.mtl")
    text = "mtllib base.mtl\n" + SQUARE + "usemtl red\nf 1 2 3\nusemtl blue\nf 1 3 4\nusemtl red\nf 1 2 4\n"
    mesh = load_obj(write(tmp_path, text))
    assert [material.name for material in mesh.materials] == ["red", "blue"]
    np.testing.assert_array_equal(mesh.face_materials, [0, 1, 0])
    red = mesh.materials[0]
    assert (red.base_color, red.metallic, red.roughness) == ((1, 0, 0, 0.5), 0.25, 0.75)


def test_documented_textures_are_found_without_an_mtl(tmp_path):
    for kind in ("diffuse", "metallic", "normal", "pbr", "roughness"):
        texture(tmp_path / f"texture_{kind}.png")
    write(tmp_path, SQUARE + "vt 0 0\nf 1/1 2/1 3/1\n")
    mesh = load_mesh(tmp_path)
    assert set(mesh.materials[0].textures) == {"diffuse", "metallic", "normal", "pbr", "roughness"}
    assert mesh.name == tmp_path.name


@pytest.mark.parametrize("line", ["my skin.png", "-s 1 1 1 my skin.png", "-bm 0.5 -clamp on -o 0 0 my skin.png"])
def test_map_options_and_names_with_spaces(tmp_path, line):
    texture(tmp_path / "my skin.png")
    write(tmp_path, f"newmtl m\nmap_Kd {line}\n", "my lib.mtl")
    mesh = load_obj(write(tmp_path, "mtllib my lib.mtl\nusemtl m\n" + SQUARE + "vt 0 0\nf 1/1 2/1 3/1\n"))
    assert mesh.materials[0].textures["diffuse"].shape == (4, 4, 3)


@pytest.mark.parametrize("name", ["/etc/secret.png", "../secret.png", "C:\\assets\\secret.png", "../../a/secret.png"])
def test_textures_outside_of_the_folder_are_never_read(tmp_path, name):
    texture(tmp_path / "secret.png", (1, 2, 3))
    folder = tmp_path / "object"
    folder.mkdir()
    write(folder, f"newmtl m\nmap_Kd {name}\n", "base.mtl")
    obj = write(folder, "mtllib base.mtl\nusemtl m\n" + SQUARE + "vt 0 0\nf 1/1 2/1 3/1\n")
    with pytest.warns(UserWarning, match="is not there"):
        assert not load_obj(obj).materials[0].textures
    texture(folder / "secret.png", (9, 9, 9))
    assert load_obj(obj).materials[0].textures["diffuse"][0, 0, 0] == 9  # the last part of the name is in the folder


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("tex", "../Tex/skin.png"),
        ("tex", "..\\tex\\skin.png"),
        ("tex", "-s 1 1 1 ../tex/SKIN.png"),
        ("tex", "tex/skin.png"),
        ("mat/tex", "Tex/skin.png"),
        (".", "../elsewhere/skin.png"),
        ("mat/textures", "/somewhere/Skin.png"),
    ],
)
def test_textures_are_named_from_the_material_file_or_found_by_their_file_name(tmp_path, place, name):
    (tmp_path / "mat").mkdir()
    (tmp_path / place).mkdir(exist_ok=True)
    write(tmp_path / "mat", f"newmtl m\nmap_Kd {name}\n", "m.mtl")
    texture(tmp_path / place / "skin.png", (7, 8, 9))
    obj = write(tmp_path, "mtllib mat/m.mtl\nusemtl m\n" + SQUARE + "vt 0 0\nf 1/1 2/1 3/1\n")
    assert load_obj(obj).materials[0].textures["diffuse"][0, 0].tolist() == [7, 8, 9]


def test_missing_and_broken_materials_only_warn(tmp_path):
    text = "mtllib none.mtl\nusemtl m\n" + SQUARE + "f 1 2 3\n"
    with pytest.warns(UserWarning, match="none.mtl"):
        assert load_obj(write(tmp_path, text)).materials == [Material("m")]
    (tmp_path / "none.mtl").write_bytes(b"\xff\xfenewmtl\nnewmtl m\nKd red green\nKd nan 0 0\nd\nmap_Kd\nnewmtl x")
    with pytest.warns(UserWarning):
        assert load_obj(tmp_path / "base.obj").materials[0].base_color == (0.8, 0.8, 0.8, 1.0)


def test_a_damaged_texture_leaves_the_base_color(tmp_path):
    (tmp_path / "t.png").write_bytes(b"\x89PNG not really")
    write(tmp_path, "newmtl m\nKd 1 0 0\nmap_Kd t.png\n", "base.mtl")
    with pytest.warns(UserWarning, match=r"t\.png"):
        mesh = load_obj(write(tmp_path, "mtllib base.mtl\nusemtl m\n" + SQUARE + "f 1 2 3\n"))
    assert mesh.materials[0].base_color[:3] == (1, 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no vertices"),
        (SQUARE, "no faces"),
        ("v 0 0\nf 1 1 1\n", "line 1.*at least 3 numbers"),
        ("v 0 0 zero\n", "line 1.*at least 3 numbers"),
        (SQUARE + "f 1 2\n", "line 5.*3 corners"),
        (SQUARE + "f 1 2 9\n", "line 5.*number 9.*has 4"),
        (SQUARE + "f 1 2 -5\n", "line 5.*number -5"),
        (SQUARE + "f 0 1 2\n", "line 5.*counted from 1"),
        (SQUARE + "f 1/1 2/1 3/1\n", "line 5.*`vt` number 1"),
        (SQUARE + "f 1 2 x\n", "line 5.*'x'"),
        (SQUARE + "f 1/2/3/4 2/1 3\n", "line 5.*not a face corner"),
        ("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
        ("v 0 0 0\nv 1e999 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
        ("v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", "no face with an area"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "no face with an area"),
    ],
)
def test_bad_files_end_in_one_sentence_that_names_them(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        load_obj(write(tmp_path, text, "broken.obj"))
    assert "broken.obj" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_without_mesh(tmp_path):
    with pytest.raises(InputError, match=r"none\.obj does not exist"):
        load_obj(tmp_path / "none.obj")
    with pytest.raises(InputError, match="holds no mesh"):
        load_mesh(tmp_path)
    write(tmp_path, "", "a.obj"), write(tmp_path, "", "b.obj")
    with pytest.raises(InputError, match=r"several meshes \(a.obj, b.obj\)"):
        load_mesh(tmp_path)


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    n = draw(st.integers(3, 12))
    number = st.floats(-1e3, 1e3, width=32)
    vertices = draw(hnp.arrays(np.float64, (n, 3), elements=number))
    vertices[:3] = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    faces = draw(st.lists(st.lists(st.integers(0, n - 1), min_size=3, max_size=6), min_size=0, max_size=8))
    faces.insert(0, [0, 1, 2])
    corners = np.array([corner for face in faces for corner in face])
    unit = st.floats(0, 1, width=32)
    uvs = draw(st.none() | hnp.arrays(np.float32, (len(corners), 2), elements=unit))
    colors = draw(st.none() | hnp.arrays(np.float32, (n, 3), elements=unit))
    starts = np.concatenate([[0], np.cumsum([len(face) for face in faces])])
    slots = np.array(draw(st.lists(st.integers(0, 1), min_size=len(faces), max_size=len(faces))))
    return Mesh(vertices, corners, starts, uvs, None, slots, [Material("a"), Material("b")], colors, "y", None)


@QUICK
@given(mesh=meshes())
def test_what_is_written_is_read_again(tmp_path, mesh):
    again = load_obj(save_obj(mesh, tmp_path / "object"))
    np.testing.assert_array_equal(again.vertices.astype(np.float32), mesh.vertices.astype(np.float32))
    np.testing.assert_array_equal(again.corners, mesh.corners)
    np.testing.assert_array_equal(again.face_starts, mesh.face_starts)
    names = np.array([material.name for material in again.materials])[again.face_materials]
    np.testing.assert_array_equal(names, np.array(["a", "b"])[mesh.face_materials])
    for ours, theirs in ((again.corner_uvs, mesh.corner_uvs), (again.vertex_colors, mesh.vertex_colors)):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-30)


@settings(QUICK, max_examples=150)
@given(mesh=meshes(), data=st.data())
def test_corruption_is_a_valid_mesh_or_one_sentence(tmp_path, mesh, data):
    path = save_obj(mesh, tmp_path / "object")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        junk = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"/", b"//", b"-", b" ", b"\n", b"9e9", b"nan", b"f "])
        )
        content[at : at + data.draw(st.integers(0, 3))] = junk
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content) + 1))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            read = load_obj(path)
        except InputError as error:
            assert "base.obj" in str(error)
        else:
            assert np.isfinite(read.vertices).all()
            assert read.corners.min() >= 0 and read.corners.max() < read.n_vertices
            assert read.triangles()[0].shape[1] == 3
            assert np.isfinite(read.automatic_placement().scale)


def test_saving_keeps_textures_and_several_materials(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    maps = {"diffuse": image, "metallic": image[..., :1], "normal": image}
    mesh = Mesh.from_faces(np.eye(3), [[0, 1, 2]], corner_uvs=np.zeros((3, 2)), material=Material("m", textures=maps))
    again = load_obj(save_obj(mesh, tmp_path / "one"))
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "base.obj", "base.mtl", "texture_diffuse.png", "texture_metallic.png", "texture_normal.png"
    }  # fmt: skip
    for kind, expected in maps.items():
        np.testing.assert_array_equal(again.materials[0].textures[kind], expected)
    mesh.materials.append(Material("m", base_color=(1, 0, 0, 1), textures={"diffuse": image[::-1]}))
    mesh.face_starts, mesh.corners = np.array([0, 3, 6]), np.tile(mesh.corners, 2)
    mesh.corner_uvs, mesh.face_materials = np.zeros((6, 2), dtype=np.float32), np.array([0, 1])
    again = load_obj(save_obj(mesh, tmp_path / "two"))
    np.testing.assert_array_equal(again.materials[1].textures["diffuse"], image[::-1])


def test_a_hundred_thousand_vertices_are_read_in_about_a_second(tmp_path):
    side = 317
    grid = np.arange(side * side).reshape(side, side)
    quads = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=-1).reshape(-1, 4)
    mesh = Mesh.from_faces(np.random.default_rng(0).normal(size=(side * side, 3)), quads)
    path = save_obj(mesh, tmp_path)
    start = time.process_time()
    assert load_obj(path).n_vertices == side * side
    assert time.process_time() - start < 4  # measured 0.4 s; generous because the machine is shared


def test_objects_and_groups_are_parts(tmp_path):
    text = SQUARE + "f 1 2 3\no body\nf 1 2 3\ng head\nf 2 3 4\no left eye\ng left eye\nf 1 3 4\ng head\nf 1 2 4\n"
    mesh = load_obj(write(tmp_path, text.replace("g head\nf 1 2 4\n", "")))
    assert mesh.parts == [Part("part"), Part("body"), Part("head", 1), Part("left eye")]
    np.testing.assert_array_equal(mesh.face_parts, [0, 1, 2, 3])
    assert load_obj(write(tmp_path, SQUARE + "f 1 2 3\n")).face_parts is None


def test_groups_alone_are_parts_and_go_on_under_their_name(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "g a\nf 1 2 3\ng b\nf 1 3 4\ng a\nf 1 2 4\n"))
    assert mesh.parts == [Part("a"), Part("b")]
    np.testing.assert_array_equal(mesh.face_parts, [0, 1, 0])


def test_a_group_without_a_name_gets_one(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "g a\nf 1 2 3\ng\nf 1 3 4\n"))
    assert mesh.parts == [Part("a"), Part("part")]


def test_a_face_of_two_corners_is_left_out_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"line 6: a face has fewer than 3 corners and is left out"):
        mesh = load_obj(write(tmp_path, SQUARE + "f 1 2 3\nf 1 2\nf 1 3 4\n"))
    np.testing.assert_array_equal(mesh.corners, [0, 1, 2, 0, 2, 3])


def test_two_objects_of_one_name_are_two_parts(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "o eye\nf 1 2 3\no eye\nf 1 3 4\n"))
    assert mesh.parts == [Part("eye"), Part("eye")]


def test_parts_are_written_and_read_again(tmp_path):
    mesh = load_obj(write(tmp_path, SQUARE + "o a b\nf 1 2 3\no c\nf 1 3 4\n"))
    again = load_obj(save_obj(mesh, tmp_path / "again"))
    assert (again.parts, again.face_parts.tolist()) == (mesh.parts, mesh.face_parts.tolist())


def test_several_material_files_are_all_read(tmp_path):
    write(tmp_path, "newmtl a\nKd 1 0 0\n", "one.mtl")
    write(tmp_path, "newmtl b\nKd 0 1 0\n", "number two.mtl")
    write(tmp_path, "newmtl c\nKd 0 0 1\n", "three.mtl")
    text = "mtllib one.mtl number two.mtl\nmtllib three.mtl\n" + SQUARE
    mesh = load_obj(write(tmp_path, text + "".join(f"usemtl {name}\nf 1 2 3\n" for name in "abc")))
    assert [material.base_color[:3] for material in mesh.materials] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_a_material_in_two_files_is_said(tmp_path):
    write(tmp_path, "newmtl m\nKd 1 0 0\n", "a.mtl")
    write(tmp_path, "newmtl m\nKd 0 0 1\nnewmtl n\n", "b.mtl")
    path = write(tmp_path, "mtllib a.mtl\nmtllib b.mtl\n" + SQUARE + "usemtl m\nf 1 2 3\n")
    with pytest.warns(UserWarning, match=r"'m' stands in a\.mtl and in b\.mtl; the first is used") as told:
        assert load_obj(path).materials[0].base_color[:3] == (1, 0, 0)
    assert len(told) == 1


def test_lines_and_points_are_left_out_with_a_word(tmp_path):
    with pytest.warns(UserWarning, match=r"its lines \(`l`\) and points \(`p`\) are left out; faces are read"):
        mesh = load_obj(write(tmp_path, SQUARE + "l 1 2\np 1\nf 1 2 3\n"))
    assert mesh.n_faces == 1


def test_zbrush_colors_are_read_from_comments(tmp_path):
    text = "#MRGB ffff0000ff00ff00\n#MRGB ff0000ffff102030\n" + SQUARE + "f 1 2 3\n"
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [16, 32, 48]]
    np.testing.assert_allclose(load_obj(write(tmp_path, text)).vertex_colors * 255, expected, atol=1e-3)
    with pytest.warns(UserWarning, match="MRGB"):
        assert load_obj(write(tmp_path, text.replace("102030\n", "1020\n"))).vertex_colors is None


def test_a_byte_order_mark_before_the_material_file(tmp_path):
    write(tmp_path, "newmtl a\nKd 1 0 0\n", "other.mtl")
    (tmp_path / "m.obj").write_bytes(b"\xef\xbb\xbfmtllib other.mtl\n" + (SQUARE + "usemtl a\nf 1 2 3\n").encode())
    assert load_obj(tmp_path / "m.obj").materials[0].base_color[:3] == (1, 0, 0)


@pytest.mark.parametrize("name", ["a\nb.obj", "a\rb.obj", "a\0b.obj"])
def test_a_name_with_a_line_break_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="line break"):
        load_mesh(tmp_path / name)
