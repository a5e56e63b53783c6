"""The page of a moving model: what it holds, how large it is, and that it loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from page_reader import corner_positions, read_page

from animate3d.export.gaussian_motion import GaussianMotion, Pose
from animate3d.gaussians import Gaussians
from animate3d.meshes import Mesh
from animate3d.meshes.materials import Material
from animate3d.rotations import quaternion_multiply
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show, video_pictures
from animate3d.viewer.page import BUDGET, write_page


def waving_sheet(side: int = 12, frames: int = 5, texture: int = 64, *, noise: float = 0.0) -> MovingMesh:
    """A textured square of ``side²`` vertices that waves; every vertex has a path of its own."""
    across, up = (axis.reshape(-1) for axis in np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side)))
    index = np.arange(side * side).reshape(side, side)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    uvs = np.stack([(across + 1) / 2, (up + 1) / 2], axis=1)[faces]
    random = np.random.default_rng(0)
    material = Material("painted", textures={"diffuse": random.integers(0, 255, (texture, texture, 3), np.uint8)})
    times = np.linspace(0, 1, frames)[:, None]
    height = 0.3 * np.sin(3 * across + 2 * np.pi * times) * times
    flat = np.broadcast_to(across, height.shape), np.broadcast_to(up, height.shape)
    positions = np.stack([*flat, height], axis=-1)
    positions[1:] += noise * random.standard_normal(positions[1:].shape)
    return MovingMesh(Mesh.from_faces(positions[0], faces, corner_uvs=uvs, material=material), positions, 8.0)


def spinning_gaussians(count: int = 200, frames: int = 4) -> MovingGaussians:
    """A ball of Gaussians that turns about z."""
    torch.manual_seed(0)
    means = torch.randn(count, 3) * 0.3
    quats = torch.nn.functional.normalize(torch.randn(count, 4), dim=-1)
    model = Gaussians(means, torch.rand(count, 1, 3), torch.randn(count), torch.rand(count, 3) - 4, quats)

    def pose(frame: int) -> Pose:
        angle = torch.tensor(0.3 * frame)
        turn = torch.stack([(angle / 2).cos(), angle * 0, angle * 0, (angle / 2).sin()]).expand(count, 4)
        c, s = angle.cos(), angle.sin()
        moved = torch.stack([c * means[:, 0] - s * means[:, 1], s * means[:, 0] + c * means[:, 1], means[:, 2]], dim=1)
        return Pose(moved, quaternion_multiply(turn, quats), model.scales)

    return MovingGaussians(GaussianMotion(model, frames, pose), 8.0)


def test_the_page_holds_the_positions_within_a_thousandth_of_the_diagonal(tmp_path):
    moving = waving_sheet()
    assert write_page(tmp_path / "p.html", Show(moving, "sheet")) == []
    about, arrays = read_page(tmp_path / "p.html")
    triangles = moving.mesh.triangles()[0]
    found, expected = corner_positions(about, arrays), moving.positions[:, triangles]
    assert found.shape == expected.shape and (about["frames"], about["stored"]) == (5, 5)
    assert np.abs(found - expected).max() < 1e-4 * moving.mesh.diagonal()
    uvs = np.array(about["uvLow"]) + arrays["uvs"][arrays["triangles"]] * np.array(about["uvExtent"]) / 16383
    np.testing.assert_allclose(uvs, moving.mesh.corner_uvs, atol=1e-4)


def test_copies_along_a_seam_are_one_point(tmp_path):
    moving = waving_sheet()
    triangles = moving.mesh.triangles()[0]
    torn = Mesh.from_faces(  # every triangle has vertices of its own, as in a file of STL
        moving.positions[0][triangles.reshape(-1)],
        np.arange(triangles.size).reshape(-1, 3),
        corner_uvs=moving.mesh.corner_uvs,
        material=moving.mesh.materials[0],
    )
    write_page(tmp_path / "p.html", Show(MovingMesh(torn, moving.positions[:, triangles.reshape(-1)], 8.0), "torn"))
    _, arrays = read_page(tmp_path / "p.html")
    assert arrays["points"].shape == moving.positions.shape


def test_the_page_loads_nothing_and_says_what_it_is_told(tmp_path):
    show = Show(waving_sheet(), "a </script><b> & c", {"prompt": 'it waves </script><img src="x">'})
    write_page(tmp_path / "p.html", show)
    text = (tmp_path / "p.html").read_text()
    assert not re.search(r"(https?:)?//[a-z]+\.|https?:", text.split('<script id="block"')[0])
    assert not re.search(r"https?://|import\(|fetch\(|XMLHttpRequest", text)
    assert "default-src 'none'" in text and text.count("</script>") == 3
    assert read_page(tmp_path / "p.html")[0]["facts"] == [["prompt", 'it waves </script><img src="x">']]


@pytest.mark.parametrize(("side", "frames", "budget"), [(60, 40, 300_000), (120, 6, 250_000)])
def test_what_is_too_large_is_reduced_to_the_budget_and_said(tmp_path, side, frames, budget):
    moving = waving_sheet(side, frames, texture=512, noise=0.002)
    show = Show(moving, "large", videos=np.random.default_rng(0).integers(0, 255, (2, 9, 32, 32, 3), np.uint8))
    notes = write_page(tmp_path / "p.html", show, budget)
    about, arrays = read_page(tmp_path / "p.html")
    assert (tmp_path / "p.html").stat().st_size <= budget < BUDGET
    assert about["notes"] == notes and any("Textures are" in note for note in notes)
    if frames > 12:
        assert about["stored"] < frames and any(f"of {frames} frames" in note for note in notes)
        assert about["spacing"] * (about["stored"] - 1) == pytest.approx(frames - 1)
    else:
        assert arrays["points"].shape[1] < side * side and any("vertices are shown" in note for note in notes)
    found = corner_positions(about, arrays)[0].reshape(-1, 3)
    assert np.abs(np.ptp(found, axis=0)[:2] - 2).max() < 0.15  # still the whole sheet


def test_coarser_pieces_of_a_texture_stay_apart(tmp_path):
    moving = waving_sheet(40, 3, texture=16, noise=0.01)
    uvs = moving.mesh.corner_uvs.reshape(-1, 3, 2).copy()
    left = moving.mesh.vertices[moving.mesh.triangles()[0]].mean(axis=1)[:, 0] < 0
    uvs[left] = uvs[left] * 0.5  # one half lies elsewhere in the texture
    uvs[~left] = uvs[~left] * 0.1 + 0.9
    moving = replace(moving, mesh=replace(moving.mesh, corner_uvs=uvs.reshape(-1, 2)))
    write_page(tmp_path / "p.html", Show(moving, "halves"), 60_000)
    about, arrays = read_page(tmp_path / "p.html")
    assert any("vertices are shown" in note for note in about["notes"])
    found = np.array(about["uvLow"]) + arrays["uvs"][arrays["triangles"]] * np.array(about["uvExtent"]) / 16383
    across = np.ptp(found.reshape(-1, 3, 2), axis=1).max(axis=1)
    assert across.max() < 0.3  # no triangle reaches from one piece into the other


def test_gaussians_keep_places_turns_and_colours(tmp_path):
    moving = spinning_gaussians()
    write_page(tmp_path / "p.html", Show(moving, "ball"))
    about, arrays = read_page(tmp_path / "p.html")
    poses = [moving.motion.pose(frame) for frame in range(4)]
    means = np.array(about["low"]) + arrays["means"] * np.array(about["extent"]) / 16383
    np.testing.assert_allclose(means, torch.stack([pose.means for pose in poses]), atol=2e-4)
    cosines = np.abs((arrays["quats"] / 127 * torch.stack([pose.quats for pose in poses]).numpy()).sum(-1))
    assert cosines.min() > 0.98
    assert len(arrays["scales"]) == 1
    scales = np.exp(np.array(about["scaleLow"]) + arrays["scales"][0] * np.array(about["scaleExtent"]) / 16383)
    np.testing.assert_allclose(scales, moving.motion.model.scales, rtol=1e-3)
    np.testing.assert_allclose(arrays["colors"][:, 3] / 255, moving.motion.model.opacities, atol=3e-3)


def test_fewer_gaussians_are_shown_where_there_are_too_many(tmp_path):
    moving = spinning_gaussians(3000, 3)
    notes = write_page(tmp_path / "p.html", Show(moving, "ball"), 80_000)
    about, arrays = read_page(tmp_path / "p.html")
    assert any("3,000 Gaussians are shown" in note for note in notes) and about["notes"] == notes
    assert (tmp_path / "p.html").stat().st_size <= 80_000
    assert 100 < arrays["means"].shape[1] < 3000


def test_videos_are_tiles_on_grey():
    frames = torch.zeros(2, 3, 256, 256, 4)
    frames[1, 2, ..., 0] = frames[1, 2, ..., 3] = 1.0
    pictures = video_pictures(frames)
    assert pictures.shape == (2, 3, 128, 128, 3)
    assert (pictures[0] == 128).all() and (pictures[1, 2] == [255, 0, 0]).all()
