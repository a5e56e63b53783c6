"""Materials as other programs write them: options, opacity, emission, encodings."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.meshes import load_obj, vertex_colors
from animate3d.meshes.names import encoding_of, utf8_content

FACE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.25 0.75\nvt 0.75 0.75\nvt 0.25 0.25\n"
QUARTERS = np.array([[[220, 20, 20], [20, 200, 20]], [[20, 20, 220], [220, 220, 20]]], dtype=np.uint8)


def model(folder: Path, mtl: str, *, encoding: str = "utf-8", uvs: str = FACE, name: str = "m") -> Path:
    """A triangle with a material, and a texture of four coloured quarters."""
    Image.fromarray(QUARTERS.repeat(8, axis=0).repeat(8, axis=1)).save(folder / "t.png")
    (folder / "m.mtl").write_bytes(mtl.encode(encoding))
    text = f"mtllib m.mtl\n{uvs}usemtl {name}\nf 1/1 2/2 3/3\n"
    (folder / "m.obj").write_bytes(text.encode(encoding))
    return folder / "m.obj"


def colors(path: Path) -> list[list[int]]:
    return np.round(vertex_colors(load_obj(path)) * 255).astype(int).tolist()


RED, GREEN, BLUE, YELLOW = ([int(v) for v in QUARTERS[i, j]] for i in range(2) for j in range(2))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", [RED, GREEN, BLUE]),
        ("-o 0.5 0 0", [GREEN, RED, YELLOW]),
        ("-s 1 1 1 -o 0 -0.5", [BLUE, YELLOW, RED]),
        ("-o 2.5 0.5 -s 1", [YELLOW, BLUE, GREEN]),
        ("-clamp on -o 0.5", [GREEN, GREEN, YELLOW]),
    ],
)
def test_scale_offset_and_clamping_move_the_texture(tmp_path, options, expected):
    assert colors(model(tmp_path, f"newmtl m\nmap_Kd {options} t.png\n")) == expected


def test_coordinates_outside_of_the_square_repeat(tmp_path):
    uvs = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt -3.75 5.75\nvt 2.75 -1.25\nvt 9.25 0.25\n"
    assert colors(model(tmp_path, "newmtl m\nmap_Kd t.png\n", uvs=uvs)) == [RED, GREEN, BLUE]


def test_maps_moved_differently_are_named(tmp_path):
    path = model(tmp_path, "newmtl m\nmap_Kd -s 2 2 t.png\nmap_Ke t.png\n")
    with pytest.warns(UserWarning, match="emissive.*-s, -o"):
        load_obj(path)


@pytest.mark.parametrize(
    ("lines", "alpha"),
    [
        ("Tr 1.0\nillum 1", 1.0),
        ("Tr 0", 1.0),
        ("Tr 0.25", 0.75),
        ("d 0.5\nTr 1", 0.5),
        ("d -halo 0.5", 0.5),
        ("d 1\nTr 1", 1.0),
    ],
)
def test_opacity_decides_and_transparency_of_one_is_opaque(tmp_path, lines, alpha):
    (material,) = load_obj(model(tmp_path, f"newmtl m\nKd 1 1 1\n{lines}\n")).materials
    assert material.base_color[3] == alpha


def test_an_object_that_would_vanish_as_a_whole_is_opaque(tmp_path):
    with pytest.warns(UserWarning, match="invisible"):
        (material,) = load_obj(model(tmp_path, "newmtl m\nd 0\nTr 0\n")).materials
    assert (material.base_color[3], material.alpha_mode) == (1.0, None)


@pytest.mark.parametrize(
    ("lines", "glow", "strength"),
    [
        ("Ke 0 1 0.2", (0, 1, 0.2), 1),
        ("Ke 0 4 1", (0, 1, 0.25), 4),
        ("map_Ke t.png", (1, 1, 1), 1),
        ("Ke 0 0 0\nmap_Ke t.png", (1, 1, 1), 1),
        ("Kd 1 1 1", (0, 0, 0), 1),
    ],
)
def test_emission(tmp_path, lines, glow, strength):
    (material,) = load_obj(model(tmp_path, f"newmtl m\n{lines}\n")).materials
    assert (material.emissive, material.emissive_strength) == (pytest.approx(glow), strength)
    assert ("emissive" in material.textures) == ("map_Ke" in lines)


def test_an_opacity_map_becomes_the_alpha_of_the_texture(tmp_path):
    path = model(tmp_path, "newmtl m\nmap_Kd t.png\nmap_d mask.png\n")
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[:8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (material,) = load_obj(path).materials
    np.testing.assert_array_equal(material.textures["diffuse"][..., 3], mask)
    assert material.alpha_mode == "mask"


def test_a_bump_map_of_heights_is_no_normal_map(tmp_path):
    Image.fromarray(np.full((4, 4), 90, dtype=np.uint8)).save(tmp_path / "height.png")
    Image.fromarray(np.full((4, 4, 3), (128, 128, 255), dtype=np.uint8)).save(tmp_path / "normal.png")
    with pytest.warns(UserWarning, match="heights"):
        assert not load_obj(model(tmp_path, "newmtl m\nmap_Bump height.png\n")).materials[0].textures
    (material,) = load_obj(model(tmp_path, "newmtl m\nmap_Bump -bm 0.25 normal.png\n")).materials
    assert material.normal_scale == 0.25 and "normal" in material.textures


def test_what_has_no_place_is_named(tmp_path):
    with pytest.warns(UserWarning, match="map_ks"):
        load_obj(model(tmp_path, "newmtl m\nmap_Ks t.png\n"))


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gb18030", ("皮肤", "衣服", "纹理")),
        ("cp932", ("テクスチャ", "表面", "肌の色")),
        ("cp1252", ("Häuser", "façade", "Körper")),
        ("cp1251", ("кожа", "глаз", "ткань")),
        ("euc_kr", ("피부", "눈동자", "옷")),
        ("utf-8", ("皮肤", "é", "옷")),
        ("utf-16", ("皮肤", "é", "옷")),
    ],
)
def test_names_in_any_encoding_stay_apart_and_find_their_textures(tmp_path, encoding, names):
    first, second, file = names
    Image.new("RGB", (2, 2), (9, 99, 199)).save(tmp_path / f"{file}.png")
    mtl = f"newmtl {first}\nmap_Kd {file}.png\nnewmtl {second}\nKd 0.1 0.1 0.9\n"
    (tmp_path / "a.mtl").write_bytes(mtl.encode(encoding))
    text = f"mtllib a.mtl\n{FACE}usemtl {first}\nf 1/1 2/2 3/3\nusemtl {second}\nf 1/1 3/3 2/2\n"
    (tmp_path / "a.obj").write_bytes(text.encode(encoding))
    mesh = load_obj(tmp_path / "a.obj")
    assert [material.name for material in mesh.materials] == [first, second]
    assert mesh.materials[0].textures["diffuse"][0, 0].tolist() == [9, 99, 199]
    assert mesh.materials[1].base_color[:3] == (0.1, 0.1, 0.9)


def test_what_reads_like_a_language_is_taken_for_it():
    words = [
        ("gb18030", "皮肤"),
        ("cp932", "目の色"),
        ("cp1252", "Beinstück"),
        ("cp1252", "Größe"),
        ("cp1252", "créée"),
    ]
    words += [("cp1251", "глаз"), ("cp1251", "да_1"), ("gb18030", "tex衣2"), ("gb18030", "a脸b")]
    for encoding, word in words:
        assert word.encode(encoding).decode(encoding_of([word.encode(encoding)])) == word
    assert encoding_of([b"plain"]) == "utf-8"


def test_byte_order_marks_are_no_content():
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert utf8_content("mtllib ü.mtl\n".encode(encoding)) == "mtllib ü.mtl\n".encode()


def test_letters_that_end_in_a_backslash_do_not_swallow_the_next_line(tmp_path):
    name = "表"  # its second byte in Shift-JIS is a backslash
    path = model(tmp_path, f"newmtl {name}\nKd 1 0 0\n", encoding="cp932", name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (material,) = load_obj(path).materials
    assert (material.name, material.base_color[:3]) == (name, (1, 0, 0))


@pytest.mark.parametrize("space", [" ", "\t"])
def test_comments_at_the_end_of_lines_are_no_part_of_them(tmp_path, space):
    mtl = "newmtl red # first\nKd 1.000 0.5 0 # Diffuse\nd 1 #opaque\nnewmtl blue\nKd 0 0 1\nmap_Kd t.png # picture\n"
    path = model(tmp_path, mtl.replace(" #", f"{space}#"))
    lines = f"mtllib m.mtl # lib\n{FACE}usemtl red\nf 1/1 2/2 3/3\nusemtl blue # here\nf 1/1 3/3 2/2\n"
    path.write_text(lines.replace(" #", f"{space}#"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        red, blue = load_obj(path).materials
    assert (red.base_color, blue.name, blue.base_color[:3]) == ((1, 0.5, 0, 1), "blue", (0, 0, 1))
    assert "diffuse" in blue.textures


def test_materials_whose_names_hold_a_number_sign_stay_apart(tmp_path):
    path = model(tmp_path, "newmtl m #1\nKd 1 0 0\nnewmtl m #2\nKd 0 0 1\n")
    path.write_text(f"mtllib m.mtl\n{FACE}usemtl m #2\nf 1/1 2/2 3/3\nusemtl m #1\nf 1/1 3/3 2/2\n")
    assert [material.name for material in load_obj(path).materials] == ["m #2", "m #1"]


@pytest.mark.parametrize(
    "name", ["a:b", "m #1", "x[0]", "${x}", "100%41", 'it\'s "q"', "🐉 é", "back\\slash", "-s 2", " #1", "a\tb"]
)
def test_any_file_name_is_found(tmp_path, name):
    Image.new("RGB", (2, 2), (9, 99, 199)).save(tmp_path / f"{name}.png")
    (tmp_path / f"{name}.mtl").write_text(f"newmtl {name}\nmap_Kd {name}.png\n")
    (tmp_path / f"{name}.obj").write_text(f"mtllib {name}.mtl\n{FACE}usemtl {name}\nf 1/1 2/2 3/3\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (material,) = load_obj(tmp_path / f"{name}.obj").materials
    assert material.textures["diffuse"][0, 0].tolist() == [9, 99, 199]
