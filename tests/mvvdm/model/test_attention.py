"""Attention processors against the reference's recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import Attention
from golden.subset import kept
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from animate3d.errors import InputError
from animate3d.mvvdm.model.attention import (
    Layout,
    MultiViewProcessor,
    Processor,
    PromptProcessor,
    SpatioTemporalProcessor,
    attend,
)
from animate3d.mvvdm.model.camera import get_camera, normalize_camera
from animate3d.mvvdm.model.positions import sinusoid_1d, sinusoid_2d

MULTI_VIEW = ["mvdream_plain", "mvdream_i2v"]
PROMPT = ["mvdream_plain_cross", "ip_adapter_scale1.0", "ip_adapter_scale0.6"]
MOTION = [
    *(f"st_{branch}_{mix}" for branch in ("spatial", "image", "both") for mix in ("blend", "sum")),
    "st_spatial_noenc_blend",
    "st_spatial_learnable_blend",
    "st_spatial_camsin_blend",
    "st_spatial_camlearn_sum",
]


class Case:
    """One recorded case: the layer, its processor and the call."""

    def __init__(self, folder: Path, name: str) -> None:
        tensors = load_file(folder / "attn_processors" / "cases.safetensors")
        self.meta = json.loads((folder / "attn_processors" / "cases.json").read_text())[name]
        self.tensors = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        settings = self.meta["attention"]
        cross = self.tensors["attn.to_k.weight"].shape[1]
        self.attn = Attention(
            settings["query_dim"], cross, settings["heads"], dim_head=settings["dim_head"], bias=False
        )
        self.attn.load_state_dict(self._weights("attn."))

    def _weights(self, prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}

    def error(self, processor: Processor, *inputs: object, layout: Layout | None = None) -> float:
        processor.load_state_dict(self._weights("proc."))
        with torch.no_grad():
            out = processor(self.attn, *inputs, layout=layout)
        return float((kept(out, self.tensors["out"]) - self.tensors["out"]).abs().max())


@pytest.mark.parametrize("name", MULTI_VIEW)
def test_multi_view_attention_matches_the_reference(golden: Path, name: str) -> None:
    case = Case(golden, name)
    processor = MultiViewProcessor(32, image_attn=name.endswith("i2v"))
    assert case.error(processor, case.tensors["in.hidden_states"], layout=Layout(4, 4, 4, 4)) < 1e-5


@pytest.mark.parametrize("name", PROMPT)
def test_prompt_attention_matches_the_reference(golden: Path, name: str) -> None:
    case = Case(golden, name)
    text, image = case.tensors["in.encoder_hidden_states"], case.tensors.get("in.ip_hidden_states")
    processor = PromptProcessor(32, text.shape[-1], image is not None, case.meta.get("scale", 1.0))
    prompt = text if image is None else (text, [image])
    assert case.error(processor, case.tensors["in.hidden_states"], prompt) < 1e-5


def motion_processor(meta: dict) -> SpatioTemporalProcessor:
    config = {
        "spatial_attn": meta["spatial_attn"],
        "image_attn": {"enabled": meta["image_attn"]},
        "use_alpha_blender": meta["use_alpha_blender"],
    }
    return SpatioTemporalProcessor(32, config, max_frames=32, num_views=4, feature_size=meta["feature_size"])


@pytest.mark.parametrize("name", MOTION)
def test_motion_attention_matches_the_reference(golden: Path, name: str) -> None:
    case = Case(golden, name)
    processor = motion_processor(case.meta)
    assert case.error(processor, case.tensors["in.hidden_states"], layout=Layout(4, 4, 4, 4)) < 1e-5


def test_encodings_match_the_reference(golden: Path) -> None:
    tensors = load_file(golden / "attn_processors" / "cases.safetensors")
    assert torch.equal(sinusoid_1d(32, 32)[None], tensors["sinus1d.pe"])
    torch.testing.assert_close(sinusoid_2d(4, 5, 32).permute(2, 0, 1)[None], tensors["sine2d.table"])


def test_camera_condition_matches_the_reference(golden: Path) -> None:
    tensors = load_file(golden / "cameras" / "cases.safetensors")
    cases = json.loads((golden / "cameras" / "cases.json").read_text())
    for name, arguments in cases.items():
        if name.startswith("get_camera."):
            views = arguments.pop("num_frames")
            torch.testing.assert_close(get_camera(views, **arguments), tensors[name], atol=1e-6, rtol=0)
    matrices = tensors["normalize_camera.in"]
    before = matrices.clone()
    torch.testing.assert_close(normalize_camera(matrices), tensors["normalize_camera.out"], atol=1e-6, rtol=0)
    assert torch.equal(matrices, before)


LAYOUTS = [Layout(1, 1, 2, 2), Layout(3, 5, 2, 3), Layout(4, 16, 3, 1)]
FULL = {
    "spatial_attn": {"enabled": True, "attn_cfg": {"use_spatial_encoding": True}},
    "image_attn": {"enabled": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_every_branch_runs_in_a_fused_kernel_for_any_layout(layout: Layout, batch: int) -> None:
    """The flash kernel never holds a score matrix; the context raises if a call would fall back to one that does."""
    views, frames, height, width = layout
    attn = Attention(16, None, 2, dim_head=8)
    motion = SpatioTemporalProcessor(16, FULL, max_frames=16, num_views=views, feature_size=4)
    spatial = MultiViewProcessor(16)
    cross, prompt = Attention(16, 12, 2, dim_head=8), PromptProcessor(16, 12)
    tokens = torch.randn(batch * views * height * width, frames, 16)
    images = torch.randn(batch * views * frames, height * width, 16)
    text, image = torch.randn(batch * views, 7, 12), torch.randn(batch * views, 1, 4, 12)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert motion(attn, tokens, layout=layout).shape == tokens.shape
        assert spatial(attn, images, layout=layout).shape == images.shape
        assert prompt(cross, images, (text, [image]), layout=layout).shape == images.shape


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    layout = Layout(2, 3, 2, 2)
    attn, processor = (
        Attention(16, None, 2, dim_head=8),
        SpatioTemporalProcessor(16, FULL, max_frames=4, num_views=2, feature_size=2),
    )
    tokens = torch.randn(2 * 2 * 4, 3, 16)
    both = processor(attn, tokens, layout=layout)
    one = processor(attn, tokens[8:], layout=layout)
    torch.testing.assert_close(both[8:], one, atol=1e-6, rtol=0)


def test_too_many_frames_or_an_unknown_encoding_is_one_clear_error() -> None:
    attn, processor = (
        Attention(16, None, 2, dim_head=8),
        SpatioTemporalProcessor(16, FULL, max_frames=4, num_views=1, feature_size=2),
    )
    with pytest.raises(InputError, match="5 positions asked for"):
        processor(attn, torch.randn(1, 5, 16), layout=Layout(1, 5, 1, 1))
    wrong = {
        "spatial_attn": {"enabled": True, "attn_cfg": {"use_spatial_encoding": True, "spatial_encoding_type": "sine"}}
    }
    with pytest.raises(InputError, match="`sinusoid` or `learnable`"):
        SpatioTemporalProcessor(16, wrong, max_frames=4, num_views=1, feature_size=2)


@pytest.mark.parametrize("shape", [(2, 64, 2, 8), (16, 8, 4, 8)])
def test_bfloat16_gradients_on_the_cpu_are_those_of_the_fused_kernel(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator, dtype=torch.bfloat16) for _ in range(3)]

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        leaves = [value.to(dtype, copy=True).requires_grad_() for value in inputs]
        out = attend(*leaves)
        out.float().square().sum().backward()
        return [out.detach().float(), *(leaf.grad.float() for leaf in leaves if leaf.grad is not None)]

    for plain, fused in zip(gradients(torch.bfloat16), gradients(torch.float32), strict=True):
        assert ((plain - fused).norm() / fused.norm()).item() < 0.02
