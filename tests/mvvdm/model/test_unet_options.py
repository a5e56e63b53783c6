"""Options of `MultiViewUNet` that the full model leaves off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.mvvdm.model.motion_module import MotionTransformer
from animate3d.mvvdm.model.unet import MultiViewUNet

OPTIONS: dict[str, object] = {
    "concat_first_frame": True,
    "pooled_text": True,
    "frame_embedding": True,
    "position_embedding": True,
    "levels_without_motion": (0,),
}


def small_unet(**options: object) -> MultiViewUNet:
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlockMotion", "CrossAttnDownBlockMotion"),
        "up_block_types": ("CrossAttnUpBlockMotion", "UpBlockMotion"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 8,
        "num_attention_heads": 2,
        "motion_num_attention_heads": 2,
        "image_embed_dim": 6,
        "i2v_cond_time_zero": True,
        "up_block_motion_norm_num_groups": 4,
    }
    return MultiViewUNet(**{**settings, **options})


def predict(unet: MultiViewUNet, size: int = 8, **changes: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "sample": torch.randn(4, 4, 3, size, size, generator=generator),
        "timestep": torch.full((4,), 500),
        "encoder_hidden_states": torch.randn(4, 5, 8, generator=generator),
        "camera": torch.randn(4, 16, generator=generator),
        "image": torch.randn(4, 6, generator=generator),
        **changes,
    }
    image = inputs.pop("image")
    return unet(**inputs, added_cond_kwargs={"image_embeds": image}).sample


def test_options_add_keys_only_when_they_are_on() -> None:
    plain, both = set(small_unet().state_dict()), set(small_unet(**OPTIONS).state_dict())
    gone = plain - both
    assert gone and all(
        key.startswith(("down_blocks.0.motion_modules.", "up_blocks.1.motion_modules.")) for key in gone
    )
    added = both - plain
    assert {key.split(".")[0] for key in added} == {"text_embedding", "frame_number_embedding", "positions"}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_changes_the_output_but_not_its_shape(name: str) -> None:
    with torch.no_grad():
        out = predict(small_unet(**{name: OPTIONS[name]}))
        assert out.shape == (4, 4, 3, 8, 8) and torch.isfinite(out).all()
        assert not torch.equal(out, predict(small_unet()))


def test_every_parameter_gets_a_gradient() -> None:
    unet = small_unet(**OPTIONS)
    for name, parameter in unet.named_parameters():
        if "to_out_i2v" in name:  # starts at zero and would stop the gradient of its query
            torch.nn.init.normal_(parameter, std=0.1)
    predict(unet).square().sum().backward()
    assert not [name for name, value in unet.named_parameters() if value.grad is None or not value.grad.any()]


def test_a_level_without_motion_has_convolutions_alone() -> None:
    unet = small_unet(levels_without_motion=(0,))
    found = [name for name, module in unet.named_modules() if isinstance(module, MotionTransformer)]
    assert found and not [name for name in found if name.startswith(("down_blocks.0", "up_blocks.1"))]
    with pytest.raises(InputError, match="the levels 0 to 1"):
        small_unet(levels_without_motion=(2,))


def test_frames_see_frame_0_without_any_attention() -> None:
    unet = small_unet(concat_first_frame=True).eval()
    assert unet.conv_in.in_channels == 8 and unet.config["in_channels"] == 4
    seen: list[Tensor] = []
    unet.conv_in.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    sample = torch.randn(4, 4, 3, 8, 8)
    with torch.no_grad():
        predict(unet, sample=sample)
    images = seen[0].unflatten(0, (4, 3))
    assert torch.equal(images[:, :, :4], sample.transpose(1, 2))
    assert torch.equal(images[:, :, 4:], sample[:, :, :1].transpose(1, 2).expand(-1, 3, -1, -1, -1))


def test_positions_are_stretched_to_other_sizes() -> None:
    unet = small_unet(position_embedding=True)
    with torch.no_grad():
        assert predict(unet, size=16).shape[-1] == 16


def test_options_are_in_the_saved_config(tmp_path: Path) -> None:
    unet = small_unet(**OPTIONS).eval()
    unet.save_pretrained(tmp_path)
    loaded = MultiViewUNet.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(predict(loaded), predict(unet), atol=1e-5, rtol=1e-5)
