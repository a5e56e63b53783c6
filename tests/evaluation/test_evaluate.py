"""`animate3d evaluate`: renders, the table, and what happens when something is missing."""

from __future__ import annotations

import csv
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_testset import FRAMES, SIZE, STEPS

from animate3d import cli, errors
from animate3d.errors import Animate3DError, InputError
from animate3d.evaluation.command import evaluate, main
from animate3d.evaluation.metrics import MEASURED, METRICS, VBENCH
from animate3d.evaluation.model import VIEW_NAMES, load_model, save_views, saved_size
from animate3d.evaluation.options import EvaluateOptions, options_of
from animate3d.evaluation.published import PUBLISHED
from animate3d.evaluation.testset import find_checkpoint, read_testset
from animate3d.frames import load_images, save_frames
from animate3d.gaussians import load_ply


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "evaluation.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def out(testset: Path, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    assert main(["--testset", str(testset), "--results", str(results), "--out", str(folder)]) == 0
    return folder


def test_the_table_has_a_row_an_object_their_mean_and_published_figures(out: Path) -> None:
    found = rows(out)
    measured = [row for row in found if row["kind"] == "measured"]
    assert [row["name"] for row in measured] == ["bird", "fish"]
    for row in measured:
        assert row["stage"] == "recon" and row["step"] == str(STEPS) and row["size"] == str(SIZE)
        assert all(np.isfinite(float(row[metric.key])) for metric in MEASURED)
        assert all(row[metric.key] == "" for metric in VBENCH)
        assert 5 < float(row["psnr"]) < 60 and 0 < float(row["iou"]) <= 1
    (mean,) = (row for row in found if row["kind"] == "mean")
    assert float(mean["psnr"]) == pytest.approx(np.mean([float(row["psnr"]) for row in measured]), rel=1e-5)
    published = [row for row in found if row["kind"] == "published"]
    assert len(published) == len(PUBLISHED) and all(row["source"] for row in published)
    assert any(row["i2v_subject"] == "0.936" and "AnimateAnyMesh" in row["source"] for row in published)


def test_the_table_for_people_says_why_columns_are_missing_and_shows_the_pictures(out: Path) -> None:
    text = (out / "evaluation.md").read_text()
    assert "| bird |" in text and "| **mean** |" in text and "AnimaX" in text
    assert "I2V subject: not measured: give --vbench-python" in text
    for name in ("metrics.png", "frames.png", "sheets/bird.png", "sheets/fish.png"):
        assert f"({name})" in text
        with Image.open(out / name) as image:
            assert min(image.size) > 200
            assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.slow
def test_renders_of_step_4_are_used_while_they_are_newer_than_the_checkpoint(
    testset: Path, results: Path, out: Path, tmp_path: Path
) -> None:
    assert not (out / "renders").exists()
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    checkpoint = find_checkpoint(copy, "recon", "bird").path
    saved = copy / "recon_testset" / "bird" / "save" / "images"
    assert saved_size(saved, FRAMES, checkpoint) == SIZE
    os.utime(checkpoint)
    assert saved_size(saved, FRAMES, checkpoint) is None
    options = EvaluateOptions(testset=testset, results=copy, objects=("bird",), out=tmp_path / "out", size=SIZE)
    (again,) = evaluate(options)
    assert again.renders == tmp_path / "out" / "renders" / "bird"
    before = next(row for row in rows(out) if row["name"] == "bird")
    assert again.values["psnr"] == pytest.approx(float(before["psnr"]), abs=1e-3)
    stamp = (again.renders / "elv_0_azi_0" / "0.png").stat().st_mtime_ns
    (third,) = evaluate(options)
    assert third.renders == again.renders
    assert (again.renders / "elv_0_azi_0" / "0.png").stat().st_mtime_ns == stamp


def test_what_is_rendered_here_is_what_the_documented_step_writes(results: Path, tmp_path: Path) -> None:
    model = load_model(find_checkpoint(results, "recon", "fish"))
    save_views(model, tmp_path, FRAMES, SIZE)
    for name in VIEW_NAMES:
        ours, theirs = (
            load_images([folder / name / f"{f}.png" for f in range(FRAMES)])
            for folder in (tmp_path, results / "recon_testset" / "fish" / "save" / "images")
        )
        assert float((ours - theirs).abs().max()) <= 1.01 / 255


def test_without_its_config_a_model_is_read_with_the_documented_one(
    testset: Path, results: Path, tmp_path: Path
) -> None:
    checkpoint = find_checkpoint(results, "recon", "bird")
    alone = tmp_path / "downloads" / checkpoint.path.name
    alone.parent.mkdir()
    shutil.copy(checkpoint.path, alone)
    model = load_model(type(checkpoint).at(alone))
    assert len(model) == len(load_ply(testset / "pretrained_gaussian" / "bird.ply"))
    reference = load_model(checkpoint)
    assert torch.equal(model.deform(FRAMES)[0], reference.deform(FRAMES)[0])


def test_a_perfect_model_has_a_perfect_score(testset: Path, results: Path, tmp_path: Path) -> None:
    """Videos that are the model's own renders."""
    saved = results / "recon_testset" / "bird" / "save" / "images"
    images = np.stack(
        [[np.asarray(Image.open(saved / f"elv_0_azi_{j}" / f"{f}.png")) for f in range(FRAMES)] for j in range(4)]
    )
    alpha = images[..., 3:] / 255.0
    # Stored videos hold the object's own colour; the renders have it on the background.
    rgb = np.where(alpha > 0, (images[..., :3] - 127.5 * (1 - alpha)) / np.maximum(alpha, 1e-6), 0).clip(0, 255)
    save_frames(tmp_path / "videos", np.concatenate([rgb.round().astype(np.uint8), images[..., 3:]], axis=-1))
    checkpoint = find_checkpoint(results, "recon", "bird").path
    (found,) = evaluate(
        EvaluateOptions(checkpoint=checkpoint, videos=tmp_path / "videos", out=tmp_path / "out", size=SIZE)
    )
    assert found.name == "bird"
    assert found.values["psnr"] > 45 and found.values["ssim"] > 0.995 and found.values["iou"] == 1.0


def test_an_object_that_fails_is_in_the_table_and_the_others_are_measured(
    testset: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "recon" / "bird")
    arguments = ["evaluate", "--testset", str(testset), "--results", str(copy), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    by_name = {row["name"]: row for row in rows(tmp_path / "out") if row["kind"] == "measured"}
    assert "no checkpoint" in by_name["bird"]["note"] and by_name["bird"]["psnr"] == ""
    assert float(by_name["fish"]["psnr"]) > 0
    assert re.search(r"bird: .*ckpts holds no checkpoint", (tmp_path / "out" / "evaluation.md").read_text())
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"1 of 2 not measured: bird \(.*ckpts holds no checkpoint.*\)", last)


def test_a_single_model_that_fails_is_one_sentence_and_keeps_the_earlier_table(results: Path, tmp_path: Path) -> None:
    table = tmp_path / "evaluation.md"
    table.write_text("earlier")
    checkpoint = find_checkpoint(results, "recon", "bird").path
    with pytest.raises(InputError, match="nowhere does not exist"):
        evaluate(EvaluateOptions(checkpoint=checkpoint, videos=tmp_path / "nowhere", out=tmp_path))
    assert table.read_text() == "earlier"


def test_a_test_set_of_which_nothing_can_be_measured_keeps_the_earlier_table(
    testset: Path, results: Path, tmp_path: Path
) -> None:
    (tmp_path / "evaluation.md").write_text("earlier")
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "recon")
    (copy / "recon").mkdir()
    with pytest.raises(Animate3DError, match=r"Nothing could be measured\. bird: .* holds no checkpoint"):
        evaluate(EvaluateOptions(testset=testset, results=copy, out=tmp_path))
    assert (tmp_path / "evaluation.md").read_text() == "earlier"


def test_without_matplotlib_there_is_a_table_without_plots(
    testset: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str, *, feature: str, extra: str) -> None:
        raise errors.MissingDependencyError(f"{feature}: pip install 'animate3d[{extra}]'")

    monkeypatch.setattr("animate3d.evaluation.plots.require", missing)
    said: list[str] = []
    evaluate(EvaluateOptions(testset=testset, results=results, out=tmp_path, objects=("fish",)), said.append)
    assert any("no plots" in line and "animate3d[eval]" in line for line in said)
    assert "sheets/fish.png" in (tmp_path / "evaluation.md").read_text()
    assert not (tmp_path / "metrics.png").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"testset": None}, "--testset and --results"),
        ({"checkpoint": Path("x.ckpt")}, "--testset and --results"),
        ({"objects": ("cow",)}, "no object `cow`; it has bird, fish"),
        ({"size": 8}, "at least 32 pixels"),
        ({"out": Path(__file__)}, "test_evaluate.py is a file, not a folder; give another --out"),
        ({"vbench_python": Path("nope")}, r"There is no Python at nope \(--vbench-python\)"),
    ],
)
def test_wrong_flags_are_one_sentence(
    testset: Path, results: Path, tmp_path: Path, changes: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        evaluate(EvaluateOptions(**{"testset": testset, "results": results, "out": tmp_path, **changes}))


@pytest.mark.parametrize("text", [",", ""])
def test_a_list_of_objects_that_names_none_does_not_mean_all(text: str) -> None:
    with pytest.raises(InputError, match=f"--objects is '{text}', which names none; leave it out for all"):
        options_of(["--testset", "t", "--results", "r", "--out", "o", "--objects", text])


def test_videos_of_other_lengths_are_refused(testset: Path, results: Path, tmp_path: Path) -> None:
    options = EvaluateOptions(testset=testset, results=results, out=tmp_path, objects=("bird",), frames=16)
    with pytest.raises(Animate3DError, match="4 videos of 4 frames; 16 were asked for"):
        evaluate(options)


def test_the_latest_checkpoint_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "recon" / "cat" / "ckpts"
    folder.mkdir(parents=True)
    for name in ("epoch=0-step=50.ckpt", "epoch=0-step=800.ckpt", "epoch=0-step=100.ckpt", "last.ckpt"):
        (folder / name).touch()
    assert find_checkpoint(tmp_path, "recon", "cat").step == 800
    with pytest.raises(InputError, match="no checkpoint"):
        find_checkpoint(tmp_path, "refine", "cat")


def test_a_test_set_is_read_by_name_and_may_have_prompts(testset: Path, tmp_path: Path) -> None:
    assert [(item.name, item.prompt) for item in read_testset(testset, ["fish"])] == [("fish", "A fish is bending.")]
    with pytest.raises(InputError, match="pretrained_gaussian"):
        read_testset(tmp_path)
    (tmp_path / "pretrained_gaussian").mkdir()
    with pytest.raises(InputError, match="no ply"):
        read_testset(tmp_path)
    (tmp_path / "pretrained_gaussian" / "a.ply").touch()
    assert read_testset(tmp_path)[0].prompt is None
    (tmp_path / "prompts.json").write_text('["a"]')
    with pytest.raises(InputError, match=r"prompts\.json"):
        read_testset(tmp_path)


def test_metrics_have_names_of_their_own_and_a_dash_for_nothing() -> None:
    assert len({metric.key for metric in METRICS}) == len(METRICS)
    assert METRICS[0].shown(None) == METRICS[0].shown(float("nan")) == "–"
    assert next(metric for metric in METRICS if metric.key == "displacement").shown(0.0123) == "1.23"
