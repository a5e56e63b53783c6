"""Creatures are good meshes, and their motions are clear, smooth and in view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures import FAMILIES, FAMILY_MOTIONS, make_creature, move, save_creature
from animate3d.errors import InputError
from animate3d.meshes import load_mesh
from animate3d.small_model.data.views import render_views

CASES = [(family, motion) for family, motions in FAMILY_MOTIONS.items() for motion in motions]


def test_there_are_enough_families_and_motions():
    assert len(FAMILIES) >= 6
    assert len(CASES) >= 15
    assert (
        min(len(motions) for motions in FAMILY_MOTIONS.values()) >= 3
    )  # a guess is right in a third of the cases at most


@pytest.mark.parametrize("family", FAMILIES)
def test_a_creature_is_a_closed_mesh_with_a_texture(family: str):
    mesh = make_creature(family, 4).mesh.check()
    assert 800 <= mesh.n_vertices <= 2500
    assert np.array_equal(mesh.welded(), np.arange(mesh.n_vertices))
    quads = mesh.corners.reshape(-1, 4)
    directed = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)
    assert {tuple(edge) for edge in directed} == {tuple(edge[::-1]) for edge in directed}
    assert mesh.n_vertices - len(directed) // 2 + len(quads) == 2  # one piece like a sphere, without handles
    triangles, _, _ = mesh.triangles()
    a, b, c = (mesh.vertices[triangles[:, k]] for k in range(3))
    assert (np.cross(a, b) * c).sum() > 0  # faces outwards
    assert mesh.corner_uvs is not None
    assert mesh.corner_uvs.min() >= 0 and mesh.corner_uvs.max() <= 1
    texture = mesh.materials[0].textures["diffuse"]
    assert 128 <= texture.shape[0] == texture.shape[1] <= 256
    assert texture.reshape(-1, 3).std(axis=0).max() > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_change_proportions_colours_and_facing(family: str):
    one, same, other = make_creature(family, 1), make_creature(family, 1), make_creature(family, 2)
    assert np.array_equal(one.mesh.vertices, same.mesh.vertices)
    assert np.array_equal(one.mesh.materials[0].textures["diffuse"], same.mesh.materials[0].textures["diffuse"])
    assert one.yaw != other.yaw
    assert abs(one.yaw - FAMILIES[family].facing) <= 15
    assert np.abs(one.body.rest - other.body.rest).max() > 0.01
    assert not np.allclose(one.look.main, other.look.main)


@pytest.mark.parametrize(("family", "motion"), CASES)
def test_a_motion_starts_at_rest_and_is_smooth_and_in_view(family: str, motion: str):
    creature = make_creature(family, 7)
    mesh = creature.mesh
    for amplitude, speed in ((0.9, 0.9), (1.1, 1.1)):
        positions = move(creature, motion, 8, amplitude, speed)
        assert positions.shape == (8, mesh.n_vertices, 3)
        assert np.array_equal(positions[0], mesh.vertices)
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
        assert steps.max() < 0.3 * mesh.diagonal()
        assert 0.05 < np.linalg.norm(positions - positions[0], axis=-1).max() / mesh.diagonal() < 0.45
        placed = torch.from_numpy(mesh.automatic_placement().apply(positions)).float()
        pixels, _ = reconstruction_cameras(4, 64).project(placed[:, None])
        assert pixels.min() > 0 and pixels.max() < 64
        edges = mesh.edges()
        lengths = np.linalg.norm(positions[:, edges[:, 0]] - positions[:, edges[:, 1]], axis=-1)
        assert np.percentile(lengths / lengths[0], 99.5) < 2.5
    finely = move(creature, motion, 64)
    assert np.linalg.norm(np.diff(finely, axis=0), axis=-1).max() < 0.06 * mesh.diagonal()


@pytest.mark.parametrize("family", FAMILIES)
def test_cyclic_motions_come_back_to_rest(family: str):
    creature = make_creature(family, 3)
    for name, motion in FAMILIES[family].motions.items():
        away = np.abs(motion.pose(creature.body, 1.0, 1.0) - creature.body.rest).max()
        assert (away < 0.02) == motion.cyclic, name


@pytest.mark.parametrize("family", FAMILIES)
def test_motions_look_different_from_each_other_and_from_standing_still(family: str):
    creature = make_creature(family, 5)
    placement = creature.mesh.automatic_placement()
    videos = [
        render_views(creature.mesh, placement.apply(move(creature, motion, 8)), views=4, size=64) / 255.0 - 0.5
        for motion in FAMILY_MOTIONS[family]
    ]
    videos.append(np.repeat(videos[0][:, :1], 8, axis=1))
    contrast = np.sqrt((videos[-1] ** 2).mean())
    for one in range(len(videos)):
        for other in range(one):
            assert np.sqrt(((videos[one] - videos[other]) ** 2).mean()) > 0.3 * contrast, (one, other)


def test_the_first_frame_is_the_static_render_of_the_saved_mesh(tmp_path):
    from animate3d.gaussians import from_mesh
    from animate3d.rasterize import Splats, render

    creature = make_creature("fish", 8)
    mesh = load_mesh(save_creature(creature, tmp_path / "fish"))
    assert np.allclose(mesh.vertices, creature.mesh.vertices, atol=1e-5)
    placement = mesh.automatic_placement()
    gaussians = from_mesh(mesh).transformed(placement)
    splats = Splats(
        gaussians.means[None], gaussians.quats[None], gaussians.scales[None], gaussians.opacities, gaussians.colors
    )
    static = render(splats, reconstruction_cameras(4, 64)).color[0]
    ours = render_views(creature.mesh, placement.apply(creature.mesh.vertices)[None], views=4, size=64)[:, 0]
    assert np.abs(static.detach().numpy() * 255 - ours).max() < 3


def test_unknown_names_are_told():
    with pytest.raises(InputError, match="butterfly"):
        make_creature("unicorn", 0)
    with pytest.raises(InputError, match="slither"):
        move(make_creature("snake", 0), "flap", 8)
    with pytest.raises(InputError, match="frame"):
        move(make_creature("snake", 0), "slither", 0)
