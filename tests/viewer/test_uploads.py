"""What people may put into a workspace, and where it ends up."""

from __future__ import annotations

import pytest

from animate3d.errors import InputError
from animate3d.viewer.uploads import MODELS, keep_upload
from animate3d.viewer.workspace import Workspace


@pytest.mark.parametrize(
    "name", ["../../etc/x.obj", "..\\..\\x.obj", "/abs/x.obj", "a/../../b.obj", "\x00\n$(x).obj", "é" * 300 + ".obj"]
)
def test_a_file_stays_inside_its_folder_under_a_plain_name(tmp_path, name):
    folder = tmp_path / "models"
    path = keep_upload(folder, name, b"v 0 0 0\n", MODELS, 100)
    assert path.parent == folder and path.resolve().parent == folder.resolve() and path.suffix == ".obj"
    assert path.name.isascii() and not set(path.name) & set("/\\\n\0$()") and len(path.name) < 90
    assert path.read_bytes() == b"v 0 0 0\n"
    assert [item.name for item in tmp_path.iterdir()] == ["models"]


def test_nothing_is_overwritten(tmp_path):
    paths = [keep_upload(tmp_path, "cat.obj", bytes([k]), MODELS, 100) for k in range(3)]
    assert [path.name for path in paths] == ["cat.obj", "cat_2.obj", "cat_3.obj"]
    assert [path.read_bytes() for path in paths] == [b"\0", b"\1", b"\2"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("big.obj", b"x" * 101, "limited to"),
        ("a.zip", b"x", "archive, which is not unpacked"),
        ("a.tar.gz", b"x", "archive"),
        ("a.exe", b"x", "none of the kinds"),
        (".obj", b"x", "none of the kinds"),
        ("obj", b"x", "none of the kinds"),
        ("a.obj", b"", "is empty"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_not_kept(tmp_path, name, content, sentence):
    with pytest.raises(InputError, match=sentence):
        keep_upload(tmp_path / "models", name, content, MODELS, 100)
    assert not (tmp_path / "models").exists()


def test_five_hundred_megabytes_are_refused_before_they_are_there(tmp_path):
    with pytest.raises(InputError, match="500 MB; uploads are limited to 200 MB"):
        Workspace(tmp_path).check("huge.glb", 500_000_000)


def test_a_run_needs_a_sentence_or_a_video_and_words_are_no_flags(tmp_path):
    workspace = Workspace(tmp_path)
    model = workspace.keep_model("cat.obj", b"v 0 0 0\n")
    with pytest.raises(InputError, match="what the model is to do"):
        workspace.new_job([model], " \n ")
    job = workspace.new_job([model], "--out /tmp\n --formats x")
    assert job.arguments == ["animate", str(model), "--out", str(job.folder), "--prompt=--out /tmp --formats x"]
    assert job.folder.parent == workspace.runs_folder


def test_a_run_may_have_several_models_and_videos_but_one_driver(tmp_path):
    workspace = Workspace(tmp_path)
    models = [workspace.keep_model(name, b"v 0 0 0\n") for name in ("cat.obj", "ball.obj")]
    videos = [workspace.keep_video(name, b"x") for name in ("front.mp4", "left.mp4")]
    job = workspace.new_job(models, "", videos)
    assert job.arguments[1:3] == [str(path) for path in models]
    assert job.arguments[-2:] == [f"--video={path}" for path in videos]
    assert workspace.models() == sorted(models) and workspace.videos() == videos
    with pytest.raises(InputError, match="either a sentence or videos"):
        workspace.new_job(models, "it runs", videos)


def test_results_are_files_of_the_run_only(tmp_path):
    workspace = Workspace(tmp_path)
    job = workspace.new_job([workspace.keep_model("cat.obj", b"v 0 0 0\n")], "it runs")
    (job.folder / "work").mkdir(parents=True)
    for name in ("animation.glb", "preview.html", "job.json", "work/start.npz"):
        (job.folder / name).write_text("{}")
    assert list(workspace.results(job.folder.name)) == ["animation.glb", "preview.html"]
    for name in ("..", "../models", "", "nothing"):
        with pytest.raises(InputError, match="no run"):
            workspace.results(name)
