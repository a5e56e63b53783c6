"""What is known about every clip: its videos, caption, camera and licence, from any of the documented sources."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animate3d.errors import InputError
from animate3d.files import existing_file, read_json

UID_INFO = "uid_info_dict.json"
NUMBERED = re.compile(r"(?P<prefix>.*view_)(?P<view>\d+)(?P<suffix>\.\w+)")
N_VIEWS = 16
"""Videos of every animation in MV-Video's layout; the JSON may list any number."""


class UnreadableClipError(Exception):
    """A clip whose videos cannot be used; the message says which and why. Skipped and counted, never fatal."""


@dataclass(frozen=True, slots=True)
class Record:
    """One animation seen from evenly spaced azimuths.

    Attributes:
        key: ``<uid>/<animation>``, unique in the data set.
        text: caption; empty when there is none.
        elevation, azimuth_start: degrees; view k of V looks from azimuth ``azimuth_start + 360 k / V``.
        videos: a pattern such as ``…/view_{}.mp4`` (a hundred thousand records fit in memory), or the paths one by one.
        n_videos: number of views.
        archive: the tar file the videos are streamed from; None for files of their own.
        licence, url: of the object, as the data set states them; empty when unknown.
    """

    key: str
    text: str
    elevation: float
    azimuth_start: float
    videos: str | tuple[str, ...]
    n_videos: int
    archive: str | None = None
    licence: str = ""
    url: str = ""

    def video(self, view: int) -> str:
        """Path of one video (inside the archive for streamed records)."""
        return self.videos.format(view) if isinstance(self.videos, str) else self.videos[view]

    @property
    def uid(self) -> str:
        """The object the animation belongs to."""
        return self.key.rsplit("/", 1)[0]


def folder_records(root: str | os.PathLike[str]) -> list[Record]:
    """Records of the folders ``<root>/videos/<uid>/<anim>`` that have all their views and an entry in the info file."""
    root = Path(root)
    infos = read_uid_info(root / UID_INFO)
    records = []
    for key, views in folder_clips(root):
        if key in infos and is_complete(views):
            pattern = str(root / "videos" / key).replace("{", "{{").replace("}", "}}") + "/view_{}.mp4"
            records.append(record_of(key, pattern, len(views), infos[key]))
    return records


def folder_clips(root: Path) -> Iterator[tuple[str, list[int]]]:
    """``(<uid>/<anim>, view numbers)`` of every animation folder below ``<root>/videos``, in the order of names."""
    for uid in _subfolders(root / "videos"):
        for animation in _subfolders(Path(uid.path)):
            with os.scandir(animation.path) as items:
                names = [NUMBERED.fullmatch(item.name) for item in items]
            views = [int(name["view"]) for name in names if name and name[0] == f"view_{int(name['view'])}.mp4"]
            yield f"{uid.name}/{animation.name}", sorted(views)


def _subfolders(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as items:
        return sorted((item for item in items if item.is_dir()), key=lambda item: item.name)


def is_complete(views: Sequence[int]) -> bool:
    """Whether the views are those of MV-Video, 0 to 15: from fewer, the azimuths would be wrong."""
    return list(views) == list(range(N_VIEWS))


def record_of(key: str, videos: str, n_videos: int, info: dict[str, Any], archive: str | None = None) -> Record:
    """A record with the caption, camera and licence of its entry in ``uid_info_dict.json``."""
    text, url = (str(info.get(name) or "") for name in ("prompt", "url"))
    elevation, azimuth = float(info["elv"]), float(info["azi_start"])
    return Record(key, text, elevation, azimuth, videos, n_videos, archive, licence_of(info), url)


def licence_of(info: dict[str, Any]) -> str:
    """The licence an entry states, in either spelling of the word."""
    return str(info.get("license") or info.get("licence") or "")


def read_uid_info(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """``uid_info_dict.json`` as ``{"<uid>/<anim>": entry}``.

    An object's value may be one entry, a list of entries, or entries by animation; entries without both angles are
    left out, since a clip without a camera cannot be trained on.

    Raises:
        InputError: the file is missing or has another form.
    """
    path = existing_file(path, f"description of the videos ({UID_INFO})")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must map object ids to entries, it holds a {type(content).__name__}.")
    infos = {}
    for name, value in content.items():
        for key, entry in _entries(str(name), value):
            try:
                float(entry["elv"]), float(entry["azi_start"])
            except (KeyError, TypeError, ValueError):
                continue
            infos[key] = entry
    return infos


def _entries(name: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for item in value:
            yield from _entries(name, item)
    elif isinstance(value, dict) and ("elv" in value or "prompt" in value or "azi_start" in value):
        uid, _, animation = name.partition("/")
        animations = value.get("anim", animation or "00")
        for one in animations if isinstance(animations, list) else [animations]:
            text = f"{one:02d}" if isinstance(one, int) else str(one)
            # Some tables are keyed by object and animation at once: `<uid>_<anim>`.
            stem = uid.removesuffix(f"_{text}")
            yield f"{value.get('uid', stem)}/{text}", value
    elif isinstance(value, dict):
        for animation, item in value.items():
            if isinstance(item, dict):
                yield from _entries(f"{name}/{animation}", {"anim": animation, **item})
