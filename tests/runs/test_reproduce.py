"""`scripts/reproduce_testset.sh`: the four steps of every object, resumed, and the table."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
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
from animate3d.runs.testset import ObjectRun, StepOptions

ROOT = Path(__file__).resolve().parents[2]


class Recorder(ObjectRun):
    """Notes what would be launched, and leaves the files of its results."""

    def __init__(self, item: TestObject, options: StepOptions, stop_in: str = "") -> None:
        self.said: list[str] = []
        self.launched: dict[str, list[str]] = {}
        self._stop_in = stop_in
        super().__init__(item, options, self.said.append)

    def _launch(self, config: str, keys: Sequence[str], mode: str) -> None:
        values = dict(key.split("=", 1) for key in keys)
        name = values["name"]
        self.launched[name] = list(keys)
        trial = Path(values["exp_root_dir"]) / name / values["tag"]
        if mode == "test":
            (trial / "save" / "images").mkdir(parents=True, exist_ok=True)
            (trial / "save" / "images" / "0.png").write_text(str(keys))
            return
        (trial / "ckpts").mkdir(parents=True, exist_ok=True)
        (trial / "ckpts" / "last.ckpt").write_text(name)
        if name == self._stop_in:
            raise KeyboardInterrupt
        (trial / "ckpts" / f"epoch=0-step={values['trainer.max_steps']}.ckpt").write_text(str(keys))


@pytest.fixture
def item(testset: Path) -> TestObject:
    return read_testset(testset, ["fish"])[0]


def test_the_four_documented_steps_hand_on_their_results(item: TestObject, tmp_path: Path) -> None:
    run = Recorder(item, step_options(tmp_path, refine=True, refine_steps=7, weights=Path("w")))
    run.run()
    assert list(run.launched) == ["recon", "recon_vis", "refine", "refine_testset"]
    recon, vis, refine, shown = run.launched.values()
    assert f"data.image_root={item.videos}" in recon
    assert f"system.geometry.geometry_convert_from={item.model}" in recon
    assert "system.prompt_processor.prompt=A fish is bending." in refine
    assert f"resume={tmp_path}/recon/fish/ckpts/epoch=0-step={STEPS}.ckpt" in vis
    assert f"data.image_root={tmp_path}/recon_vis/fish/save/images" in refine
    assert f"system.weights={tmp_path}/recon/fish/ckpts/epoch=0-step={STEPS}.ckpt" in refine
    assert "system.guidance.pretrained_model_name_or_path=w" in refine
    assert f"resume={tmp_path}/refine/fish/ckpts/epoch=0-step=7.ckpt" in shown
    assert all(f"system.n_frame={FRAMES}" in keys for keys in run.launched.values())


def test_without_refinement_the_test_views_show_the_reconstruction(item: TestObject, tmp_path: Path) -> None:
    run = Recorder(item, step_options(tmp_path))
    run.run()
    assert list(run.launched) == ["recon", "recon_testset"]


def test_overrides_are_for_all_steps_or_for_one(item: TestObject, tmp_path: Path) -> None:
    run = Recorder(item, step_options(tmp_path, overrides=("a.b=1", "testset:c=x:y", "recon:data.width=8")))
    run.run()
    assert run.launched["recon"][-2:] == ["a.b=1", "data.width=8"]
    assert run.launched["recon_testset"][-2:] == ["a.b=1", "c=x:y"]
    for wrong in ("nothing", "step5:a=1"):
        with pytest.raises(InputError, match="step:key=value"):
            step_options(tmp_path, overrides=(wrong,))


def test_finished_steps_are_skipped_until_their_settings_change(item: TestObject, tmp_path: Path) -> None:
    Recorder(item, step_options(tmp_path)).run()
    again = Recorder(item, step_options(tmp_path))
    again.run()
    assert not again.launched and again.said == ["recon: up to date", "testset: up to date"]
    refined = Recorder(item, step_options(tmp_path, refine=True))
    refined.run()
    assert list(refined.launched) == ["recon_vis", "refine", "refine_testset"]
    longer = Recorder(item, step_options(tmp_path, recon_steps=9))
    longer.run()
    assert list(longer.launched) == ["recon", "recon_testset"]


def test_an_interrupted_training_continues_and_an_outdated_one_does_not(item: TestObject, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Recorder(item, step_options(tmp_path), stop_in="recon").run()
    other = Recorder(item, step_options(tmp_path, recon_steps=9))
    with pytest.raises(KeyboardInterrupt):
        other._stop_in = "recon"
        other.run()
    assert not any(key.startswith("resume=") for key in other.launched["recon"]), "another number of steps"
    again = Recorder(item, step_options(tmp_path, recon_steps=9))
    again.run()
    assert f"resume={tmp_path}/recon/fish/ckpts/last.ckpt" in again.launched["recon"]


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
    with pytest.raises(InputError, match="`word` is not key=value"):
        reproduce.main([*arguments, "word"])


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
    small = [*SMALL, f"refine:data.width={SIZE}", f"refine:data.height={SIZE}"]
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
    assert "recon (continued)" in output
    assert (tmp_path / "table" / "evaluation.md").is_file()
