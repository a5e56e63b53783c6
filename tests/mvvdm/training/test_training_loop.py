"""Whole trainings of seconds: what they write, that they continue exactly, and their options."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from animate3d.errors import InputError
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.model.unet import is_trained
from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.config import TrainingConfig
from animate3d.mvvdm.training.loop import Trainer, choose_precision
from animate3d.mvvdm.weights import load_motion_checkpoint

Configure = Callable[..., TrainingConfig]


def train(config: TrainingConfig) -> Trainer:
    AcceleratorState._reset_state(True)
    trainer = Trainer(config)
    trainer.run()
    return trainer


def losses(config: TrainingConfig) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (config.folder / "losses.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in lines]


def read(config: TrainingConfig, name: str) -> dict:
    return torch.load(config.folder / "checkpoints" / name, weights_only=True)


def test_writes_the_documented_files(configure: Configure, example: Path) -> None:
    pytest.importorskip("tensorboard")
    config = configure("max_train_epoch=1", "validation_epoch=1", "report_to=[tensorboard]")
    train(config)
    folder = config.folder
    assert {path.name for path in folder.iterdir()} == {
        *("checkpoints", "samples", "sanity_check", "tf", "config.yaml", "losses.jsonl")
    }
    assert [step for step, _, _ in losses(config)] == [1, 2, 3, 4]
    assert [path.name for path in (folder / "samples" / "epoch-1").iterdir()] == [
        "0-a-red-ball-is-circling-a-white-one.gif"
    ]
    assert len(list((folder / "sanity_check").glob("0-0-a-*-ball-is-circling-a-white-one.gif"))) == 1
    assert list((folder / "tf").glob("events*"))

    content = read(config, "checkpoint-epoch-1.ckpt")
    assert set(content) == {"epoch", "global_step", "state_dict", "optimizer", "lr_scheduler"}
    assert (content["epoch"], content["global_step"]) == (1, 4)
    pipeline = load_converted(example / "model")
    assert set(content["state_dict"]) == {key for key in pipeline.unet.state_dict() if is_trained(key)}
    before = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    load_motion_checkpoint(pipeline.unet, folder / "checkpoints" / "latest.ckpt")
    moved = {key for key, value in pipeline.unet.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {key for key, _ in pipeline.unet.named_parameters() if is_trained(key)}


def test_continues_with_the_losses_of_the_uninterrupted_run(configure: Configure, example: Path) -> None:
    three = example / "three.json"  # the videos are found beside it
    three.write_text(json.dumps(json.loads((example / "clips.json").read_text())[:3]))
    settings = ["max_train_epoch=2", "checkpointing_steps=4", "lr_scheduler=cosine", "ema_decay=0.9"]
    settings.append(f"train_data.info_path={three}")
    whole = configure(*settings, "name=whole")
    train(whole)
    part = configure(*settings, "name=part", "resume_from_checkpoint=latest")
    first = Trainer(part)
    stop_after(first, 4)
    first.run()
    assert [step for step, _, _ in losses(part)] == list(range(1, 5))
    assert (part.folder / "checkpoints" / "latest.ckpt").resolve().name == "checkpoint-step-4.ckpt"
    with (part.folder / "losses.jsonl").open("a") as file:  # a step that no checkpoint saw, and a line cut off
        file.write('{"step": 5, "loss": 9.0, "grad_norm": 0.0}\n{"step": 6, "lo')
    train(part)
    assert losses(part) == losses(whole)
    ends = [read(config, "checkpoint-epoch-2.ckpt") for config in (whole, part)]
    for key, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][key]), key
    for key, value in ends[0]["ema"].items():
        assert torch.equal(value, ends[1]["ema"][key]), key


def stop_after(trainer: Trainer, step: int) -> None:
    """As Ctrl-C during that step would."""
    original = trainer._step

    def counted(group: list) -> dict:
        trainer._request.asked = trainer.global_step + 1 >= step
        return original(group)

    trainer._step = counted  # type: ignore[method-assign]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_second_signal_does_not_stop_the_last_checkpoint(
    number: signal.Signals, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("max_train_steps=1", "checkpointing_epochs=-1")
    write = checkpoints.write

    def interrupted(path: Path, content: dict) -> None:
        os.kill(os.getpid(), number)
        write(path, content)

    monkeypatch.setattr(checkpoints, "write", interrupted)
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("not awaited"))  # and not the end of all tests
    try:
        train(config)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert read(config, "latest.ckpt")["global_step"] == 1


def test_accumulated_batches_have_the_gradient_of_their_mean(configure: Configure) -> None:
    config = configure("gradient_accumulation_steps=3", "max_train_epoch=1", "mixed_precision_training=false")
    trainer = train(config)
    assert trainer.global_step == 2  # four clips: three and one
    assert [step for step, _, _ in losses(config)] == [1, 2]


@pytest.mark.slow
def test_recomputing_activations_changes_nothing(configure: Configure) -> None:
    configs = [
        configure(f"name=recompute-{value}", f"gradient_checkpointing={value}", "max_train_steps=2")
        for value in ("true", "false")
    ]
    for config in configs:
        train(config)
    for (_, one, norm), (_, other, other_norm) in zip(*map(losses, configs), strict=True):
        assert one == pytest.approx(other, rel=1e-6)
        assert norm == pytest.approx(other_norm, rel=1e-5)


@pytest.mark.slow
def test_a_cache_changes_nothing(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = configure("name=plain", "max_train_steps=1")
    train(plain)
    cached = [configure(f"name=cached{i}", "max_train_steps=1", f"latent_cache={tmp_path}/cache") for i in range(2)]
    train(cached[0])
    entries = list((tmp_path / "cache").rglob("*.safetensors"))
    assert entries
    trainer = Trainer(cached[1])
    monkeypatch.setattr(trainer.pipeline.vae, "encode", None)
    monkeypatch.setattr(trainer.pipeline.text_encoder, "forward", None)
    trainer.run()
    assert losses(plain) == losses(cached[0]) == losses(cached[1])
    entries[0].write_bytes(b"cut off")
    again = configure("name=again", "max_train_steps=1", f"latent_cache={tmp_path}/cache")
    train(again)
    assert losses(again) == losses(plain)


LOW_RANK = ["lora.rank=2", "lora.dropout=0.1", "max_train_steps=2", "checkpointing_steps=1"]


@pytest.mark.slow
def test_low_rank_updates_train_alone_and_merge(configure: Configure, example: Path) -> None:
    pytest.importorskip("peft")
    config = configure(*LOW_RANK)
    trainer = train(config)
    state = read(config, "checkpoint-step-2.ckpt")["state_dict"]
    assert state and all(".lora_" in key and "motion_modules." in key for key in state)
    pipeline = load_converted(example / "model")
    before = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    load_motion_checkpoint(pipeline.unet, config.folder / "checkpoints" / "checkpoint-step-2-merged.ckpt")
    moved = {key for key, value in pipeline.unet.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and all(key.endswith(".weight") and "motion_modules." in key for key in moved)
    inputs = {
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(4, 77, 32),
        "camera": torch.randn(4, 16),
        "added_cond_kwargs": {"image_embeds": torch.randn(4, 24)},
    }
    sample = torch.randn(4, 4, 2, 8, 8)
    with torch.no_grad():
        expected = trainer.pipeline.unet.eval()(sample, **inputs).sample
        torch.testing.assert_close(pipeline.unet.eval()(sample, **inputs).sample, expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_low_rank_updates_continue(configure: Configure) -> None:
    pytest.importorskip("peft")
    config = configure(*LOW_RANK)
    train(config)
    part = configure(*LOW_RANK, "name=part", "resume_from_checkpoint=latest")
    first = Trainer(part)
    stop_after(first, 1)
    first.run()
    train(part)
    assert losses(part) == losses(config)


@pytest.mark.slow
def test_the_whole_model_on_request(configure: Configure, example: Path) -> None:
    config = configure("save_full_model=true", "max_train_steps=1")
    train(config)
    state = read(config, "checkpoint-step-1.ckpt")["state_dict"]
    unet = load_converted(example / "model").unet
    assert set(state) == set(unet.state_dict())
    load_motion_checkpoint(unet, config.folder / "checkpoints" / "latest.ckpt")


@pytest.mark.slow
def test_half_precision_stores_frozen_layers_in_it(configure: Configure) -> None:
    config = configure("mixed_precision_training=bf16", "max_train_steps=1", "validation_steps=1")
    trainer = train(config)
    unet = trainer.pipeline.unet
    assert {p.dtype for p in unet.parameters() if p.requires_grad} == {torch.float32}
    assert unet.down_blocks[0].resnets[0].conv1.weight.dtype == torch.bfloat16
    assert list((config.folder / "samples" / "step-1").glob("*.gif"))


def test_starts_from_a_motion_checkpoint(configure: Configure) -> None:
    config = configure("max_train_steps=1", "learning_rate=0.1")
    train(config)
    path = config.folder / "checkpoints" / "latest.ckpt"
    AcceleratorState._reset_state(True)
    trainer = Trainer(configure("name=tuned", f"unet_checkpoint_path={path}"))
    state = torch.load(path, weights_only=True)["state_dict"]
    own = trainer.pipeline.unet.state_dict()
    assert all(torch.equal(own[key], value) for key, value in state.items())


def test_a_finished_training_is_not_overwritten(configure: Configure) -> None:
    config = configure("max_train_steps=1")
    train(config)
    AcceleratorState._reset_state(True)
    with pytest.raises(InputError, match=r"holds a training already.*resume_from_checkpoint=latest"):
        Trainer(config)
    debug = configure("max_train_steps=1", "is_debug=true")
    config.folder.rename(debug.folder)
    train(debug)  # is replaced
    assert debug.folder.name == "debug"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_data.info_path=nowhere.json", r"nowhere\.json"),
        ("train_data.sample_sise=4", r"`train_data` has a key that is not known.*sample_sise"),
        ("pretrained_model_path=./nowhere", r"base model \./nowhere does not exist"),
        ("unet_checkpoint_path=nowhere.ckpt", r"motion checkpoint nowhere\.ckpt does not exist"),
        ("trainable_modules=[nothing]", r"no parameter of the model has such a name"),
        ("lr_scheduler=steep", r"`lr_scheduler` is 'steep', which is not a schedule"),
        ("resume_from_checkpoint=nowhere.ckpt", r"checkpoint nowhere\.ckpt does not exist"),
        ("lora.rank=0", r"`lora` needs a `rank` of at least 1"),
    ],
)
def test_wrong_sources_are_named(configure: Configure, override: str, message: str) -> None:
    config = configure(override)
    with pytest.raises(InputError, match=message):
        Trainer(config)
    assert not config.folder.exists()


def test_missing_validation_images_are_named_before_anything_is_written(configure: Configure) -> None:
    config = configure("validation_epoch=1", "validation_data.images=[purple]")
    with pytest.raises(InputError, match=r"lacks purple_0\.png"):
        Trainer(config)
    assert not config.folder.exists()


def test_float16_needs_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert choose_precision(True) == "no"
    with pytest.raises(InputError, match="needs a GPU"):
        choose_precision("fp16")


@pytest.mark.slow
def test_the_learning_rate_falls_to_zero_at_the_end_of_a_continued_run(configure: Configure) -> None:
    rates = {}
    for extra in (["max_train_steps=4"], ["max_train_steps=8", "lr_decay_steps=4"]):
        config = configure("resume_from_checkpoint=latest", "max_train_epoch=-1", *extra)
        trainer = train(config)
        rates = {line["step"]: line["lr"] for line in map(json.loads, (config.folder / "losses.jsonl").open())}
    rate = config.learning_rate
    assert trainer.global_step == 8
    assert [rates[step] for step in range(1, 9)] == pytest.approx([rate] * 5 + [0.75 * rate, 0.5 * rate, 0.25 * rate])


@pytest.mark.slow
def test_trains_everything_on_velocities_in_bfloat16(configure: Configure) -> None:
    config = configure(
        "max_train_steps=2",
        "trainable_modules=['']",
        "noise_scheduler_kwargs.prediction_type=v_prediction",
        "stratified_timesteps=true",
        "mixed_precision_training=bf16",
        "ema_decay=0.9",
    )
    trainer = train(config)
    assert all(parameter.requires_grad for parameter in trainer.pipeline.unet.parameters())
    assert next(trainer.pipeline.vae.parameters()).dtype == torch.float32
    content = read(config, "latest.ckpt")
    assert set(content["state_dict"]) == set(trainer.pipeline.unet.state_dict())
    assert all(torch.isfinite(torch.tensor([loss, norm])).all() for _, loss, norm in losses(config))
