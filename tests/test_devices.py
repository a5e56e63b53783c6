"""The same mathematics on the CPU and on a GPU: each test runs on both where there is a GPU."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.motion import DeformationField
from animate3d.motion.arap import arap_energy, knn_graph
from animate3d.mvvdm.guidance import DistillationDraws, VideoGuidance
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import tiny_pipeline
from animate3d.rasterize import Splats, render

Inputs = TypeVar("Inputs", Splats, DistillationDraws)


def moved(inputs: Inputs, device: torch.device) -> Inputs:
    """A dataclass of tensors on another device."""
    return dataclasses.replace(inputs, **{name: value.to(device) for name, value in vars(inputs).items()})


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Largest difference relative to the largest value."""
    assert found.isfinite().all()
    error = (found.double().cpu() - expected.double()).abs().max() / expected.double().abs().max()
    assert error <= tolerance, f"{float(error):.1e}"


def test_rasterised_images_and_gradients_are_those_of_the_reference(device: torch.device) -> None:
    if device.type == "cuda":
        pytest.importorskip("gsplat")
    draw = torch.Generator().manual_seed(0)
    scene = Splats(
        means=0.4 * torch.randn(2, 200, 3, generator=draw),
        quats=torch.randn(2, 200, 4, generator=draw),
        scales=0.05 * (0.2 + torch.rand(2, 200, 3, generator=draw)),
        opacities=torch.rand(200, generator=draw),
        colors=torch.rand(200, 3, generator=draw),
    )
    weights = torch.randn(2, 3, 32, 32, 3, generator=draw)

    def run(splats: Splats, cameras: Cameras, backend: str) -> tuple[Tensor, ...]:
        leaves = [value.clone().requires_grad_() for value in vars(splats).values()]
        image = render(Splats(*leaves), cameras, background=0.5, backend=backend)
        grads = torch.autograd.grad((image.color * weights.to(image.color)).sum() + image.alpha.sum(), leaves)
        return image.color.detach(), image.alpha.detach(), image.depth.detach(), *grads

    cameras = reconstruction_cameras(3, 32)
    expected = run(scene, cameras, "reference")
    found = run(moved(scene, device), cameras.to(device), "auto")
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.device.type == device.type
        assert_near(ours, theirs, 1e-3)


def value_and_gradients(function: Callable[[], Tensor], leaves: list[Tensor]) -> list[Tensor]:
    value = function()
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def test_the_deformation_field_in_float32_is_that_in_float64(device: torch.device) -> None:
    exact = DeformationField([[4, 5, 3, 2], [6, 3, 7, 5]], 5, n_neurons=6).double()
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    gaussians = [torch.rand(50, 3) - 0.5, torch.randn(50, 4), torch.randn(50, 3)]
    times = torch.tensor([-1.0, -0.3, 0.4, 1.0])

    def run(field: nn.Module, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        field = field.to(device, dtype)
        inputs = [tensor.to(device, dtype) for tensor in (*gaussians, times)]

        def total() -> Tensor:
            parts = field.deform(*inputs, use_delta_scale=True)
            return torch.stack([part.cos().sum() for part in parts]).sum()

        return value_and_gradients(total, list(field.parameters()))

    expected = run(copy.deepcopy(exact), torch.device("cpu"), torch.float64)
    for ours, theirs in zip(run(exact, device, torch.float32), expected, strict=True):
        assert ours.device.type == device.type
        assert_near(ours, theirs, 1e-4)


def test_the_arap_energy_in_float32_is_that_in_float64(device: torch.device) -> None:
    rest = torch.randn(60, 3)
    positions = rest + 0.2 * torch.randn(4, 60, 3)
    positions[0] = rest
    neighbours, valid = knn_graph(rest, 6, 1.0)
    sample = torch.randint(60, (40,))

    def run(device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        leaf = positions.to(device, dtype).requires_grad_()
        graph = (neighbours.to(device), valid.to(device), sample.to(device))
        return value_and_gradients(lambda: arap_energy(leaf, *graph), [leaf])

    expected = run(torch.device("cpu"), torch.float64)
    for ours, theirs in zip(run(device, torch.float32), expected, strict=True):
        assert ours.device.type == device.type
        assert_near(ours, theirs, 1e-4)


@pytest.fixture(scope="module")
def sampled() -> Tensor:
    """Videos of the tiny model, made on the CPU."""
    return sample(tiny_pipeline())


def sample(pipeline: MultiViewVideoPipeline) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    images = [Image.fromarray(image) for image in pixels]
    options = {"num_frames": 3, "num_inference_steps": 2, "output_type": "pt"}
    return pipeline("a dog runs", images, generator=torch.Generator().manual_seed(0), **options).frames


def test_a_seed_samples_the_same_video(device: torch.device, sampled: Tensor) -> None:
    assert_near(sample(tiny_pipeline().to(device)), sampled, 1e-3)


def test_the_guidance_gives_the_same_loss_and_gradient(device: torch.device) -> None:
    c2w = torch.eye(4).repeat(6, 1, 1)
    c2w[:, :3, 3] = torch.randn(6, 3)
    rgb, text = torch.rand(6, 64, 64, 3), torch.randn(4, 77, 32)
    draws = DistillationDraws(torch.randn(6, 4, 8, 8), torch.tensor([100]), torch.randn(1, 2, 2, 4, 8, 8))

    def run(device: torch.device) -> list[Tensor]:
        guidance = VideoGuidance(tiny_pipeline().to(device), views=2, frames=3)
        leaf = rgb.to(device).requires_grad_()

        def loss() -> Tensor:
            result, _ = guidance(
                leaf,
                text.to(device),
                c2w.to(device),
                draws=moved(draws, device),
                guidance_scale=5.0,
                step_range=(0.02, 0.2),
                std_rescale=0.25,
            )
            return result.loss

        return value_and_gradients(loss, [leaf])

    for ours, theirs in zip(run(device), run(torch.device("cpu")), strict=True):
        assert ours.device.type == device.type
        assert_near(ours, theirs, 1e-3)
