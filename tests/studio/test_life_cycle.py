"""Hooks run in the recorded order and number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from animate3d.studio import api
from animate3d.studio.config import load_config
from animate3d.studio.launch import launch

from . import toy


def fit_then_test(config: Path, folder: Path, *, max_steps: int, resume: Path | None = None) -> None:
    """As the original launch does, where training and testing share one system and trainer."""
    cfg = load_config(config)
    datamodule = api.find(cfg.data_type)(cfg.data)
    system = api.find(cfg.system_type)(cfg.system, resumed=resume is not None)
    system.set_save_dir(str(folder))
    trainer = pl.Trainer(
        max_steps=max_steps, accelerator="cpu", num_sanity_val_steps=0, val_check_interval=2, inference_mode=False,
        logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(system, datamodule=datamodule, ckpt_path=resume, **({"weights_only": True} if resume else {}))
    trainer.test(system, datamodule=datamodule, verbose=False)


def test_hooks_run_as_recorded(golden: Path, toy_config: Path, tmp_path: Path) -> None:
    fit_then_test(toy_config, tmp_path, max_steps=4)
    recorded = json.loads((golden / "host" / "hook_order_train.json").read_text())
    assert recorded["events"] == toy.EVENTS
    assert recorded["calls"] == dict(toy.CALLS)


@pytest.mark.filterwarnings("ignore:Be aware that when using")
def test_resumed_hooks_run_as_recorded(golden: Path, toy_config: Path, tmp_path: Path) -> None:
    checkpoint = launch(toy_config, [], "train").checkpoint
    toy.EVENTS.clear()
    toy.CALLS.clear()
    fit_then_test(toy_config, tmp_path, max_steps=6, resume=checkpoint)
    recorded = json.loads((golden / "host" / "hook_order_resume.json").read_text())
    assert recorded["events"] == toy.EVENTS
    assert recorded["calls"] == dict(toy.CALLS)


def test_weights_alone_restart_the_count(toy_config: Path) -> None:
    checkpoint = launch(toy_config, [], "train").checkpoint
    toy.EVENTS.clear()
    cfg = load_config(toy_config, cli_args=[f"system.weights={checkpoint}"])
    system = api.find(cfg.system_type)(cfg.system)
    assert toy.EVENTS == [
        "system.configure",
        "geometry.configure",
        "geometry.update_step(0,4,load=True)",
        "geometry.update_step(0,4,load=True)",
        "system.post_configure",
    ]
    saved = torch.load(checkpoint, weights_only=True, map_location="cpu")["state_dict"]
    assert sorted(saved) == ["background.env_color", "geometry.values", "renderer.bbox"]
    assert torch.equal(system.geometry.values.cpu(), saved["geometry.values"])
    assert system.true_global_step == 0
