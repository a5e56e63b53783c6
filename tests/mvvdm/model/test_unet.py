"""The UNet against the reference's keys and recorded numbers."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch
from golden.subset import kept
from safetensors.torch import load_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.mvvdm.model.unet import MultiViewUNet, is_trained
from animate3d.mvvdm.weights import unet_arguments

CASES = ["b1_t_scalar", "b1_cond_time_zero", "b2_t_vector", "b2_cond_time_zero", "b1_t_float_vector", "b1_no_camera"]


@pytest.fixture(scope="module")
def reference(golden: Path) -> MultiViewUNet:
    """The recorded tiny model; loading is strict."""
    settings = json.loads((golden / "unet_tiny" / "config.json").read_text())
    arguments = unet_arguments(settings["unet"], settings["motion_adapter"])
    unet = MultiViewUNet(**arguments, image_embed_dim=settings["ip"]["image_embed_dim"])
    unet.load_state_dict(load_file(golden / "tiny_components" / "unet" / "diffusion_pytorch_model.safetensors"))
    return unet.eval()


def inputs(golden: Path, name: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    tensors = load_file(golden / "unet_tiny" / "cases.safetensors")
    tensors = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
    return tensors, json.loads((golden / "unet_tiny" / "cases.json").read_text())[name]


def run(unet: MultiViewUNet, tensors: dict[str, Tensor], *, camera: bool = True, **kwargs: object) -> Tensor:
    with torch.no_grad():
        return unet(
            tensors["sample"],
            tensors["timestep"],
            tensors["encoder_hidden_states"],
            camera=tensors["camera"] if camera else None,
            added_cond_kwargs={"image_embeds": tensors["image_embeds"]},
            **kwargs,
        ).sample


@pytest.mark.parametrize("name", CASES)
def test_output_matches_the_reference(golden: Path, reference: MultiViewUNet, name: str) -> None:
    tensors, meta = inputs(golden, name)
    reference.register_to_config(i2v_cond_time_zero=meta["i2v_cond_time_zero"])
    out = run(reference, tensors, camera=bool(meta["camera"]))
    reference.register_to_config(i2v_cond_time_zero=False)
    torch.testing.assert_close(kept(out, tensors["out"]), tensors["out"], atol=2e-5, rtol=0)


def test_every_intermediate_activation_matches_the_reference(golden: Path, reference: MultiViewUNet) -> None:
    tensors, _ = inputs(golden, "b1_t_scalar")
    expected = {key.removeprefix("act."): value for key, value in tensors.items() if key.startswith("act.")}
    errors: dict[str, float] = {}

    def record(name: str):
        def hook(module: torch.nn.Module, arguments: object, out: object) -> None:
            while not isinstance(out, Tensor):
                out = out[0]  # type: ignore[index]
            errors[name] = float((kept(out, expected[name]) - expected[name]).abs().max())

        return hook

    hooks = [reference.get_submodule(name).register_forward_hook(record(name)) for name in expected]
    run(reference, tensors)
    for hook in hooks:
        hook.remove()
    assert errors.keys() == expected.keys()
    assert max(errors.values()) < 1e-4, errors


def test_full_size_has_the_keys_and_shapes_of_the_reference(golden: Path) -> None:
    recorded = json.loads((golden / "unet_keys_full.json").read_text())
    with torch.device("meta"):
        unet = MultiViewUNet(**unet_arguments(recorded["unet_config"], recorded["motion_adapter_config"]))
    state = {key: list(value.shape) for key, value in unet.state_dict().items()}
    assert state == recorded["keys"]
    assert sorted(name for name, _ in unet.named_buffers()) == sorted(recorded["buffers"])
    trained = {key for key in state if is_trained(key)}
    assert trained == set(recorded["motion_checkpoint_keys"])
    assert len(state) - len(trained) == recorded["missing_when_loading_motion_checkpoint"]


def test_save_and_load_rebuild_every_processor_bit_for_bit(tmp_path: Path) -> None:
    config = {
        "enabled": True,
        "spatial_attn": {
            "enabled": True,
            "attn_cfg": {
                "use_spatial_encoding": True,
                "spatial_encoding_type": "learnable",
                "use_camera_encoding": True,
                "camera_encoding_type": "learnable",
            },
        },
        "image_attn": {"enabled": True},
        "use_alpha_blender": False,
    }
    unet = small_unet(motion_module_attn_cfg=config, i2v_cond_time_zero=True, num_views=3, image_scale=0.5)
    unet.save_pretrained(tmp_path)
    loaded = MultiViewUNet.from_pretrained(tmp_path)
    assert loaded.config["motion_module_attn_cfg"] == config
    before, after = unet.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    tensors = random_inputs(3, 2, 8, 8)
    assert torch.equal(run(unet.eval(), tensors), run(loaded, tensors))


def small_unet(**kwargs: object) -> MultiViewUNet:
    torch.manual_seed(0)
    defaults: dict[str, object] = {
        "block_out_channels": (8, 32),
        "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 8,
        "num_attention_heads": 2,
        "motion_num_attention_heads": 2,
        "image_embed_dim": 6,
        "learned_encoding_size": 8,
    }
    return MultiViewUNet(**{**defaults, **kwargs})


def random_inputs(batch: int, frames: int, height: int, width: int) -> dict[str, Tensor]:
    return {
        "sample": torch.randn(batch, 4, frames, height, width),
        "timestep": torch.tensor(7),
        "encoder_hidden_states": torch.randn(batch, 5, 8),
        "camera": torch.randn(batch, 16),
        "image_embeds": torch.randn(batch, 6),
    }


@pytest.mark.parametrize(("views", "frames", "height", "width"), [(1, 1, 4, 4), (2, 3, 4, 6), (5, 7, 2, 8)])
def test_views_frames_and_size_come_from_the_call(views: int, frames: int, height: int, width: int) -> None:
    unet, tensors = small_unet().eval(), random_inputs(2 * views, frames, height, width)
    both = run(unet, tensors, num_views=views)
    assert both.shape == tensors["sample"].shape
    second = {key: value[views:] if value.ndim else value for key, value in tensors.items()}
    torch.testing.assert_close(run(unet, second, num_views=views), both[views:], atol=1e-5, rtol=0)


def test_shapes_can_be_asked_for_without_memory() -> None:
    with torch.device("meta"):
        unet, tensors = small_unet(), {name: value.to("meta") for name, value in random_inputs(4, 3, 8, 8).items()}
        assert run(unet, tensors).shape == tensors["sample"].shape


def test_permuting_the_views_permutes_the_output() -> None:
    unet, tensors = small_unet().eval(), random_inputs(4, 3, 4, 4)
    order = torch.tensor([2, 0, 3, 1])
    permuted = {key: value[order] if value.ndim else value for key, value in tensors.items()}
    torch.testing.assert_close(run(unet, permuted), run(unet, tensors)[order], atol=1e-5, rtol=0)


def test_asking_for_xformers_or_the_default_keeps_the_processors() -> None:
    unet = small_unet()
    before = dict(unet.attn_processors)
    unet.set_use_memory_efficient_attention_xformers(False)
    unet.set_default_attn_processor()
    assert all(unet.attn_processors[name] is processor for name, processor in before.items())
    with pytest.raises(InputError, match="not known"):
        unet.set_attention_backend("flash")


def test_xformers_gets_the_same_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with xformers' layout: ``[N, tokens, heads, D]``."""
    calls = []

    def memory_efficient_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        calls.append(query.shape)
        weights = torch.einsum("nqhd,nkhd->nhqk", query, key) / query.shape[-1] ** 0.5
        return torch.einsum("nhqk,nkhd->nqhd", weights.softmax(dim=-1), value)

    unet, tensors = small_unet().eval(), random_inputs(4, 2, 4, 4)
    expected = run(unet, tensors)
    fake = types.SimpleNamespace(memory_efficient_attention=memory_efficient_attention)
    monkeypatch.setitem(sys.modules, "xformers", types.SimpleNamespace(ops=fake))
    monkeypatch.setitem(sys.modules, "xformers.ops", fake)
    unet.set_use_memory_efficient_attention_xformers(True)
    torch.testing.assert_close(run(unet, tensors), expected, atol=1e-5, rtol=0)
    assert calls


def test_wrong_shapes_are_one_clear_error() -> None:
    unet = small_unet()
    with pytest.raises(InputError, match="3 videos cannot be split into samples of 4 views"):
        run(unet, random_inputs(3, 1, 4, 4))
    with pytest.raises(InputError, match="33 frames asked for"):
        run(unet, random_inputs(4, 33, 4, 4))
    with pytest.raises(InputError, match="multiples of 2"):
        run(unet, random_inputs(4, 1, 4, 5))
    without = random_inputs(4, 1, 4, 4)
    with pytest.raises(InputError, match="image_embeds"):
        unet(without["sample"], 1, without["encoder_hidden_states"])


def test_gradients_reach_every_trained_parameter_and_checkpointing_keeps_them() -> None:
    unet, tensors = small_unet(), random_inputs(4, 2, 4, 4)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(is_trained(name))
        if "to_out_i2v" in name:
            torch.nn.init.normal_(parameter, std=0.1)

    def gradients() -> dict[str, Tensor | None]:
        unet.zero_grad()
        out = unet(
            tensors["sample"],
            tensors["timestep"],
            tensors["encoder_hidden_states"],
            camera=tensors["camera"],
            added_cond_kwargs={"image_embeds": tensors["image_embeds"]},
        ).sample
        out.square().sum().backward()
        return {name: p.grad for name, p in unet.named_parameters() if p.requires_grad}

    plain = gradients()
    assert not [name for name, gradient in plain.items() if gradient is None]
    unet.enable_gradient_checkpointing()
    for name, gradient in gradients().items():
        torch.testing.assert_close(gradient, plain[name], msg=name)
