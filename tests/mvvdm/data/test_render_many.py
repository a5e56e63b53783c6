"""Many animated files: what is missing is rendered, what is broken is a sentence, whoever does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from animate3d.errors import InputError
from animate3d.files import read_json
from animate3d.mvvdm.data import render_many as module
from animate3d.mvvdm.data.render_many import FAILED, Animated, Rendering, find_files, render_many, with_info


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the objects whose videos are made, which is not done."""
    made: list[str] = []

    def render_file(path: Path, out: Path, *, uid: str, prompt: str, **rest: Any) -> dict[str, dict[str, Any]]:
        made.append(uid)
        if path.read_text() == "broken":
            raise ZeroDivisionError("no\nwidth")
        folder = out / "videos" / uid / "00"
        folder.mkdir(parents=True, exist_ok=True)
        for view in range(16):
            (folder / f"view_{view}.mp4").write_text(prompt)
        return {"00": {"prompt": prompt}}

    monkeypatch.setattr(module, "render_file", render_file)
    return made


@pytest.fixture
def items(tmp_path: Path) -> list[Animated]:
    (tmp_path / "models" / "more").mkdir(parents=True)
    for name in ("b.glb", "more/a.FBX", "notes.txt", "c.glb"):
        (tmp_path / "models" / name).write_text("broken" if name[0] == "c" else name)
    return [Animated(path, path.stem) for path in find_files([tmp_path / "models"])]


def test_only_what_is_missing_or_has_changed_is_rendered(
    items: list[Animated], drawn: list[str], tmp_path: Path
) -> None:
    how = Rendering(tmp_path / "set")
    ends = list(render_many(items, how))
    assert drawn == ["b", "c", "a"] and [ended.error is None for ended in ends] == [True, False, True]
    assert list(read_json(how.out / "uid_info_dict.json")) == ["a", "b"]
    assert read_json(how.out / FAILED) == {"c": f"{items[1].path} cannot be rendered (no width)."}
    list(render_many(items, how))
    assert drawn[3:] == ["c"]
    (how.out / "videos" / "a" / "00" / "view_9.mp4").unlink()
    items[1].path.write_text("whole")
    assert [ended.key for ended in render_many(items, how)] == ["b", "c", "a"]
    assert drawn[4:] == ["c", "a"] and not (how.out / FAILED).exists()
    list(render_many(items[:1], Rendering(how.out, size=32)))
    assert drawn[6:] == ["b"] and list(read_json(how.out / "uid_info_dict.json")) == ["a", "b", "c"]


def test_captions_come_from_a_file(items: list[Animated], tmp_path: Path) -> None:
    info = tmp_path / "info.json"
    info.write_text('{"a": {"prompt": "A walks.", "license": "cc0"}, "b": [{"prompt": "B runs."}]}')
    told = {item.uid: item for item in with_info(items, info)}
    assert [told[uid].prompt for uid in "abc"] == ["A walks.", "B runs.", ""] and told["a"].licence == "cc0"
    info.write_text('{"a": "walks"}')
    with pytest.raises(InputError, match="`a` must have"):
        with_info(items, info)


def test_a_folder_without_animated_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no animated files"):
        find_files([tmp_path])
