"""What `animate3d view` shows of runs, files and folders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_page import spinning_gaussians, waving_sheet

from animate3d.cameras import orbit_cameras
from animate3d.errors import InputError
from animate3d.export import export
from animate3d.export.ply_sequence import export_gaussians
from animate3d.files import write_json
from animate3d.frames import save_frames
from animate3d.gaussians import save_ply
from animate3d.meshes.scene import Member, assemble
from animate3d.meshes.scene_file import load_models
from animate3d.motion.trajectory import save_placed_folder
from animate3d.viewer.command import main
from animate3d.viewer.moving import MovingGaussians, MovingMesh
from animate3d.viewer.scene import mesh_frames, shown_frames, splat_frames
from animate3d.viewer.sources import load_scene, load_show


def test_an_animated_glb_moves_and_a_still_one_stands(tmp_path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions, tmp_path / "moving.glb", fps=10)
    show = load_show(tmp_path / "moving.glb")
    assert isinstance(show.moving, MovingMesh) and show.moving.frames == 5 and show.moving.fps == pytest.approx(10)
    assert show.facts["frames"] == "5 at 10 per second" and show.videos is None
    export(moving.mesh, moving.positions[:1], tmp_path / "still.glb")
    assert load_show(tmp_path / "still.glb").moving.frames == 1


def test_a_scene_file_shows_its_objects_where_they_will_stand(tmp_path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions[:1], tmp_path / "sheet.glb")
    (tmp_path / "two.yaml").write_text("- sheet.glb\n- model: sheet.glb\n  placement: {position: [9, 0, 0]}\n")
    show = load_show(tmp_path / "two.yaml")
    assert isinstance(show.moving, MovingMesh) and show.title == "two"
    assert show.moving.mesh.n_vertices == 2 * load_show(tmp_path / "sheet.glb").moving.mesh.n_vertices


def test_a_ply_sequence_plays_in_the_order_of_its_numbers(tmp_path):
    moving = spinning_gaussians(50, 11)
    poses = [moving.motion.pose(frame) for frame in range(11)]
    means, quats = (torch.stack([getattr(pose, name) for pose in poses]) for name in ("means", "quats"))
    export_gaussians(moving.motion.model, tmp_path / "plys", means=means, quats=quats, fps=6)
    show = load_show(tmp_path / "plys")
    assert isinstance(show.moving, MovingGaussians) and (show.moving.frames, show.moving.fps) == (11, 6)
    found = torch.stack([show.moving.motion.pose(frame).means for frame in range(11)])
    scale = float((found[0] - found[0].mean(0)).norm() / (means[0] - means[0].mean(0)).norm())
    steps = [(found[frame] - found[0]).norm() / scale for frame in (1, 10)]
    np.testing.assert_allclose(steps, [(means[frame] - means[0]).norm() for frame in (1, 10)], rtol=1e-3)


def test_a_still_ply_of_gaussians_is_shown(tmp_path):
    save_ply(spinning_gaussians().motion.model, tmp_path / "ball.ply")
    show = load_show(tmp_path / "ball.ply")
    assert isinstance(show.moving, MovingGaussians) and show.facts == {"Gaussians": "200"}


def test_a_run_is_shown_with_its_prompt(tmp_path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions[:1], tmp_path / "sheet.glb")
    mesh = load_show(tmp_path / "sheet.glb").moving.mesh
    placement = mesh.automatic_placement()
    (tmp_path / "work").mkdir()
    placement.save(tmp_path / "work" / "placement.json")
    placed = np.stack([placement.apply(mesh.vertices) + 0.1 * frame for frame in range(3)])
    save_placed_folder(tmp_path / "work" / "trajectory", placed)
    np.save(tmp_path / "work" / "confidence.npy", np.full((3, mesh.n_vertices), 0.5, np.float16))
    steps = {"7 preview": {"settings": {"fps": 5.0}}, "5 tracking": {"facts": {"explained": 0.675}}}
    write_json(tmp_path / "run.json", {"model": "sheet.glb", "prompt": "it waves", "steps": steps})
    show = load_show(tmp_path)
    assert isinstance(show.moving, MovingMesh) and show.moving.fps == 5
    np.testing.assert_allclose(show.moving.positions, placed, atol=1e-5)
    assert show.moving.confidence is not None and show.moving.confidence.shape == (3, mesh.n_vertices)
    assert show.facts["prompt"] == "it waves" and show.facts["explained"].startswith("68 %")


def test_a_runs_videos_have_the_cameras_that_saw_them(tmp_path):
    export_still(tmp_path / "sheet.glb")
    mesh = load_show(tmp_path / "sheet.glb").moving.mesh
    (tmp_path / "work").mkdir()
    mesh.automatic_placement().save(tmp_path / "work" / "placement.json")
    placed = mesh.automatic_placement().apply(mesh.vertices)
    save_placed_folder(tmp_path / "work" / "trajectory", np.stack([placed] * 2))
    save_frames(tmp_path / "work" / "frames", np.zeros((1, 2, 8, 8, 4), np.uint8))
    matrix = orbit_cameras(20.0, [40.0]).c2w.tolist()[0]
    tracking = {"settings": {"azimuths": [90.0]}}
    for steps, position, fovy in (
        ({"5 tracking": tracking}, orbit_cameras(15.0, [90.0]).positions, 40.0),
        ({"5 tracking": tracking, "4 frames": {"facts": {"seen_by": [{"c2w": matrix, "field_of_view": 30.0}]}}},
         orbit_cameras(20.0, [40.0]).positions, 30.0),
    ):  # fmt: skip
        write_json(tmp_path / "run.json", {"model": "sheet.glb", "steps": steps})
        cameras = load_show(tmp_path).cameras
        assert cameras is not None
        np.testing.assert_allclose(cameras.positions, position, atol=1e-6)
        np.testing.assert_allclose(cameras.fovy, np.radians([fovy]), atol=1e-6)


def test_a_run_of_several_models_is_shown_as_it_was_exported(tmp_path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions, tmp_path / "animation.glb", fps=10)
    (tmp_path / "work").mkdir()
    moving.mesh.automatic_placement().save(tmp_path / "work" / "placement.json")
    (tmp_path / "scene.yaml").write_text("objects: []")
    write_json(tmp_path / "run.json", {"model": "scene.yaml", "steps": {}})
    show = load_show(tmp_path)
    assert show.moving.frames == 5 and show.title == "scene"
    both = assemble([moving.mesh] * 2, [Member("flower"), Member("red ball")])
    export(both, np.concatenate([moving.positions] * 2, axis=1), tmp_path / "animation.glb", fps=10)
    export(moving.mesh, moving.positions[:1], tmp_path / "flower.glb")
    write_json(tmp_path / "run.json", {"model": "flower.glb", "steps": {}})
    assert load_show(tmp_path).title == "flower_red ball"


def test_a_run_of_several_models_is_shown_from_its_steps_where_nothing_was_exported(tmp_path):
    """With the confidence of every vertex, which no exported file has."""
    export_still(tmp_path / "a.glb")
    export_still(tmp_path / "b.glb")
    both = load_models([tmp_path / "a.glb", tmp_path / "b.glb"])
    placement = both.automatic_placement()
    (tmp_path / "work").mkdir()
    placement.save(tmp_path / "work" / "placement.json")
    save_placed_folder(tmp_path / "work" / "trajectory", np.stack([placement.apply(both.vertices)] * 2))
    np.save(tmp_path / "work" / "confidence.npy", np.full((2, both.n_vertices), 0.5, np.float16))
    write_json(tmp_path / "run.json", {"model": "a.glb", "others": ["b.glb"], "objects": "one", "steps": {}})
    shown = load_show(tmp_path).moving
    assert isinstance(shown, MovingMesh) and shown.mesh.n_vertices == both.n_vertices and shown.confidence is not None


def export_still(path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions[:1], path)


def test_what_cannot_be_shown_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_show(tmp_path / "nothing")
    write_json(tmp_path / "run.json", {"model": "gone.obj", "steps": {}})
    with pytest.raises(InputError, match="without a result yet"):
        load_show(tmp_path)
    export_still(tmp_path / "sheet.glb")
    (tmp_path / "work").mkdir()
    load_show(tmp_path / "sheet.glb").moving.mesh.automatic_placement().save(tmp_path / "work" / "placement.json")
    write_json(tmp_path / "run.json", {"model": "sheet.glb", "steps": {}})  # it was interrupted before its end
    with pytest.raises(InputError, match="without a result yet"):
        load_show(tmp_path)


def test_record_writes_the_page_and_serves_nothing(tmp_path, capsys):
    moving = waving_sheet()
    export(moving.mesh, moving.positions, tmp_path / "a.glb")
    assert main([str(tmp_path / "a.glb"), "--record", str(tmp_path / "a.html")]) == 0
    assert "waving" not in capsys.readouterr().out and (tmp_path / "a.html").stat().st_size > 20_000


def test_frames_of_the_viewer_have_the_positions_and_one_small_texture(tmp_path):
    moving = waving_sheet(texture=128)
    for frame, glb in enumerate(mesh_frames(moving.mesh, moving.positions)):
        (tmp_path / "f.glb").write_bytes(glb)
        read = load_show(tmp_path / "f.glb").moving.mesh
        np.testing.assert_allclose(
            read.vertices[read.corners], moving.positions[frame, moving.mesh.triangles()[0].reshape(-1)], atol=1e-6
        )
        assert read.materials[0].textures["diffuse"].shape[:2] == (128, 128)
    (tmp_path / "f.glb").write_bytes(
        next(mesh_frames(moving.mesh, moving.positions[-1:], np.linspace(0, 1, 144)[None]))
    )
    colors = load_show(tmp_path / "f.glb").moving.mesh.vertex_colors
    assert colors is not None and np.ptp(colors, axis=0).max() > 0.5


def test_gaussians_of_the_viewer_have_their_covariances():
    moving = spinning_gaussians(50)
    (arrays,) = splat_frames(moving, np.array([2]))
    pose = moving.motion.pose(2)
    np.testing.assert_allclose(arrays["centers"], pose.means)
    eigenvalues = np.sort(np.linalg.eigvalsh(arrays["covariances"]))
    np.testing.assert_allclose(eigenvalues, np.sort(pose.scales.numpy() ** 2), rtol=1e-3)


def test_long_motions_have_a_limited_number_of_nodes():
    chosen = shown_frames(1000)
    assert len(chosen) == 150 and (chosen[0], chosen[-1]) == (0, 999)
    assert shown_frames(1).tolist() == [0]


def test_a_file_with_a_skeleton_has_colours_by_bone(tmp_path):
    pytest.importorskip("py_dem_bones")
    moving = waving_sheet()
    export(moving.mesh, moving.positions, tmp_path / "bones.glb", fps=10, skeleton=4)
    show = load_show(tmp_path / "bones.glb").moving
    assert isinstance(show, MovingMesh) and show.bones is not None
    assert show.bones.shape == (show.mesh.n_vertices, 3) and len(np.unique(show.bones.round(2), axis=0)) > 1
    export(moving.mesh, moving.positions, tmp_path / "plain.glb", fps=10)
    assert load_show(tmp_path / "plain.glb").moving.bones is None
    plain, colored = (
        next(mesh_frames(show.mesh, show.positions, colors))
        for colors in (None, np.broadcast_to(show.bones, (show.frames, *show.bones.shape)))
    )
    assert plain != colored and b"COLOR_0" in colored


def test_several_models_stand_beside_each_other(tmp_path):
    moving = waving_sheet()
    export(moving.mesh, moving.positions[:1], tmp_path / "a.glb")
    show = load_scene([tmp_path / "a.glb"] * 2).moving
    assert (
        isinstance(show, MovingMesh)
        and show.mesh.n_vertices == 2 * load_show(tmp_path / "a.glb").moving.mesh.n_vertices
    )
