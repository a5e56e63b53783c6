"""The joint training, as its users stop and continue it, and what is exported from it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from animate3d.errors import InputError
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.small_model import joint, models
from animate3d.small_model.data.stream import Feed
from animate3d.small_model.export import trained_pipeline
from animate3d.small_model.joint import AVERAGES, CHECKPOINT, LOG, Pace, Training

PACE = Pace(steps=2, batch=1, warmup=1, pool=2, fresh=1)


@pytest.fixture()
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrower UNet, so that a step takes a second."""
    monkeypatch.setattr(models, "UNET_WIDTHS", (32, 32, 32))


def train(pipeline: MultiViewVideoPipeline, out: Path, pace: Pace) -> list[dict[str, float]]:
    Training(pipeline, out, pace, 0, torch.device("cpu")).run()
    return [json.loads(line) for line in (out / AVERAGES / LOG).read_text().splitlines()]


@pytest.mark.slow
def test_a_training_goes_on_where_it_stopped(
    small: None, untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path
) -> None:
    untrained().save_pretrained(tmp_path / "start")
    lines = train(untrained(), tmp_path, PACE)
    assert lines[-1]["step"] == 2 and lines[-1]["seen"] == 2 and lines[-1]["lr"] < PACE.rate
    lines = train(untrained(), tmp_path, replace(PACE, steps=3))
    assert lines[-1]["step"] == 3 and lines[-1]["seen"] == 3
    content = checkpoints.read(tmp_path / CHECKPOINT)
    assert {int(entry["step"]) for entry in content["optimizer"]["state"].values()} == {3}
    assert len(train(untrained(), tmp_path, replace(PACE, steps=3))) == len(lines)  # nothing is left to do
    average = content["ema"]["unet.conv_in.weight"]
    loaded = trained_pipeline(tmp_path).unet.conv_in.weight
    torch.testing.assert_close(loaded.detach(), average.half().float())


@pytest.mark.slow
def test_sigterm_ends_a_training_with_a_checkpoint(
    small: None,
    untrained: Callable[[], MultiViewVideoPipeline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = joint.origin_losses

    def stopping(*arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return losses(*arguments)

    monkeypatch.setattr(joint, "origin_losses", stopping)
    train_pace = replace(PACE, steps=None, minutes=60.0)
    Training(untrained(), tmp_path, train_pace, 0, torch.device("cpu")).run()
    assert checkpoints.read(tmp_path / CHECKPOINT)["global_step"] == 1


@pytest.mark.slow
def test_without_weights_there_is_nothing_to_look_at(
    small: None, untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path
) -> None:
    untrained().save_pretrained(tmp_path / "start")
    with pytest.raises(InputError, match="no weights yet"):
        trained_pipeline(tmp_path)


def test_an_error_of_a_worker_reaches_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(seed: int) -> object:
        raise KeyError("broken")

    monkeypatch.setattr("animate3d.small_model.data.stream.clip_stream", failing)
    with pytest.raises(KeyError, match="broken"):
        Feed(0, 1, chunk=1).wait()
