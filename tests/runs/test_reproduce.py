"""`scripts/reproduce_testset.sh`: the four steps of every object, resumed, and the table."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_testset import FRAMES, SIZE, SMALL, STEPS, step_options, write_testset

from animate3d.creatures.dragon import motion_named
from animate3d.errors import InputError
from animate3d.evaluation.synthetic_testset import OBJECTS, write_synthetic_testset
from animate3d.evaluation.testset import TestObject, read_testset
from animate3d.frames import load_frames
from animate3d.gaussians import load_ply
from animate3d.mvvdm.tiny import write_tiny
from animate3d.runs import reproduce
from animate3d.runs import testset as module
from animate3d.runs.fit import Training
from animate3d.runs.gaussians import GaussianRun
from animate3d.runs.overrides import settings_of
from animate3d.runs.testset import ObjectRun, StepOptions

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Notes the settings of trainings and the pictures that are drawn, and leaves the files of their results."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trained: dict[str, list[str]] = {}
        self.drawn: list[str] = []
        self.said: list[str] = []
        self.stop_in = ""

        def launch(training: Training, config: str, keys: list[str]) -> None:
            self.trained[training.name] = keys
            training.checkpoints.mkdir(parents=True, exist_ok=True)
            (training.checkpoints / "last.ckpt").write_text(training.name)
            if training.name == self.stop_in:
                raise KeyboardInterrupt
            training.result.write_text(str(keys))

        def draw(folder: Path) -> None:
            self.drawn.append(folder.parents[2].name)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "0.png").write_text("drawn")

        patch.setattr(Training, "launch", launch)
        patch.setattr(GaussianRun, "motion", lambda run, checkpoint, view_dependent: None)
        patch.setattr(GaussianRun, "_render_targets", lambda run, fitted, folder: draw(folder))
        patch.setattr(module, "render_testset", lambda motion, folder, size: draw(folder))

    def run(self, item: TestObject, options: StepOptions) -> list[str]:
        """Names of the folders that were written to, in order."""
        self.trained, self.drawn, self.said = {}, [], []
        ObjectRun(item, options, self.said.append).run()
        return [*self.trained, *self.drawn]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


@pytest.fixture
def item(testset: Path) -> TestObject:
    return read_testset(testset, ["fish"])[0]


def test_the_four_documented_steps_hand_on_their_results(recorder: Recorder, item: TestObject, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    options = step_options(tmp_path, refine=True, refine_steps=7, weights=tmp_path / "w")
    assert recorder.run(item, options) == ["recon", "refine", "recon_vis", "refine_testset"]
    recon, refine = recorder.trained.values()
    assert f"data.image_root={item.videos}" in recon and f"trainer.max_steps={STEPS}" in recon
    assert "system.prompt_processor.prompt=A fish is bending." in refine
    assert f"data.image_root={tmp_path}/recon_vis/fish/save/images" in refine
    assert f"system.weights={tmp_path}/recon/fish/ckpts/epoch=0-step={STEPS}.ckpt" in refine
    assert f"system.guidance.pretrained_model_name_or_path={tmp_path}/w" in refine
    assert f"data.random_camera.batch_size={4 * FRAMES}" in refine
    assert all(f"system.n_frame={FRAMES}" in keys for keys in (recon, refine))
    assert (tmp_path / "refine_testset" / "fish" / "save" / "images").is_dir()


def test_without_refinement_the_test_views_show_the_reconstruction(
    recorder: Recorder, item: TestObject, tmp_path: Path
) -> None:
    assert recorder.run(item, step_options(tmp_path)) == ["recon", "recon_testset"]


def test_overrides_are_for_the_fit_or_for_one_step(recorder: Recorder, item: TestObject, tmp_path: Path) -> None:
    recorder.run(item, step_options(tmp_path, overrides=("seed=1", "refine:c=x:y", "recon:data.width=8", "fit:tag=2")))
    assert recorder.trained["recon"][-3:] == ["seed=1", "data.width=8", "tag=2"]
    assert settings_of("refine", ("a=1", "refine:c=x:y", "refine.d=2")) == ("c=x:y", "d=2")
    for wrong in ("nothing", "step5:a=1", "=3", "fit:=3"):
        with pytest.raises(InputError, match="step:key=value"):
            step_options(tmp_path, overrides=(wrong,))


def test_finished_steps_are_skipped_until_their_settings_change(
    recorder: Recorder, item: TestObject, tmp_path: Path
) -> None:
    recorder.run(item, step_options(tmp_path))
    assert recorder.run(item, step_options(tmp_path)) == []
    assert all(line.endswith("up to date") for line in recorder.said) and len(recorder.said) == 3
    (tmp_path / "w").mkdir()
    refined = step_options(tmp_path, refine=True, weights=tmp_path / "w")
    assert recorder.run(item, refined) == ["refine", "recon_vis", "refine_testset"]
    assert recorder.run(item, step_options(tmp_path, recon_steps=9)) == ["recon", "recon_testset"]


def test_an_interrupted_training_continues_and_an_outdated_one_does_not(
    recorder: Recorder, item: TestObject, tmp_path: Path
) -> None:
    recorder.stop_in = "recon"
    for steps in (STEPS, 9):
        with pytest.raises(KeyboardInterrupt):
            recorder.run(item, step_options(tmp_path, recon_steps=steps))
        assert not any(key.startswith("resume=") for key in recorder.trained["recon"]), "another number of steps"
    recorder.stop_in = ""
    recorder.run(item, step_options(tmp_path, recon_steps=9))
    assert f"resume={tmp_path}/recon/fish/ckpts/last.ckpt" in recorder.trained["recon"]


def test_what_refinement_lacks_is_said_before_anything_runs(
    testset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--no-refine"):
        reproduce.main(["--testset", str(testset)])
    silent = write_testset(tmp_path / "silent", ("dog",))
    (silent / "prompts.json").unlink()
    with pytest.raises(InputError, match=r"prompt for dog.*prompts\.json"):
        reproduce.main(["--testset", str(silent), "--weights", "w"])
    assert not (tmp_path / "outputs").exists()


def test_unknown_flags_are_refused(testset: Path) -> None:
    arguments = ["--testset", str(testset), "--no-refine"]
    with pytest.raises(SystemExit):
        reproduce.main([*arguments, "--refine", "yes"])
    with pytest.raises(SystemExit):
        reproduce.main([*arguments, "word"])
    with pytest.raises(InputError, match="`step5:a=1` is not a setting"):
        reproduce.main([*arguments, "step5:a=1"])


def test_the_synthetic_test_set_has_the_published_layout_and_known_motions(tmp_path: Path) -> None:
    write_synthetic_testset(tmp_path, size=32, frames=3)
    items = read_testset(tmp_path)
    assert [item.name for item in items] == sorted(OBJECTS) and all(item.prompt for item in items)
    colors = []
    for item in items:
        model = load_ply(item.model)
        truth = np.load(item.videos.with_name(f"{item.name}_truth.npz"))
        wanted = motion_named(OBJECTS[item.name].motion)(truth["positions"][0], truth["times"])
        np.testing.assert_allclose(truth["positions"], wanted)
        assert len(model) == truth["positions"].shape[1]
        assert load_frames(item.videos, 4, 3).shape == (4, 3, 32, 32, 4)
        colors.append(model.colors)
    assert (colors[0] - colors[1]).abs().mean() > 0.1


def script(folder: Path, *arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = ["bash", str(ROOT / "scripts" / "reproduce_testset.sh"), "--results", "out", "--out", "table", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_the_script_runs_all_objects_to_the_table_though_one_fails(tmp_path: Path) -> None:
    testset = write_testset(tmp_path / "testset", ("bird", "cat"))
    damaged = testset / "pretrained_gaussian" / "cat.ply"
    damaged.write_bytes(damaged.read_bytes()[:500])
    write_tiny(tmp_path / "tiny")
    small = [
        *SMALL,
        "--render-size",
        "32",
        "--target-size",
        "32",
        f"refine:data.width={SIZE}",
        f"refine:data.height={SIZE}",
    ]
    small += ["refine:data.random_camera.width=32", "refine:data.random_camera.height=32"]
    process = script(
        tmp_path, "--testset", "testset", "--weights", "tiny", "--recon-steps", "4", "--refine-steps", "2", *small
    )
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 1, output
    assert "cat: failed" in output and "bird: done" in output, output
    with (tmp_path / "table" / "evaluation.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file) if row["kind"] == "measured"}
    assert rows["bird"]["stage"] == "refine" and float(rows["bird"]["psnr"]) > 5
    assert rows["cat"]["psnr"] == "" and rows["cat"]["note"]


@pytest.mark.slow
def test_the_script_continues_after_a_request_to_end(tmp_path: Path) -> None:
    write_testset(tmp_path / "testset")
    arguments = ["--testset", "testset", "--no-refine", "--objects", "bird", "--recon-steps", "60", *SMALL]
    arguments += ["--render-size", "32"]
    arguments.append("recon:checkpoint.every_n_train_steps=4")
    process = script(tmp_path, *arguments)
    saved = tmp_path / "out" / "recon" / "bird" / "ckpts" / "last.ckpt"
    deadline = time.monotonic() + 300
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "run the same command again" in output
    again = script(tmp_path, *arguments)
    output, _ = again.communicate(timeout=900)
    assert again.returncode == 0, output
    assert "5 motion is continued" in output
    assert (tmp_path / "table" / "evaluation.md").is_file()
