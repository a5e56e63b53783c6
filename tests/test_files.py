"""Files are whole or not there; hashes tell contents apart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from animate3d import files
from animate3d.errors import InputError
from animate3d.files import (
    atomic_directory,
    atomic_file,
    content_hash,
    existing_file,
    existing_folder,
    read_json,
    sha256,
    stamp,
    write_json,
)


def test_a_file_appears_whole_with_its_parents_and_ordinary_rights(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "x.txt"
    with atomic_file(target) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == target.parent
        temporary.write_text("new")
        assert not target.exists()
    plain = tmp_path / "plain"
    plain.touch()
    assert target.read_text() == "new" and target.stat().st_mode == plain.stat().st_mode
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_keeps_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("write", [atomic_file, atomic_directory])
def test_an_error_of_the_system_names_the_file_that_was_asked_for(write: Callable, tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    with pytest.raises(OSError) as caught, write(target) as temporary:
        (temporary / "sub" / "file").touch()
    assert caught.value.filename == str(target)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError) as caught, atomic_file(tmp_path / "taken"):
        pass
    assert caught.value.filename == str(tmp_path / "taken")
    if Path("/proc").is_dir():
        with pytest.raises(OSError) as caught, write(Path("/proc/x.txt")):
            pass
        assert caught.value.filename == "/proc/x.txt"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    target.mkdir()
    (target / "of_an_older_run.png").touch()
    with atomic_directory(target) as temporary:
        (temporary / "0.png").touch()
        assert (target / "of_an_older_run.png").exists()
    assert [path.name for path in target.iterdir()] == ["0.png"]
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["frames", "0.png"]


def test_json_goes_round_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]} == json.loads(path.read_text())
    path.write_text('{"a": ')
    with pytest.raises(InputError, match=r"x\.json is not valid JSON"):
        read_json(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not valid JSON"):
        read_json(path)


def test_missing_files_and_folders_are_named_with_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert existing_file(tmp_path / "file") == tmp_path / "file" and existing_folder(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"The mesh file .*nope does not exist"):
        existing_file(tmp_path / "nope", "mesh file")
    with pytest.raises(InputError, match="is a folder; a mesh file is needed"):
        existing_file(tmp_path, "mesh file")
    with pytest.raises(InputError, match=r"The folder of frames .*file does not exist or is not a folder"):
        existing_folder(tmp_path / "file", "folder of frames")
    with pytest.raises(InputError, match="nope does not exist"):
        sha256(tmp_path / "nope")


def test_the_hash_of_a_folder_knows_names_and_contents(tmp_path: Path) -> None:
    seen = set()
    for name, text in (("a", "1"), ("a", "2"), ("b", "2")):
        folder = tmp_path / f"{name}{text}"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / name).write_text(text)
        seen.add(sha256(folder))
    copy = tmp_path / "copy"
    (copy / "deep").mkdir(parents=True)
    (copy / "deep" / "b").write_text("2")
    assert len(seen) == 3 and sha256(copy) in seen


def test_a_stamp_changes_with_every_file_of_a_folder(tmp_path: Path) -> None:
    folder, file = tmp_path / "model", tmp_path / "model" / "unet" / "weights"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    first = stamp(folder)
    assert stamp(folder) == first and first["bytes"] == 1
    file.write_text("12")
    assert stamp(folder) != first
    (folder / "newest").write_text("1")
    first = stamp(folder)
    file.write_text("21")
    os.utime(file, ns=(0, 0))  # as a copy that keeps the time of an older file
    assert stamp(folder) != first and stamp(file)["bytes"] == 2
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "unet").symlink_to(file.parent)
    assert stamp(linked)["bytes"] == 2
    for name in ("up", "round"):
        (linked / name).symlink_to(linked)
    assert stamp(linked)["bytes"] == 2
    with pytest.raises(InputError, match="does not exist"):
        stamp(tmp_path / "absent")


@dataclass
class Thing:
    values: np.ndarray
    source: Path | None
    names: dict[str, float]


def test_the_hash_of_contents_sees_every_part_and_not_where_files_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    (tmp_path / "c").write_text("other")

    def thing(**changed: object) -> Thing:
        return Thing(**({"values": np.arange(4), "source": tmp_path / "a", "names": {"x": 1.0, "y": 2.0}} | changed))

    base = content_hash(thing())
    assert base == content_hash(thing(source=tmp_path / "b", names={"y": 2.0, "x": 1.0}))
    others = [
        thing(values=np.arange(4).reshape(2, 2)),
        thing(values=np.arange(4.0)),
        thing(values=np.arange(4)[::-1]),
        thing(source=tmp_path / "c"),
        thing(source=None),
        thing(names={"x": 1.0, "z": 2.0}),
        thing(names={"x": 2.0, "y": 1.0}),
        [thing()],
    ]
    assert len({base, *map(content_hash, others)}) == len(others) + 1


def test_what_a_beginning_run_removes_too_early_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Path] = []

    def lock(handle: int, how: int) -> None:
        if not removed:  # between its creation and its mark
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()

    monkeypatch.setattr(files.fcntl, "flock", lock)
    with files.atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert removed and [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"
