from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.errors import InputError
from animate3d.mvvdm.bundled import encoders, folder, models
from animate3d.mvvdm.bundled.export import MOST_BYTES, export, trained_pipeline
from animate3d.mvvdm.bundled.train import Plan, steps_done
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was stopped after step 7; its averaged weights are zeros."""
    out = tmp_path_factory.mktemp("bundled")
    torch.manual_seed(0)
    autoencoder, tokenizer = models.build_autoencoder(), models.build_tokenizer(encoders.all_words())
    autoencoder.fit(torch.rand(8, 3, 64, 64) * 2 - 1)
    unet = models.build_unet(8, 4)
    MultiViewVideoPipeline(
        vae=autoencoder,
        text_encoder=models.build_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=models.build_scheduler(),
        feature_extractor=models.build_feature_extractor(),
        image_encoder=models.build_image_encoder(),
    ).save_pretrained(out / "start")
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
