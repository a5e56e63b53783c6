"""A toy system for life-cycle tests: one parameter vector, cameras of the built-in data module."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from animate3d.studio import api, registry

EVENTS: list[str] = []
CALLS: Counter[str] = Counter()


class ToyGeometry(api.BaseGeometry):
    @dataclass
    class Config(api.BaseGeometry.Config):
        size: int = 3

    def configure(self) -> None:
        EVENTS.append("geometry.configure")
        self.values = torch.nn.Parameter(torch.ones(self.cfg.size))

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        CALLS["geometry.update_step"] += 1
        EVENTS.append(f"geometry.update_step({epoch},{global_step},load={on_load_weights})")

    def update_step_end(self, epoch: int, global_step: int) -> None:
        CALLS["geometry.update_step_end"] += 1


class ToyRenderer(api.Rasterizer):
    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        CALLS["renderer.update_step"] += 1


class ToySystem(api.BaseLift3DSystem):
    def configure(self) -> None:
        EVENTS.append("system.configure")
        super().configure()

    def post_configure(self) -> None:
        EVENTS.append("system.post_configure")

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        if not on_load_weights:
            CALLS["system.update_step"] += 1

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        EVENTS.append(f"training_step gs={self.global_step} true={self.true_global_step}")
        loss = self.geometry.values.square().sum()
        self.log("train/loss", loss)
        return {"loss": loss}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        EVENTS.append(f"on_validation_epoch_end gs={self.global_step}")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        EVENTS.append(f"test_step gs={self.true_global_step}")
        self.save_rgb_image(f"it{self.true_global_step}-test/{batch['index'][0]}.png", torch.zeros(4, 4, 3))


for _name, _cls in (("toy-geometry", ToyGeometry), ("toy-renderer", ToyRenderer), ("toy-system", ToySystem)):
    if _name not in registry.registered():
        api.register(_name)(_cls)

CONFIG = """
name: toy
tag: run
exp_root_dir: {root}
use_timestamp: false
data_type: random-camera-datamodule
data: {{height: 4, width: 4, eval_height: 4, eval_width: 4, n_val_views: 2, n_test_views: 4}}
system_type: toy-system
system:
  geometry_type: toy-geometry
  geometry: {{size: 3}}
  renderer_type: toy-renderer
  material_type: no-material
  material: {{n_output_dims: 0}}
  background_type: solid-color-background
  prompt_processor: {{prompt: a cat}}
  optimizer: {{name: Adam, args: {{lr: 0.1}}}}
trainer:
  max_steps: 4
  log_every_n_steps: 1
  num_sanity_val_steps: 0
  val_check_interval: 2
  enable_progress_bar: false
  precision: 16-mixed
checkpoint: {{save_last: true, save_top_k: -1, every_n_train_steps: 2}}
"""
