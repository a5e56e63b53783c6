"""The documented runs, small: train, visualise, refine, render the test set; through the launcher, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.errors import InputError
from animate3d.frames import load_frames
from animate3d.mvvdm.conditions import prepare_images
from animate3d.studio import api, registry
from animate3d.studio.launch import LaunchResult, launch

from .conftest import CONFIGS, FRAMES, GAUSSIANS, SIZE, Toy

STEPS = 4


def run(config: str, mode: str, *keys: str | Sequence[str]) -> LaunchResult:
    flat = [k for key in keys for k in ([key] if isinstance(key, str) else key)]
    return launch(CONFIGS / f"{config}.yaml", flat, mode)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def mesh_run(toy: Toy, out: Path) -> LaunchResult:
    """Step 5: the mesh config, with its light frame sampling and its edge file."""
    return run(
        "mesh_animation_frame_16",
        "train",
        toy.keys(out),
        toy.model_keys(),
        toy.data_keys(),
        f"system.connected_vertices_info_path={toy.edges}",
    )


@pytest.fixture(scope="module")
def recon_run(toy: Toy, out: Path) -> LaunchResult:
    """Gaussian step 1."""
    return run("motion_recon_frame_16", "train", toy.keys(out), toy.model_keys(), toy.data_keys())


def state(result: LaunchResult) -> dict[str, torch.Tensor]:
    assert result.checkpoint is not None
    return torch.load(result.checkpoint, weights_only=True)["state_dict"]


def test_training_a_mesh_moves_the_field_and_leaves_the_documented_checkpoint(mesh_run: LaunchResult) -> None:
    assert (mesh_run.trial_dir / "ckpts" / "epoch=0-step=4.ckpt").is_file()
    weights = state(mesh_run)
    assert weights["geometry.delta_xyz_network.layers.2.weight"].any()
    assert weights["geometry.global_trans_network.layers.2.weight"].any()
    assert not weights["geometry.delta_scaling_network.layers.2.weight"].any(), "reconstruction trains no scale"


def test_validation_leaves_a_video(recon_run: LaunchResult) -> None:
    assert (recon_run.trial_dir / "save" / f"it{STEPS}-val.mp4").stat().st_size > 0


def test_step_6_needs_only_the_checkpoint(toy: Toy, out: Path, mesh_run: LaunchResult) -> None:
    """As documented for meshes: no ply, frames or placement are given, and the default paths are not there."""
    result = run(
        "visualize_four_view_frame_16",
        "test",
        toy.keys(out),
        "name=mesh_vis",
        f"resume={mesh_run.checkpoint}",
        "system.save_gaussian_trajectory=True",
    )
    images = load_frames(result.trial_dir / "save" / "images", 4, FRAMES)
    assert images.shape == (4, FRAMES, SIZE, SIZE, 4)
    paths = [np.load(result.trial_dir / "save" / "mesh_trajectory" / f"{f}.npy") for f in range(FRAMES)]
    assert paths[0].shape == (GAUSSIANS, 3)
    np.testing.assert_allclose(paths[0], toy.gaussians.means, atol=1e-6)
    assert np.abs(paths[-1] - paths[0]).max() > 1e-5
    assert (result.trial_dir / "save" / "four_view.mp4").is_file()
    # Frame 0 is the static model, on grey where it is transparent.
    target = load_frames(toy.frames, 4, FRAMES)
    torch.testing.assert_close(images[:, 0, ..., 3], target[:, 0, ..., 3], atol=0.02, rtol=0)
    empty = images[..., 3] == 0
    assert (images[..., :3][empty] - 0.5).abs().max() < 0.005


def test_weights_bring_their_gaussians_too(toy: Toy, out: Path, recon_run: LaunchResult) -> None:
    result = run(
        "visualize_four_view_frame_16", "test", toy.keys(out), "name=weights", f"system.weights={recon_run.checkpoint}"
    )
    images = load_frames(result.trial_dir / "save" / "images", 4, FRAMES)
    assert images[..., 3].max() > 0.9


def test_a_rerun_replaces_the_images_of_an_earlier_run(toy: Toy, out: Path, mesh_run: LaunchResult) -> None:
    folder = out / "stale" / "toy" / "save" / "images"
    folder.mkdir(parents=True)
    (folder / "99.png").write_bytes(b"")
    run("visualize_four_view_frame_16", "test", toy.keys(out), "name=stale", f"resume={mesh_run.checkpoint}")
    assert sorted(int(p.stem) for p in folder.glob("*.png")) == list(range(4 * FRAMES))


def test_test_set_renders_have_a_folder_per_camera(toy: Toy, out: Path, recon_run: LaunchResult) -> None:
    result = run("visualize_testset_frame_16", "test", toy.keys(out), f"resume={recon_run.checkpoint}")
    folders = sorted(p.name for p in (result.trial_dir / "save" / "images").iterdir())
    assert folders == [f"elv_{i}_azi_{j}" for i in range(3) for j in range(4)]
    for name in folders:
        files = {p.name for p in (result.trial_dir / "save" / "images" / name).iterdir()}
        assert files == {f"{f}.png" for f in range(FRAMES)}


def test_static_render_writes_rgba_images_on_grey(toy: Toy, out: Path) -> None:
    result = run(
        "visualize_four_view_static",
        "test",
        [f"exp_root_dir={out}", "tag=toy", "system.prompt_processor.prompt=visualize"],
        ["data.eval_width=32", "data.eval_height=32", "trainer.enable_progress_bar=false"],
        toy.model_keys(),
    )
    images = [np.asarray(Image.open(result.trial_dir / "save" / "images" / f"{i}.png")) for i in range(5)]
    assert images[0].shape == (SIZE, SIZE, 4)
    np.testing.assert_array_equal(images[0], images[4])
    for image in images:
        assert (image[image[..., 3] == 0][:, :3] == 128).all(), "0.498 is shown inverted, as 0.502"
    for image, seen in zip(
        images, prepare_images([Image.fromarray(image) for image in images], SIZE, SIZE), strict=True
    ):
        np.testing.assert_array_equal(seen, image[..., :3], err_msg="the video model sees the render as stored")
    target = load_frames(toy.frames, 4, FRAMES)[:, 0, ..., 3]
    for image, alpha in zip(images, target, strict=False):
        np.testing.assert_allclose(image[..., 3] / 255, alpha, atol=0.02)


def test_resuming_a_training_continues_where_it_stopped(toy: Toy, out: Path, recon_run: LaunchResult) -> None:
    result = run(
        "motion_recon_frame_16",
        "train",
        toy.keys(out),
        [*toy.data_keys(), "name=continued", "trainer.max_steps=6", "checkpoint.every_n_train_steps=6"],
        f"resume={recon_run.checkpoint}",
    )
    assert torch.load(result.checkpoint, weights_only=True)["global_step"] == 6  # type: ignore[arg-type]
    before, after = state(recon_run), state(result)
    assert torch.equal(before["geometry._xyz"], after["geometry._xyz"])
    assert not torch.equal(before["geometry.grids.0.0"], after["geometry.grids.0.0"])


class DummyGuidance:
    """Stands for MV-VDM: pulls every colour to grey and remembers what it was given."""

    calls: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, cfg: Any) -> None:
        assert cfg.n_frame == FRAMES

    def __call__(self, rgb: torch.Tensor, prompt_utils: Any, **orbit: Any) -> dict[str, torch.Tensor]:
        self.calls.append({"rgb": rgb.detach(), "prompt_utils": prompt_utils, **orbit})
        return {"loss_sds": (rgb - 0.5).square().sum()}


class DummyPrompts:
    """Stands for the prompt processor."""

    def __init__(self, cfg: Any) -> None:
        self.prompt = cfg.prompt

    def __call__(self) -> str:
        return f"embeddings of {self.prompt}"


@pytest.fixture(scope="module")
def dummies(plugin: ModuleType) -> Iterator[list[str]]:
    """Keys that put the stand-ins in the place of the guidance and the prompt processor."""
    before = registry.registered()
    api.register("dummy-guidance")(DummyGuidance)
    api.register("dummy-prompts")(DummyPrompts)
    yield ["system.guidance_type=dummy-guidance", "system.prompt_processor_type=dummy-prompts"]
    registry.restore(before)


@pytest.fixture(scope="module")
def refine_run(toy: Toy, out: Path, recon_run: LaunchResult, dummies: list[str]) -> LaunchResult:
    """Gaussian step 3 from the reconstruction's weights."""
    keys = [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), *dummies]
    return run("refine_frame_16", "train", keys, f"system.weights={recon_run.checkpoint}")


def test_refinement_starts_from_the_weights_and_trains_the_scale(
    recon_run: LaunchResult, refine_run: LaunchResult
) -> None:
    before, after = state(recon_run), state(refine_run)
    assert (before["geometry.grids.0.0"] - after["geometry.grids.0.0"]).abs().max() < 0.1
    assert after["geometry.delta_scaling_network.layers.2.weight"].any()


def test_guidance_sees_one_orbit_of_all_frames_view_major(refine_run: LaunchResult) -> None:
    call = DummyGuidance.calls[0]
    assert call["prompt_utils"] == "embeddings of a test"
    assert call["rgb"].shape == (4 * FRAMES, 16, 16, 3)
    assert call["c2w"].shape == (4 * FRAMES, 4, 4)
    assert call["azimuth"].view(4, FRAMES).diff(dim=1).abs().max() == 0
    assert call["guidance_eval"] is False and call["rgb_as_latents"] is False


def test_a_refined_model_keeps_its_change_of_scale_when_shown(
    toy: Toy, out: Path, refine_run: LaunchResult, tmp_path: Path
) -> None:
    """The original drops it. Made large here, so that the picture tells."""
    checkpoint = torch.load(refine_run.checkpoint, weights_only=True)  # type: ignore[arg-type]
    checkpoint["state_dict"]["geometry.delta_scaling_network.layers.2.weight"].mul_(0).add_(3.0)
    torch.save(checkpoint, tmp_path / "refined.ckpt")
    keys = [*toy.keys(out), f"resume={tmp_path / 'refined.ckpt'}"]
    kept = run("visualize_four_view_frame_16", "test", keys, "name=kept")
    dropped = run("visualize_four_view_frame_16", "test", keys, "name=dropped", "system.keep_delta_scale=False")
    images = [load_frames(result.trial_dir / "save" / "images", 4, FRAMES) for result in (kept, dropped)]
    torch.testing.assert_close(images[0][:, 0], images[1][:, 0], msg="frame 0 is static")
    assert (images[0][:, -1] - images[1][:, -1]).abs().max() > 0.05


def test_reconstruction_follows_the_videos(toy: Toy, out: Path) -> None:
    """Motion along +y of 0.12 at the last frame is found with faster rates than the documented ones."""
    run(
        "motion_recon_frame_16",
        "train",
        toy.keys(out),
        [*toy.model_keys(), *toy.data_keys(), "name=follow"],
        ["trainer.max_steps=40", "trainer.val_check_interval=40", "checkpoint.every_n_train_steps=40"],
        ["system.geometry.global_trans_lr=[0,0.02,0.002,40]", "system.progressive_iter_per_frame=6"],
        ["trainer.limit_val_batches=0", "system.grad_ratio=1.0", "trainer.log_every_n_steps=1"],
    )
    result = run(
        "visualize_four_view_frame_16",
        "test",
        [*toy.keys(out), "name=follow", "system.save_gaussian_trajectory=True"],
        f"resume={out / 'follow' / 'toy' / 'ckpts' / 'epoch=0-step=40.ckpt'}",
    )
    folder = result.trial_dir / "save" / "mesh_trajectory"
    moved = (np.load(folder / f"{FRAMES - 1}.npy") - np.load(folder / "0.npy")).mean(axis=0)
    assert np.abs(moved - np.array([0.0, 0.12, 0.0])).max() < 0.04


# Errors


def test_no_model_at_all_is_one_clear_sentence(toy: Toy, out: Path) -> None:
    with pytest.raises(InputError, match=r"butterfly.ply does not exist: set system.geometry.geometry_convert_from"):
        run("motion_recon_frame_16", "train", toy.keys(out), toy.data_keys())


def test_guidance_that_nobody_registered_is_named(toy: Toy, out: Path) -> None:
    with pytest.raises(InputError, match="Nothing is registered as 'no-such-guidance'"):
        run(
            "refine_frame_16",
            "train",
            [*toy.keys(out), *toy.model_keys(), *toy.data_keys()],
            ["name=nobody", "system.guidance_type=no-such-guidance"],
        )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["system.sample_strategy=heavy"], "sample_strategy"),
        (["system.n_frame=3"], "system.n_frame is 3 but data.random_camera.total_frame is 4"),
        (["system.n_view=3"], "The data has 16 images"),
        (["system.loss.lambda_rgbb=1.0"], "lambda_rgbb has no loss term"),
        (["system.loss.lambda_normal_tv=1.0"], "lambda_normal_tv must be 0"),
        (["system.connected_vertices_info_path=not/there.json"], "not/there.json does not exist"),
        (["system.training=False"], "system.training is False"),
        (["system.geometry.load_ply_cfg.rot_y_degree=3"], "no key `rot_y_degree`"),
        (["system.renderer.back_ground_color=[0.5,0.5]"], "needs 3 numbers"),
    ],
)
def test_unusable_settings_end_the_training_with_one_sentence(
    toy: Toy, out: Path, keys: list[str], message: str
) -> None:
    with pytest.raises(InputError) as error:
        run(
            "motion_recon_frame_16",
            "train",
            [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), "name=bad", *keys],
        )
    assert message in str(error.value)


def test_an_unknown_test_option_is_refused(toy: Toy, out: Path, recon_run: LaunchResult) -> None:
    with pytest.raises(InputError, match="test_option is 'test_set'"):
        run(
            "visualize_four_view_frame_16",
            "test",
            [*toy.keys(out), "system.test_option=test_set", f"resume={recon_run.checkpoint}"],
        )
