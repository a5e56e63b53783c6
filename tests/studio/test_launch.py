"""Runs as users start them: folders, checkpoints, resuming, interruption, errors."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from animate3d.errors import InputError
from animate3d.lock import LOCK, alone_in
from animate3d.studio.launch import Interrupted, launch, main

from . import toy


def steps(events: list[str], kind: str) -> list[str]:
    return [e for e in events if e.startswith(kind)]


def test_a_training_leaves_the_documented_files(toy_config: Path, tmp_path: Path) -> None:
    assert main(["--config", str(toy_config), "--train", "--gpu", "0", "tag=a cat", "seed=3"]) == 0
    trial = tmp_path / "outputs" / "toy" / "a cat"
    files = {str(p.relative_to(trial)) for p in trial.rglob("*") if p.is_file()}
    assert {
        "ckpts/epoch=0-step=2.ckpt",
        "ckpts/epoch=0-step=4.ckpt",
        "ckpts/last.ckpt",
        "configs/raw.yaml",
        "configs/parsed.yaml",
        "cmd.txt",
        "csv_logs/version_0/metrics.csv",
    } <= files
    assert "'tag=a cat'" in (trial / "cmd.txt").read_text()
    assert yaml.safe_load((trial / "configs" / "parsed.yaml").read_text())["seed"] == 3
    checkpoint = torch.load(trial / "ckpts" / "epoch=0-step=4.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks"} <= set(checkpoint)
    # As in Animate3D, training does not test afterwards.
    assert not steps(toy.EVENTS, "test_step")


def test_evaluation_knows_the_step_of_its_checkpoint(toy_config: Path) -> None:
    trained = launch(toy_config)
    assert trained.checkpoint == trained.trial_dir / "ckpts" / "epoch=0-step=4.ckpt"
    record = (trained.trial_dir / "cmd.txt").read_text()
    tested = launch(toy_config, [f"resume={trained.checkpoint}"], "test")
    assert (tested.trial_dir, tested.checkpoint) == (trained.trial_dir, trained.checkpoint)
    assert steps(toy.EVENTS, "test_step") == ["test_step gs=4"] * 4
    assert len(list((tested.trial_dir / "save" / "it4-test").iterdir())) == 4
    assert (trained.trial_dir / "cmd.txt").read_text() == record
    launch(toy_config, [f"resume={trained.checkpoint}"], "validate")
    with pytest.raises(InputError, match="has no surface to export"):
        launch(toy_config, [f"resume={trained.checkpoint}"], "export")


def test_resuming_continues_the_count(toy_config: Path) -> None:
    trial = launch(toy_config).trial_dir
    toy.EVENTS.clear()
    parsed = trial / "configs" / "parsed.yaml"
    result = launch(parsed, [f"resume={trial}/ckpts/last.ckpt", "trainer.max_steps=6"])
    assert steps(toy.EVENTS, "training_step") == ["training_step gs=4 true=4", "training_step gs=5 true=5"]
    assert result.checkpoint == trial / "ckpts" / "epoch=0-step=6.ckpt"
    assert torch.load(trial / "ckpts" / "last.ckpt", weights_only=True)["global_step"] == 6
    assert not (trial / "ckpts-old-0").exists()


@pytest.mark.slow
def test_a_rerun_does_not_leave_old_checkpoints_under_documented_names(toy_config: Path) -> None:
    first = launch(toy_config, ["system.geometry.size=3"])
    second = launch(toy_config, ["system.geometry.size=5"])
    names = sorted(p.name for p in (second.trial_dir / "ckpts").iterdir())
    assert names == ["epoch=0-step=2.ckpt", "epoch=0-step=4.ckpt", "last.ckpt"]
    for name in names:
        state = torch.load(second.trial_dir / "ckpts" / name, weights_only=True)["state_dict"]
        assert len(state["geometry.values"]) == 5
    assert sorted(p.name for p in (first.trial_dir / "ckpts-old-0").iterdir()) == names
    # Going back to step 2 sets aside what comes later, and keeps the checkpoint it starts from.
    launch(toy_config, ["system.geometry.size=5", f"resume={second.trial_dir}/ckpts/epoch=0-step=2.ckpt"])
    assert sorted(p.name for p in (first.trial_dir / "ckpts-old-1").iterdir()) == names[1:]
    assert sorted(p.name for p in (second.trial_dir / "ckpts").iterdir()) == names


def test_weights_may_come_from_the_folder_that_is_cleared(toy_config: Path) -> None:
    first = launch(toy_config)
    second = launch(toy_config, [f"system.weights={first.checkpoint}"])
    assert second.checkpoint is not None and second.checkpoint.exists()


def test_a_short_run_still_saves_its_last_step(toy_config: Path) -> None:
    result = launch(toy_config, ["trainer.max_steps=3", "checkpoint.every_n_train_steps=800"])
    assert sorted(p.name for p in (result.trial_dir / "ckpts").iterdir()) == ["epoch=0-step=3.ckpt", "last.ckpt"]
    assert result.checkpoint == result.trial_dir / "ckpts" / "epoch=0-step=3.ckpt"


def test_one_interrupt_saves_and_says_how_to_continue(toy_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    step = toy.ToySystem.training_step

    def interrupted(self: toy.ToySystem, batch: object, batch_idx: int) -> object:
        if self.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(toy.ToySystem, "training_step", interrupted)
    with pytest.raises(Interrupted, match=r"add resume=.*last.ckpt to the same command"):
        launch(toy_config, ["checkpoint.every_n_train_steps=800"])
    monkeypatch.undo()
    trial = toy_config.parent / "outputs" / "toy" / "run"
    assert torch.load(trial / "ckpts" / "last.ckpt", weights_only=True)["global_step"] == 3
    toy.EVENTS.clear()
    result = launch(toy_config, [f"resume={trial}/ckpts/last.ckpt"])
    assert steps(toy.EVENTS, "training_step") == ["training_step gs=3 true=3"]
    assert result.checkpoint == trial / "ckpts" / "epoch=0-step=4.ckpt"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_is_one_sentence(toy_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = launch(toy_config, ["trainer.max_steps=2"]).trial_dir / "ckpts" / "last.ckpt"

    def full(*_: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"epoch=0-step=4.ckpt cannot be written; is the disk full"):
        launch(toy_config, [f"resume={good}"])
    assert sorted(p.name for p in good.parent.iterdir()) == ["epoch=0-step=2.ckpt", "last.ckpt"]


def test_a_second_training_in_the_same_folder_is_refused_and_an_evaluation_is_not(
    toy_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = launch(toy_config)
    trial = trained.trial_dir
    files = {path: path.stat().st_mtime_ns for path in trial.rglob("*") if path.is_file()}
    with alone_in(trial):
        with pytest.raises(InputError, match=r"toy/run is in use: process \d+ .*\. Wait for it, or give another tag\."):
            launch(toy_config)
        with pytest.raises(InputError, match="is in use"):
            launch(toy_config, [f"resume={trained.checkpoint}"])
        assert files == {path: path.stat().st_mtime_ns for path in files}
        launch(toy_config, [f"resume={trained.checkpoint}"], "test")
        launch(toy_config, ["tag=other"])
        monkeypatch.setenv("RANK", "1")  # of several processes the first has the lock for all
        launch(toy_config, [f"resume={trained.checkpoint}"])
    monkeypatch.undo()
    assert not (trial / LOCK).exists()


def test_a_killed_training_is_continued_and_what_it_was_writing_removed(toy_config: Path) -> None:
    code = f"""
import os, signal
from animate3d.files import atomic_file
from animate3d.studio.launch import launch
from studio import toy
def killed(self, batch, batch_idx):
    if self.global_step == 3:
        with atomic_file(self.get_save_dir() + "/x.png"):
            os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)
step, toy.ToySystem.training_step = toy.ToySystem.training_step, killed
launch({str(toy_config)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    trial = toy_config.parent / "outputs" / "toy" / "run"
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (trial / LOCK).exists() and len(list(trial.rglob(".writing-*"))) == 1
    result = launch(toy_config, [f"resume={trial}/ckpts/last.ckpt"])
    assert result.checkpoint == trial / "ckpts" / "epoch=0-step=4.ckpt"
    assert not (trial / LOCK).exists() and not list(trial.rglob(".writing-*"))


@pytest.mark.slow
def test_runs_are_repeatable(toy_config: Path) -> None:
    files = [launch(toy_config, [f"tag={t}"]).checkpoint for t in "ab"]
    states = [torch.load(f, weights_only=True)["state_dict"] for f in files if f]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_the_progress_bar_can_be_on(toy_config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    launch(toy_config, ["trainer.enable_progress_bar=true"])
    err = "".join(capfd.readouterr())
    assert "4/" in err and "v_num" not in err


@pytest.mark.slow
def test_without_a_gpu_one_notice_and_no_chatter(toy_config: Path) -> None:
    code = f"""
from studio import toy
from animate3d.studio.launch import launch
for mode in ("train", "train", "validate", "test"):
    launch({str(toy_config)!r}, [], mode)
"""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, env=environment)
    trial = toy_config.parent / "outputs" / "toy" / "run"
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "No CUDA GPU: running on the CPU in float32.",
        f"Validation results will be saved to {trial}/save",
        f"The checkpoints of an earlier run in {trial}/ckpts were moved to {trial}/ckpts-old-0.",
        f"Validation results will be saved to {trial}/save",
        f"Test results saved to {trial}/save",
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["system.geometri_type=x"], r"'toy-system' has no setting 'geometri_type' \(near: geometry_type"),
        (["system.geometry.siz=1"], r"'toy-geometry' has no setting 'siz' \(near: size"),
        (["system.geometry.size=many"], r"Setting 'size' of 'toy-geometry': Value 'many'"),
        (["system_type=toy-sytem"], r"Nothing is registered as 'toy-sytem' \(near: toy-system"),
        (["system.geometry_type=''"], r"component type is empty"),
        (["foo=1"], r"'ExperimentConfig' has no setting 'foo'"),
        (["tag=${nope}"], r"nope"),
        (["resume=nope.ckpt"], r"The checkpoint nope.ckpt does not exist"),
        (["system.weights=nope.ckpt"], r"The checkpoint nope.ckpt does not exist"),
        (["system.optimizer.name=Adm"], r"There is no optimiser 'Adm' \(near: .*Adam"),
    ],
)
def test_bad_settings_are_one_sentence(toy_config: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        launch(toy_config, overrides)
    assert "\n" not in str(caught.value)


def test_a_missing_prompt_is_one_sentence(toy_config: Path) -> None:
    text = toy_config.read_text().replace("prompt: a cat", 'prompt: "???"')
    toy_config.write_text(text.replace("tag: run", 'tag: "${rmspace:${system.prompt_processor.prompt},_}"'))
    with pytest.raises(InputError, match=r"give it as key=value \(.*system.prompt_processor.prompt"):
        launch(toy_config)


def test_bad_checkpoints_are_one_sentence(toy_config: Path, tmp_path: Path) -> None:
    good = launch(toy_config).checkpoint
    assert good is not None
    truncated, other = tmp_path / "truncated.ckpt", tmp_path / "other.ckpt"
    truncated.write_bytes(good.read_bytes()[:200])
    torch.save({"x": 1}, other)
    for flag in ("resume", "system.weights"):
        with pytest.raises(InputError, match="damaged or of another kind"):
            launch(toy_config, [f"{flag}={truncated}"])
        with pytest.raises(InputError, match="no 'state_dict'"):
            launch(toy_config, [f"{flag}={other}"])
        with pytest.raises(InputError, match=r"do(es)? not fit .*size mismatch"):
            launch(toy_config, [f"{flag}={good}", "system.geometry.size=7", "tag=other"])


def test_flags(toy_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv in (["--config", str(toy_config)], ["--train"], ["--config", str(toy_config), "--train", "--test"]):
        with pytest.raises(SystemExit):
            main(argv)
    with pytest.raises(InputError, match="--gradio"):
        main(["--config", str(toy_config), "--train", "--gradio"])
    with pytest.raises(InputError, match="'ExperimentConfig' has no setting '--bogus'"):
        main(["--config", str(toy_config), "--train", "--bogus"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"custom/nope.yaml exists neither"):
        main(["--config", "custom/nope.yaml", "--train"])


def test_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from animate3d.resources import find_resource

    monkeypatch.chdir(tmp_path)
    relative = "custom/threestudio-animate3d/configs/visualize_four_view_static.yaml"
    packaged = find_resource(relative)
    assert packaged.is_absolute()
    own = tmp_path / relative
    own.parent.mkdir(parents=True)
    shutil.copyfile(packaged, own)
    assert find_resource(relative) == Path(relative)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_step=3", "`trainer` has no setting 'max_step'.*max_steps"),
        ("checkpoint.every_n=3", "`checkpoint` has no setting 'every_n'"),
        ("trainer.max_steps=abc", "A value of `trainer` cannot be used"),
    ],
)
def test_a_wrong_trainer_setting_is_one_sentence(toy_config: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        launch(toy_config, [override])
