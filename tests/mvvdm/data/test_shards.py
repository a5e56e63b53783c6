"""Archives: damage, foreign files and the list of clips beside them."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
from mv_video_files import CLIPS, VIEWS, damage, pack

from animate3d.errors import InputError
from animate3d.mvvdm.data import ClipLoader, build_dataset, load_records, shards
from animate3d.mvvdm.data.index import write_index
from animate3d.mvvdm.data.shards import archive_index, scan_archive

SMALL = {"sample_size": 16, "sample_n_frames": 4}
KEYS = ["/".join(clip) for clip in CLIPS]


def keys_of(source) -> set[str]:
    return {key for batch in ClipLoader(build_dataset(source, **SMALL)) for key in batch["key"]}


def test_views_may_come_in_any_order(made, tmp_path):
    def scattered(names: list[str]) -> list[str]:
        return [names[(7 * i) % len(names)] for i in range(len(names))]

    archive = pack(made, tmp_path / "x.tar.gz", KEYS[:3], order=scattered)
    index = scan_archive(archive)
    assert sorted(index.clips) == KEYS[:3] and all(views == list(range(16)) for _, views in index.clips.values())
    assert keys_of(archive) == set(KEYS[:3])


@pytest.mark.parametrize("keep", [0.45, 0.8])
def test_a_truncated_archive_gives_the_clips_before_the_damage(archives, keep):
    damage(archives / "multi_view_video_00.tar.gz", keep)
    index = archive_index(archives / "multi_view_video_00.tar.gz")
    assert index.damage
    whole = {key for key, (_, views) in index.clips.items() if len(views) == VIEWS}
    assert whole < set(KEYS[:3]) and len(whole) == {0.45: 1, 0.8: 2}[keep]
    assert keys_of(archives) == whole | set(KEYS[3:])


def test_flipped_bytes_and_files_that_are_no_archive_lose_only_that_archive(archives):
    path = archives / "multi_view_video_00.tar.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(content)
    (archives / "multi_view_video_02.tar.gz").write_bytes(b"<html>not found</html>")
    found = keys_of(archives)
    assert set(KEYS[3:]) <= found < set(KEYS)


def test_damage_after_the_list_was_made_is_noticed(archives):
    info = write_index(load_records(archives), archives / "train.json")
    assert keys_of(info) == set(KEYS)
    damage(archives / "multi_view_video_01.tar.gz", 0.1)
    assert keys_of(info) == set(KEYS[:3])


def test_damage_while_reading_loses_only_the_rest_of_the_archive(archives, monkeypatch):
    dataset = build_dataset(archives, **SMALL)
    damage(archives / "multi_view_video_01.tar.gz", 0.1)
    loader = ClipLoader(dataset)
    assert {key for batch in loader for key in batch["key"]} == set(KEYS[:3])
    assert set(loader.skipped) == set(KEYS[3:]) and "archive is damaged" in loader.skipped[KEYS[3]]


def test_unsafe_and_foreign_members_are_ignored_and_nothing_is_unpacked(made, tmp_path):
    video = (made / "videos/ant/00/view_0.mp4").read_bytes()
    archive = tmp_path / "in" / "x.tar"
    archive.parent.mkdir()
    (archive.parent / "uid_info_dict.json").write_bytes((made / "uid_info_dict.json").read_bytes())
    with tarfile.open(archive, "w") as tar:
        for name in ("../evil/00/view_0.mp4", "/abs/00/view_0.mp4", "videos/../../a/view_0.mp4", "videos/readme.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(video)
            tar.addfile(member, io.BytesIO(video))
        link = tarfile.TarInfo("videos/bee/00/view_0.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for view in range(VIEWS):
            tar.add(made / f"videos/ant/00/view_{view}.mp4", arcname=f"./videos/ant/00/view_{view}.mp4")
    index = scan_archive(archive)
    assert list(index.clips) == ["ant/00"] and index.ignored == 5
    assert keys_of(archive) == {"ant/00"}
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "x.tar", "x.tar.index.json", "uid_info_dict.json"}


def test_the_list_of_clips_is_made_once_until_the_archive_changes(archives, monkeypatch):
    path = archives / "multi_view_video_00.tar.gz"
    scans = []
    real = shards.scan_archive
    monkeypatch.setattr(shards, "scan_archive", lambda archive: scans.append(archive) or real(archive))
    assert archive_index(path) == archive_index(path)
    assert len(scans) == 1
    os.utime(path, (1, 1))
    archive_index(path)
    assert len(scans) == 2


def test_archives_need_the_info_file_beside_them(archives):
    (archives / "uid_info_dict.json").unlink()
    with pytest.raises(InputError, match=r"uid_info_dict\.json"):
        load_records(archives)
