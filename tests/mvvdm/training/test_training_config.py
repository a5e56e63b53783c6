"""The documented keys and values, and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from animate3d.errors import InputError
from animate3d.mvvdm.training.config import load_config

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "training"
DOCUMENTED = {
    "i2v_cond_time_zero": False,
    "output_dir": "outputs/vdm",
    "name": "train",
    "pretrained_model_path": "yanqinJiang/mvdream-sd1.5-diffusers",
    "motion_adapter_path": "guoyww/animatediff-motion-adapter-v1-5-2",
    "ip_adapter_path": "h94/IP-Adapter",
    "noise_scheduler_kwargs": {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "linear",
        "steps_offset": 1,
        "clip_sample": False,
    },
    "train_data": {"info_path": "./data/vdm/meta/debug.json", "sample_size": 256, "sample_n_frames": 16},
    "validation_data": {
        "prompts": ["A girl wearing a pair of sunglasses is dancing.", "A orange and brown lion is roaring."],
        "image_root": "examples/images",
        "images": ["122e302ff2164d77ba345add7133725a", "051a2a7ea842426f825e128fef3bf92b"],
        "num_inference_steps": 25,
        "guidance_scale": 7.5,
    },
    "trainable_modules": ["i2v.", "motion_modules."],
    "unet_checkpoint_path": "",
    "resume_from_checkpoint": False,
    "learning_rate": 1e-4,
    "train_batch_size": 1,
    "max_train_epoch": 20,
    "max_train_steps": -1,
    "checkpointing_epochs": 1,
    "checkpointing_steps": -1,
    "validation_epoch": 1,
    "validation_steps": -1,
    "validation_steps_tuple": [100, 200, 300],
    "global_seed": 42,
    "mixed_precision_training": True,
    "enable_xformers_memory_efficient_attention": True,
    "is_debug": False,
    "num_workers": 32,
    "num_views": 4,
    "mvdream_attn_cfg": {"image_attn": {"enabled": True}},
    "motion_module_attn_cfg": {
        "enabled": True,
        "spatial_attn": {
            "enabled": True,
            "attn_cfg": {
                "use_spatial_encoding": True,
                "spatial_encoding_type": "sinusoid",
                "use_camera_encoding": False,
                "camera_encoding_type": "sinusoid",
            },
        },
        "image_attn": {"enabled": False},
        "use_alpha_blender": True,
    },
    "video_length": 16,
}


def test_the_file_has_the_documented_keys_and_values() -> None:
    assert OmegaConf.to_container(OmegaConf.load(CONFIGS / "train.yaml")) == DOCUMENTED


def test_the_method_is_the_default() -> None:
    config = load_config(CONFIGS / "train.yaml")
    assert (config.adam_beta1, config.adam_beta2, config.adam_weight_decay) == (0.9, 0.999, 0.01)
    assert (config.lr_scheduler, config.max_grad_norm, config.text_dropout) == ("constant", 1.0, 0.1)
    assert config.folder == Path("outputs/vdm/train")


def test_a_written_config_reads_back(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "train.yaml", ["lora.rank=8", "mixed_precision_training=bf16", "learning_rate=1"])
    path = tmp_path / "config.yaml"
    OmegaConf.save(OmegaConf.create(asdict(config)), path)
    assert load_config(path) == config


def test_null_is_an_empty_text_or_list(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "train.yaml", ["unet_checkpoint_path=null", "report_to=null", "lora=null"])
    assert (config.unet_checkpoint_path, config.report_to, config.lora) == ("", [], None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rat=1", r"no key `learning_rat` \(near: learning_rate"),
        ("validation_data.prompt=a", r"no key `validation_data\.prompt` \(near: prompts"),
        ("train_batch_size=many", r"`train_batch_size` cannot be used: Value 'many' .* Integer"),
        ("train_batch_size=0", r"`train_batch_size` is 0; it must be at least 1"),
        ("text_dropout=2", r"`text_dropout` is 2\.0; it lies between 0 and 1"),
        ("mixed_precision_training=fp8", r"`mixed_precision_training` is 'fp8'"),
        ("train_data.sample_n_frames=1", r"must be at least 2"),
        ("validation_data.prompts=[one]", r"1 prompts and 2 images"),
        ("learning_rate", r"`learning_rate` is not an override; write key=value"),
        ("report_to=[mail]", r"`report_to` is 'mail'"),
    ],
)
def test_wrong_values_are_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(CONFIGS / "train.yaml", [override])


def test_a_file_that_is_no_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match=r"not a mapping"):
        load_config(tmp_path / "a.yaml")
    with pytest.raises(InputError, match="does not exist"):
        load_config(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("name: x\n")
    with pytest.raises(InputError, match="the key `train_data` is missing"):
        load_config(tmp_path / "c.yaml")
    (tmp_path / "d.yaml").write_text("name: x\nlora: [1, 2")
    with pytest.raises(InputError, match=r"d.yaml cannot be read: .*flow sequence.* line 2, column 7 .*expected"):
        load_config(tmp_path / "d.yaml")
