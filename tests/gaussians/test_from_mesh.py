"""Mesh to Gaussians: the reference's numbers, the plain walk's numbers, and the cases that broke the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from animate3d.gaussians import edge_lengths, from_mesh, save_ply
from animate3d.meshes import Material, Mesh, load_mesh, vertex_colors


def test_reference_textured_mesh(golden):
    folder = golden / "ply_transform"
    expected = load_file(folder / "cases.safetensors")
    mesh = load_mesh(folder / "mesh_textured")
    gaussians = from_mesh(mesh)
    np.testing.assert_allclose(vertex_colors(mesh), expected["mesh_textured.vertex_colors"], atol=1e-6)
    compare(gaussians, expected, "mesh_textured.ply.", used=63)
    assert torch.isfinite(gaussians.log_scales).all()  # the reference writes -inf for the vertex without edges


def test_reference_mesh_with_vertex_colors(golden):
    expected = load_file(golden / "ply_transform" / "cases.safetensors")
    mesh = Mesh.from_faces(
        expected["mesh_vcolor.verts"],
        expected["mesh_vcolor.faces"],
        vertex_colors=expected["mesh_vcolor.vertex_colors"],
    )
    compare(from_mesh(mesh), expected, "mesh_vcolor.ply.", used=30)


def compare(gaussians, expected: dict[str, np.ndarray], prefix: str, used: int) -> None:
    def columns(*names: str) -> np.ndarray:
        return np.stack([expected[prefix + name] for name in names], axis=1)

    np.testing.assert_allclose(gaussians.means, columns("x", "y", "z"), atol=1e-7)
    np.testing.assert_allclose(gaussians.sh[:, 0], columns("f_dc_0", "f_dc_1", "f_dc_2"), atol=3e-6)
    np.testing.assert_allclose(gaussians.opacity_logits, expected[prefix + "opacity"], rtol=1e-3)
    scales = columns("scale_0", "scale_1", "scale_2")[:used]
    np.testing.assert_allclose(gaussians.log_scales[:used], scales, atol=1e-5)
    np.testing.assert_array_equal(gaussians.quats, columns("rot_0", "rot_1", "rot_2", "rot_3"))


def test_the_plain_walk_gives_the_same(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from mesh2gaussian import bumpy_sphere
    from plain_mesh import mesh_to_gaussians

    mesh = bumpy_sphere(400)
    image = mesh.materials[0].textures["diffuse"]
    faces, uvs = mesh.corners.reshape(-1, 3), mesh.corner_uvs.reshape(-1, 3, 2)
    colors, log_scales, connected = mesh_to_gaussians(mesh.vertices, faces, uvs, image)
    gaussians = from_mesh(mesh)
    np.testing.assert_allclose(gaussians.colors, colors, atol=1e-5)
    np.testing.assert_allclose(gaussians.log_scales, log_scales, atol=1e-5)
    ours = edge_lengths(mesh)
    assert ours.keys() == connected.keys()
    for vertex, neighbours in connected.items():
        assert ours[vertex] == pytest.approx(neighbours)


def test_flat_meshes_and_unused_vertices_have_finite_scales(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9.0]])
    gaussians = from_mesh(Mesh.from_faces(vertices, [[0, 1, 2, 3]]))
    assert torch.isfinite(gaussians.log_scales).all()
    torch.testing.assert_close(gaussians.scales[0, :2], torch.tensor([0.5, 0.5]) / 1.1)
    assert gaussians.scales[0, 2] < 1e-4
    assert gaussians.scales[4].max() < 1e-4
    save_ply(gaussians, tmp_path / "a.ply")


def test_quads_use_their_sides_not_their_diagonals():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 4, 0], [0, 4, 0.0]])
    gaussians = from_mesh(Mesh.from_faces(vertices, [[0, 1, 2, 3]]))
    torch.testing.assert_close(gaussians.scales[:, :2], torch.tensor([1.0, 2.0]).expand(4, 2) / 1.1)


def test_copies_along_a_seam_have_the_same_size():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 5.0]])
    gaussians = from_mesh(Mesh.from_faces(vertices, [[0, 1, 2], [3, 5, 4]], material=Material("m")))
    torch.testing.assert_close(gaussians.log_scales[[1, 2]], gaussians.log_scales[[3, 4]])
