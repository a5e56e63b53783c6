"""The autoencoder's encoder with gradient and little memory is the encoder of diffusers."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn.functional import silu

from animate3d.mvvdm.model import encoder, launches
from animate3d.mvvdm.model.gradients import norm_backward
from animate3d.mvvdm.model.launches import Places
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=2,
        norm_num_groups=4,
    )
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.double().requires_grad_(False).eval()


def with_gradient(function: object, images: Tensor) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    out: Tensor = function(leaf)  # type: ignore[operator]
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return out.detach(), torch.autograd.grad((out * weight).sum(), leaf)[0]


@pytest.mark.parametrize("recomputed", [0, 1, 2, 3])
def test_values_and_gradients_are_those_of_diffusers(vae: AutoencoderKL, recomputed: int) -> None:
    images = torch.rand(3, 3, 32, 24, dtype=torch.float64) * 2 - 1
    expected = with_gradient(lambda x: vae.encode(x).latent_dist.parameters, images)
    found = with_gradient(lambda x: encoder.moments(vae, x, recomputed), images)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # statistics are float32


def test_the_gradient_of_norm_and_silu_is_that_of_autograd() -> None:
    norm = nn.GroupNorm(4, 12).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, gradient = torch.randn(2, 2, 35, 12, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    silu(norm(leaf.transpose(1, 2)).transpose(1, 2)).backward(gradient)
    torch.testing.assert_close(norm_backward(x, gradient, norm), leaf.grad, rtol=1e-5, atol=1e-6)


def test_only_the_input_of_every_norm_is_kept(vae: AutoencoderKL) -> None:
    kept: list[int] = []
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
        encoder.moments(vae, images, 0)
    plain: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: plain.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
        vae.encode(images).latent_dist.parameters  # noqa: B018
    assert sum(kept) < 0.45 * sum(plain)


def test_levels_are_recomputed_as_memory_asks(vae: AutoencoderKL) -> None:
    counts = [encoder.levels_to_recompute(vae, 64, 256, gib) for gib in (100.0, 0.5, 0.1, 1e-4)]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 3


def test_other_autoencoders_are_left_to_themselves(vae: AutoencoderKL) -> None:
    assert encoder.supports(vae)
    assert not encoder.supports(PatchAutoencoder())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("channels", "groups"), [(12, 4), (128, 32)])
def test_the_kernels_compute_the_formula(channels: int, groups: int) -> None:
    norm = nn.GroupNorm(groups, channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, gradient = torch.randn(2, 3, 1030, channels).half()
    expected = norm_backward(x, gradient, norm.half())
    x, gradient = x.cuda(), gradient.cuda()
    _, statistics = launches.group_norm(x, norm.cuda(), Places(), True, None)
    found = launches.group_norm_backward(x, gradient, statistics, Places(), activate=True)[0].cpu()
    assert (found - expected).float().norm() / expected.float().norm() < 2e-3
