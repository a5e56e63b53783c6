"""The demo asset: a closed, evenly tessellated, fully textured mesh that its generator reproduces."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.creatures.dragon import demo_asset, make_dragon
from animate3d.creatures.dragon import shape as dragon
from animate3d.creatures.sculpt.atlas import bake
from animate3d.creatures.sculpt.surface import quad_surface
from animate3d.meshes import Mesh, load_mesh


@pytest.fixture(scope="module")
def asset() -> Mesh:
    return load_mesh(demo_asset())


@pytest.fixture(scope="module")
def generated() -> Mesh:
    return make_dragon()


def edge_lengths(mesh: Mesh) -> np.ndarray:
    edges = mesh.edges()
    return np.linalg.norm(mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]], axis=1)


def signed_volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_the_asset_has_about_five_thousand_vertices_and_small_files(asset: Mesh) -> None:
    assert 4500 <= asset.n_vertices <= 5500
    assert (demo_asset() / "base.obj").stat().st_size < 1_000_000
    assert sum(file.stat().st_size for file in demo_asset().iterdir()) < 1_500_000


def test_the_surface_is_closed_manifold_and_one_piece(asset: Mesh) -> None:
    quads = asset.corners.reshape(-1, 4)
    directed = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)
    _, count = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert (count == 2).all()
    assert asset.n_vertices - len(count) + len(quads) == 2  # a sphere: one piece, no holes, no handles
    assert len(np.unique(asset.corners)) == asset.n_vertices
    assert signed_volume(asset.vertices, asset.triangles()[0]) > 0


def test_vertices_are_evenly_distributed(asset: Mesh) -> None:
    lengths = edge_lengths(asset)
    median = np.median(lengths)
    assert np.percentile(lengths, 1) > 0.35 * median
    assert np.percentile(lengths, 99) < 1.8 * median
    assert len(np.unique(asset.welded())) == asset.n_vertices


def test_the_folder_has_every_documented_texture(asset: Mesh) -> None:
    names = {file.name for file in demo_asset().iterdir()}
    kinds = ("diffuse", "metallic", "roughness", "normal", "pbr")
    assert {"base.obj", "base.mtl", *(f"texture_{kind}.png" for kind in kinds)} <= names
    (material,) = asset.materials
    assert material.textures["diffuse"].shape == (512, 512, 3)
    assert material.textures["diffuse"].reshape(-1, 3).std(axis=0).min() > 30


def test_uvs_lie_in_the_unit_square_and_charts_do_not_overlap(asset: Mesh) -> None:
    assert asset.corner_uvs is not None
    assert asset.corner_uvs.min() >= 0 and asset.corner_uvs.max() <= 1
    _, corners, _ = asset.triangles()
    uvs = asset.corner_uvs[corners].astype(float)
    _, covered, count = bake(uvs, np.zeros((*uvs.shape[:2], 1)), 512)
    assert covered.mean() > 0.5
    assert (count > 1).sum() < 0.01 * covered.sum()


def test_the_creature_faces_its_format_front_and_is_symmetric(asset: Mesh) -> None:
    low, high = asset.vertices.min(axis=0), asset.vertices.max(axis=0)
    assert asset.up_axis == "y"
    assert abs(low[0] + high[0]) < 0.01
    eyes = np.linalg.norm(asset.vertices - dragon.EYES, axis=1) < 0.1
    assert eyes.any() and asset.vertices[eyes][:, 2].mean() > 0.2


@pytest.mark.slow
def test_the_generator_makes_the_committed_asset(asset: Mesh, generated: Mesh) -> None:
    """Other numerical libraries may round differently; the seed decides everything else."""
    assert (generated.corners == asset.corners).all()
    assert np.abs(generated.vertices - asset.vertices).max() < 1e-4
    difference = generated.materials[0].textures["diffuse"].astype(int) - asset.materials[0].textures["diffuse"]
    assert np.abs(difference).mean() < 0.5


def test_another_seed_moves_the_spots_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animate3d.creatures.dragon.creature._TEXTURE_SIZE", 128)
    monkeypatch.setattr("animate3d.creatures.dragon.creature._SPACING", 0.18)
    one, other = make_dragon(1), make_dragon(2)
    assert (one.vertices == other.vertices).all()
    assert (one.materials[0].textures["diffuse"] != other.materials[0].textures["diffuse"]).any()


def test_quad_surface_of_a_ball_lies_on_it_and_encloses_its_volume() -> None:
    vertices, quads = quad_surface(lambda p: np.linalg.norm(p, axis=-1) - 0.5, [-0.6] * 3, [0.6] * 3, 0.08)
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.5).max() < 1e-6
    volume = signed_volume(vertices, np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]))
    assert abs(volume / (4 / 3 * np.pi * 0.125) - 1) < 0.03


def test_quad_surface_of_touching_balls_stays_manifold() -> None:
    def field(points: np.ndarray) -> np.ndarray:
        return np.minimum(
            np.linalg.norm(points - [0.25, 0.25, 0.0], axis=-1), np.linalg.norm(points + [0.25, 0.25, 0.0], axis=-1)
        ) - np.sqrt(0.125)

    _, quads = quad_surface(field, [-0.7] * 3, [0.7] * 3, 0.1, relax_steps=0)
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
