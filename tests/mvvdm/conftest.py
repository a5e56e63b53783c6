"""The released parts of a tiny model, written from the model itself: reading them has to give it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from animate3d.mvvdm.model.unet import is_trained
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import NOISE_SCHEDULE, UNET, tiny_pipeline

Config = dict[str, object]


@pytest.fixture(scope="session")
def whole() -> MultiViewVideoPipeline:
    # Eight spatial heads, as the reference builds whatever the config says.
    return tiny_pipeline(seed=1, unet={"num_attention_heads": 8})


@pytest.fixture(scope="session")
def releases(whole: MultiViewVideoPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with base/, adapter/, ip/, and motion.ckpt."""
    root = tmp_path_factory.mktemp("releases")
    state = {key: value.clone() for key, value in whole.unet.state_dict().items()}
    base = root / "base"
    for part in ("vae", "text_encoder", "tokenizer"):
        getattr(whole, part).save_pretrained(base / part)
    index = {"_class_name": "MVDreamPipeline", "unet": ["mv_unet", "MVUNet2DConditionModel"]}
    (base / "model_index.json").write_text(json.dumps(index))

    image = {k: v for k, v in state.items() if not is_trained(k) and "_ip." not in k and "encoder_hid" not in k}
    config = {
        **{key: UNET[key] for key in ("sample_size", "block_out_channels", "layers_per_block", "norm_num_groups")},
        "_class_name": "MVUNet2DConditionModel",
        "cross_attention_dim": UNET["cross_attention_dim"],
        "attention_head_dim": 8,
        "camera_embedding_dim": 16,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    }
    _write(base / "unet", image, config)

    motion = {}
    for key, value in state.items():
        if key.endswith("attn1.processor.time_pos_embed.pe"):
            motion[key.replace("attn1.processor.time_pos_embed.pe", "pos_embed.pe")] = value
        elif "motion_modules." in key and "processor." not in key:
            motion[key] = value
    _write(root / "adapter", motion, {"_class_name": "MotionAdapter", "motion_num_attention_heads": 4})

    layers = [name for name in whole.unet.attn_processors if "attn2" in name and "motion_modules" not in name]
    prompt = {
        f"{2 * index + 1}.{part}.weight": state[f"{layer}.{part}.0.weight"]
        for index, layer in enumerate(layers)
        for part in ("to_k_ip", "to_v_ip")
    }
    projection = "encoder_hid_proj.image_projection_layers.0."
    image_proj = {
        key.removeprefix(projection).replace("image_embeds.", "proj."): value
        for key, value in state.items()
        if key.startswith(projection)
    }
    models = root / "ip" / "models"
    models.mkdir(parents=True)
    torch.save({"image_proj": image_proj, "ip_adapter": prompt}, models / "ip-adapter_sd15.bin")
    whole.image_encoder.save_pretrained(models / "image_encoder")

    torch.save({key: value for key, value in state.items() if is_trained(key)}, root / "motion.ckpt")
    return root


def _write(folder: Path, tensors: dict[str, torch.Tensor], config: Config) -> None:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture()
def config(releases: Path) -> Config:
    """The inference config of the released parts."""
    return {
        "pretrained_model_path": str(releases / "base"),
        "motion_adapter_path": str(releases / "adapter"),
        "ip_adapter_path": str(releases / "ip"),
        "noise_scheduler_kwargs": NOISE_SCHEDULE,
    }
