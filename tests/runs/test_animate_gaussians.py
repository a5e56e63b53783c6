"""The one command on a Gaussian model: what it writes, in whose coordinates, what it refuses."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from plyfile import PlyData
from small_asset import FEW_STEPS, FRAMES, finned_tube, write_asset, write_gaussian_frames

from animate3d import cli
from animate3d.errors import InputError
from animate3d.export import gaussian_motion
from animate3d.export.ply_sequence import write_ply_sequence
from animate3d.frames import load_frames
from animate3d.gaussians import Gaussians, from_mesh, load_ply, save_ply
from animate3d.gaussians.placement import inverse
from animate3d.meshes import Placement
from animate3d.motion.checkpoint import load_motion
from animate3d.motion.proxy import Carrier, MovingSurface
from animate3d.mvvdm.tiny import write_tiny
from animate3d.runs import gaussians as module
from animate3d.runs import mesh as meshes
from animate3d.runs import requested
from animate3d.runs.fit import Training
from animate3d.runs.gaussians import GaussianResult, GaussianRun, animate_gaussians
from animate3d.runs.options import GaussianOptions
from animate3d.studio import api
from animate3d.studio.plugins import load_plugins

SHIFT = 0.1  # of the whole model along +z from the first frame to the last


def small_model(degree: int = 1) -> Gaussians:
    """A tube with a fin, before the cameras, with colours that depend on the view."""
    mesh = finned_tube(rings=30, sides=40)
    model = from_mesh(mesh).transformed(mesh.automatic_placement())
    bands = 0.1 * torch.randn(len(model), (degree + 1) ** 2 - 1, 3, generator=torch.Generator().manual_seed(1))
    return replace(model, sh=torch.cat([model.sh, bands], dim=1))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A ply and a folder of frames."""
    folder = tmp_path_factory.mktemp("small")
    model = small_model()
    save_ply(model, folder / "model.ply")
    return folder / "model.ply", write_gaussian_frames(model, folder / "frames", rise=SHIFT)


SMALL = {"render_size": 32, "target_size": 64}


@pytest.fixture(scope="module")
def done(small: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[GaussianOptions, GaussianResult]:
    """A real run, with few steps that learn fast."""
    # Everything in it would mean something to YAML, a dotlist, a shell or a format string.
    out = tmp_path_factory.mktemp("out") / "take: 1 #x [a] ${b} %s {c} 'q' 🦋"
    fast = [f"system.geometry.{key}=0.01" for key in ("delta_xyz_network_lr", "global_trans_lr")]
    fast += ["trainer.max_steps=45", "system.progressive_iter_per_frame=5", "system.grad_ratio=1.0"]
    options = GaussianOptions(*small, out, overrides=tuple(fast), fps=5.0, seed=2, **SMALL)
    return options, animate_gaussians(options)


def test_the_motion_is_found(done: tuple[GaussianOptions, GaussianResult]) -> None:
    _, result = done
    with np.load(result.files["trajectory"]) as data:
        moved = data["means"] - data["means"][:1]
    assert np.abs(moved[0]).max() == 0
    assert moved[-1, :, 2].mean() == pytest.approx(SHIFT, abs=0.03)
    assert 0.005 < result.mean_displacement < 0.1


def test_results_are_a_sequence_a_trajectory_renders_and_a_turntable(
    done: tuple[GaussianOptions, GaussianResult],
) -> None:
    options, _ = done
    out, model = options.out, load_ply(options.model)
    assert {path.name for path in out.iterdir()} == {
        *(
            "frames_ply",
            "preview.html",
            "renders",
            "run.json",
            "trajectory.npz",
            "turntable.mp4",
            "turntable.png",
            "work",
        )
    }
    n = len(model)
    with np.load(out / "trajectory.npz") as data:
        shapes = {name: data[name].shape for name in data.files}
        assert shapes == {
            **{"means": (FRAMES, n, 3), "quats": (FRAMES, n, 4), "scales": (FRAMES, n, 3), "times": (FRAMES,)},
            **{"field_times": (FRAMES,), "fps": (), "N": (), "placement": (4, 4), "source_rows": (n,)},
        }
        assert data["fps"] == 5 and data["N"] == n and data["times"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
        np.testing.assert_allclose(np.linalg.norm(data["quats"], axis=-1), 1, atol=1e-5)
        for frame in (0, FRAMES - 1):
            ply = load_ply(out / "frames_ply" / f"frame{frame:04d}.ply")
            np.testing.assert_allclose(ply.means, data["means"][frame], atol=1e-6)
            np.testing.assert_allclose(ply.scales, data["scales"][frame], rtol=1e-5)
            assert torch.equal(ply.sh, model.sh) and torch.equal(ply.opacity_logits, model.opacity_logits)
    first = load_ply(out / "frames_ply" / "frame0000.ply")
    torch.testing.assert_close(first.means, model.means, atol=1e-6, rtol=1e-6)
    folders = sorted(path.name for path in (out / "renders").iterdir())
    assert folders == sorted(f"elv_{i}_azi_{j}" for i in range(3) for j in range(4))
    for folder in folders:
        assert len(list((out / "renders" / folder).glob("*.png"))) == FRAMES
    with Image.open(out / "renders" / "elv_0_azi_0" / "0.png") as image:
        assert image.mode == "RGBA" and image.size == (32, 32)
    assert (out / "turntable.mp4").stat().st_size > 1000 and Image.open(out / "turntable.png").width == 8 * 32


def test_the_record_has_every_step_and_an_unchanged_run_does_nothing(
    done: tuple[GaussianOptions, GaussianResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, result = done
    record = json.loads(result.record.read_text())
    assert record["model"] == str(options.model) and record["seed"] == 2
    results = ["7 ply sequence", "7 trajectory", "7 renders", "7 turntable", "7 preview"]
    assert list(record["steps"]) == ["1 Gaussians", "5 tracking", "5 motion", *results]
    assert record["steps"]["1 Gaussians"]["facts"] == {"gaussians": 1204, "sh_degree": 1, "dropped": 0}
    monkeypatch.setattr(Training, "launch", lambda *arguments: pytest.fail("something ran"))
    said: list[str] = []
    animate_gaussians(options, said.append)
    assert [line for line in said if line[0] in "·✓"] == [f"· {name} up to date" for name in record["steps"]]
    said.clear()
    animate_gaussians(replace(options, fps=6.0), said.append)
    again = [line[2:].rpartition(" ")[0].rpartition(" ")[0] for line in said if line.startswith("✓")]
    assert again == [results[0], results[1], results[3], results[4]]


@pytest.mark.slow
def test_a_motion_fitted_to_fewer_gaussians_moves_all(
    small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FITTED", 500)
    options = GaussianOptions(*small, tmp_path / "out", overrides=FEW_STEPS, **SMALL)
    result = animate_gaussians(options)
    facts = json.loads(result.record.read_text())["steps"]["1 Gaussians"]["facts"]
    assert 300 < facts["fitted"] <= 500 and facts["gaussians"] == 1204
    assert len(load_ply(tmp_path / "out" / "work" / "fitted.ply")) == facts["fitted"]
    surface = MovingSurface.load(tmp_path / "out" / "work" / "surface.npz")
    followed, _ = Carrier(load_ply(options.model), surface).poses()
    with np.load(result.files["trajectory"]) as data:
        assert data["means"].shape == (FRAMES, 1204, 3)
        np.testing.assert_allclose(data["means"][0], followed[0], atol=1e-6)
        # A few steps of the fit change little: all Gaussians, not only those that were fitted, follow the surface.
        assert np.abs(data["means"] - followed.numpy()).max() < 0.1 * SHIFT
        assert np.median(data["means"][-1] - data["means"][0], axis=0)[2] == pytest.approx(SHIFT, rel=0.15)


@pytest.fixture
def collected() -> Iterator[None]:
    """What there is already is left out of searches for garbage, which take half a second each otherwise."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("collected")
def test_a_pose_is_made_only_when_it_is_asked_for(small: tuple[Path, Path], tmp_path: Path) -> None:
    """Results are streamed: whatever is written, no two frames are in memory at a time."""
    model = load_ply(small[0])
    alive: list[weakref.ref[torch.Tensor]] = []

    def pose(frame: int) -> gaussian_motion.Pose:
        means = model.means + frame
        gc.collect()
        assert sum(other() is not None for other in alive) <= 1, "of the frame before, at most"
        alive.append(weakref.ref(means))
        return gaussian_motion.Pose(means, torch.nn.functional.normalize(model.quats, dim=-1), model.scales)

    motion = gaussian_motion.GaussianMotion(model, 5, pose)
    still = Placement(np.eye(3), 1.0, np.zeros(3))
    gaussian_motion.save_trajectory(motion, tmp_path / "a.npz", fps=8.0, placement=still)
    write_ply_sequence(motion.gaussians, 5, tmp_path / "plys", fps=8.0)
    gaussian_motion.render_testset(motion, tmp_path / "renders", size=16)
    gaussian_motion.render_turntable(motion, tmp_path / "t.mp4", tmp_path / "t.png", fps=8.0, size=16)
    assert len(alive) == 4 * 5, "every frame is made once for each result"
    with np.load(tmp_path / "a.npz") as data:
        assert data["means"].dtype == np.float32 and data["quats"].shape == (5, len(model), 4)
        np.testing.assert_array_equal(data["means"][3], model.means + 3)
        np.testing.assert_array_equal(data["scales"][4], model.scales)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_refinement_looks_at_the_fitted_motion_from_every_view(
    done: tuple[GaussianOptions, GaussianResult], tmp_path: Path
) -> None:
    options, _ = done
    assert options.frames is not None
    run = GaussianRun(options, lambda line: None)
    run.read_frames(options.frames)
    run._render_targets(options.out / "work" / "recon" / "object" / "ckpts" / "last.ckpt", tmp_path / "targets")
    targets, given = (load_frames(f, 4, FRAMES)[..., 3] > 0.5 for f in (tmp_path / "targets", options.frames))
    assert targets.shape == (4, FRAMES, SMALL["target_size"], SMALL["target_size"])
    step = given.shape[2] / SMALL["target_size"]
    given = given[:, :, :: int(step), :: int(step)]
    assert (targets & given).sum() / (targets | given).sum() > 0.8


def test_a_checkpoint_read_without_the_host_moves_as_within_it(
    done: tuple[GaussianOptions, GaussianResult],
) -> None:
    options, _ = done
    checkpoint = options.out / "work" / "recon" / "object" / "ckpts" / "last.ckpt"
    load_plugins()
    geometry = api.find("gaussian-splatting-4d")({})
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    geometry.load_state_dict({key[9:]: value for key, value in stored.items() if key.startswith("geometry.")})
    times = torch.linspace(-1, 1, 5)
    with torch.no_grad():
        expected = geometry.deform(times, use_delta_scale=False)
    model, motion = load_ply(options.model), load_motion(checkpoint)
    for f, time in enumerate(times.tolist()):
        for found, wanted in zip(motion.pose(model, time), expected, strict=True):
            torch.testing.assert_close(found, wanted[f], atol=1e-6, rtol=1e-5)
    fewer = Gaussians(*(getattr(model, name)[:840] for name in vars(model)))
    with pytest.raises(InputError, match="moves 1204 Gaussians, the model has 840"):
        motion.pose(fewer, 0.5)
    (options.out / "broken.ckpt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.ckpt is not the checkpoint of a motion"):
        load_motion(options.out / "broken.ckpt")
    (options.out / "broken.ckpt").unlink()


def test_a_model_elsewhere_with_broken_rows_is_placed_and_comes_back_in_its_own_coordinates(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    away = Placement(np.eye(3), 20.0, np.array([300.0, -40.0, 7.0]))
    save_ply(load_ply(small[0]).transformed(away), tmp_path / "away.ply")
    data = PlyData.read(str(tmp_path / "away.ply"), mmap=False)
    data["vertex"]["x"][3] = np.nan
    data.write(str(tmp_path / "away.ply"))
    options = GaussianOptions(
        tmp_path / "away.ply", small[1], tmp_path / "out", overrides=FEW_STEPS, track=False, **SMALL
    )
    # As large as the cameras allow is not what these frames show, so a placement is given.
    options = replace(options, placement=inverse(away))
    with pytest.warns(UserWarning, match="1 of 1204 Gaussians"):
        result = animate_gaussians(options)
        left = load_ply(options.model)
    first = load_ply(result.files["plys"] / "frame0000.ply")
    torch.testing.assert_close(first.means, left.means, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(first.log_scales, left.log_scales, atol=1e-4, rtol=1e-4)
    with np.load(result.files["trajectory"]) as data:
        assert data["source_rows"].tolist() == [row for row in range(1204) if row != 3]
        assert data["placement"][0, 0] == pytest.approx(1 / 20)
    facts = json.loads(result.record.read_text())["steps"]["1 Gaussians"]["facts"]
    assert facts["dropped"] == 1 and facts["gaussians"] == 1203


def test_a_model_that_frame_0_does_not_show_stops_with_advice_that_works(
    small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = Placement.from_flags(-90.0, 0.0, 3.0)
    save_ply(load_ply(small[0]).transformed(lying), tmp_path / "lying.ply")
    options = GaussianOptions(tmp_path / "lying.ply", small[1], tmp_path / "out", overrides=FEW_STEPS, track=False)
    with pytest.raises(InputError, match="does not match the silhouette of the placed Gaussian model") as error:
        animate_gaussians(options)
    assert (tmp_path / "out" / "alignment.png").is_file()
    words = str(error.value).split()
    if "--placement" in words:
        placement: Placement | Path = Path(words[-1])
    else:
        x, z, s = (words[words.index(f"--{flag}") + 1] for flag in ("rot-x-degree", "rot-z-degree", "scale-factor"))
        placement = Placement.from_flags(float(x), float(z), float(s))

    class Aligned(Exception):
        pass

    def fit(run: object, start: object) -> None:
        raise Aligned

    monkeypatch.setattr(module.GaussianRun, "fit", fit)
    with pytest.raises(Aligned):
        animate_gaussians(replace(options, placement=placement))


def test_a_given_placement_that_leaves_the_pictures_is_told(small: tuple[Path, Path], tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match="does not match"):
        animate_gaussians(
            GaussianOptions(*small, tmp_path / "out", placement=Placement.from_flags(scale_factor=0.05)), said.append
        )
    assert any("without placement flags it is centred and scaled" in line for line in said)


@pytest.mark.slow
def test_prompt_to_refined_model_with_tiny_weights(
    small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.PromptProcessor, "cache_dir", tmp_path / "embeddings")
    write_tiny(tmp_path / "tiny")
    model, _ = small
    size = [f"refine.data.random_camera.{side}=16" for side in ("width", "height")]
    wide = [f"refine.data.{side}=32" for side in ("width", "height")]
    arguments = ["animate", str(model), "--prompt", "a tube: it hops, high", "--weights", str(tmp_path / "tiny")]
    arguments += [
        "--frame-count",
        "3",
        "--size",
        "64",
        "--steps",
        "1",
        "--freeinit-num-iters",
        "0",
        "--refine",
        "--no-tracking",
        "--render-size",
        "32",
        "--target-size",
        "64",
    ]
    arguments += ["--out", str(tmp_path / "out"), *FEW_STEPS, "refine.trainer.max_steps=2", *size, *wide]
    assert cli.main(arguments) == 0
    steps = json.loads((tmp_path / "out" / "run.json").read_text())["steps"]
    names = ["1 Gaussians", "2 four-view render", "3 videos", "4 masks", "5 motion", "6 renders to refine"]
    assert len(list((tmp_path / "out" / "work" / "targets").glob("*.png"))) == 4 * 3
    assert list(steps)[:7] == [*names, "6 refinement"]
    assert steps["5 motion"]["settings"]["overrides"] == list(FEW_STEPS)
    with np.load(tmp_path / "out" / "trajectory.npz") as data:
        assert data["means"].shape == (3, 1204, 3)
        assert np.abs(data["scales"][-1] - data["scales"][0]).max() > 0, "refinement changes sizes"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--formats", "glb"], "holds Gaussians, which have no mesh to export"),
        (["--max-morphs", "3", "--loop"], "leave out --max-morphs, --loop"),
        (["--refine"], "Refinement needs the video model: give --prompt and --weights as well"),
        (["--prompt", "x", "--weights", "w"], r"either --prompt, or videos"),
        (["--prompt", "x", "--weights", "w", "--refine", "--views", "3"], "works with 4 views, got 3"),
        (["--prompt", "x", "--weights", "w", "--refine"], "folder of weights w does not exist"),
        (["--prompt", "x", "--pretrained-unet-path", "m.ckpt", "--refine"], r"checkpoint m\.ckpt does not exist"),
        (["refine.trainer.max_steps=3"], "begin with `refine:` are for --refine"),
        (["--fps", "0"], "frames per second must be positive"),
        (["--placement", "nope.json"], r"nope\.json does not exist"),
        (["--views", "3"], "3 views need a multiple of 3"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(
    small: tuple[Path, Path], tmp_path: Path, arguments: list[str], said: str
) -> None:
    model, frames = small
    with pytest.raises(InputError, match=said):
        cli.main(["animate", str(model), "--frames", str(frames), "--out", str(tmp_path / "out"), *arguments])
    assert not (tmp_path / "out").exists()


def test_a_ply_mesh_still_is_a_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def stop(options: meshes.AnimateOptions, announce: Callable[[str], None]) -> None:
        seen.append(options.model)
        raise InputError("enough")

    monkeypatch.setattr(requested, "animate", stop)
    _, frames = write_asset(tmp_path)
    (tmp_path / "mesh.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    )
    base = ["animate", str(tmp_path / "mesh.ply"), "--frames", str(frames), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="enough"):
        cli.main([*base, "--formats", "glb"])
    assert seen == [tmp_path / "mesh.ply"]
    for flag in ("--refine", "--no-tracking"):
        with pytest.raises(InputError, match=rf"{flag} is for Gaussian models; .*mesh\.ply holds no Gaussians"):
            cli.main([*base, flag])
