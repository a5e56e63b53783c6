"""Trainings as users start them: several processes, killed and continued, and until the loss has fallen."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from animate3d.mvvdm.data import ClipLoader, build_dataset
from animate3d.mvvdm.training.config import load_config
from animate3d.mvvdm.training.draws import draw
from animate3d.mvvdm.training.encode import Encoder
from animate3d.mvvdm.training.loss import denoising_loss
from animate3d.mvvdm.training.model import load_models
from animate3d.mvvdm.training.trainable import freeze

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "configs" / "training" / "tiny.yaml")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}


def overrides(example: Path, output: Path, *more: str) -> list[str]:
    return [
        *("name=run", f"output_dir={output}", f"pretrained_model_path={example}/model"),
        *(f"train_data.info_path={example}/clips.json", "train_data.sample_n_frames=2", "num_workers=0"),
        *("validation_epoch=-1", "video_length=2", "report_to=[]", *more),
    ]


def losses(folder: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in lines]


def step_in(processes: int, mode: str, path: Path, settings: list[str]) -> dict[str, torch.Tensor]:
    worker = [str(Path(__file__).with_name("one_step.py")), mode, str(path), CONFIG, *settings]
    launch: list[str] = []
    if mode == "sharded":  # as `train.sh` does it with an ACCELERATE_CONFIG
        launch = ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "configs" / "training" / "fsdp.yaml")]
        launch += ["--num_processes", str(processes), "--mixed_precision", "no", "--main_process_port", "0"]
    elif processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    subprocess.run([sys.executable, *launch, *worker], check=True, env=ENVIRONMENT, cwd=ROOT)
    return torch.load(path, weights_only=True)


def test_two_processes_have_the_gradients_of_one(example: Path, tmp_path: Path) -> None:
    # With two frames the norms of the coarsest motion modules, where the tiny model has one pixel, would see two
    # numbers, and the gradient through that is mostly rounding.
    frames = "train_data.sample_n_frames=4"
    gradients = {}
    for processes, mode, batch in [(1, "plain", 2), (2, "plain", 1), (2, "sharded", 1)]:
        name = f"{mode}-{processes}"
        settings = overrides(
            *(example, tmp_path / name, f"train_batch_size={batch}", "max_train_steps=2", "checkpointing_steps=1"),
            *("gradient_checkpointing=true", "max_grad_norm=1000", "ema_decay=0.9", frames),
        )
        gradients[name] = step_in(processes, mode, tmp_path / f"{name}.pt", settings)
    one = gradients.pop("plain-1")
    for name, two in gradients.items():
        assert one.keys() == two.keys()
        worst = max(float((one[key] - two[key]).abs().max()) for key in one)
        assert worst <= 1e-5, (name, worst)
        (_, first, _), (_, second, _) = losses(tmp_path / name / "run")
        (_, first_one, _), (_, second_one, _) = losses(tmp_path / "plain-1" / "run")
        assert (first, second) == pytest.approx((first_one, second_one), abs=1e-5)

    # A sharded training writes what an unsharded one writes, and continues from it.
    states = [
        torch.load(tmp_path / name / "run" / "checkpoints" / "latest.ckpt", weights_only=True)
        for name in ("plain-2", "sharded-2")
    ]
    assert states[0]["state_dict"].keys() == states[1]["state_dict"].keys()
    for number, entries in states[0]["optimizer"]["state"].items():
        for key, value in entries.items():
            torch.testing.assert_close(states[1]["optimizer"]["state"][number][key], value, atol=1e-4, rtol=1e-2)
    settings = overrides(
        *(example, tmp_path / "sharded-2", "max_train_steps=3", "gradient_checkpointing=true", "max_grad_norm=1000"),
        *("ema_decay=0.9", frames, f"resume_from_checkpoint={tmp_path}/plain-1/run/checkpoints/latest.ckpt"),
    )
    step_in(2, "sharded", tmp_path / "continued.pt", settings)
    assert losses(tmp_path / "sharded-2" / "run")[-1][0] == 3


def test_a_killed_training_continues_bit_for_bit(example: Path, tmp_path: Path) -> None:
    settings = ["max_train_epoch=4", "checkpointing_steps=2", "resume_from_checkpoint=latest", "num_workers=1"]

    def start(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "train.py", "--config", CONFIG, *overrides(example, tmp_path / name, *settings)]
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, start_new_session=True)

    assert start("whole").wait() == 0
    killed = tmp_path / "killed" / "run"
    for at in sorted(random.SystemRandom().sample(range(2, 15), 2)):
        process = start("killed")
        while (
            len(
                (killed / "losses.jsonl").read_text().splitlines()
                if killed.is_dir() and (killed / "losses.jsonl").exists()
                else []
            )
            < at
        ):
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start("killed").wait() == 0
    assert losses(killed) == losses(tmp_path / "whole" / "run")
    ends = [
        torch.load(folder / "checkpoints" / "checkpoint-epoch-4.ckpt", weights_only=True)["state_dict"]
        for folder in (killed, tmp_path / "whole" / "run")
    ]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_the_documented_command_trains_with_two_processes(tmp_path: Path) -> None:
    for name in ("train.sh", "train.py", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ["bash", "train.sh", "1", "2", "tiny"]
    subprocess.run(command, check=True, cwd=tmp_path, env=ENVIRONMENT)
    folder = tmp_path / "outputs" / "vdm" / "tiny"
    assert [step for step, _, _ in losses(folder)] == [1, 2, 3, 4]
    assert {path.name[:2] for path in (folder / "sanity_check").iterdir()} == {"0-", "1-"}
    assert (folder / "checkpoints" / "checkpoint-epoch-2.ckpt").is_file()
    assert len(list((folder / "samples" / "epoch-2").glob("*.gif"))) == 1
    # Once more continues, with more epochs.
    subprocess.run([*command, "max_train_epoch=3"], check=True, cwd=tmp_path, env=ENVIRONMENT)
    assert [step for step, _, _ in losses(folder)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_with_a_checkpoint_when_asked(number: signal.Signals, example: Path, tmp_path: Path) -> None:
    settings = overrides(example, tmp_path, "max_train_epoch=50", "checkpointing_epochs=-1", "num_workers=1")
    command = [sys.executable, "train.py", "--config", CONFIG, *settings]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, start_new_session=True)
    log = tmp_path / "run" / "losses.jsonl"
    while not log.exists() or not log.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as torchrun and terminals do: the processes that decode videos get it too
    assert process.wait() == 0
    last = losses(tmp_path / "run")[-1][0]
    assert (tmp_path / "run" / "checkpoints" / "latest.ckpt").resolve().name == f"checkpoint-step-{last}.ckpt"


def test_learns_four_clips_by_heart(example: Path) -> None:
    frames, size = 2, 8
    config = load_config(CONFIG, overrides(example, Path("unused")))
    pipeline = load_models(config)
    unet = pipeline.unet.train()
    learning = list(freeze(unet, config.trainable_modules).values())
    clips = build_dataset(example / "clips.json", sample_size=8 * size, sample_n_frames=frames, batch_size=4)
    batch = next(iter(ClipLoader(clips)))
    draws = draw(0, 0, [0, 1, 2, 3], (4, frames, 4, size, size), train_timesteps=1000, text_dropout=0.0)
    inputs = Encoder(pipeline)(batch["pixel_values"], batch["text"], batch["camera"], draws)
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    history: list[float] = []
    while len(history) < 300 and (not history or history[0] < 5 * history[-1]):
        loss = denoising_loss(unet, inputs, pipeline.scheduler)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        history.append(loss.item())
    assert history[0] >= 5 * history[-1], (history[0], history[-10:])
