"""`animate3d data check` and `animate3d data index`."""

from __future__ import annotations

import json

import pytest
from mv_video_files import CLIPS, damage, pack

from animate3d.errors import InputError
from animate3d.mvvdm.data import load_records
from animate3d.mvvdm.data.check import check
from animate3d.mvvdm.data.index import split_by_uid
from animate3d.mvvdm.data.licences import licence_kind, wanted_kinds
from animate3d.mvvdm.data.records import Record
from animate3d.small_model.data.command import main

KEYS = ["/".join(clip) for clip in CLIPS]


def test_a_sound_data_set_is_counted(made, archives):
    for source in (made, archives):
        report = check(source, workers=2)
        assert (report.objects, report.clips, report.videos, report.usable) == (5, 6, 96, 6)
        assert report.lengths == {48: 96}
        assert report.licences == {"CC BY": 2, "CC BY-NC": 1, "CC0": 1, "CC BY-SA": 1, "unknown": 1}
        assert not (report.unreadable or report.incomplete or report.without_caption or report.without_entry)


def spoil(folder):
    """One fault of every kind."""
    damage(folder / "videos/bee/00/view_3.mp4", 0.5)
    (folder / "videos/cat/00/view_15.mp4").unlink()
    info = json.loads((folder / "uid_info_dict.json").read_text())
    info["ant"][0]["prompt"] = "  "
    del info["eel"]
    info["gnu"] = [{"prompt": "a gnu", "elv": 0, "azi_start": 0, "anim": "00"}]
    (folder / "uid_info_dict.json").unlink()
    (folder / "uid_info_dict.json").write_text(json.dumps(info))


@pytest.mark.parametrize("decode", [False, True])
def test_every_fault_is_found_in_a_folder(folder, decode):
    spoil(folder)
    report = check(folder, decode=decode)
    assert [name.split("videos/")[1] for name in report.unreadable] == ["bee/00/view_3.mp4"]
    assert report.incomplete == ["cat/00"] and report.without_entry == ["eel/00"] and report.without_videos == 1
    assert report.without_caption == ["ant/00"] and report.usable == 4
    assert "unreadable videos  1" in str(report)


def test_every_fault_is_found_in_archives(folder, tmp_path):
    spoil(folder)
    (folder / "videos/cat/00/view_15.mp4").hardlink_to(folder / "videos/ant/00/view_15.mp4")
    pack(folder, tmp_path / "a" / "x.tar.gz", KEYS)
    pack(folder, tmp_path / "a" / "y.tar.gz", KEYS[:1])
    damage(tmp_path / "a" / "y.tar.gz", 0.2)
    report = check(tmp_path / "a")
    assert [name.split("videos/")[1] for name in report.unreadable] == ["bee/00/view_3.mp4"]
    assert [name[-8:] for name in report.damaged] == ["y.tar.gz"]
    assert report.without_entry == ["eel/00"] and report.without_videos == 1


def test_check_writes_what_it_found(folder, tmp_path, capsys):
    spoil(folder)
    assert main(["check", str(folder), "--report", str(tmp_path / "report.json")]) == 0
    assert "CC BY" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["incomplete"] == ["cat/00"]


def test_index_filters_by_licence_and_list(made, archives, tmp_path):
    (tmp_path / "uids.txt").write_text("ant\ncat # good\n\nbee\n")
    for number, source in enumerate((made, archives)):
        out = tmp_path / f"{number}.json"
        flags = ["--out", str(out), "--licence", "cc0,by", "--uids", str(tmp_path / "uids.txt")]
        assert main(["index", str(source), *flags]) == 0
        assert [record.key for record in load_records(out)] == ["ant/00", "ant/01", "cat/00"]
        assert json.loads(out.read_text())[0]["license"] == "by"
        assert check(out).videos == 48


def test_index_splits_by_object(made, tmp_path):
    assert main(["index", str(made), "--out", str(tmp_path / "all.json"), "--split", "0.5", "--seed", "3"]) == 0
    train, val = (load_records(tmp_path / name) for name in ("all.json", "all_val.json"))
    assert len(train) + len(val) == 6
    assert not {record.uid for record in train} & {record.uid for record in val}


def test_the_split_of_an_object_does_not_depend_on_the_others():
    records = [Record(f"{number:x}/00", "", 0, 0, "{}", 16) for number in range(1000)]
    _, val = split_by_uid(records, 0.9, 0)
    assert 60 < len(val) < 140
    assert split_by_uid(records[::2], 0.9, 0)[1] == [record for record in records[::2] if record in val]
    assert split_by_uid(records, 0.9, 1)[1] != val
    with pytest.raises(InputError, match="between 0 and 1"):
        split_by_uid(records, 1.5, 0)
    with pytest.raises(InputError, match="leaves one side"):
        split_by_uid(records[:1], 0.5, 0)


def test_filters_that_leave_nothing_are_errors(made, tmp_path):
    with pytest.raises(InputError, match="None of the 6 clips"):
        main(["index", str(made), "--out", str(tmp_path / "x.json"), "--licence", "by-nd"])
    with pytest.raises(InputError, match="names no licence"):
        main(["index", str(made), "--out", str(tmp_path / "x.json"), "--licence", "gpl"])


@pytest.mark.parametrize(
    "text, kind",
    [
        ("by", "CC BY"),
        ("CC Attribution", "CC BY"),
        ("Creative Commons - Attribution - Share Alike", "CC BY-SA"),
        ("CC BY-NC-SA 4.0", "CC BY-NC-SA"),
        ("http://creativecommons.org/licenses/by-nc-nd/4.0/", "CC BY-NC-ND"),
        ("Attribution-NonCommercial-NoDerivs", "CC BY-NC-ND"),
        ("cc0", "CC0"),
        ("CC0 Public Domain", "CC0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("", "unknown"),
        ("Free Standard", "Free Standard"),
    ],
)
def test_licences_are_recognised_in_any_usual_spelling(text, kind):
    assert licence_kind(text) == kind
    if kind != "Free Standard":
        assert wanted_kinds(text or "unknown") == {kind}
