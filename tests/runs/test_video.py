"""One ordinary video drives a mesh: what comes out, what is skipped, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_asset import bend, finned_tube

from animate3d.cli import main
from animate3d.creatures.dragon import unit_times
from animate3d.errors import InputError
from animate3d.evaluation.recovery import recovery
from animate3d.frames import save_mp4
from animate3d.meshes import Mesh, load_mesh, save_obj
from animate3d.rasterize.textured import render_mesh
from animate3d.runs import video
from animate3d.runs.clip import Trim
from animate3d.runs.mesh import AnimateResult
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.video import VideoRunOptions, animate_video, start_at_rest
from animate3d.runs.viewpoint import Viewpoint, load_viewpoint, save_viewpoint

FRAMES, FPS = 5, 12
SEEN = Viewpoint(75.0, 20.0, 3.0, 45.0, 2.6, (0.1, 0.05), size=(192, 128))


@pytest.fixture(scope="module")
def tube(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mesh]:
    folder = tmp_path_factory.mktemp("tube")
    save_obj(finned_tube(), folder)
    return folder, load_mesh(folder)


def write_clip(mesh: Mesh, path: Path, view: Viewpoint, turned: float = 0.0, bent: float = 0.0) -> np.ndarray:
    """A lit clip of the bending tube on green, H.264; the model turned by some degrees and bent before it bends."""
    positions = bend(mesh.vertices, bent + (1 - bent) * unit_times(FRAMES))
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    x, y, z = np.moveaxis(positions, -1, 0)
    positions = np.stack([c * x + s * z, y, c * z - s * x], axis=-1)
    placed = mesh.automatic_placement().apply(positions)
    rgba = render_mesh(mesh, placed, view.cameras(), supersample=3)[0].astype(np.float32)
    alpha = rgba[..., 3:] / 255
    save_mp4(path, (rgba[..., :3] * alpha + np.array([40, 190, 90]) * (1 - alpha) + 0.5).astype(np.uint8), FPS)
    return positions


@pytest.fixture(scope="module")
def done(
    tube: tuple[Path, Mesh], tmp_path_factory: pytest.TempPathFactory
) -> tuple[VideoRunOptions, AnimateResult, np.ndarray]:
    """A run from a clip and nothing else."""
    folder, mesh = tube
    out = tmp_path_factory.mktemp("video run")
    truth = write_clip(mesh, out / "clip.mp4", SEEN)
    options = VideoRunOptions(folder, None, out / "out", videos=(out / "clip.mp4",), formats=("glb",))
    return options, animate_video(options), truth


def test_a_clip_alone_moves_the_mesh(done: tuple[VideoRunOptions, AnimateResult, np.ndarray]) -> None:
    _, result, truth = done
    assert result.trajectory.fps == FPS
    assert np.allclose(result.trajectory.positions[0], truth[0], atol=1e-5)
    found = recovery(result.trajectory, truth)
    assert found.relative_error < 0.5 and found.error < 0.5 * found.displacement
    assert result.files["glb"].is_file() and result.preview.is_file()


def test_its_camera_is_found_and_noted(done: tuple[VideoRunOptions, AnimateResult, np.ndarray]) -> None:
    options, result, _ = done
    found, placement = load_viewpoint(options.out / "work" / "camera.json")
    assert placement is not None
    assert abs(found.azimuth - SEEN.azimuth) < 4 and abs(found.elevation - SEEN.elevation) < 4
    assert (options.out / "camera_overlay.png").is_file()
    steps = json.loads(result.record.read_text())["steps"]
    assert steps["3 camera"]["facts"]["overlap"][0] > 0.9
    assert len(steps["5 tracking"]["facts"]["confidence"]) == FRAMES
    assert steps["2 video"]["facts"]["fps"] == FPS


def test_confidence_is_kept_for_every_frame_and_vertex_and_shown(
    done: tuple[VideoRunOptions, AnimateResult, np.ndarray], tube: tuple[Path, Mesh]
) -> None:
    options, _, _ = done
    confidence = np.load(options.out / "work" / "confidence.npy")
    assert confidence.shape == (FRAMES, tube[1].n_vertices)
    assert (confidence[0] == 1).all() and confidence.min() >= 0 and confidence.max() <= 1
    seen = confidence[1:].mean(axis=0)
    assert (seen == 0).any() and seen.max() > 0.5  # the far side, and what faces the camera
    assert np.array(Image.open(options.out / "confidence.png")).shape[1] == 2 * 384


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_step_it_stopped_in(
    done: tuple[VideoRunOptions, AnimateResult, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(done[0], out=tmp_path)

    def stopped(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(video.VideoRun, "follow", stopped)
        with pytest.raises(KeyboardInterrupt):
            animate_video(options)
    lines: list[str] = []
    animate_video(options, lines.append)
    assert [line[2:].split(" ")[0] for line in lines if line.startswith("·")] == ["1", "2", "3", "4"]


def test_long_clips_get_no_morph_target_per_frame(
    done: tuple[VideoRunOptions, AnimateResult, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_MORPHS", 2)
    lines: list[str] = []
    result = animate_video(done[0], lines.append)
    assert f"note: glb hold 2 morph targets for {FRAMES} frames; --max-morphs says how many" in lines
    report = json.loads(result.record.read_text())["steps"]["7 glb"]["facts"]["report"]
    assert "2 morph targets (error: mean" in report
    lines.clear()
    animate_video(replace(done[0], max_morphs=3), lines.append)
    assert not any(line.startswith("note") for line in lines)


def test_the_same_again_skips_and_another_start_pose_redoes_the_end(
    done: tuple[VideoRunOptions, AnimateResult, np.ndarray],
) -> None:
    options, _, _ = done
    lines: list[str] = []
    animate_video(replace(options, start_pose="video", rate=30.0), lines.append)
    assert [line[2:].split(" ")[0] for line in lines if line.startswith("·")] == ["1", "2", "3", "4", "5", "5"]
    assert {line[2] for line in lines if line.startswith("✓")} == {"6", "7"}
    lines.clear()
    result = animate_video(replace(options, start_pose="video", rate=30.0), lines.append)
    assert not any(line.startswith("✓") for line in lines)
    assert result.trajectory.fps == 30


@pytest.mark.slow
def test_by_the_command_with_a_camera_and_a_turned_first_pose(tube: tuple[Path, Mesh], tmp_path: Path) -> None:
    folder, mesh = tube
    truth = write_clip(mesh, tmp_path / "clip.mp4", SEEN, turned=12.0)
    save_viewpoint(replace(SEEN, size=(768, 512)), tmp_path / "camera.json", mesh.automatic_placement())
    flags = ["--video", tmp_path / "clip.mp4", "--camera", tmp_path / "camera.json", "--start-pose", "video"]
    assert main(["animate", str(folder), *map(str, flags), "--out", str(tmp_path / "out"), "--formats", "glb"]) == 0
    moved = np.load(tmp_path / "out" / "work" / "trajectory" / "0.npy")
    wanted = mesh.automatic_placement().apply(truth[0])
    rest = mesh.automatic_placement().apply(mesh.vertices)
    away = np.linalg.norm(rest - wanted, axis=1).mean()
    assert np.linalg.norm(moved - wanted, axis=1).mean() < 0.8 * away


@pytest.mark.slow
def test_two_videos_of_one_moment_are_used_together(tube: tuple[Path, Mesh], tmp_path: Path) -> None:
    folder, mesh = tube
    views = (SEEN, replace(SEEN, azimuth=-15.0, size=(128, 192), field_of_view=60.0))
    for v, view in enumerate(views):
        truth = write_clip(mesh, tmp_path / f"{v}.mp4", view)
        save_viewpoint(view, tmp_path / f"{v}.json", mesh.automatic_placement())
    options = VideoRunOptions(
        folder,
        None,
        tmp_path / "out",
        videos=(tmp_path / "0.mp4", tmp_path / "1.mp4"),
        cameras=(tmp_path / "0.json", tmp_path / "1.json"),
        formats=("glb",),
    )
    found = recovery(animate_video(options).trajectory, truth)
    assert found.relative_error < 0.25
    with pytest.raises(InputError, match="2 --video and 1 --camera"):
        animate_video(replace(options, cameras=options.cameras[:1]))


@pytest.mark.parametrize("camera", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_clip_of_something_else_is_refused_with_a_picture(
    tube: tuple[Path, Mesh], tmp_path: Path, camera: bool
) -> None:
    folder, _ = tube
    y, x = np.mgrid[:96, :128]
    star = (np.abs(x - 64) * np.abs(y - 48) < 90) & (np.hypot(x - 64, y - 48) < 44)
    image = np.where(star[..., None], (200, 30, 220), (240, 240, 240)).astype(np.uint8)
    save_mp4(tmp_path / "clip.mp4", np.stack([image, image]), FPS)
    save_viewpoint(replace(SEEN, size=(128, 96)), tmp_path / "camera.json")
    given = (tmp_path / "camera.json",) if camera else ()
    options = VideoRunOptions(folder, None, tmp_path / "out", videos=(tmp_path / "clip.mp4",), cameras=given)
    with pytest.raises(InputError, match=r"Frame 0 of .*clip.mp4 .*camera_overlay.png") as told:
        animate_video(options)
    assert "\n" not in str(told.value)
    assert (tmp_path / "out" / "camera_overlay.png").is_file()


def test_a_clip_of_one_colour_is_refused_with_a_picture(tube: tuple[Path, Mesh], tmp_path: Path) -> None:
    folder, _ = tube
    save_mp4(tmp_path / "clip.mp4", np.full((3, 64, 64, 3), 90, np.uint8), FPS)
    options = VideoRunOptions(folder, None, tmp_path / "out", videos=(tmp_path / "clip.mp4",))
    with pytest.raises(InputError, match="shows one colour"):
        animate_video(options)
    assert np.array(Image.open(tmp_path / "out" / "video_wrong.png")).shape[:2] == (384, 384)


def test_a_cut_is_refused_before_any_mask_is_made(tube: tuple[Path, Mesh], tmp_path: Path) -> None:
    folder, _ = tube
    y, x = np.mgrid[:64, :96]
    frames = np.full((12, 64, 96, 3), 220, np.uint8)
    for f in range(12):
        shown = np.hypot(x - 30 - f, y - 32) < 18 if f < 6 else (np.abs(x - 66) < 20) & (np.abs(y - 30) < 22)
        frames[f][shown] = (200, 40, 30) if f < 6 else (20, 60, 160)
    save_mp4(tmp_path / "clip.mp4", frames, FPS)
    options = VideoRunOptions(folder, None, tmp_path / "out", videos=(tmp_path / "clip.mp4",))
    with pytest.raises(
        InputError, match=r"clip.mp4 has a cut at 0.50 s \(frame 6\).*--end 0.50.*video_wrong.png"
    ) as told:
        animate_video(options)
    assert "\n" not in str(told.value)
    assert np.array(Image.open(tmp_path / "out" / "video_wrong.png")).shape[:2] == (384, 2 * 384)
    assert not (tmp_path / "out" / "work" / "clips").exists()


def test_sam2_is_prompted_with_the_drawn_model_where_nothing_else_tells_the_object(
    tube: tuple[Path, Mesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Follows:
        name = "sam2"
        parallel = False

        def segment(self, frames: Iterable[np.ndarray], template: np.ndarray) -> Iterator[np.ndarray]:
            return (template for _ in frames)

    folder, mesh = tube
    noise = np.random.default_rng(0).integers(0, 255, (3, *SEEN.size[::-1], 3), dtype=np.uint8)
    (tmp_path / "clip").mkdir()
    for f, image in enumerate(noise):
        Image.fromarray(image).save(tmp_path / "clip" / f"{f}.png")
    save_viewpoint(SEEN, tmp_path / "camera.json", mesh.automatic_placement())
    monkeypatch.setattr(video, "choose_segmenter", lambda backend: Follows())
    options = VideoRunOptions(folder, None, tmp_path / "out", videos=(tmp_path / "clip",))
    with pytest.raises(InputError, match="does not stand before a plain background"):
        animate_video(options)
    run = video.VideoRun(replace(options, views=1, cameras=(tmp_path / "camera.json",)), print)
    with run.at_work():
        run.cut_out()
    cut = np.array(Image.open(tmp_path / "out" / "work" / "clips" / "0" / "2.png"))
    drawn = draw_viewpoint(mesh, mesh.automatic_placement(), SEEN, shading=False)
    assert np.array_equal(cut[..., 3], drawn[..., 3])


def test_the_motion_of_a_clip_becomes_a_loop(done: tuple[VideoRunOptions, AnimateResult, np.ndarray]) -> None:
    positions = animate_video(replace(done[0], loop=True)).trajectory.positions
    steps = np.linalg.norm(np.roll(positions, -1, axis=0) - positions, axis=-1).mean(axis=1)
    assert steps[-1] < 1.5 * steps[:-1].max()


@pytest.mark.slow
def test_a_bent_and_turned_first_pose_costs_the_later_frames_little(tube: tuple[Path, Mesh], tmp_path: Path) -> None:
    """A turn of 10 degrees and a bend of 10 % before the motion begins."""
    folder, mesh = tube
    save_viewpoint(SEEN, tmp_path / "camera.json", mesh.automatic_placement())
    errors = []
    for name, turned, bent in (("plain", 0.0, 0.0), ("posed", 10.0, 0.1)):
        truth = write_clip(mesh, tmp_path / f"{name}.mp4", SEEN, turned, bent)
        options = VideoRunOptions(
            folder,
            None,
            tmp_path / name,
            videos=(tmp_path / f"{name}.mp4",),
            cameras=(tmp_path / "camera.json",),
            start_pose="video",
            formats=("glb",),
        )
        errors.append(recovery(animate_video(options).trajectory, truth).error)
    assert errors[1] < 1.5 * errors[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"videos": (Path("none.mp4"),)}, "none.mp4 does not exist"),
        ({"field": True}, "--field"),
        ({"start_pose": "end"}, "start pose `end`"),
        ({"cameras": (Path("none.json"),)}, "none.json"),
        ({"trim": Trim(start=60.0)}, r"ends at .* s, before --start 60"),
    ],
)
def test_wrong_options_are_one_sentence(
    done: tuple[VideoRunOptions, AnimateResult, np.ndarray], tmp_path: Path, change: dict, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        animate_video(replace(done[0], out=tmp_path, **change))


def test_the_start_pose_blends_over_and_leaves_the_rest_alone() -> None:
    positions = np.random.default_rng(0).normal(size=(10, 3, 3))
    rest = np.zeros((3, 3))
    blended = start_at_rest(positions, rest, 4)
    assert np.allclose(blended[0], rest)
    assert np.array_equal(blended[4:], positions[4:])
    share = np.linalg.norm(blended[:5] - positions[:5], axis=(1, 2))
    assert (np.diff(share) < 0).all()
