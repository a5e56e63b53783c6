"""The documented sources and what they say when something is wrong."""

from __future__ import annotations

import json
import shutil

import pytest
from mv_video_files import CLIPS

from animate3d.errors import InputError
from animate3d.mvvdm.data import load_records
from animate3d.mvvdm.data.index import write_index
from animate3d.mvvdm.data.records import read_uid_info

KEYS = ["/".join(clip) for clip in CLIPS]


def documented(videos: list[str], **changes) -> dict:
    return {"data_path": videos, "text_prompt": "a fox", "angle": {"elv": 10, "azi_start": 5}, **changes}


def test_all_sources_give_the_same_records(made, archives, tmp_path):
    from_folder = load_records(made)
    assert [record.key for record in from_folder] == KEYS
    description = [(r.key, r.text, r.elevation, r.azimuth_start, r.n_videos, r.licence) for r in from_folder]
    for source in (
        archives,
        str(archives / "multi_*.tar.gz"),
        sorted(archives.glob("*.tar.gz")),
        write_index(from_folder, tmp_path / "files.json"),
        write_index(load_records(archives), tmp_path / "archives" / "streamed.json"),
    ):
        found = load_records(source)
        assert [(r.key, r.text, r.elevation, r.azimuth_start, r.n_videos, r.licence) for r in found] == description


def test_json_paths_below_its_folder_move_with_it(made, tmp_path):
    root = tmp_path / "here"
    shutil.copytree(made, root)
    write_index(load_records(root), root / "meta.json")
    assert not json.loads((root / "meta.json").read_text())[0]["data_path"][0].startswith("/")
    moved = root.rename(tmp_path / "there")
    (record, *_) = load_records(moved / "meta.json")
    assert record.video(3) == str(moved / "videos/ant/00/view_3.mp4")


def test_json_may_list_four_videos_of_any_name(tmp_path):
    videos = [f"clips/fox_{name}.mp4" for name in ("front", "left", "back", "right")]
    (tmp_path / "info.json").write_text(json.dumps([documented(videos)]))
    (record,) = load_records(tmp_path / "info.json")
    assert [record.video(view) for view in range(4)] == videos
    assert (record.text, record.elevation, record.azimuth_start, record.n_videos) == ("a fox", 10.0, 5.0, 4)


@pytest.mark.parametrize(
    "content, message",
    [
        ({"data_path": []}, "must hold a list of records"),
        ([{"data_path": ["a.mp4"]}], "record 0 is not"),
        ([documented(["a.mp4"], angle={"elv": "high", "azi_start": 0})], "record 0 is not"),
        ([documented([])], "must list the videos"),
        ([documented(["a.tar/v/0/view_0.mp4", "b.tar/v/0/view_1.mp4"])], "different archives"),
        ([documented(["a.mp4"]), documented(["a.mp4"])], "record 1 has the videos of another record"),
        ([], "holds no complete clip"),
    ],
)
def test_unusable_json_is_refused_with_the_record(tmp_path, content, message):
    path = tmp_path / "info.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        load_records(path)


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing_here"):
        load_records(tmp_path / "nothing_here")
    with pytest.raises(InputError, match=r"does not exist"):
        load_records(tmp_path / "none.json")
    (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match=r"uid_info_dict\.json.*does not exist"):
        load_records(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"fox": {"elv": 1, "azi_start": 2, "anim": "01"}},
        {"fox": [{"elv": 1, "azi_start": 2, "anim": "01"}]},
        {"fox": {"01": {"elv": 1, "azi_start": 2}}},
        {"fox/01": {"elv": 1, "azi_start": 2}},
        {"fox_01": {"elv": 1, "azi_start": 2, "anim": "01"}},
    ],
)
def test_all_forms_of_the_info_file_are_read(tmp_path, content):
    path = tmp_path / "uid_info_dict.json"
    path.write_text(json.dumps(content))
    assert list(read_uid_info(path)) == ["fox/01"]
