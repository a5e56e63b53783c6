"""Refinement: the documented Gaussian steps 3 and 4 with a tiny video model, and images compared in chunks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from animate3d.errors import InputError
from animate3d.frames import load_frames
from animate3d.mvvdm.tiny import write_tiny
from animate3d.studio import api
from animate3d.studio.launch import LaunchResult, launch

from .conftest import CONFIGS, FRAMES, SIZE, Toy


def run(config: str, mode: str, *keys: str | Sequence[str]) -> LaunchResult:
    flat = [k for key in keys for k in ([key] if isinstance(key, str) else key)]
    return launch(CONFIGS / f"{config}.yaml", flat, mode)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``python -m animate3d.mvvdm.tiny`` writes."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    write_tiny(folder)
    return folder


@pytest.fixture(autouse=True)
def _prompt_cache_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.PromptProcessor, "cache_dir", tmp_path / "embeddings")


def model_keys(weights: Path) -> list[str]:
    return [
        f"system.guidance.pretrained_model_name_or_path={weights}",
        f"system.prompt_processor.pretrained_model_name_or_path={weights}",
        "trainer.limit_val_batches=0",
    ]


@pytest.fixture(scope="module")
def recon_run(toy: Toy, out: Path) -> LaunchResult:
    """Gaussian step 1."""
    keys = [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), "trainer.limit_val_batches=0"]
    return run("motion_recon_frame_16", "train", keys)


@pytest.fixture(scope="module")
def refine_run(
    toy: Toy, out: Path, recon_run: LaunchResult, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> LaunchResult:
    """Gaussian step 3, with its targets in chunks and a look at what the guidance sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.PromptProcessor, "cache_dir", tmp_path_factory.mktemp("embeddings"))
        return run(
            "refine_frame_16",
            "train",
            [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), *model_keys(weights)],
            f"system.weights={out}/recon/toy/ckpts/epoch=0-step=4.ckpt",
            ["data.chunk_views=3", "system.guidance_eval_feq=2", "system.guidance.guidance_scale=[0,5.0,7.0,4]"],
            "system.guidance.max_step_percent=0.05",  # little is to be denoised for the look
        )


def state(result: LaunchResult) -> dict[str, Tensor]:
    assert result.checkpoint is not None
    return torch.load(result.checkpoint, weights_only=True)["state_dict"]


def metrics(result: LaunchResult) -> list[dict[str, str]]:
    (path,) = result.trial_dir.glob("csv_logs/*/metrics.csv")
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row.get("train/loss")]


def test_step_3_refines_the_reconstruction_with_the_video_model(
    recon_run: LaunchResult, refine_run: LaunchResult
) -> None:
    assert (refine_run.trial_dir / "ckpts" / "epoch=0-step=4.ckpt").is_file()
    before, after = state(recon_run), state(refine_run)
    assert set(after) == set(before), "the video model stays out of the checkpoint"
    assert after["geometry.delta_scaling_network.layers.2.weight"].any()
    rows = metrics(refine_run)
    assert len(rows) == 4
    for name in ("loss_sds", "loss_rgb", "loss_mask", "loss_arap"):
        assert all(np.isfinite(float(row[f"train/{name}"])) for row in rows)
    assert all(float(row["train/loss_sds"]) > 0 for row in rows)


def test_what_the_guidance_sees_is_saved_when_asked_for(refine_run: LaunchResult) -> None:
    folders = sorted(path.name for path in (refine_run.trial_dir / "save").glob("it*-guidance"))
    assert folders == ["it0-guidance", "it2-guidance"]
    for name in ("noisy", "one_step", "denoised"):
        with Image.open(refine_run.trial_dir / "save" / "it0-guidance" / f"{name}.gif") as gif:
            assert gif.size == (4 * 64, 64)


def test_step_4_shows_the_learned_change_of_scale(toy: Toy, out: Path, refine_run: LaunchResult) -> None:
    keys = [*toy.keys(out), *toy.model_keys(), f"resume={out}/refine/toy/ckpts/epoch=0-step=4.ckpt"]
    kept = run("visualize_testset_frame_16", "test", keys, "name=refine_testset")
    dropped = run("visualize_testset_frame_16", "test", keys, "name=dropped", "system.keep_delta_scale=False")
    images = [result.trial_dir / "save" / "images" / "elv_0_azi_0" for result in (kept, dropped)]
    first, last = ([np.asarray(Image.open(folder / f"{f}.png")) for folder in images] for f in (0, FRAMES - 1))
    assert np.array_equal(*first), "frame 0 is static"
    assert not np.array_equal(*last)
    assert len(list((kept.trial_dir / "save" / "images").iterdir())) == 12


@pytest.mark.slow
def test_the_models_are_freed_after_training(
    toy: Toy, out: Path, weights: Path, recon_run: LaunchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = []
    cls = api.find("gaussian-splatting-animate3d-system")
    end = cls.on_fit_end
    monkeypatch.setattr(cls, "on_fit_end", lambda self: (systems.append(self), end(self)))
    run(
        "refine_frame_16",
        "train",
        [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), *model_keys(weights)],
        [f"system.weights={recon_run.checkpoint}", "name=freed", "trainer.max_steps=1"],
    )
    assert systems and not hasattr(systems[0], "guidance") and not hasattr(systems[0], "prompt_processor")


def test_numbers_that_overflow_leave_out_their_step_and_are_told_once(
    plugin: ModuleType,
    toy: Toy,
    out: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cls = api.find("animatemv-diffusion-guidance")
    losses = iter([float("nan"), 1.0, float("inf"), 1.0])
    monkeypatch.setattr(cls, "__call__", lambda self, rgb, *_, **__: {"loss_sds": rgb.mean() * next(losses)})
    result = run(
        "refine_frame_16",
        "train",
        [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), *model_keys(weights)],
        "name=left_out",
    )
    assert all(tensor.isfinite().all() for tensor in state(result).values() if tensor.is_floating_point())
    assert all(np.isfinite(float(row["train/loss"])) for row in metrics(result))
    assert sum("overflow" in record.message for record in caplog.records) == 1


# The component


def guidance(weights: Path, **values: Any) -> Any:
    config = {"pretrained_model_name_or_path": str(weights), "n_frame": FRAMES, **values}
    return api.find("animatemv-diffusion-guidance")(config)


def test_numbers_of_the_guidance_may_be_schedules(plugin: ModuleType, weights: Path) -> None:
    built = guidance(weights, guidance_scale=[0, 5.0, 7.0, 10], max_step_percent=[0, 0.5, 0.1, 4])
    for step, scale, top in ((0, 5.0, 0.5), (2, 5.4, 0.3), (10, 7.0, 0.1)):
        built.do_update_step(0, step)
        assert built.guidance_scale == pytest.approx(scale)
        assert built.step_range == pytest.approx((0.02, top))


def test_prompts_do_not_depend_on_the_view_unless_asked(plugin: ModuleType, weights: Path) -> None:
    asked = []

    class Prompts:
        def get_text_embeddings(self, elevation: Tensor, azimuth: Tensor, distances: Tensor, by_view: bool) -> Tensor:
            asked.append((azimuth.tolist(), by_view))
            return torch.randn(2 * len(azimuth), 77, 32)

    device = api.get_device()
    count = 4 * FRAMES
    orbit = {
        "elevation": torch.zeros(count),
        "azimuth": torch.arange(4.0).repeat_interleave(FRAMES),
        "camera_distances": torch.ones(count),
        "c2w": torch.eye(4).repeat(count, 1, 1),
        "fovy": torch.ones(count),
    }
    for flag in (False, True):
        settings = {"view_dependent_prompting": True} if flag else {}
        rgb = torch.rand(count, 16, 16, 3, device=device)
        guidance(weights, **settings)(rgb, Prompts(), **{name: value.to(device) for name, value in orbit.items()})
    assert asked == [([0.0, 1.0, 2.0, 3.0], False), ([0.0, 1.0, 2.0, 3.0], True)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recon_loss": False}, "recon_loss and i2v must be true"),
        ({"half_precision_dtype": "float8"}, "float16 or bfloat16"),
        ({"quantize": "int4"}, "it can be int8"),
        ({"pretrained_model_name_or_path": "not/a/folder"}, "base model not/a/folder does not exist"),
        ({"pretrained_unet_path": "my/motion.ckpt"}, "my/motion.ckpt does not exist"),
    ],
)
def test_unusable_settings_are_one_sentence(
    plugin: ModuleType, weights: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        guidance(weights, **values)
    assert message in str(error.value)


# Chunks


@pytest.fixture()
def refining(load: Callable[..., Any], toy: Toy, out: Path) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """A system that refines, with one batch; every call gives the same but for its overrides."""

    def build(*overrides: str) -> tuple[Any, dict[str, Any]]:
        keys = [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), "system.geometry.sh_degree=0", *overrides]
        cfg = load("refine_frame_16", *keys)
        torch.manual_seed(3)
        system = api.find(cfg.system_type)(cfg.system)
        for parameter in system.geometry.parameters():
            parameter.data.add_(0.02 * torch.randn_like(parameter))
        system._terms, system._image_terms = system.loss_terms(), plugin_losses().image_terms()
        system._read_settings()
        system._scale_active, system._captured = True, False
        system.renderer.train()
        data = api.find(cfg.data_type)(cfg.data)
        data.setup("fit")
        return system, next(iter(data.train_dataloader()))

    return build


def plugin_losses() -> ModuleType:
    import sys

    return sys.modules["threestudio-animate3d.system.losses"]


WEIGHTS = {"rgb": 100.0, "mask": 100.0, "tv_loss": 1.0, "sparsity": 0.5, "first_frame_rgb": 2.0}


def loss_and_gradients(system: Any, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    step = system._step(batch, with_first=True)
    loss, values = system._compare_images(step, WEIGHTS)
    loss.backward()
    return loss.detach(), values, [p.grad for p in system.geometry.parameters() if p.grad is not None]


@pytest.mark.parametrize("images", [1, 3, 4, 10])
def test_images_in_chunks_give_the_same_loss_and_gradient(
    refining: Callable[..., tuple[Any, dict[str, Any]]], images: int
) -> None:
    whole, values, gradients = loss_and_gradients(*refining())
    system, batch = refining(f"data.chunk_views={images}")
    assert batch["rgb"].dtype == torch.uint8, "targets that are not needed all at once take a quarter of the memory"
    chunked, chunked_values, chunked_gradients = loss_and_gradients(system, batch)
    torch.testing.assert_close(chunked, whole, rtol=1e-5, atol=0)
    assert set(values) == set(WEIGHTS)
    for name, value in values.items():
        torch.testing.assert_close(chunked_values[name], value, rtol=1e-5, atol=1e-7)
    assert len(gradients) == len(chunked_gradients) > 0
    for found, expected in zip(chunked_gradients, gradients, strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_the_loss_in_parts_is_the_loss_of_all_images(refining: Callable[..., tuple[Any, dict[str, Any]]]) -> None:
    """Against the terms on all images at once, differentiated by autograd alone."""
    from animate3d.motion.losses import LOSSES, StepTensors

    _, values, gradients = loss_and_gradients(*refining("data.chunk_views=3"))
    system, batch = refining()
    step = system._step(batch, with_first=True)
    images = system.renderer.draw(step.splats, system._views(batch), step.background)
    target, mask = system._target(step, step.frames, slice(None), slice(None))
    four = (images.color, images.alpha, target, mask)
    tensors = StepTensors(
        *(image[1:] for image in four),
        means=step.splats.means[1:],
        scales=step.splats.scales[1:],
        opacities=step.splats.opacities,
        first=tuple(image[0] for image in four),
    )
    expected = {name: LOSSES[name](tensors) for name in WEIGHTS}
    sum(WEIGHTS[name] * value for name, value in expected.items()).backward()  # type: ignore[union-attr]
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value.detach(), rtol=1e-5, atol=1e-7)
    plain = [p.grad for p in system.geometry.parameters() if p.grad is not None]
    for found, wanted in zip(gradients, plain, strict=True):
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def test_every_gaussian_receives_gradient_in_refinement(
    refining: Callable[..., tuple[Any, dict[str, Any]]],
) -> None:
    system, batch = refining("data.chunk_views=5")
    step = system._step(batch, with_first=False)
    parts = (step.splats.means, step.splats.quats, step.splats.scales)
    loss, _ = system._compare_images(step, {"rgb": 1.0})
    for gradient in torch.autograd.grad(loss, parts):
        assert gradient[1:].any(dim=-1).any(dim=0).all()
        assert not gradient[0].any(), "frame 0 is for the guidance only"


def test_large_images_are_taken_in_chunks_unasked(plugin: ModuleType) -> None:
    module = plugin.data.multi_image
    counts = {
        size: module.images_at_once(module.MultiImageConfig(width=size, height=size)) for size in (256, 512, 1024, 4096)
    }
    assert counts == {256: 64, 512: 16, 1024: 4, 4096: 1}
    with pytest.raises(InputError, match=r"data\.chunk_views is 0"):
        module.images_at_once(module.MultiImageConfig(chunk_views=0))


def test_view_dependent_colours_are_those_of_the_orbit(
    refining: Callable[..., tuple[Any, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of the cameras that the targets were seen from; and an orbit may have more views than the videos."""
    system, batch = refining(f"data.random_camera.batch_size={8 * FRAMES}")
    harmonics = 0.5 * torch.randn(len(system.geometry.get_xyz), 3, 3)
    monkeypatch.setattr(system.geometry, "_features_rest", harmonics)
    step = system._step(batch, with_first=False)
    seen = []

    class Guidance:
        def __call__(self, rgb: Tensor, *_: Any, **__: Any) -> dict[str, Tensor]:
            seen.append(rgb)
            return {"loss_sds": rgb.sum()}

    system.guidance, system.prompt_utils = Guidance(), None
    system._sds(step)
    orbit = batch["random_camera"]
    outputs = system.renderer.batch_forward({**orbit, "height": 16, "width": 16})
    torch.testing.assert_close(seen[0], outputs["comp_rgb"], atol=1e-5, rtol=0)


def test_targets_of_eight_bits_are_the_same_targets(toy: Toy, refining: Callable[..., Any]) -> None:
    _, whole = refining()
    _, parts = refining("data.chunk_views=1")
    assert torch.equal(parts["rgb"].float() / 255, whole["rgb"])
    assert torch.equal(parts["mask"].float(), whole["mask"])
    assert load_frames(toy.frames, 4, FRAMES).shape[2] == SIZE


def test_without_the_methods_weights_nothing_is_fetched(toy: Toy, out: Path, recon_run: LaunchResult) -> None:
    """The text encoder, which is asked for at the hub, would come next."""
    keys = [*toy.keys(out), *toy.model_keys(), *toy.data_keys(), "system.guidance.pretrained_unet_path=absent.ckpt"]
    with pytest.raises(InputError, match=r"motion checkpoint absent\.ckpt does not exist; docs/mvvdm.md"):
        run("refine_frame_16", "train", keys, f"system.weights={out}/recon/toy/ckpts/epoch=0-step=4.ckpt")
