"""The folder that goes to VBench and comes back, with a stand-in for VBench that has its functions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from animate3d.errors import InputError
from animate3d.evaluation import vbench as exchange
from animate3d.evaluation import vbench_runner
from animate3d.evaluation.metrics import VBENCH
from animate3d.evaluation.model import VIEW_NAMES
from animate3d.evaluation.vbench import Subject, export_videos, read_results, vbench
from animate3d.frames import save_frames, save_mp4

FRAMES = 3

# The signatures of vbench 0.1.5: function(json_dir, device, submodules) -> (mean, [{video_path, video_results}]).
_MODULE = """
import json

def compute_{name}(json_dir, device, submodules_list, **kwargs):
    {check}
    entries = [entry for entry in json.load(open(json_dir)) if "{name}" in entry["dimension"]]
    videos = [video for entry in entries for video in entry["video_list"]]
    results = [{{"video_path": video, "video_results": {value}}} for video in videos]
    return sum(float(r["video_results"]) for r in results) / len(results), results
"""
_I2V = """
def i2v_subject(model, video_pair_list, device):
    import os
    results = []
    for image, video in video_pair_list:
        assert os.path.isfile(image) and os.path.isfile(video)
        results.append({"image_path": image, "video_path": video, "video_results": float(model.weight.sum())})
    return 0.0, results
"""
_HUBCONF = """
import torch

def dino_vitb16(pretrained=True, **kwargs):
    assert not pretrained
    return torch.nn.Linear(1, 2, bias=False)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VBench's packages and weights; returns the folder of weights."""
    site, weights = tmp_path / "site", tmp_path / "weights"
    modules = {
        "motion_smoothness": ('assert open(submodules_list["ckpt"]) and "AMT-S" in submodules_list["config"]', "0.75"),
        "dynamic_degree": ('assert open(submodules_list["model"])', '"bird" in video'),
        "aesthetic_quality": ("assert open(submodules_list[0])", "0.5"),
    }
    (site / "vbench").mkdir(parents=True)
    (site / "vbench" / "__init__.py").touch()
    for name, (check, value) in modules.items():
        (site / "vbench" / f"{name}.py").write_text(_MODULE.format(name=name, check=check, value=value))
    (site / "vbench2_beta_i2v").mkdir()
    (site / "vbench2_beta_i2v" / "__init__.py").touch()
    (site / "vbench2_beta_i2v" / "i2v_subject.py").write_text(_I2V)
    monkeypatch.setenv("PYTHONPATH", str(site))
    for names in vbench_runner.WEIGHTS.values():
        for name in names:
            (weights / name).parent.mkdir(parents=True, exist_ok=True)
            (weights / name).touch()
    (weights / "dino_model/facebookresearch_dino_main/hubconf.py").write_text(_HUBCONF)
    torch.save({"weight": torch.tensor([[0.5], [0.4]])}, weights / "dino_model/dino_vitbase16_pretrain.pth")
    return weights


@pytest.fixture(scope="module")
def encoded() -> dict[bytes, bytes]:
    """Videos by their frames."""
    return {}


@pytest.fixture(autouse=True)
def _encoded_once(monkeypatch: pytest.MonkeyPatch, encoded: dict[bytes, bytes]) -> None:
    """The same frames are encoded once for all views and tests."""

    def save(path: Path, frames: np.ndarray, fps: float) -> None:
        key = np.ascontiguousarray(frames).tobytes()
        if key not in encoded:
            save_mp4(path, frames, fps)
            encoded[key] = path.read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded[key])

    monkeypatch.setattr(exchange, "save_mp4", save)


@pytest.fixture
def subjects(tmp_path: Path) -> list[Subject]:
    found = []
    for shade, name in enumerate(("bird", "fish")):
        for view in VIEW_NAMES:
            images = np.full((1, FRAMES, 32, 32, 4), 40 * shade + 40, np.uint8)
            save_frames(tmp_path / "renders" / name / view, images)
        found.append(Subject(name, f"A {name} moves.", tmp_path / "renders" / name, FRAMES))
    return found


def run(subjects: list[Subject], tmp_path: Path, **more: Path | None) -> exchange.VBenchResults:
    given: dict[str, Path | None] = {"folder": tmp_path / "exchange", "python": None, "weights": None, **more}
    return vbench(subjects, default_folder=tmp_path / "default", announce=lambda line: None, **given)  # type: ignore[arg-type]


def test_without_vbench_nothing_is_written_and_the_reason_is_said(subjects: list[Subject], tmp_path: Path) -> None:
    results = run(subjects, tmp_path, folder=None)
    assert not results.values and not (tmp_path / "default").exists()
    assert all("--vbench-python" in results.reasons[metric.key] for metric in VBENCH)


def test_the_exported_folder_holds_videos_images_list_and_program(subjects: list[Subject], tmp_path: Path) -> None:
    results = run(subjects, tmp_path)
    folder = tmp_path / "exchange"
    assert all("run_vbench.py" in reason for reason in results.reasons.values())
    listed = json.loads((folder / "videos.json").read_text())["videos"]
    assert len(listed) == 2 * len(VIEW_NAMES) == len(list((folder / "videos").glob("*.mp4")))
    assert listed[0] == {
        "object": "bird",
        "prompt": "A bird moves.",
        "video": "videos/bird_elv_0_azi_0.mp4",
        "image": "images/bird_elv_0_azi_0.png",
    }
    frames = imageio.mimread(folder / "videos" / "fish_elv_2_azi_3.mp4")
    assert len(frames) == FRAMES and abs(float(np.mean(frames)) - 80) < 4


def test_videos_are_written_again_only_when_their_renders_are_newer(subjects: list[Subject], tmp_path: Path) -> None:
    folder = tmp_path / "exchange"
    key = export_videos(subjects, folder)
    video = folder / "videos" / "bird_elv_0_azi_0.mp4"
    stamp = video.stat().st_mtime_ns
    assert export_videos(subjects, folder) == key and video.stat().st_mtime_ns == stamp
    save_frames(subjects[0].renders / "elv_0_azi_0", np.full((1, FRAMES, 32, 32, 4), 200, np.uint8))
    assert export_videos(subjects, folder) != key


@pytest.mark.slow
def test_vbench_is_run_in_its_own_interpreter_and_its_results_are_means_of_the_views(
    subjects: list[Subject], tmp_path: Path, environment: Path
) -> None:
    results = run(subjects, tmp_path, python=Path(sys.executable), weights=environment)
    assert not results.reasons
    assert results.values["fish"] == pytest.approx(
        {"i2v_subject": 0.9, "motion_smoothness": 0.75, "dynamic_degree": 0.0, "aesthetic_quality": 0.5}
    )
    assert results.values["bird"]["dynamic_degree"] == 1.0
    again = run(subjects, tmp_path)  # without an interpreter: the results that are there
    assert again.values == results.values


def test_a_metric_that_breaks_or_lacks_its_weights_is_left_out_with_the_reason_and_nothing_is_downloaded(
    subjects: list[Subject], tmp_path: Path, environment: Path
) -> None:
    (environment / "raft_model" / "models" / "raft-things.pth").unlink()
    (tmp_path / "site" / "vbench" / "aesthetic_quality.py").write_text("raise ImportError('No module named clip')")
    results = run(subjects, tmp_path, python=Path(sys.executable), weights=environment)
    assert set(results.reasons) == {"dynamic_degree", "aesthetic_quality"}
    assert all(part in results.reasons["dynamic_degree"] for part in ("raft-things.pth", str(environment)))
    assert "No module named clip" in results.reasons["aesthetic_quality"]
    assert set(results.values["fish"]) == {"i2v_subject", "motion_smoothness"}
    assert results.values["fish"]["motion_smoothness"] == 0.75


def test_results_of_other_videos_are_not_taken(subjects: list[Subject], tmp_path: Path) -> None:
    folder = tmp_path / "exchange"
    key = export_videos(subjects, folder)
    (folder / "results.json").write_text(json.dumps({"key": "another", "values": {}, "reasons": {}}))
    assert read_results(folder, key) is None
    (folder / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"results\.json"):
        read_results(folder, key)


def test_a_missing_interpreter_is_one_sentence(subjects: list[Subject], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Python at"):
        run(subjects, tmp_path, python=tmp_path / "nowhere")
