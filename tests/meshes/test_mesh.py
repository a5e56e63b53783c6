"""The container: triangles, edges, coincident vertices, colours, other poses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animate3d.errors import InputError
from animate3d.meshes import Material, Mesh, sample_texture, vertex_colors
from animate3d.meshes.appearance import colors_at, corner_colors, paint_of
from animate3d.meshes.topology import _weld_by_cells, clip_ears, weld


def polygon(points: list[tuple[float, float]], normal_axis: int = 2) -> Mesh:
    vertices = np.insert(np.array(points, dtype=float), normal_axis, 0.5, axis=1)
    return Mesh.from_faces(vertices, np.arange(len(points))[None])


def area(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


def test_convex_polygons_become_fans():
    triangles, corners, faces = polygon([(0, 0), (2, 0), (3, 1), (2, 2), (0, 2)]).triangles()
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3], [0, 3, 4]])
    np.testing.assert_array_equal(corners, triangles)
    np.testing.assert_array_equal(faces, [0, 0, 0])


@pytest.mark.parametrize("normal_axis", [0, 1, 2])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (2, 1), (0, 2), (1, 1)],  # an arrow head
        [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)],  # a U
        [(1, 1), (0, 3), (0, 0), (3, 0)],
    ],
)
def test_other_polygons_are_triangulated_without_folds(outline, turned, normal_axis):
    mesh = polygon(outline[::-1] if turned else outline, normal_axis)
    areas = area(mesh.vertices, mesh.triangles()[0])
    following = np.roll(mesh.vertices, -1, axis=0)
    whole = np.cross(mesh.vertices, following).sum(axis=0) / 2
    assert (areas[:, normal_axis] * whole[normal_axis] > 0).all()
    np.testing.assert_allclose(areas[:, normal_axis].sum(), whole[normal_axis])


def test_a_self_intersecting_polygon_still_gives_triangles():
    assert clip_ears(np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0.0]])).shape == (2, 3)


def test_edges_are_those_of_polygons_not_of_triangles():
    mesh = Mesh.from_faces(np.eye(4)[:, :3], [[0, 1, 2, 3], [3, 2, 1, 0]])
    np.testing.assert_array_equal(mesh.edges(), [[0, 1], [0, 3], [1, 2], [2, 3]])


def test_repeated_corners_make_no_edge_to_themselves():
    np.testing.assert_array_equal(Mesh.from_faces(np.eye(3), [[0, 0, 2]]).edges(), [[0, 2]])


def test_coincident_vertices_share_their_smallest_number_and_all_edges():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1e-9], [0, 1, 0], [1, 1, 0.0]])
    mesh = Mesh.from_faces(vertices, [[0, 1, 2], [3, 5, 4]])
    np.testing.assert_array_equal(mesh.welded(), [0, 1, 2, 1, 2, 5])
    neighbours = {i: set(mesh.welded_edges()[mesh.welded_edges()[:, 0] == i, 1]) for i in range(6)}
    for i, j in mesh.welded_edges():
        neighbours[j] = neighbours[j] | {i}
    assert neighbours[1] >= {0, 2, 5} and neighbours[3] >= {0, 2, 5}
    assert 3 not in neighbours[1] and 4 not in neighbours[2]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), copies=st.integers(1, 5), noise=st.sampled_from([0.0, 1e-9, 3e-7]))
def test_both_ways_of_welding_find_what_comparing_all_pairs_finds(seed, copies, noise):
    rng = np.random.default_rng(seed)
    distinct = rng.integers(0, 4, (12, 3)) + rng.choice([0.0, 1e-4])
    vertices = np.repeat(np.unique(distinct, axis=0).astype(float), copies, axis=0)
    vertices = rng.permutation(vertices + rng.uniform(-noise, noise, vertices.shape))
    near = np.linalg.norm(vertices[:, None] - vertices, axis=-1) <= 2e-6
    expected = near.argmax(axis=1)
    np.testing.assert_array_equal(weld(vertices, 2e-6), expected)
    np.testing.assert_array_equal(_weld_by_cells(vertices, 2e-6), expected)


def test_a_heap_of_equal_vertices_is_welded_without_comparing_all_pairs():
    vertices = np.zeros((200_000, 3))
    vertices[0] = 1
    representatives = weld(vertices, 1e-6)
    assert representatives[0] == 0 and (representatives[1:] == 1).all()


def test_another_pose_keeps_everything_else():
    mesh = Mesh.from_faces(np.eye(3), [[0, 1, 2]], corner_uvs=np.zeros((3, 2)))
    moved = mesh.with_vertices(mesh.vertices + 1)
    np.testing.assert_array_equal(moved.vertices, np.eye(3) + 1)
    assert moved.corner_uvs is mesh.corner_uvs
    with pytest.raises(InputError, match="3 vertices"):
        mesh.with_vertices(np.zeros((4, 3)))


def test_texture_samples_hit_texel_centres_at_the_borders_and_repeat_outside():
    image = np.array([[[0], [100]], [[200], [40]]], dtype=np.uint8)
    uvs = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0.5, 0.5], [-3, 7], [np.nan, np.nan]])
    np.testing.assert_allclose(sample_texture(image, uvs)[:, 0] * 255, [0, 100, 200, 40, 85, 200, 200], atol=1e-4)


def test_colors_come_from_texture_times_vertices_or_either_or_material():
    image = np.full((2, 2, 3), 51, dtype=np.uint8)
    painted = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    white = np.ones((3, 3), dtype=np.float32)
    red, textured = Material("m", (1, 0, 0, 1)), Material("m", textures={"diffuse": image})
    uvs = np.zeros((3, 2))

    def colors(**parts: object) -> np.ndarray:
        return vertex_colors(Mesh.from_faces(np.eye(3), [[0, 1, 2]], **parts))

    np.testing.assert_array_equal(colors(material=red), [[1, 0, 0]] * 3)
    np.testing.assert_array_equal(colors(material=red, vertex_colors=painted), painted)
    np.testing.assert_allclose(colors(material=textured, corner_uvs=uvs), 0.2, atol=1e-6)
    np.testing.assert_allclose(
        colors(material=textured, corner_uvs=uvs, vertex_colors=painted), 0.2 * painted, atol=1e-6
    )
    half = np.full((3, 3), 0.5, np.float32)  # 0.0331 and 0.2140 in linear light, 0.0071 their product
    np.testing.assert_allclose(
        colors(material=textured, corner_uvs=uvs, vertex_colors=half), 1.055 * 0.0070848 ** (1 / 2.4) - 0.055, atol=1e-4
    )
    # A vertex without a colour has none to give: its face shows the material.
    gap = np.array([[np.nan] * 3, [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    np.testing.assert_array_equal(colors(material=red, vertex_colors=gap)[0], [1, 0, 0])
    # Programs write white vertex colours into textured files: they say nothing.
    np.testing.assert_allclose(colors(material=textured, corner_uvs=uvs, vertex_colors=white), 0.2, atol=1e-6)


def test_a_mesh_of_several_plain_materials_shows_more_than_its_vertices_do() -> None:
    mesh = Mesh.from_faces(np.eye(3), [[0, 1, 2], [2, 1, 0]], material=Material("red", (1, 0, 0, 1)))
    assert paint_of(mesh) is None
    mesh.materials.append(Material("blue", (0, 0, 1, 1)))
    mesh.face_materials[1] = 1
    paint = paint_of(mesh)
    assert paint is not None
    np.testing.assert_array_equal(paint(np.array([0, 1]), np.full((2, 3), 1 / 3)), [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("tinted", [False, True])
def test_colors_of_a_face_are_those_of_its_corners_and_of_the_texture_between_them(tinted: bool) -> None:
    image = np.zeros((9, 9, 3), dtype=np.uint8)
    image[4, 4] = 255
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2, 3]])
    own = np.full((4, 3), 0.5) if tinted else None
    material = Material("m", textures={"diffuse": image})
    mesh = Mesh.from_faces(corners, faces, corner_uvs=corners[faces][..., :2], vertex_colors=own, material=material)
    triangles, of_corner, _ = mesh.triangles()
    at_corners = colors_at(mesh, np.repeat(np.arange(2), 3), np.tile(np.eye(3), (2, 1)))
    np.testing.assert_array_equal(at_corners, corner_colors(mesh)[of_corner.ravel()])
    sides = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    middles = np.einsum("kc,tcd->tkd", sides, corners[triangles]).reshape(-1, 3)
    found = colors_at(mesh, np.repeat(np.arange(2), 3), np.tile(sides, (2, 1)))
    np.testing.assert_allclose(found[:, 0], (middles[:, :2] == 0.5).all(axis=1) * (0.5 if tinted else 1.0), atol=1e-6)


def test_corners_without_uv_use_the_base_color():
    material = Material("m", (0, 0, 1, 1), textures={"diffuse": np.full((2, 2, 1), 255, dtype=np.uint8)})
    uvs = np.array([[0, 0], [np.nan, np.nan], [0, 0]])
    mesh = Mesh.from_faces(np.eye(3), [[0, 1, 2]], corner_uvs=uvs, material=material)
    np.testing.assert_allclose(vertex_colors(mesh), [[1, 1, 1], [0, 0, 1], [1, 1, 1]])


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.eye(3), [[0, 1, 3]], "refer to vertices it does not have"),
        (np.eye(3), [[0, 1, -1]], "refer to vertices it does not have"),
        (np.eye(3), [[0.0, 1.0, 2.0]], "faces of float64 values; they must be whole numbers of vertices"),
        (np.eye(3), [], "no faces"),
        (np.eye(3), [0, 1, 2], "faces of the shape .3.; it must be .faces, 3 or more corners."),
        (np.eye(3), [[0, 1, 2], [0, 1]], "faces of different numbers of corners"),
        (np.eye(4), [[0, 1, 2]], "vertices of the shape .4, 4.; it must be .vertices, 3."),
        (np.full((3, 3), np.nan), [[0, 1, 2]], "3 vertices that are not finite"),
        ([["a"] * 3] * 3, [[0, 1, 2]], "vertices that are not .vertices, 3. numbers"),
    ],
)
def test_arrays_that_are_no_mesh_are_refused_with_the_reason(vertices, faces, message):
    with pytest.raises(InputError, match=f"^The mesh has .*{message}"):
        Mesh.from_faces(vertices, faces)
