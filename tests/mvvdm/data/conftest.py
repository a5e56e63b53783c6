"""The small data set of `mv_video_files` on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mv_video_files import CLIPS, LICENCES, VIEWS, angles, pack, write_video


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mv_video")
    info: dict[str, list[dict]] = {}
    for number, (uid, animation) in enumerate(CLIPS):
        elevation, azimuth = angles(number)
        entry = {"prompt": f"{uid} moves", "elv": elevation, "azi_start": azimuth, "anim": animation, "url": "u"}
        info.setdefault(uid, []).append({**entry, "license": LICENCES[uid]})
        for view in range(VIEWS):
            write_video(root / "videos" / uid / animation / f"view_{view}.mp4", number, view)
    (root / "uid_info_dict.json").write_text(json.dumps(info))
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the data set that a test may damage (files are links to the originals until replaced)."""
    root = tmp_path / "folder"
    for source in sorted(made.rglob("*")):
        target = root / source.relative_to(made)
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(source)
    return root


@pytest.fixture
def archives(made: Path, tmp_path: Path) -> Path:
    """Folder with two archives of three clips each."""
    keys = ["/".join(clip) for clip in CLIPS]
    for number in range(2):
        pack(made, tmp_path / "archives" / f"multi_view_video_0{number}.tar.gz", keys[3 * number : 3 * number + 3])
    return tmp_path / "archives"
