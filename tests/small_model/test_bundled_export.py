"""What a training exports, and the model that ships."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.bundled_model import folder
from animate3d.errors import InputError
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model.export import MOST_BYTES, collect_facts, export
from animate3d.small_model.joint import AVERAGES, LOG, Joint, load_average, save_average


def a_training(out: Path, pipeline: MultiViewVideoPipeline) -> Path:
    """The folder of a training whose averaged weights are a hundredth of what it began with."""
    pipeline.save_pretrained(out / "start")
    (out / AVERAGES).mkdir()
    state = {name: 0.01 * value.detach() for name, value in Joint(pipeline).named_parameters()}
    save_average(out / AVERAGES, state)
    lines = [
        {
            "step": step,
            "loss": 1 / step,
            "pixels": 3.0,
            "seconds": 6.0 * step,
            "seen": 64 * step,
            "clips": 9,
            "lr": 1e-3,
        }
        for step in (1, 2, 5, 4, 5)
    ]
    (out / AVERAGES / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


def weights(pipeline: MultiViewVideoPipeline) -> torch.Tensor:
    return torch.cat([value.flatten() for value in Joint(pipeline).parameters()])


def makes_videos(pipeline: MultiViewVideoPipeline) -> bool:
    pipeline.set_progress_bar_config(disable=True)
    images = [Image.fromarray(np.full((64, 64, 3), 60 * view, np.uint8)) for view in range(4)]
    result = pipeline("a bird is hopping", images, num_frames=4, num_inference_steps=1, output_type="np")
    return result.frames.shape == (1, 4, 4, 64, 64, 3) and bool(np.isfinite(result.frames).all())


@pytest.mark.slow
def test_the_exported_folder_makes_videos_and_says_what_it_is(
    untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path
) -> None:
    out, exported = a_training(tmp_path, untrained()), tmp_path / "model"
    export(out, exported)
    assert sum(file.stat().st_size for file in exported.rglob("*") if file.is_file()) < MOST_BYTES
    card = (exported / "model_card.md").read_text()
    assert "5 steps of v-prediction and origins, 320 clip visits in 0.5 minutes" in card and "Limits" in card
    pipeline = MultiViewVideoPipeline.from_pretrained(exported, local_files_only=True)
    learned = untrained().unet.conv_in.weight.detach()
    torch.testing.assert_close(pipeline.unet.conv_in.weight.detach().float(), 0.01 * learned, atol=1e-5, rtol=1e-2)
    assert makes_videos(pipeline)


@pytest.mark.slow
def test_of_steps_that_were_done_twice_the_later_ones_count(
    untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path
) -> None:
    facts = collect_facts(a_training(tmp_path, untrained()))
    assert list(facts["losses"]) == ["1", "2", "4", "5"] and facts["losses"]["4"]["loss"] == 0.25


@pytest.mark.slow
def test_weights_travel_in_files_of_a_few_megabytes_and_come_back(
    untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path
) -> None:
    pipeline = untrained()
    out, before = a_training(tmp_path, pipeline), weights(pipeline)
    assert max(file.stat().st_size for file in (out / AVERAGES).iterdir()) < 16 * 2**20
    load_average(pipeline, out / AVERAGES)
    torch.testing.assert_close(weights(pipeline), 0.01 * before, atol=1e-4, rtol=1e-2)


def test_weights_of_another_model_are_refused(untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path) -> None:
    save_average(tmp_path, {"unet.conv_in.weight": torch.zeros(2)})
    with pytest.raises(InputError, match="does not fit"):
        load_average(untrained(), tmp_path)


def test_the_package_has_its_model_or_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder, "PACKAGE_FOLDER", tmp_path)
    with pytest.raises(InputError, match="make train-bundled"):
        folder.bundled_model_folder()


@pytest.mark.skipif(not folder.PACKAGE_FOLDER.is_dir(), reason="this checkout has no bundled model")
def test_the_bundled_model_makes_videos_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pipeline = MultiViewVideoPipeline.from_pretrained(folder.bundled_model_folder(), local_files_only=True)
    assert makes_videos(pipeline)
