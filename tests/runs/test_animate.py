"""The one command: what it makes, what it skips, how it goes on, what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
from PIL import Image
from small_asset import FEW_STEPS, FRAMES, SIZE, truth, write_asset

from animate3d.errors import InputError
from animate3d.evaluation.recovery import recovery
from animate3d.files import write_json
from animate3d.meshes import Placement, load_mesh
from animate3d.motion.score import Explained
from animate3d.motion.tracking import Tracked, track
from animate3d.rasterize.textured import render_mesh
from animate3d.runs import base as run_module
from animate3d.runs import mesh as module
from animate3d.runs.fit import Training
from animate3d.runs.mesh import AnimateResult, animate
from animate3d.runs.options import AnimateOptions
from animate3d.runs.quality import Followed
from animate3d.runs.videos import VideoOptions

FOLLOWED = run_module.followed


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_asset(tmp_path_factory.mktemp("asset"))


@pytest.fixture(scope="module")
def done(asset: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[AnimateOptions, AnimateResult]:
    """A real run."""
    mesh, frames = asset
    # Everything in it would mean something to YAML, a dotlist, a shell or a format string.
    out = tmp_path_factory.mktemp("out") / "take: 1 #x [a] ${b} %s {c} 'q' \"🦋\""
    options = AnimateOptions(mesh, frames, out, formats=("glb", "usdc"), seed=5)
    return options, animate(options)


@pytest.mark.slow
def test_with_a_field_the_fit_starts_from_the_tracked_motion(
    done: tuple[AnimateOptions, AnimateResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, tracked = done
    monkeypatch.setattr(module, "APPEARANCE_STEPS", 10)
    out = options.out.parent / "field: 1 #x [a] ${b} 'q'"
    result = animate(replace(options, out=out, formats=("glb",), field=True, overrides=FEW_STEPS))
    steps = json.loads(result.record.read_text())["steps"]
    assert list(steps)[2:5] == ["5 appearance", "5 motion", "6 trajectory"]
    assert steps["5 motion"]["settings"]["overrides"] == list(FEW_STEPS)
    change = np.abs(result.trajectory.positions - tracked.trajectory.positions).max()
    assert 0 < change < 0.05 * load_mesh(options.model).diagonal()


def test_the_known_motion_is_recovered(done: tuple[AnimateOptions, AnimateResult]) -> None:
    options, result = done
    mesh = load_mesh(options.model)
    found = recovery(result.trajectory, truth(mesh.vertices))
    assert found.error < 0.02 and found.relative_error < 0.12
    assert result.mean_displacement == pytest.approx(found.displacement, rel=0.15)
    assert result.trajectory.fps == options.fps
    diagonal = mesh.diagonal()
    assert np.abs(result.trajectory.positions[0] - mesh.vertices).max() < 1e-4 * diagonal


def test_results_lie_where_they_are_said_to_and_hold_the_animation(done: tuple[AnimateOptions, AnimateResult]) -> None:
    options, result = done
    assert result.files == {suffix: options.out / f"animation.{suffix}" for suffix in ("glb", "usdc")}
    glb = pygltflib.GLTF2().load(str(result.files["glb"]))
    assert len(glb.meshes[0].primitives[0].targets) == FRAMES - 1 and len(glb.animations) == 1
    assert result.preview.stat().st_size > 1000 and (options.out / "preview.png").is_file()
    top = {path.name for path in options.out.iterdir()}
    assert top <= {
        *(f"animation.{suffix}" for suffix in options.formats),
        *("animation_textures", "preview.mp4", "preview.png", "preview.gif", "preview.html", "run.json", "work"),
    }


def test_the_record_tells_inputs_settings_versions_seed_time_and_memory(
    done: tuple[AnimateOptions, AnimateResult],
) -> None:
    options, result = done
    record = json.loads(result.record.read_text())
    assert record["model"] == str(options.model) and record["frames"] == str(options.frames) and record["seed"] == 5
    assert {"animate3d", "python", "torch", "numpy"} <= record["versions"].keys()
    names = ["1 placement", "5 tracking", "6 trajectory", "7 glb", "7 usdc", "7 preview"]
    assert list(record["steps"]) == names
    for step in record["steps"].values():
        assert step["state"] == "done" and step["seconds"] >= 0 and step["peak_memory_mb"] > 100
        assert step["inputs"] and all(len(value) == 64 for value in step["inputs"].values())
    assert record["steps"]["5 tracking"]["facts"]["explained"] > 0.8
    saved = Placement.load(options.out / "work" / "placement.json")
    assert np.allclose(saved.matrix(), load_mesh(options.model).automatic_placement().matrix())


def test_an_unchanged_run_does_nothing_from_any_folder(
    done: tuple[AnimateOptions, AnimateResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = done
    copy = tmp_path / "moved"
    shutil.copytree(options.out, copy)
    monkeypatch.chdir(copy)
    said: list[str] = []
    animate(replace(options, out=Path()), said.append)
    assert [line for line in said if line.startswith("·")] == [
        f"· {name} up to date" for name in json.loads((copy / "run.json").read_text())["steps"]
    ]
    assert not any(line.startswith("✓") for line in said)


class Pretend:
    """A run whose slow parts write their results at once and are listed."""

    def __init__(self, options: AnimateOptions, patch: pytest.MonkeyPatch) -> None:
        self.options, self.launched = options, []
        self.during: Callable[[], None] = lambda: None
        pretend = self

        def launch(training: Training, config: str, keys: list[str]) -> None:
            pretend.launched.append((Path(config).stem, keys))
            pretend.during()
            training.result.parent.mkdir(parents=True, exist_ok=True)
            training.result.write_text("weights")

        def track(template: object, frames: np.ndarray, *rest: object, **more: object) -> Tracked:
            shape = (frames.shape[1], len(template.vertices))  # type: ignore[attr-defined]
            return Tracked(np.zeros((*shape, 3)), np.broadcast_to(np.eye(3), (*shape, 3, 3)).copy(), np.ones(shape))

        def followed(follow: Callable[[bool], Tracked], *rest: object, **more: object) -> Followed:
            tracked = follow(False)
            shares = [0.5] * (len(tracked.positions) - 1)
            return Followed(*tracked, Explained(0.5, shares, [0.5] * 4, shares), 0.0)

        def positions(run: module.MeshRun, motion: Path) -> np.ndarray:
            return np.asarray(run.placement.apply(truth(run.model.vertices, run.frames.shape[1])))

        patch.setattr(Training, "launch", launch)
        patch.setattr(run_module, "track", track)
        patch.setattr(run_module, "followed", followed)
        patch.setattr(module, "fit_appearance", lambda gaussians, *rest, **more: gaussians)
        patch.setattr(module.MeshRun, "positions", positions)

    def __call__(self, **changed: object) -> list[str]:
        """Run; returns the steps that were not up to date."""
        said: list[str] = []
        animate(replace(self.options, **changed), said.append)
        return [line[2:].rpartition(" ")[0].rpartition(" ")[0] for line in said if line.startswith("✓")]


@pytest.fixture
def pretend(asset: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    mesh, frames = tmp_path / "asset" / "tube", tmp_path / "asset" / "frames"
    shutil.copytree(asset[0].parent, tmp_path / "asset")
    return Pretend(AnimateOptions(mesh, frames, tmp_path / "out", formats=("glb",), field=True), monkeypatch)


def test_another_frame_rate_only_exports_again(pretend: Pretend) -> None:
    assert len(pretend()) == 7
    assert pretend() == []
    assert pretend(fps=12.0) == ["7 glb", "7 preview"]
    assert pretend(fps=12.0, formats=("glb", "obj")) == ["7 obj"]
    assert pretend(fps=12.0, max_morphs=1) == ["7 glb"]


def test_another_seed_or_setting_of_the_fit_keeps_what_comes_before(pretend: Pretend) -> None:
    pretend()
    assert pretend(seed=1)[0] == "5 motion"
    assert pretend(seed=1, overrides=("trainer.max_steps=3",))[0] == "5 motion"
    assert "trainer.max_steps=3" in pretend.launched[-1][1]


@pytest.mark.slow
def test_a_changed_texture_or_frame_counts_even_when_the_mesh_is_named_by_its_file(pretend: Pretend) -> None:
    mesh = pretend.options.model / "base.obj"
    pretend(model=mesh)
    texture = pretend.options.model / "texture_diffuse.png"
    Image.new("RGB", (32, 32), (9, 9, 9)).save(texture)
    assert pretend(model=mesh)[0] == "1 placement"
    frame = pretend.options.frames / f"{FRAMES - 1}.png"
    image = Image.open(frame)
    image.putpixel((0, 0), (1, 2, 3, 255))
    image.save(frame)
    assert pretend(model=mesh)[0] == "5 tracking"


def test_results_may_lie_inside_the_inputs(pretend: Pretend) -> None:
    for out in (pretend.options.model / "out", pretend.options.frames / "out"):
        pretend(out=out)
        assert pretend(out=out) == []


def test_a_stopped_fit_goes_on_from_its_checkpoint(pretend: Pretend) -> None:
    checkpoint = pretend.options.out / "work" / "mesh" / "object" / "ckpts" / "last.ckpt"

    def stop() -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text("half")
        raise KeyboardInterrupt

    pretend.during = stop
    with pytest.raises(KeyboardInterrupt):
        pretend()
    pretend.during = lambda: None
    assert pretend()[0] == "5 motion"
    assert f"resume={checkpoint}" in dict(pretend.launched)["mesh_animation_tracked"]


def test_a_fit_never_goes_on_from_a_checkpoint_of_other_inputs(pretend: Pretend) -> None:
    pretend()

    def stop() -> None:
        raise KeyboardInterrupt

    pretend.during = stop
    with pytest.raises(KeyboardInterrupt):
        pretend(seed=1)
    pretend.during = lambda: None
    pretend(seed=1)
    assert not any(key.startswith("resume=") for key in dict(pretend.launched)["mesh_animation_tracked"])


def test_any_number_of_views(pretend: Pretend, tmp_path: Path) -> None:
    mesh, frames = write_asset(tmp_path / "three", views=3)
    assert len(pretend(model=mesh, frames=frames, views=3)) == 7
    assert "data.default_azimuth_deg=[0.0, 120.0, 240.0]" in pretend.launched[-1][1]


def test_a_mesh_that_is_not_what_frame_0_shows_stops_with_picture_and_advice_that_works(pretend: Pretend) -> None:
    wrong = Placement.from_flags(0.0, 0.0, 0.6)
    with pytest.raises(InputError, match=r"Frame 0 of view \d .*IoU 0\.\d\d, 0\.8 is needed; see .*alignment\.png"):
        pretend(placement=wrong)
    out = pretend.options.out
    assert (out / "alignment.png").is_file() and not (out / "animation.glb").exists()
    steps = json.loads((out / "run.json").read_text())["steps"]
    assert list(steps) == ["1 placement"]
    assert pretend(placement=out / "work" / "suggested_placement.json")[-1] == "7 preview"
    assert not (out / "alignment.png").exists()


def test_the_right_outline_in_other_colours_is_said_with_a_picture(pretend: Pretend) -> None:
    for path in pretend.options.frames.glob("*.png"):
        with Image.open(path) as image:
            red, green, blue, alpha = image.convert("RGBA").split()
        Image.merge("RGBA", (blue, red, green, alpha)).save(path)
    said: list[str] = []
    animate(pretend.options, said.append)
    (sentence,) = [line for line in said if "other colours" in line]
    assert "the outline of the mesh" in sentence and str(pretend.options.out / "alignment.png") in sentence
    assert (pretend.options.out / "alignment.png").is_file()


def test_videos_made_from_the_documented_step_2_of_a_coarse_mesh_are_accepted(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its splats are wider than its faces: the overlap with either is enough."""
    wide = np.ones((4, SIZE, SIZE, 4), np.float32)
    wide[:, :4, :4] = 0
    for v in range(4):
        image = Image.fromarray((wide[v] * 255).astype(np.uint8))
        image.save(pretend.options.frames / f"{v * FRAMES}.png")
    with pytest.raises(InputError, match="does not match the silhouette"):
        pretend()
    monkeypatch.setattr(module.MeshRun, "draw_splats", lambda run, cameras: torch.from_numpy(wide))
    assert "5 tracking" in pretend()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"formats": ("glb", "xyz")}, "format `xyz` is unknown; known are: fbx, glb"),
        ({"formats": ()}, "No format is given"),
        ({"fps": 0.0}, "frames per second must be positive"),
        ({"fps": float("nan")}, "frames per second must be positive"),
        ({"max_morphs": 0}, "at least 1"),
        ({"views": 0}, "at least 1"),
        ({"views": 3}, "16 numbered PNG images; 3 views need a multiple of 3"),
        ({"config": "nope.yaml"}, "nope.yaml exists neither"),
        ({"overrides": ("max_steps",)}, "`max_steps` is not a setting of the form key=value"),
        ({"overrides": ("trainer.max_stpes=8",)}, r"`trainer` has no setting 'max_stpes' \(near: max_steps"),
        ({"overrides": ("system.losss.lambda_arap=4",)}, r"`system` has no setting 'losss' \(near: loss"),
        ({"model": Path("nope.obj")}, "model file nope.obj does not exist"),
        ({"frames": Path("nope")}, "folder of frames nope does not exist"),
        ({"placement": Path("nope.json")}, "nope.json does not exist"),
        ({"frames": None}, "Nothing says how it moves"),
        ({"out": Path("two\nlines")}, r"output folder 'two\\nlines' has a line break"),
        ({"out": Path(__file__)}, r"test_animate\.py is a file, not a folder; give another --out\."),
        ({"out": Path(__file__) / "below" / "it"}, r"test_animate\.py is a file, not a folder"),
        ({"overrides": ("later:a=1",)}, r"step:key=value \(steps: fit, refine, recon\)"),
        ({"field": False, "overrides": ("a=1",)}, "only runs with --field"),
        ({"azimuth": float("inf")}, "must be a number of degrees"),
        ({"facing": float("nan")}, "azimuth of --facing must be a number of degrees"),
        ({"resample": 1e9}, "cannot be resampled to 1e\\+09 frames per second"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(
    pretend: Pretend, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        pretend(**changed)
    assert not pretend.options.out.exists() and not pretend.launched


def test_results_do_not_go_among_the_input_frames(pretend: Pretend) -> None:
    frames = pretend.options.frames
    before = sorted(frames.iterdir())
    with pytest.raises(InputError, match=r"would lie among the frames in .*; give another --out\.$"):
        pretend(out=frames / ".." / frames.name)
    assert sorted(frames.iterdir()) == before


def _resize(image: Image.Image) -> Image.Image:
    return image.resize((SIZE, SIZE // 2))


def _opaque(image: Image.Image) -> Image.Image:
    return image.convert("RGB").convert("RGBA")


def _empty(image: Image.Image) -> Image.Image:
    return Image.new("RGBA", image.size)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_resize, "64x32 pixels; they must be square"),
        (_opaque, "shows no outline: no pixel is transparent.*make masks first"),
        (_empty, "is empty: every pixel is transparent"),
        (lambda image: image.convert("RGB"), "has no alpha channel"),
    ],
)
def test_frames_that_do_not_show_an_object_are_refused(
    pretend: Pretend, edit: Callable[[Image.Image], Image.Image], said: str
) -> None:
    for path in pretend.options.frames.glob("*.png"):
        edit(Image.open(path)).save(path)
    with pytest.raises(InputError, match=said):
        pretend()
    assert not pretend.options.out.exists()


def test_one_frame_is_no_motion(pretend: Pretend) -> None:
    for path in pretend.options.frames.glob("*.png"):
        if int(path.stem) > 3:
            path.unlink()
    with pytest.raises(InputError, match="one frame per view; a motion needs at least 2"):
        pretend()


def test_a_trajectory_of_another_mesh_is_refused(pretend: Pretend) -> None:
    pretend()
    folder = pretend.options.out / "work" / "trajectory"
    np.save(folder / "1.npy", np.zeros((7, 3), np.float32))
    with pytest.raises(InputError, match=r"1\.npy"):
        pretend()


def test_formats_that_need_blender_are_refused_at_once_without_it(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "blender", lambda: None)
    with pytest.raises(ImportError, match=r"Writing fbx needs Blender: pip install 'animate3d\[blender\]'"):
        pretend(formats=("glb", "fbx"))
    assert not pretend.launched


def test_a_broken_placement_file_is_named(pretend: Pretend, tmp_path: Path) -> None:
    write_json(tmp_path / "p.json", {"rotation": 1})
    with pytest.raises(InputError, match=r"p\.json is not a placement file"):
        pretend(placement=tmp_path / "p.json")


@pytest.mark.slow
def test_of_several_samples_the_one_that_the_mesh_can_follow_is_taken(
    pretend: Pretend, asset: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sample 1 shows every view another motion, sample 2 the true one."""
    torn = tmp_path / "torn"
    shutil.copytree(asset[1], torn)
    for f in range(1, FRAMES):
        for v in range(4):
            shutil.copy(asset[1] / f"{v * FRAMES + (f if v % 2 else 0)}.png", torn / f"{v * FRAMES + f}.png")

    def make_videos(video: VideoOptions, images: object, folder: Path) -> None:
        shutil.copytree(torn if video.sampler.seed == 7 else asset[1], folder / "0-a-tube", dirs_exist_ok=True)

    def make_masks(video: VideoOptions, raw: Path, templates: Path, target: Path, views: int) -> list[str]:
        shutil.copytree(raw, target, dirs_exist_ok=True)
        return []

    monkeypatch.setattr(run_module, "track", track)
    monkeypatch.setattr(run_module, "followed", FOLLOWED)
    monkeypatch.setattr(run_module, "make_videos", make_videos)
    monkeypatch.setattr(run_module, "make_masks", make_masks)
    weights = tmp_path / "weights"
    weights.mkdir()
    video = VideoOptions("a tube is bending", weights=weights, samples=2)
    options = replace(pretend.options, frames=None, video=video, seed=7)
    said: list[str] = []
    result = animate(options, said.append)
    assert "chosen: sample 2" in said and result.score is not None and 0.2 < result.score <= 1
    assert f"data.image_root={options.out / 'work' / 'samples' / '1' / 'frames'}" in pretend.launched[-1][1]
    again: list[str] = []
    assert animate(options, again.append).score == result.score
    assert not any(line.startswith("✓") for line in again)
    (weights / "unet").write_bytes(b"another model in the same folder")
    animate(options, again.append)
    assert "✓ 3 videos (sample 1)" in " ".join(again)


def test_a_loop_is_exported_and_leads_back_to_the_start(pretend: Pretend) -> None:
    once = animate(pretend.options).trajectory
    assert pretend(loop=True) == ["7 glb", "7 preview"]
    closed = animate(replace(pretend.options, loop=True)).trajectory
    assert not np.array_equal(closed.positions, once.positions)
    steps = np.abs(np.diff(np.concatenate([closed.positions, closed.positions[:1]]), axis=0)).max(axis=(1, 2))
    assert steps[-1] <= 1.05 * steps[:-1].max()


def test_rigidity_multiplies_the_weight_of_the_config(pretend: Pretend) -> None:
    pretend(rigidity=0.5)
    assert "system.loss.lambda_arap=10" in dict(pretend.launched)["mesh_animation_tracked"]
    assert pretend(rigidity=2.0)[:2] == ["5 tracking", "5 motion"]


def test_one_and_two_videos_show_the_azimuths_asked_for(pretend: Pretend) -> None:
    for views, azimuth, expected in ((1, 90.0, [90.0]), (2, 0.0, [0.0, 90.0]), (3, 10.0, [10.0, 130.0, 250.0])):
        run = module.MeshRun(replace(pretend.options, frames=None, views=views, azimuth=azimuth), print)
        assert run.azimuths == expected
        eye = run.cameras(32).positions[0]
        assert float(torch.atan2(eye[1], eye[0]).rad2deg()) == pytest.approx(azimuth, abs=1e-3)


def test_what_the_video_model_sees_is_the_textured_mesh_with_smooth_edges_on_grey(pretend: Pretend) -> None:
    run = module.MeshRun(pretend.options, lambda line: None)
    with run.at_work(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "STATIC_SIZE", 32)
        run.place()
        run.render_static()
    image = np.asarray(Image.open(run.static_images / "0.png")).astype(float)
    alpha = image[..., 3]
    assert (image[alpha == 0][:, :3] == 128).all() and ((alpha > 0) & (alpha < 255)).any()
    drawn = render_mesh(run.model, run.placed[None], run.cameras(32), supersample=4, shading=False)[0, 0] / 255.0
    on_grey = 255 * (drawn[..., :3] * drawn[..., 3:] + 0.5 * (1 - drawn[..., 3:]))
    assert np.abs(image[..., :3] - on_grey).max() <= 1


def test_a_skeleton_is_found_once_and_shared_by_the_files_that_can_hold_it(pretend: Pretend) -> None:
    pytest.importorskip("py_dem_bones")
    plain = pretend(formats=("glb", "usdc", "obj"))
    assert "7 skeleton" not in plain
    skinned = {"formats": ("glb", "usdc", "obj"), "skeleton": "3"}
    assert pretend(**skinned) == ["7 skeleton", "7 glb", "7 usdc"]
    assert pretend(**skinned) == []
    out = pretend.options.out
    steps = json.loads((out / "run.json").read_text())["steps"]
    assert steps["7 skeleton"]["facts"]["report"].startswith("3 bones (error: mean")
    assert "3 bones" in steps["7 glb"]["facts"]["report"] and "MB" in steps["7 glb"]["facts"]["report"]
    assert Image.open(out / "skeleton.png").size == (1024, 512)
    assert pygltflib.GLTF2().load(str(out / "animation.glb")).skins
    assert pretend(**{**skinned, "skeleton": "4"}) == ["7 skeleton", "7 glb", "7 usdc"]


def test_an_engine_asks_for_a_skeleton_and_off_leaves_it_out(pretend: Pretend) -> None:
    pytest.importorskip("py_dem_bones")
    assert "7 skeleton" in pretend(engine="godot")
    document = pygltflib.GLTF2().load(str(pretend.options.out / "animation.glb"))
    assert document.skins and not document.meshes[0].primitives[0].targets
    assert "7 glb" in pretend(engine="web", skeleton="off")
    document = pygltflib.GLTF2().load(str(pretend.options.out / "animation.glb"))
    assert not document.skins and len(document.meshes[0].primitives[0].targets) <= 8


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"skeleton": "many"}, "number of bones from 1 to 256, auto, keep or off; got many"),
        ({"skeleton": "0"}, "number of bones from 1 to 256"),
        ({"engine": "quake"}, "engine `quake` is unknown; known are: unity, unreal, godot, web"),
    ],
)
def test_a_skeleton_or_engine_that_there_is_not_is_told_before_anything_runs(
    pretend: Pretend, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        pretend(**changed)
    assert not pretend.options.out.exists()
