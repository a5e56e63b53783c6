from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.bundled_model import folder
from animate3d.errors import InputError
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.small_model import models
from animate3d.small_model.data.synthesize import VERSION
from animate3d.small_model.export import MOST_BYTES, export, trained_pipeline
from animate3d.small_model.train import Plan, origins_stage, run, steps_done


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory, untrained: Callable[[], MultiViewVideoPipeline]) -> Path:
    """The folder of a training that was stopped after step 7; its averaged weights are zeros."""
    out = tmp_path_factory.mktemp("bundled")
    pipeline = untrained()
    pipeline.save_pretrained(out / "start")
    unet = pipeline.unet
    path = out / "run" / "checkpoints" / "checkpoint-step-7.ckpt"
    content = {"epoch": 0, "global_step": 7, "optimizer": {}, "lr_scheduler": {}, "state_dict": unet.state_dict()}
    average = {name: torch.zeros_like(value) for name, value in unet.named_parameters()}
    checkpoints.write(path, {**content, "ema": average})
    checkpoints.point_latest(path)
    lines = [{"step": step, "loss": 1 / step, "lr": 1e-3, "seconds": 3.6} for step in range(1, 10)]
    (out / "run" / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


def test_a_training_under_way_can_be_looked_at(training: Path) -> None:
    pipeline, steps = trained_pipeline(training)
    assert steps == 7 and not any(parameter.any() for parameter in pipeline.unet.parameters())
    newest, _ = trained_pipeline(training, averaged=False)
    assert newest.unet.conv_in.weight.any()
    plan = Plan(data=training, out=training, exported=training / "model")
    assert steps_done(plan) == 7


def test_the_exported_folder_makes_videos_and_says_what_it_is(training: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model"
    export(training, exported, tmp_path)
    assert sum(file.stat().st_size for file in exported.rglob("*") if file.is_file()) < MOST_BYTES
    facts = json.loads((exported / "facts.json").read_text())
    assert facts["steps"] == 7 and facts["hours"] == pytest.approx(0.01)
    assert list(facts["losses"])[-1] == "7"
    card = (exported / "model_card.md").read_text()
    assert "7 steps of v-prediction" in card and "Limits" in card
    pipeline = MultiViewVideoPipeline.from_pretrained(exported, local_files_only=True)
    assert makes_videos(pipeline)


@pytest.fixture()
def with_origins(training: Path, tmp_path: Path) -> Path:
    """The same training with 5 steps of origins behind it and a log that lost the first step and has a later one."""
    out = shutil.copytree(training, tmp_path / "training", symlinks=True)
    torch.manual_seed(1)
    unet = models.add_origin_head(trained_pipeline(out)[0].unet, 4)
    average = {name: torch.randn_like(value) for name, value in unet.named_parameters()}
    content = {"epoch": 0, "global_step": 5, "unet_steps": 7, "optimizer": {}, "lr_scheduler": {}}
    checkpoints.write(out / "origins.ckpt", {**content, "state_dict": unet.state_dict(), "ema": average})
    lines = [{"step": step, "loss": 0.1, "pixels": step, "seconds": 36.0} for step in range(2, 8)]
    (out / "origins.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


def test_an_exported_model_has_the_origins_and_their_facts(with_origins: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model"
    export(with_origins, exported, tmp_path)
    facts = json.loads((exported / "facts.json").read_text())
    assert facts["origins"] == {"steps": 5, "hours": 0.05, "denoising loss": 0.1, "pixels off": 3.5}
    card = (exported / "model_card.md").read_text()
    assert "Origins: the UNet goes on" in card and "steps 5, hours 0.05" in card and "from the first images" in card
    pipeline = MultiViewVideoPipeline.from_pretrained(exported, local_files_only=True)
    average = checkpoints.read(with_origins / "origins.ckpt")["ema"]["origin_head.layers.2.weight"]
    torch.testing.assert_close(pipeline.unet.origin_head.layers[2].weight, average.half().float(), check_dtype=False)
    assert makes_videos(pipeline)


def test_a_log_of_origins_without_a_checkpoint_says_nothing(with_origins: Path, tmp_path: Path) -> None:
    (with_origins / "origins.ckpt").unlink()
    export(with_origins, tmp_path / "model", tmp_path)
    assert "origins" not in json.loads((tmp_path / "model" / "facts.json").read_text())
    card = (tmp_path / "model" / "model_card.md").read_text()
    assert "Origins" not in card and "first images" not in card


def test_origins_do_not_replace_a_unet_that_was_trained_further(with_origins: Path, tmp_path: Path) -> None:
    latest = with_origins / "run" / "checkpoints" / "latest.ckpt"
    checkpoints.write(latest.resolve(), {**checkpoints.read(latest), "global_step": 9})
    plan = Plan(data=tmp_path, out=with_origins, exported=tmp_path / "model")
    for use in (
        lambda: trained_pipeline(with_origins),
        lambda: run(plan, ["export"]),
        lambda: origins_stage(plan),
    ):
        with pytest.raises(InputError, match=r"step 7, not to that after step 9; remove it and .*origins\.jsonl"):
            use()
    with pytest.raises(InputError, match="step 7, not to that after step 12"):  # before it trains
        run(replace(plan, steps=10, decay_steps=2), ["unet"])
    assert trained_pipeline(with_origins, origins=False)[1] == 9


def test_videos_of_others_have_no_origins_which_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "clips.json").write_text("[]")
    plan = Plan(data=tmp_path, out=tmp_path / "out", exported=tmp_path / "model")
    with pytest.raises(InputError, match=r"no synthesis\.json.*leave it out of --stages"):
        run(plan)
    assert not plan.out.exists()
    settings = {"version": VERSION, "clips": 3, "size": 64, "frames": 8, "views": 4}
    (tmp_path / "synthesis.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="does not have the 3 clips"):
        run(plan)
    for name in ("version", "size", "frames", "views"):
        (tmp_path / "synthesis.json").write_text(json.dumps({**settings, name: -1}))
        with pytest.raises(InputError, match=f"says `{name}` -1, and the stage `origins` needs"):
            run(plan)


def makes_videos(pipeline: MultiViewVideoPipeline) -> bool:
    pipeline.set_progress_bar_config(disable=True)
    images = [Image.fromarray(np.full((64, 64, 3), 60 * view, np.uint8)) for view in range(4)]
    result = pipeline("a bird is hopping", images, num_frames=8, num_inference_steps=1, output_type="np")
    return result.frames.shape == (1, 4, 8, 64, 64, 3) and bool(np.isfinite(result.frames).all())


def test_without_a_checkpoint_there_is_nothing_to_export(training: Path, tmp_path: Path) -> None:
    (tmp_path / "start").symlink_to(training / "start")
    with pytest.raises(InputError, match="no checkpoint yet"):
        export(tmp_path, tmp_path / "model", tmp_path)


def test_the_package_has_its_model_or_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder, "PACKAGE_FOLDER", tmp_path)
    with pytest.raises(InputError, match="make train-bundled"):
        folder.bundled_model_folder()


@pytest.mark.skipif(not folder.PACKAGE_FOLDER.is_dir(), reason="this checkout has no bundled model")
def test_the_bundled_model_makes_videos_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pipeline = MultiViewVideoPipeline.from_pretrained(folder.bundled_model_folder(), local_files_only=True)
    assert makes_videos(pipeline)
