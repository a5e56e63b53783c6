"""Weights of eight bits: what they save, and what they cost."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from animate3d.bundled_model.folder import bundled_model_folder
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.model.quantized import EightBits, quantize
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.tiny import UNET

VIEWS = 4


def bytes_of(module: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters())


@torch.no_grad()
def output(unet: MultiViewUNet, streamlined: bool) -> Tensor:
    unet.streamlined = streamlined
    draw = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw).to(unet.dtype)

    return unet(
        normal(VIEWS, unet.config["in_channels"], 2, 8, 8),
        500,
        normal(VIEWS, 3, unet.config["cross_attention_dim"]),
        camera=normal(VIEWS, 16),
        added_cond_kwargs={"image_embeds": normal(VIEWS, unet.config["image_embed_dim"])},
        num_views=VIEWS,
        return_dict=False,
    )[0]


def test_a_trained_unet_is_smaller_and_says_nearly_the_same() -> None:
    unet = load_converted(bundled_model_folder()).unet
    small = copy.deepcopy(unet)
    quantize(small)
    assert bytes_of(small) < 0.32 * bytes_of(unet)  # which is in float32
    expected, found = output(unet, False), output(small, True)
    assert 1e-4 < (found - expected).norm() / expected.norm() < 0.01
    torch.testing.assert_close(found, output(small, False), atol=1e-4, rtol=1e-4)


def test_bytes_stay_bytes_when_the_precision_of_the_rest_changes() -> None:
    unet = nn.Module.to(MultiViewUNet(**UNET), torch.bfloat16)
    quantize(unet)
    before = bytes_of(unet)
    nn.Module.to(unet, torch.bfloat16)
    assert bytes_of(unet) == before
    assert unet.dtype == unet.mid_block.attentions[0].proj_in.weight.dtype == torch.bfloat16
    assert output(unet, True).isfinite().all()


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3)])
def test_a_weight_comes_back_to_half_a_step(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    if weight.ndim == 4:
        weight = weight.to(memory_format=torch.channels_last)
    weight[1] = 0
    bits = EightBits()
    back = bits(*bits.right_inverse(weight))
    assert back.stride() == weight.stride()
    step = weight.flatten(1).abs().amax(dim=1) / 127
    assert ((back - weight).flatten(1).abs().amax(dim=1) <= 0.501 * step).all()
