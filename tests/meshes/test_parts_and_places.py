"""Structure and place survive: parts, textures by number, solids, and models far away, tiny or huge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.gaussians import from_mesh
from animate3d.meshes import Mesh, Part, Placement, load_mesh, save_obj
from animate3d.meshes.pieces import join, pieces

FAR = np.array([448262.5, 120.0, 5411932.25])


def cube(size: float = 1.0, place: np.ndarray | float = 0.0) -> Mesh:
    vertices = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return Mesh.from_faces(vertices * size + place, quads)


def test_textures_of_a_ply_by_number(tmp_path):
    for name, color in (("a", (220, 20, 20)), ("b", (20, 20, 220))):
        Image.new("RGB", (2, 2), color).save(tmp_path / f"{name}.png")
    head = "ply\nformat ascii 1.0\ncomment TextureFile a.png\ncomment TextureFile b.png\nelement vertex 4\n"
    head += "property float x\nproperty float y\nproperty float z\nelement face 2\n"
    head += "property list uchar int vertex_indices\nproperty list uchar float texcoord\nproperty int texnumber\n"
    body = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1 0\n3 0 2 3 6 0 0 1 1 0 1 1\n"
    (tmp_path / "m.ply").write_text(head + "end_header\n" + body)
    mesh = load_mesh(tmp_path / "m.ply")
    assert [material.name for material in mesh.materials] == ["a", "b"]
    assert [m.textures["diffuse"][0, 0].tolist() for m in mesh.materials] == [[220, 20, 20], [20, 20, 220]]
    np.testing.assert_array_equal(mesh.face_materials, [0, 1])


def test_texture_names_of_a_ply_in_another_encoding(tmp_path):
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "纹理.png")
    head = b"ply\nformat ascii 1.0\ncomment TextureFile " + "纹理.png".encode("gbk") + b"\nelement vertex 3\n"
    head += b"property float x\nproperty float y\nproperty float z\nproperty float s\nproperty float t\n"
    head += b"element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "m.ply").write_bytes(head + b"0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n")
    assert load_mesh(tmp_path / "m.ply").materials[0].textures["diffuse"][0, 0].tolist() == [1, 2, 3]


def test_colors_of_faces_become_colors_of_vertices(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 1\nproperty list uchar int vertex_indices\n"
    head += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    (tmp_path / "m.ply").write_text(head + "end_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2 255 0 51\n")
    np.testing.assert_allclose(load_mesh(tmp_path / "m.ply").vertex_colors, [[1, 0, 0.2]] * 3, atol=1e-6)


def test_solids_of_an_ascii_stl_are_parts(tmp_path):
    facet = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
    text = "".join(f"solid {name}\n{facet}endsolid {name}\n" for name in ("left wing", "right wing"))
    (tmp_path / "m.stl").write_text(text)
    mesh = load_mesh(tmp_path / "m.stl")
    assert mesh.parts == [Part("left wing"), Part("right wing")]
    np.testing.assert_array_equal(mesh.face_parts, [0, 1])


@pytest.mark.parametrize(("name", "parts"), [(" Größe", [Part("Größe")]), ("", [])])
def test_the_only_solid_of_an_ascii_stl_keeps_its_name(tmp_path, name, parts):
    facet = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
    (tmp_path / "m.stl").write_bytes(f"solid{name}\n{facet}endsolid{name}\n".encode("cp1252"))
    assert load_mesh(tmp_path / "m.stl").parts == parts


def test_pieces_hold_every_face_and_every_vertex_once_per_part():
    mesh = join([cube(), cube(place=3.0), cube(place=5.0)], Path("x"), [Part("a"), Part("b"), Part("c", 1)], [0, 2, 1])
    mesh.vertices = np.concatenate([mesh.vertices, [[9.0, 9, 9]]])  # no face uses it
    found = pieces(mesh)
    assert [piece.name for piece in found] == ["a", "b", "c"]
    assert [len(piece.vertices) for piece in found] == [8, 9, 8]
    for piece in found:
        np.testing.assert_array_equal(piece.mesh.vertices, mesh.vertices[piece.vertices])
        np.testing.assert_array_equal(piece.vertices[piece.mesh.corners], mesh.corners[piece.corners])
    assert sorted(np.concatenate([piece.corners for piece in found])) == list(range(len(mesh.corners)))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_model_far_away_has_the_shape_of_one_at_the_origin(tmp_path, size):
    here = load_mesh(save_obj(cube(size), tmp_path / "here"))
    lines = [
        f"v {x:.12f} {y:.12f} {z:.12f}\n" if size < 1 else f"v {x!r} {y!r} {z!r}\n"
        for x, y, z in (cube(size).vertices + FAR * size).tolist()
    ]
    faces = "".join(f"f {' '.join(str(v + 1) for v in quad)}\n" for quad in cube().corners.reshape(-1, 4))
    (tmp_path / "far.obj").write_text("".join(lines) + faces)
    far = load_mesh(tmp_path / "far.obj")
    assert not here.origin.any() and far.origin.any()
    np.testing.assert_allclose(far.vertices + far.origin, here.vertices + FAR * size, atol=1e-5 * size)
    ours, theirs = from_mesh(far), from_mesh(here)
    moved = ours.means - ours.means.mean(dim=0) - theirs.means + theirs.means.mean(dim=0)
    assert float(moved.abs().max()) < 1e-5 * size
    np.testing.assert_allclose(ours.log_scales, theirs.log_scales, atol=1e-4)
    placed, expected = far.automatic_placement(), here.automatic_placement()
    np.testing.assert_allclose(placed.apply(far.vertices), expected.apply(here.vertices), atol=1e-4)


def test_ordinary_places_are_left_as_they_are():
    mesh = cube(place=20.0)
    assert mesh.near_origin() is mesh


def test_a_placement_file_notes_the_origin(tmp_path):
    mesh = cube(place=FAR).near_origin()
    mesh.automatic_placement().save(tmp_path / "p.json")
    np.testing.assert_array_equal(Placement.load(tmp_path / "p.json").origin, mesh.origin)
    assert (
        "origin" not in (cube().automatic_placement().save(tmp_path / "q.json"), (tmp_path / "q.json").read_text())[1]
    )


def test_a_far_mesh_is_written_in_its_own_coordinates(tmp_path):
    mesh = cube(place=FAR).near_origin()
    again = load_mesh(save_obj(mesh, tmp_path))
    np.testing.assert_allclose(again.vertices + again.origin, cube(place=FAR).vertices, atol=1e-7)
