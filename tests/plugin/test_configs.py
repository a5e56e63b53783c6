"""The six documented configs: they parse, every component accepts its part, and the documented numbers are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from animate3d.studio import api

from .conftest import CONFIGS

DYNAMIC = (
    "mesh_animation_frame_16",
    "motion_recon_frame_16",
    "refine_frame_16",
    "visualize_four_view_frame_16",
    "visualize_testset_frame_16",
)
STATIC = "visualize_four_view_static"


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as dotted keys."""
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {k: v for key, part in value.items() for k, v in flat(part, f"{prefix}{key}.").items()}


def raw(name: str) -> dict[str, Any]:
    return flat(OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"), resolve=False))


@pytest.mark.parametrize("name", [*DYNAMIC, STATIC])
def test_every_documented_key_is_there_under_its_name(name: str) -> None:
    """Users override them on the command line; ``config_keys.txt`` lists a config's keys under its name."""
    blocks = (Path(__file__).parent / "config_keys.txt").read_text().split("\n\n")
    documented = {lines[0]: lines[1:] for lines in (block.split() for block in blocks)}
    shared = documented["all_dynamic"] if name in DYNAMIC else []
    assert not {*documented[name], *shared} - set(raw(name))


@pytest.mark.parametrize("name", [*DYNAMIC, STATIC])
def test_every_component_accepts_its_part(load: Callable[..., Any], name: str) -> None:
    cfg = load(name)
    assert cfg.tag == "a_test" and cfg.use_timestamp is False and cfg.exp_root_dir == "outputs/animate3d"
    system = api.find(cfg.system_type)
    parsed = api.parse_structured(system.Config, cfg.system)
    for part in ("geometry", "renderer", "material", "background"):
        cls = api.find(parsed[f"{part}_type"])
        api.parse_structured(cls.Config, parsed[part])
    api.find(cfg.data_type)(cfg.data)
    api.find(parsed.prompt_processor_type)


SHARED = {
    "system.geometry.grid_size": [[50, 50, 50, 8], [100, 100, 100, 16]],
    "system.geometry.grid_lr": 0.01,
    "system.geometry.delta_xyz_network_lr": 0.0001,
    "system.geometry.global_trans_lr": 0.001,
    "system.geometry.densify_grad_threshold": None,
    "system.renderer.back_ground_color": [0.5, 0.5, 0.5],
    "system.loss.lambda_rgb": 100.0,
    "system.loss.lambda_mask": 100.0,
    "system.loss.lambda_image_sds": 0.1,
    "system.progressive_iter_per_frame": 50,
    "data.default_azimuth_deg": [0.0, 90.0, 180.0, 270.0],
    "data.random_camera.n_val_views": 128,
    "system.guidance.n_frame": "${data.random_camera.total_frame}",
    "trainer.precision": "16-mixed",
}
DIFFERING: dict[str, tuple[Any, ...]] = {  # in the order of DYNAMIC; ... where the key is absent
    "name": ("mesh", "recon", "refine", "recon", "refine"),
    "data.width": (256, 256, 1024, 256, 256),
    "system.load_guidance": (False, False, True, False, False),
    "system.training": (..., ..., ..., False, False),
    "system.test_option": (..., ..., ..., "four_view", "testset"),
    "system.guidance_eval_feq": (100, 100, -1, 100, 100),
    "system.sample_strategy": ("light", ..., ..., ..., ...),
    "system.guidance.guidance_scale": (2.0, 5.0, 5.0, 5.0, 5.0),
    "system.guidance.recon_loss": (True, True, ..., True, True),
    "system.geometry.load_ply_cfg.rot_x_degree": (90.0, 0.0, 0.0, 0.0, 0.0),
    "system.geometry.load_ply_cfg.scale_factor": (0.76, 1.0, 1.0, 1.0, 1.0),
    "system.geometry.load_ply_cfg.model_type": (..., ..., "grm", "grm", "grm"),
    "system.loss.lambda_arap": (4.0, 12.0, 12.0, 10.0, 10.0),
    "system.loss.lambda_sds": (0.01, 0.01, 0.01, 0.005, 0.005),
    "system.loss.arap_K": (3, 3, 3, ..., ...),
    "system.loss.lambda_phy_rigid": (..., ..., ..., 50.0, 50.0),
    "data.use_random_camera": (False, False, True, False, False),
    "data.random_camera.eval_height": (512, 512, 1024, 1024, 1024),
    "data.random_camera.eval_elevation_deg": (..., ..., ..., [15.0], [15.0, 0.0, 30.0]),
    "trainer.max_steps": (800, 800, 200, 1000, 1000),
    "trainer.val_check_interval": (400, 400, 100, 50, 50),
    "checkpoint.every_n_train_steps": (800, 800, 200, 50, 50),
}


@pytest.mark.parametrize(("position", "name"), list(enumerate(DYNAMIC)))
def test_documented_values(position: int, name: str) -> None:
    values = raw(name)
    expected = {**SHARED, **{key: row[position] for key, row in DIFFERING.items()}}
    assert {key: values.get(key, ...) for key in expected} == expected


def test_documented_values_of_the_static_config(load: Callable[..., Any]) -> None:
    values = raw(STATIC)
    expected = {
        "name": "static_vis",
        "data_type": "random-camera-datamodule",
        "data.n_test_views": 5,
        "system.geometry_type": "gaussian-splatting-3d-vis",
        "system.geometry.position_lr": [0, 0.001, 2e-05, 1000],
        "system.renderer_type": "gaussian-rasterizer-static",
        "system.renderer.back_ground_color": [0.498, 0.498, 0.498],
        "system.exporter_type": "gaussian-mesh-exporter",
        "trainer.precision": "32-true",
    }
    assert {key: values[key] for key in expected} == expected
    assert load(STATIC).system.geometry.densify_until_iter == 5000
