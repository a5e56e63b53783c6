"""The forward pass without gradient in few passes over memory, against the modules it replaces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from animate3d.bundled_model.folder import bundled_model_folder
from animate3d.mvvdm.model.attention import PromptProcessor
from animate3d.mvvdm.model.fused import joint_weight
from animate3d.mvvdm.model.unet import DEFAULT_MOTION_ATTN, MultiViewUNet
from animate3d.mvvdm.tiny import UNET

VIEWS, FRAMES = 4, 3
SPATIAL = DEFAULT_MOTION_ATTN["spatial_attn"]
MODELS = {
    "as the full one": {},
    "learned encodings": {
        "motion_module_attn_cfg": {
            **DEFAULT_MOTION_ATTN,
            "spatial_attn": {
                "enabled": True,
                "attn_cfg": {
                    "use_spatial_encoding": True,
                    "spatial_encoding_type": "learnable",
                    "use_camera_encoding": True,
                    "camera_encoding_type": "learnable",
                },
            },
        }
    },
    "encoding in the block, branches added": {
        "motion_module_attn_cfg": {"spatial_attn": {"enabled": True}, "use_alpha_blender": False}
    },
    "no adapter, no image prompt": {"mvdream_attn_cfg": {"image_attn": {"enabled": False}}, "image_embed_dim": None},
    "small model's options": {
        "concat_first_frame": True,
        "pooled_text": True,
        "frame_embedding": True,
        "position_embedding": True,
        "i2v_cond_time_zero": True,
        "levels_without_motion": (0,),
    },
    "first block without attention": {
        "down_block_types": ("DownBlockMotion", "CrossAttnDownBlockMotion", "DownBlockMotion", "DownBlockMotion"),
        "use_motion_mid_block": False,
    },
}


def model(**options: object) -> MultiViewUNet:
    unet = MultiViewUNet(**{**UNET, **options}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


def call(unet: MultiViewUNet, prompts: int = 1, samples: int = 1) -> dict[str, object]:
    rows = samples * VIEWS
    width = unet.config["image_embed_dim"]
    embeds = None if width is None else {"image_embeds": torch.randn(prompts * rows, width)}
    return {
        "sample": torch.randn(rows, 4, FRAMES, 8, 8),
        "timestep": torch.arange(rows) * 30,
        "encoder_hidden_states": torch.randn(prompts * rows, 5, unet.config["cross_attention_dim"]),
        "camera": torch.randn(rows, 16),
        "added_cond_kwargs": embeds,
        "num_views": VIEWS,
        "return_dict": False,
    }


@torch.no_grad()
def by(unet: MultiViewUNet, streamlined: bool, arguments: dict[str, object]) -> Tensor:
    unet.streamlined = streamlined
    return unet(**arguments)[0]


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_the_result_is_that_of_the_modules(name: str) -> None:
    unet = model(**MODELS[name])
    arguments = call(unet, prompts=2, samples=2)
    expected = by(unet, False, arguments)
    unet.streamlined = True
    with torch.no_grad():
        assert unet._streamlines(arguments["sample"])  # type: ignore[arg-type]
    assert_same(by(unet, True, arguments), expected)


def test_kernels_that_lie_as_the_images_do_give_the_same() -> None:
    unet = model()
    arguments = call(unet)
    expected = by(unet, True, arguments)
    nn.Module.to(unet, memory_format=torch.channels_last)
    for streamlined in (True, False):
        assert_same(by(unet, streamlined, arguments), expected)


@pytest.mark.parametrize("streamlined", [False, True])
def test_two_prompts_of_a_sample_are_two_calls(streamlined: bool) -> None:
    unet = model()
    arguments = call(unet, prompts=2)
    both = by(unet, streamlined, arguments)
    text, embeds = arguments["encoder_hidden_states"], arguments["added_cond_kwargs"]["image_embeds"]  # type: ignore[index]
    for rows in (slice(0, VIEWS), slice(VIEWS, None)):
        one = {**arguments, "encoder_hidden_states": text[rows], "added_cond_kwargs": {"image_embeds": embeds[rows]}}  # type: ignore[index]
        assert_same(both[rows], by(unet, False, one))


@pytest.mark.parametrize("streamlined", [False, True])
def test_a_kept_prompt_gives_the_same_and_is_read_once(streamlined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = model()
    arguments = call(unet)
    expected = by(unet, streamlined, arguments)
    prompt = unet.prompt(arguments["encoder_hidden_states"], arguments["added_cond_kwargs"])  # type: ignore[arg-type]
    kept = {**arguments, "encoder_hidden_states": prompt, "added_cond_kwargs": None}
    assert torch.equal(by(unet, streamlined, kept), expected)
    layers = [module for module in unet.modules() if isinstance(module, PromptProcessor)]
    assert prompt.kept is not None and len(prompt.kept) == len(layers)
    with monkeypatch.context() as patch:  # a second call does not touch the layers again
        for layer in layers:
            for projection in (*layer.to_k_ip, *layer.to_v_ip):
                patch.setattr(projection, "forward", None)
        assert torch.equal(by(unet, streamlined, kept), expected)


@pytest.mark.parametrize("streamlined", [None, True])
def test_a_gradient_keeps_no_keys(streamlined: bool | None) -> None:
    unet = model()
    arguments = call(unet)
    unet.streamlined = streamlined
    assert unet._streamlines(arguments["sample"]) == bool(streamlined), "on a CPU the modules, unless it is said"  # type: ignore[arg-type]
    prompt = unet.prompt(arguments["encoder_hidden_states"], arguments["added_cond_kwargs"])  # type: ignore[arg-type]
    unet(**{**arguments, "encoder_hidden_states": prompt})[0].sum().backward()
    assert prompt.kept == {}


def test_foreign_layers_keep_the_modules() -> None:
    unet = model()
    sample = torch.zeros(VIEWS, 4, FRAMES, 8, 8)
    unet.streamlined = True
    with torch.no_grad():
        assert unet._streamlines(sample)
        unet.mid_block.attentions[0]._hf_hook = object()  # what offloading hangs on a layer
        assert not unet._streamlines(sample)
        del unet.mid_block.attentions[0]._hf_hook
        unet.conv_in.to("meta")
        assert not unet._streamlines(sample)
    bare = model(motion_module_attn_cfg={"spatial_attn": {"enabled": False}})
    bare.streamlined = True
    with torch.no_grad():
        assert not bare._streamlines(sample)


def test_joint_weights_stay_the_layers_own(tmp_path: Path) -> None:
    unet = model()
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    by(unet, True, call(unet))
    after = unet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    unet.save_pretrained(tmp_path)
    written = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    assert written.keys() == before.keys() and all(torch.equal(before[name], written[name]) for name in before)


def test_joint_weights_follow_their_layers() -> None:
    layers = [nn.Linear(3, 4, bias=False) for _ in range(3)]
    joint = joint_weight(layers)
    assert torch.equal(joint, torch.cat([layer.weight for layer in layers]))
    assert joint_weight(layers).data_ptr() == joint.data_ptr()
    with torch.no_grad():
        layers[1].weight.add_(1)
    assert torch.equal(joint_weight(layers), torch.cat([layer.weight for layer in layers]))
    layers[1].double().float()  # moved: no longer beside the others
    assert torch.equal(joint_weight(layers), torch.cat([layer.weight for layer in layers]))


def test_the_bundled_model_is_computed_the_same() -> None:
    unet = MultiViewUNet.from_pretrained(bundled_model_folder() / "unet").eval()
    size, frames = unet.config["sample_size"], 4
    rows = unet.config["num_views"]
    arguments = {
        "sample": torch.randn(rows, unet.config["in_channels"], frames, size, size),
        "timestep": 300,
        "encoder_hidden_states": torch.randn(rows, 7, unet.config["cross_attention_dim"]),
        "camera": None if unet.config["camera_embedding_dim"] is None else torch.randn(rows, 16),
        "added_cond_kwargs": {"image_embeds": torch.randn(rows, unet.config["image_embed_dim"] or 1)},
        "return_dict": False,
        "return_origins": unet.config["origin_factor"] is not None,
    }
    results = []
    for streamlined in (False, True):
        unet.streamlined = streamlined
        with torch.no_grad():
            results.append(unet(**arguments))
    assert_same(results[1][0], results[0][0])
    if arguments["return_origins"]:
        torch.testing.assert_close(results[1][1].places, results[0][1].places, atol=1e-3, rtol=1e-4)


@pytest.mark.cuda
def test_a_gpu_gives_the_numbers_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU, and PyTorch finds none")
    unet = model()
    arguments = call(unet, prompts=2)
    expected = by(unet, False, arguments)
    unet.half().cuda()
    given = {key: value.cuda() if isinstance(value, Tensor) else value for key, value in arguments.items()}
    for key in ("sample", "camera", "encoder_hidden_states"):
        given[key] = given[key].half()  # type: ignore[union-attr]
    embeds = {"image_embeds": arguments["added_cond_kwargs"]["image_embeds"].half().cuda()}  # type: ignore[index]
    given["encoder_hidden_states"] = unet.prompt(given["encoder_hidden_states"], embeds)  # type: ignore[arg-type]
    with torch.no_grad():
        found = unet(**given)[0].float().cpu()
    assert float((found - expected).norm() / expected.norm()) < 5e-3
