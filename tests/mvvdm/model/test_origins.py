from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.mvvdm.model.origins import OriginHead, Origins, at_rest, own_origins, paint_from_origins, views_from
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.model.unet import is_trained
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import tiny_pipeline
from animate3d.mvvdm.weights import load_motion_checkpoint

VIEWS, FRAMES, SIZE = 4, 3, 8


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def pixels_at_rest() -> Tensor:
    """Every pixel at its own place in every view. ``[1, V, F, V, 2, H, W]``"""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    return torch.stack([x, y]).expand(1, VIEWS, FRAMES, VIEWS, 2, SIZE, SIZE).clone()


def only(source: int) -> Tensor:
    sources = torch.full((1, VIEWS, FRAMES, VIEWS + 1, SIZE, SIZE), -50.0)
    sources[:, :, :, source] = 50
    return sources


def test_the_own_view_is_repeated_when_nothing_moves() -> None:
    frames, first = noise(1, VIEWS, FRAMES, 3, SIZE, SIZE), noise(1, VIEWS, 3, SIZE, SIZE)
    painted = paint_from_origins(frames, first, Origins(pixels_at_rest(), only(0)))
    torch.testing.assert_close(painted, first[:, :, None].expand_as(frames), atol=1e-5, rtol=0)


def test_a_shift_moves_the_picture_the_other_way() -> None:
    frames, first = noise(1, VIEWS, FRAMES, 3, SIZE, SIZE), noise(1, VIEWS, 3, SIZE, SIZE)
    places = pixels_at_rest()
    places[..., 0, :, :] += 2  # every pixel comes from two pixels further right
    painted = paint_from_origins(frames, first, Origins(places, only(0)))
    torch.testing.assert_close(painted[:, :, 1, :, :, :-2], first[..., 2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("step", [1, 3])
def test_other_sources_are_the_views_that_follow(step: int) -> None:
    frames, first = noise(1, VIEWS, FRAMES, 3, SIZE, SIZE), noise(1, VIEWS, 3, SIZE, SIZE)
    painted = paint_from_origins(frames, first, Origins(pixels_at_rest(), only(step)))
    torch.testing.assert_close(painted[:, :, 0], first.roll(-step, dims=1), atol=1e-5, rtol=0)
    assert views_from(VIEWS)[1].tolist() == [1, 2, 3, 0]


def test_without_a_source_the_video_stays() -> None:
    frames, first = noise(1, VIEWS, FRAMES, 3, SIZE, SIZE), noise(1, VIEWS, 3, SIZE, SIZE)
    torch.testing.assert_close(paint_from_origins(frames, first, Origins(pixels_at_rest(), only(VIEWS))), frames)


def test_places_have_a_gradient() -> None:
    frames, first = noise(1, VIEWS, FRAMES, 3, SIZE, SIZE), noise(1, VIEWS, 3, SIZE, SIZE)
    places = (pixels_at_rest() + 0.3).requires_grad_()
    paint_from_origins(frames, first, Origins(places, only(0))).sum().backward()
    assert places.grad is not None and places.grad[:, :, :, 0].abs().sum() > 0


def test_a_head_that_says_nothing_leaves_pixels_where_they_are() -> None:
    head = OriginHead(5, VIEWS, 2)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    found = head(torch.zeros(VIEWS * FRAMES, 5, SIZE // 2, SIZE // 2), FRAMES)
    assert found.sources.shape == (1, VIEWS, FRAMES, VIEWS + 1, SIZE, SIZE)
    torch.testing.assert_close(found.places[:, :, :, 0], pixels_at_rest()[:, :, :, 0])
    assert (found.places[:, :, :, 1:, 0] == SIZE / 2).all()


def small_pipeline(**unet: object) -> MultiViewVideoPipeline:
    pipeline = tiny_pipeline(unet={"in_channels": 8, "out_channels": 8, **unet})
    autoencoder = PatchAutoencoder(refiner_channels=())
    autoencoder.fit(noise(16, 3, 32, 32) * 2 - 1)
    pipeline.register_modules(vae=autoencoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def with_and_without_origins() -> tuple[MultiViewVideoPipeline, MultiViewVideoPipeline]:
    """Otherwise the same."""
    with_head, without = small_pipeline(origin_factor=4), small_pipeline()
    state = with_head.unet.state_dict()
    without.unet.load_state_dict({name: state[name] for name in without.unet.state_dict()})
    return with_head, without


def generate(pipeline: MultiViewVideoPipeline, views: int = VIEWS, **more: object) -> np.ndarray:
    images = [Image.fromarray((noise(4, 32, 32, 3)[view] * 255).byte().numpy()) for view in range(views)]
    seeded = torch.Generator().manual_seed(0)
    return pipeline(
        "a cube is jumping",
        images,
        num_frames=FRAMES,
        height=32,
        width=32,
        num_inference_steps=2,
        generator=seeded,
        output_type="np",
        **more,
    ).frames


def test_a_pipeline_paints_when_its_unet_finds_origins(tmp_path: Path) -> None:
    pipeline = small_pipeline(origin_factor=4)
    painted = generate(pipeline)
    assert painted.shape == (1, VIEWS, FRAMES, 32, 32, 3) and painted.min() >= 0 and painted.max() <= 1
    given = noise(4, 32, 32, 3)
    np.testing.assert_allclose(painted[0, :, 0], (given * 255).byte().numpy() / 255, atol=1e-6)
    pipeline.save_pretrained(tmp_path)
    loaded = MultiViewVideoPipeline.from_pretrained(tmp_path, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    np.testing.assert_allclose(generate(loaded), painted, atol=1e-5)  # mapped files are aligned differently


def test_the_videos_below_the_paint_are_those_of_the_same_model_without_origins() -> None:
    with_head, without = with_and_without_origins()
    last = with_head.unet.origin_head.layers[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    with torch.no_grad():
        last.bias.view(3 * VIEWS + 1, -1)[-1] = 50  # no first image shows anything
    np.testing.assert_allclose(generate(with_head)[:, :, 1:], generate(without)[:, :, 1:], atol=1e-5)


@pytest.mark.parametrize(
    "kind", [pytest.param(EulerDiscreteScheduler, marks=pytest.mark.slow), DPMSolverMultistepScheduler]
)
def test_origins_do_not_depend_on_the_timesteps_of_the_sampler(kind: type[SchedulerMixin]) -> None:
    pipeline = small_pipeline(origin_factor=4)
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config)
    frames = generate(pipeline)
    assert frames.shape == (1, VIEWS, FRAMES, 32, 32, 3) and np.isfinite(frames).all()


def test_origins_of_the_own_view_come_with_the_videos() -> None:
    pipeline = small_pipeline(origin_factor=4)
    picture = Image.fromarray((noise(32, 32, 3) * 255).byte().numpy())
    settings = {"num_frames": FRAMES, "height": 32, "width": 32, "num_inference_steps": 2}
    made = pipeline("a cube is jumping", [picture] * VIEWS, output_type="pt", **settings)
    places, trust = own_origins(made.origins)
    assert places.shape == (1, VIEWS, FRAMES - 1, 2, 32, 32) and trust.shape == (1, VIEWS, FRAMES - 1, 32, 32)
    assert trust.min() >= 0 and trust.max() <= 1
    assert small_pipeline()("a cube is jumping", [picture] * VIEWS, **settings).origins is None


def test_a_frame_that_repeats_frame_0_comes_from_where_it_is() -> None:
    found = Origins(torch.zeros(1, VIEWS, 3, VIEWS, 2, 4, 6), torch.zeros(1, VIEWS, 3, VIEWS + 1, 4, 6))
    places, trust = own_origins(at_rest(found, torch.tensor([1])))
    assert places[0, 2, 1, :, 3, 5].tolist() == [5.5, 3.5] and trust[:, :, 1].min() > 0.99
    assert not places[:, :, [0, 2]].any() and trust[:, :, [0, 2]].max() < 0.3


def test_other_numbers_of_views_stay_unpainted_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with_head, without = with_and_without_origins()
    np.testing.assert_array_equal(generate(with_head, views=2), generate(without, views=2))
    assert "in 4 views, not in 2" in caplog.text


def test_a_frame_0_that_a_callback_gives_is_what_is_painted_with() -> None:
    pipeline = small_pipeline(origin_factor=4)
    last = pipeline.unet.origin_head.layers[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    with torch.no_grad():
        last.bias.view(3 * VIEWS + 1, -1)[2 * VIEWS] = 50  # every pixel is where it was in its own view
    other = torch.zeros(VIEWS, 8, 1, 8, 8)
    frames = generate(
        pipeline,
        callback_on_step_end=lambda *_: {"first_frame": other},
        callback_on_step_end_tensor_inputs=("first_frame",),
    )
    expected = pipeline.decode_latents(other)[:, 0].movedim(1, -1).numpy()
    for frame in range(FRAMES):
        np.testing.assert_allclose(frames[0, :, frame], expected, atol=1e-5)


@pytest.mark.slow
def test_other_weights_have_no_use_for_the_head(tmp_path: Path) -> None:
    with_head, without = with_and_without_origins()
    trained = {key: value for key, value in without.unet.state_dict().items() if is_trained(key)}
    save_file(trained, tmp_path / "trained_further.safetensors")
    load_motion_checkpoint(with_head.unet, tmp_path / "trained_further.safetensors")
    assert with_head.unet.origin_head is None
    np.testing.assert_array_equal(generate(with_head), generate(without))
    whole = small_pipeline(origin_factor=4).unet
    save_file({name: value.contiguous() for name, value in whole.state_dict().items()}, tmp_path / "whole.safetensors")
    load_motion_checkpoint(whole, tmp_path / "whole.safetensors")
    assert whole.origin_head is not None


def test_origins_of_a_model_without_the_head_are_refused() -> None:
    unet = small_pipeline().unet
    with pytest.raises(InputError, match="origin_factor"):
        unet(torch.zeros(4, 8, 2, 8, 8), 5, torch.zeros(4, 5, 32), return_origins=True)
