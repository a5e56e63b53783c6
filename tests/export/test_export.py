"""What all formats have in common, and the sequences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import awkward_mesh, files_of, motion, relative_error

from animate3d.errors import InputError
from animate3d.export import SUFFIXES, export, export_gaussians, preview
from animate3d.gaussians import from_mesh, load_ply
from animate3d.meshes import Material, Mesh, load_mesh


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    mesh = awkward_mesh()
    for name in ("a.blend", "a"):
        with pytest.raises(InputError, match=r"known are \.fbx, \.glb"):
            export(mesh, motion(mesh), tmp_path / name)


def test_a_trajectory_of_another_mesh_is_refused_with_both_counts(tmp_path):
    mesh = awkward_mesh()
    with pytest.raises(InputError, match="moves 13 vertices but the mesh has 14"):
        export(mesh, motion(mesh)[:, :13], tmp_path / "a.glb")


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (np.zeros((14, 3)), r"\[14, 3\]"),
        (np.zeros((0, 14, 3)), "no frames"),
        (np.full((2, 14, 3), np.nan), "Frame 0 .* NaN"),
        (np.full((2, 14, 3), 1e35), "too large"),
        (np.array("text"), "shape"),
    ],
)
def test_unusable_trajectories_are_refused(tmp_path, trajectory, message):
    with pytest.raises(InputError, match=message):
        export(awkward_mesh(), trajectory, tmp_path / "a.glb")
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("name", ["a\nb", "a\n", "a\u2028b"])
def test_the_name_of_a_clip_is_one_line(tmp_path, name):
    mesh = awkward_mesh()
    with pytest.raises(InputError, match=r"clip name .* has a line break"):
        export(mesh, motion(mesh), tmp_path / "a.glb", clip_name=name)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_the_frame_rate_must_be_positive(tmp_path, fps):
    mesh = awkward_mesh()
    with pytest.raises(InputError, match="frame rate"):
        export(mesh, motion(mesh), tmp_path / "a.glb", fps=fps)


@pytest.mark.parametrize("suffix", ["glb", "usdc", "fbx"])
def test_at_least_one_morph_target_is_needed(tmp_path, suffix):
    mesh = awkward_mesh()
    with pytest.raises(InputError, match="at least 1"):
        export(mesh, motion(mesh), tmp_path / f"a.{suffix}", max_morphs=0)


def test_a_file_is_not_replaced_by_a_folder_nor_the_reverse(tmp_path):
    mesh = awkward_mesh()
    (tmp_path / "a.obj").write_text("mine")
    (tmp_path / "a.glb").mkdir()
    with pytest.raises(InputError, match="is a file; the obj export writes a folder"):
        export(mesh, motion(mesh), tmp_path / "a.obj")
    with pytest.raises(InputError, match="is a folder; the glb export writes a file"):
        export(mesh, motion(mesh), tmp_path / "a.glb")
    assert (tmp_path / "a.obj").read_text() == "mine"


@pytest.mark.parametrize("colors", [False, True])
def test_the_obj_sequence_is_the_mesh_in_every_frame(tmp_path, colors):
    mesh = awkward_mesh(colors=colors)
    trajectory = motion(mesh)
    folder = export(mesh, trajectory, tmp_path / "a.obj", fps=30)
    assert [name for name in files_of(folder) if name.endswith(".obj")] == [f"frame{k:04d}.obj" for k in range(5)]
    facts = json.loads((folder / "sequence.json").read_text())
    assert set(facts.pop("files")) == set(files_of(folder))
    assert facts == {"frames": 5, "fps": 30.0, "up_axis": "y"}
    frames: list[Mesh] = [load_mesh(folder / f"frame{k:04d}.obj") for k in range(5)]
    assert relative_error(np.stack([frame.vertices for frame in frames]), trajectory) < 1e-6
    last = frames[-1]
    np.testing.assert_array_equal(last.corners, mesh.corners)
    np.testing.assert_array_equal(last.face_starts, mesh.face_starts)
    np.testing.assert_allclose(last.corner_uvs, mesh.corner_uvs, atol=1e-6)
    assert [last.materials[k].name for k in last.face_materials] == [
        mesh.materials[k].name for k in mesh.face_materials
    ]
    painted = next(material for material in last.materials if material.name == "Painted")
    np.testing.assert_array_equal(painted.textures["diffuse"], mesh.materials[0].textures["diffuse"])
    if colors:
        np.testing.assert_allclose(last.vertex_colors, mesh.vertex_colors, atol=1e-4)


def test_gaussian_sequences_keep_order_and_static_values(tmp_path):
    mesh = awkward_mesh()
    gaussians = from_mesh(mesh)
    means = torch.from_numpy(motion(mesh)).float()
    n = len(gaussians)
    quats = torch.nn.functional.normalize(torch.randn(5, n, 4), dim=-1)
    scales = torch.rand(5, n, 3) + 0.1
    folder = export_gaussians(gaussians, tmp_path / "seq.ply", means=means, quats=quats, scales=scales, fps=8)
    assert files_of(folder) == [f"frame{k:04d}.ply" for k in range(5)] + ["sequence.json"]
    for k in (0, 4):
        frame = load_ply(folder / f"frame{k:04d}.ply")
        torch.testing.assert_close(frame.means, means[k])
        torch.testing.assert_close(frame.quats, quats[k])
        torch.testing.assert_close(frame.scales, scales[k])
        torch.testing.assert_close(frame.sh, gaussians.sh)
    with pytest.raises(InputError, match="`quats` has shape"):
        export_gaussians(gaussians, tmp_path / "seq.ply", means=means, quats=quats[:, :3])


def test_a_mesh_becomes_a_gaussian_sequence(tmp_path):
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    folder = export(mesh, trajectory, tmp_path / "a.ply")
    found = np.stack([load_ply(folder / f"frame{k:04d}.ply").means.numpy() for k in range(5)])
    assert relative_error(found, trajectory) < 1e-6


def test_the_preview_shows_every_view_in_motion(tmp_path):
    from PIL import Image

    from animate3d.cameras import reconstruction_cameras

    mesh = awkward_mesh("z")
    files = preview(mesh, 0.2 * motion(mesh, 10), tmp_path, reconstruction_cameras(views=3, size=64), fps=8)
    assert files_of(tmp_path) == ["preview.gif", "preview.mp4", "preview.png"]
    assert all(file.stat().st_size for file in files)
    sheet = np.asarray(Image.open(tmp_path / "preview.png"))
    assert sheet.shape == (3 * 64, 8 * 64, 3)
    first, last = sheet[:, :64], sheet[:, -64:]
    assert first.std() > 5 and np.abs(first.astype(int) - last).max() > 20
    assert Image.open(tmp_path / "preview.gif").n_frames == 10


def test_the_sheet_shows_the_highest_frame_of_a_hop_that_even_frames_miss():
    from animate3d.export.preview import telling_frames

    heights = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 9, 6, 0, 6, 9, 6])
    chosen = telling_frames(heights[:, None, None] * np.ones((1, 4, 3)), 8)
    assert chosen[0] == 0 and chosen[-1] == 15 and len(chosen) == 8
    assert heights[chosen].max() == 9 and heights[chosen[5:]].min() == 0
    assert list(telling_frames(np.zeros((5, 4, 3)), 8)) == [0, 1, 2, 3, 4]


def test_all_formats_are_documented():
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    assert all(f"`.{suffix}`" in text for suffix in SUFFIXES)


def test_the_help_of_formats_lists_them_all():
    import re

    text = (Path(__file__).parents[2] / "animate3d" / "runs" / "options.py").read_text()
    assert re.findall(r"comma-separated: ([a-z,]+)", text) == [",".join(SUFFIXES)]


@pytest.mark.parametrize("suffix", ["glb", "fbx"])
@pytest.mark.filterwarnings("ignore:.*animation.*(dropped|left out)")
def test_a_plain_colour_comes_back_as_it_was(tmp_path: Path, suffix: str) -> None:
    if suffix == "fbx":
        pytest.importorskip("bpy")
    material = Material("paint", base_color=(0.5, 0.25, 0.8, 1.0))
    mesh = Mesh.from_faces(np.eye(3), np.array([[0, 1, 2]]), material=material)
    path = export(mesh, np.stack([mesh.vertices, mesh.vertices + 0.1]), tmp_path / f"a.{suffix}")
    assert load_mesh(path).materials[0].base_color[:3] == pytest.approx((0.5, 0.25, 0.8), abs=5e-3)
