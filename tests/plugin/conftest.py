"""The plugin as the embedded host loads it, and a small object with a known motion to fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.files import write_json
from animate3d.frames import save_frames
from animate3d.gaussians import Gaussians, save_ply
from animate3d.rasterize import Splats, render
from animate3d.studio import api
from animate3d.studio.plugins import load_plugins

PLUGIN = Path(__file__).resolve().parents[2] / "custom" / "threestudio-animate3d"
CONFIGS = PLUGIN / "configs"
FRAMES, SIZE, GAUSSIANS = 4, 32, 60


@pytest.fixture(scope="session")
def plugin() -> ModuleType:
    """The package ``threestudio-animate3d``."""
    load_plugins()
    return sys.modules["threestudio-animate3d"]


@pytest.fixture(scope="session")
def load(plugin: ModuleType) -> Callable[..., Any]:
    """``load("mesh_animation_frame_16", "key=value", …)`` -> the experiment config."""

    def _load(name: str, *overrides: str) -> Any:
        overrides = ("system.prompt_processor.prompt=a test", *overrides)
        return api.load_config(str(CONFIGS / f"{name}.yaml"), cli_args=list(overrides), n_gpus=1)

    return _load


@dataclass(frozen=True)
class Toy:
    """A model that drifts along +y, as files."""

    folder: Path
    gaussians: Gaussians

    @property
    def ply(self) -> Path:
        return self.folder / "toy.ply"

    @property
    def frames(self) -> Path:
        return self.folder / "frames"

    @property
    def edges(self) -> Path:
        return self.folder / "toy.json"

    def keys(self, out: Path) -> list[str]:
        """Overrides that make any of the dynamic configs small."""
        return [
            "tag=toy",
            f"exp_root_dir={out}",
            "system.prompt_processor.prompt=a test",
            f"data.width={SIZE}",
            f"data.height={SIZE}",
            f"data.total_frame={FRAMES}",
            f"data.random_camera.total_frame={FRAMES}",
            f"data.random_camera.batch_size={4 * FRAMES}",
            "data.random_camera.width=16",
            "data.random_camera.height=16",
            f"data.random_camera.eval_height={SIZE}",
            f"data.random_camera.eval_width={SIZE}",
            "data.random_camera.n_val_views=3",
            f"system.n_frame={FRAMES}",
            "system.progressive_iter_per_frame=2",
            "trainer.max_steps=4",
            "trainer.val_check_interval=4",
            "trainer.enable_progress_bar=false",
            "trainer.log_every_n_steps=1",
            "checkpoint.every_n_train_steps=4",
        ]

    def model_keys(self) -> list[str]:
        """The model as it is, whatever placement the config has for its own example."""
        flags = {"rot_x_degree": 0, "rot_z_degree": 0, "scale_factor": 1}
        return [
            f"system.geometry.geometry_convert_from={self.ply}",
            *(f"system.geometry.load_ply_cfg.{key}={value}" for key, value in flags.items()),
        ]

    def data_keys(self) -> list[str]:
        return [f"data.image_root={self.frames}"]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    folder = tmp_path_factory.mktemp("toy")
    generator = torch.Generator().manual_seed(0)
    gaussians = Gaussians(
        means=torch.rand(GAUSSIANS, 3, generator=generator) - 0.5,
        sh=torch.randn(GAUSSIANS, 1, 3, generator=generator),
        opacity_logits=torch.full((GAUSSIANS,), 4.0),
        log_scales=torch.full((GAUSSIANS, 3), -2.3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(GAUSSIANS, 1),
    )
    toy = Toy(folder, gaussians)
    save_ply(gaussians, toy.ply)
    write_json(toy.edges, {str(i): {str((i + k) % GAUSSIANS): 0.1 for k in (1, 2, 3, 7)} for i in range(GAUSSIANS)})

    drift = torch.linspace(0.0, 0.12, FRAMES)[:, None, None] * torch.tensor([0.0, 1.0, 0.0])
    splats = Splats(
        gaussians.means + drift,
        gaussians.quats.expand(FRAMES, -1, -1),
        gaussians.scales.expand(FRAMES, -1, -1),
        gaussians.opacities,
        gaussians.colors,
    )
    images = render(splats, reconstruction_cameras(4, SIZE))
    rgba = torch.cat([images.color, images.alpha], dim=-1).transpose(0, 1)
    save_frames(toy.frames, (rgba.numpy().clip(0, 1) * 255).astype(np.uint8))
    return toy
