"""The textured rasteriser against analytically known pictures and the cameras' own projection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from animate3d.cameras import Cameras, look_at, orbit_cameras, reconstruction_cameras
from animate3d.errors import InputError
from animate3d.meshes import Material, Mesh
from animate3d.meshes.pieces import join
from animate3d.rasterize.textured import render_mesh


def triangle_mesh(vertices: np.ndarray, faces: np.ndarray, **kwargs: Any) -> Mesh:
    kwargs.setdefault("material", plain((0.8, 0.8, 0.8)))
    return Mesh.from_faces(vertices, faces, **kwargs)


def plain(color: tuple[float, float, float]) -> Material:
    return Material("plain", base_color=(*color, 1.0))


def painted(texture: np.ndarray) -> Material:
    return Material("painted", textures={"diffuse": texture})


def quad(half: float = 0.5, **kwargs: Any) -> Mesh:
    """A square in the yz-plane that faces the camera at azimuth 0; v is up, u to the camera's right (+y)."""
    vertices = half * np.array([[0.0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]])
    corner_uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)
    return triangle_mesh(vertices, np.array([[0, 1, 2, 3]]), corner_uvs=corner_uvs, **kwargs)


def front_camera(size: int = 64) -> Cameras:
    return orbit_cameras(0.0, [0.0], size=size)


def checker(size: int = 64, cells: int = 4) -> np.ndarray:
    cell = np.arange(size) * cells // size
    ramp = np.zeros((size, size, 3), dtype=np.uint8)
    ramp[..., 0] = np.linspace(0, 255, size)[None, :]
    ramp[..., 1] = np.linspace(255, 0, size)[:, None]
    ramp[..., 2] = 255 * ((cell[:, None] + cell[None, :]) % 2)
    return ramp


def test_quad_covers_the_area_the_pinhole_gives() -> None:
    cameras = front_camera(128)
    image = render_mesh(quad(), quad().vertices[None], cameras, supersample=4, shading=False)[0, 0]
    side = float(cameras.focal[0]) / 3.0
    assert abs(image[..., 3].sum() / 255 - side**2) < 0.005 * side**2
    assert image.shape == (128, 128, 4)


def test_fractional_edges_keep_the_full_colour_of_the_surface() -> None:
    mesh = quad(material=plain((1.0, 0.0, 0.0)))
    image = render_mesh(mesh, mesh.vertices[None], front_camera(61), supersample=4, shading=False)[0, 0]
    edge = (image[..., 3] > 0) & (image[..., 3] < 255)
    assert edge.any()
    assert (image[edge][:, :3] == [255, 0, 0]).all()


def test_background_colour_is_kept_under_full_transparency() -> None:
    mesh = quad()
    image = render_mesh(mesh, mesh.vertices[None], front_camera(), background=(0.5, 0.25, 1.0))[0, 0]
    outside = image[image[..., 3] == 0]
    assert len(outside) > 0
    assert (outside[:, :3] == [128, 64, 255]).all()


def test_texture_is_upright_and_not_mirrored() -> None:
    mesh = quad(material=painted(checker()))
    cameras = front_camera(128)
    image = render_mesh(mesh, mesh.vertices[None], cameras, supersample=1, shading=False)[0, 0]
    rows, columns = np.nonzero(image[..., 3])
    side = float(cameras.focal[0]) / 3.0
    u = (columns + 0.5 - 64) / side + 0.5
    v = (rows + 0.5 - 64) / side + 0.5
    inside = (np.minimum(u, v) > 0.02) & (np.maximum(u, v) < 0.98)
    assert np.abs(image[rows, columns, 0] / 255 - u)[inside].max() < 0.02
    assert np.abs(image[rows, columns, 1] / 255 - (1 - v))[inside].max() < 0.02


def test_uvs_are_perspective_correct_on_a_slanted_quad() -> None:
    mesh = quad(material=painted(checker(512)))
    slanted = mesh.vertices.copy()
    slanted[:, 0] = 1.6 * slanted[:, 1]
    cameras = front_camera(128)
    image = render_mesh(mesh, slanted[None], cameras, supersample=1, shading=False)[0, 0]
    rows, columns = np.nonzero(image[..., 3])
    # The ray through a pixel meets the plane x = 1.6 y at y = 3 t / (1 + 1.6 t).
    t = (columns + 0.5 - 64) / float(cameras.focal[0])
    u = 3 * t / (1 + 1.6 * t) + 0.5
    inside = (u > 0.03) & (u < 0.97)
    assert np.abs(image[rows, columns, 0] / 255 - u)[inside].max() < 0.02


def test_vertices_land_where_the_cameras_project_them() -> None:
    rng = np.random.default_rng(0)
    centers = rng.uniform(-0.6, 0.6, (30, 3))
    offsets = 0.02 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    octahedron = np.array([[i, j, k] for i in (0, 1) for j in (2, 3) for k in (4, 5)])
    cameras = orbit_cameras(15.0, [0.0, 90.0, 200.0], size=128)
    for center in centers:
        mesh = triangle_mesh(center + offsets, octahedron)
        images = render_mesh(mesh, mesh.vertices[None], cameras, supersample=2)[:, 0]
        pixels, _ = cameras.project(torch.tensor(center, dtype=torch.float32).expand(3, 1, 3))
        for image, pixel in zip(images, pixels[:, 0].numpy(), strict=True):
            weights = image[..., 3].astype(float)
            grid_y, grid_x = np.mgrid[0:128, 0:128] + 0.5
            drawn = np.array([(grid_x * weights).sum(), (grid_y * weights).sum()]) / weights.sum()
            assert np.abs(drawn - pixel).max() < 0.5


def test_the_nearer_surface_wins_whatever_the_order_of_faces() -> None:
    near_far = np.concatenate([quad().vertices + [0.3, 0, 0], 2 * quad().vertices - [0.3, 0, 0]])
    colors = np.repeat([[1.0, 0, 0], [0, 0, 1.0]], 4, axis=0).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    pictures = [
        render_mesh(
            triangle_mesh(near_far, faces[order], vertex_colors=colors), near_far[None], front_camera(), shading=False
        )
        for order in ([0, 1, 2, 3], [3, 2, 1, 0])
    ]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0][0, 0, 32, 32] == [255, 0, 0, 255]).all()
    assert (pictures[0][0, 0, 8, 8] == [0, 0, 255, 255]).all()


def test_a_triangulated_surface_has_no_cracks() -> None:
    grid = np.linspace(-0.8, 0.8, 24)
    y, z = np.meshgrid(grid, grid, indexing="ij")
    vertices = np.stack([0.1 * np.sin(5 * y) * z, y, z], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(23), np.arange(23), indexing="ij")
    a = (i * 24 + j).ravel()
    faces = np.concatenate([np.stack([a, a + 24, a + 25], 1), np.stack([a, a + 25, a + 1], 1)])
    mesh = triangle_mesh(vertices, faces)
    image = render_mesh(mesh, vertices[None], front_camera(), supersample=3)[0, 0]
    assert (image[12:52, 12:52, 3] == 255).all()


def test_both_sides_are_drawn_and_lit_alike() -> None:
    mesh = quad()
    turned = mesh.vertices * [1, -1, 1]
    images = render_mesh(mesh, np.stack([mesh.vertices, turned]), front_camera())[0]
    assert (images[0] == images[1]).all()
    assert images[0, 32, 32, 3] == 255


def test_triangles_at_the_near_plane_or_behind_are_left_out() -> None:
    mesh = quad(half=3.0)
    behind = mesh.vertices + [6.0, 0, 0]
    crossing = mesh.vertices.copy()
    crossing[:2, 0] = 4.0
    images = render_mesh(mesh, np.stack([behind, crossing, np.full_like(behind, np.nan)]), front_camera())
    assert (images[..., 3] == 0).all()


def test_frames_and_views_keep_their_order() -> None:
    mesh = quad(half=0.1)
    positions = np.stack([mesh.vertices, mesh.vertices + [0, 0, 0.5]])
    images = render_mesh(mesh, positions, orbit_cameras(0.0, [0.0, 180.0], size=32))
    assert images.shape == (2, 2, 32, 32, 4)
    rows = [[np.nonzero(image[..., 3])[0].mean() for image in view] for view in images]
    assert rows[0][1] < rows[0][0] - 4
    assert rows[1][1] < rows[1][0] - 4
    single = render_mesh(mesh, positions[1:], orbit_cameras(0.0, [180.0], size=32))
    assert (single[0, 0] == images[1, 1]).all()


def test_a_fine_texture_far_away_averages_instead_of_flickering() -> None:
    stripes = np.zeros((1024, 1024, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    mesh = quad(material=painted(stripes))
    image = render_mesh(mesh, mesh.vertices[None], front_camera(32), shading=False)[0, 0]
    assert np.abs(image[image[..., 3] == 255][:, :3].astype(int) - 127).max() < 16


def test_shading_off_gives_bare_colours_and_on_darkens_grazing_surfaces() -> None:
    mesh = quad(material=plain((0.6, 0.6, 0.6)))
    slanted = mesh.vertices.copy()
    slanted[:, 0] = 2.5 * slanted[:, 1]
    positions = np.stack([mesh.vertices, slanted])
    bare = render_mesh(mesh, positions, front_camera(), shading=False)[0]
    lit = render_mesh(mesh, positions, front_camera())[0]
    assert (bare[bare[..., 3] == 255][:, :3] == 153).all()
    assert lit[0, 32, 32, 0] > lit[1, 32, 32, 0] + 10


def test_camera_that_looks_down_sees_the_top() -> None:
    """A hand-made camera, to tie the picture to `Cameras` and not only to orbits."""
    c2w = look_at(torch.tensor([[0.0, 0.0, 3.0]]), torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))
    cameras = Cameras(c2w, torch.tensor([0.7]), 32, 48)
    points = np.array([[0.5, 0.0, 0.0], [0.3, 0.1, 0.0], [0.3, -0.1, 0.0]])
    mesh = triangle_mesh(points, np.array([[0, 1, 2]]))
    image = render_mesh(mesh, points[None], cameras)[0, 0]
    rows, columns = np.nonzero(image[..., 3])
    assert image.shape == (32, 48, 4)
    assert rows.max() < 16 and abs(columns.mean() + 0.5 - 24) < 1


def test_wrong_positions_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs \[F, N, 3\]"):
        render_mesh(quad(), np.zeros((5, 3)), reconstruction_cameras(4, 16))


def test_faces_without_texture_coordinates_show_their_base_colour() -> None:
    mesh = quad(material=Material("half", base_color=(0.0, 1.0, 0.0, 1.0), textures={"diffuse": checker()}))
    assert mesh.corner_uvs is not None
    mesh.corner_uvs[:] = np.nan
    image = render_mesh(mesh, mesh.vertices[None], front_camera(), shading=False)[0, 0]
    assert (image[32, 32] == [0, 255, 0, 255]).all()


def test_vertex_colours_multiply_a_texture_in_linear_light() -> None:
    white = np.ones((4, 3), dtype=np.float32)
    yellow = np.full((4, 4, 3), (128, 128, 0), dtype=np.uint8)
    centers = []
    for colors in (white, np.float32([0.5, 1, 1]) * white, np.nan * white):
        mesh = quad(material=painted(yellow), vertex_colors=colors)
        centers.append(render_mesh(mesh, mesh.vertices[None], front_camera(), shading=False)[0, 0, 30, 34].tolist())
    # 128 is 0.2159 in linear light, 0.5 is 0.2140, and their product 0.0462 is 61.
    assert centers == [[128, 128, 0, 255], [61, 128, 0, 255], [128, 128, 0, 255]]


def test_a_part_without_vertex_colours_keeps_its_material_beside_one_with_them() -> None:
    red, green = Material("r", (1, 0, 0, 1)), Material("g", (0, 1, 0, 1))
    corners = np.array([[0, -0.5, -0.5], [0, 0, -0.5], [0, 0, 0.5], [0, -0.5, 0.5], [0, 0.5, -0.5], [0, 0.5, 0.5]])
    mesh = triangle_mesh(corners, np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]]))
    mesh.materials, mesh.face_materials = [red, green], np.array([0, 0, 1, 1])
    mesh = join([mesh, replace(mesh, vertices=corners + [0, 5, 0], vertex_colors=np.ones((6, 3), np.float32))], None)
    image = render_mesh(mesh, mesh.vertices[None], front_camera(), shading=False)[0, 0]
    seen = {tuple(c) for c in image[..., :3][image[..., 3] == 255].tolist()}
    assert {(255, 0, 0), (0, 255, 0)} <= seen <= {(255, 0, 0), (0, 255, 0), (255, 255, 255), (128, 128, 0)}
