"""What is known about every clip: its videos, caption, camera and licence, from any of the documented sources."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animate3d.errors import InputError
from animate3d.files import existing_file, read_json

UID_INFO = "uid_info_dict.json"
N_VIEWS = 16
"""Videos of every animation in MV-Video's layout; the JSON may list any number."""
ARCHIVES = ("*.tar.gz", "*.tgz", "*.tar")

# `<archive>/<member>` names a video inside an archive that is streamed.
_IN_ARCHIVE = re.compile(r"(?P<archive>.+?\.(?:tar\.gz|tgz|tar))/(?P<member>.+)")
_NUMBERED = re.compile(r"(?P<prefix>.*view_)(?P<view>\d+)(?P<suffix>\.\w+)")


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


def load_records(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Record]:
    """Records of a JSON file, an MV-Video folder, or tar archives.

    Args:
        source: the documented JSON; a folder with ``videos/`` and ``uid_info_dict.json``; a folder with tar archives
            and ``uid_info_dict.json``; the path or glob pattern of archives; or several of these archives.

    Returns:
        at least one record; those of an archive follow each other in the archive's order.

    Raises:
        InputError: the source is missing or holds no complete clip.
    """
    from animate3d.mvvdm.data.shards import archive_records

    located = locate(source)
    if isinstance(located, list):
        records = archive_records(located)
    else:
        records = folder_records(located) if located.is_dir() else json_records(located)
    if not records:
        raise InputError(f"{source} holds no complete clip; `animate3d data check` lists what is there.")
    return records


def locate(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Path | list[Path]:
    """What a source is: a JSON file, a folder with ``videos/``, or a list of archives.

    Raises:
        InputError: nothing of the kind is there.
    """
    if not isinstance(source, str | os.PathLike):
        return find_archives(source)
    path = Path(source)
    if path.suffix == ".json":
        return existing_file(path, "list of clips")
    return path if (path / "videos").is_dir() else find_archives([source])


def find_archives(sources: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Tar archives named by paths, folders or glob patterns, in the order of their names.

    Raises:
        InputError: nothing is there.
    """
    found: set[Path] = set()
    for source in sources:
        path = Path(source)
        if path.is_dir():
            matches = [archive for pattern in ARCHIVES for archive in path.glob(pattern)]
        else:
            matches = [Path(name) for name in glob.glob(str(source))]
        if not matches:
            raise InputError(
                f"{source} is neither a JSON file, nor a folder with `videos/`, nor does it name a tar archive."
            )
        found.update(matches)
    return sorted(found)


def json_records(path: str | os.PathLike[str]) -> list[Record]:
    """Records of the documented JSON: a list of ``{"data_path": […], "text_prompt", "angle": {"elv", "azi_start"}}``.

    Relative paths are looked up beside the JSON file, else from the working folder. A path that leads through an
    archive (``multi_view_video_00.tar.gz/videos/…``) is streamed from there.

    Raises:
        InputError: the file has another form.
    """
    path = Path(path)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path} must hold a list of records, it holds a {type(entries).__name__}.")
    records: dict[str, Record] = {}
    for number, entry in enumerate(entries):
        record = _json_record(path, number, entry)
        if record.key in records:
            raise InputError(f"{path}: record {number} has the videos of another record ({record.key}); keep one.")
        records[record.key] = record
    if any(record.archive for record in records.values()):
        from animate3d.mvvdm.data.shards import in_archive_order

        return in_archive_order(list(records.values()))
    return list(records.values())


def _json_record(path: Path, number: int, entry: Any) -> Record:
    try:
        videos = [str(video) for video in entry["data_path"]]
        elevation, azimuth = float(entry["angle"]["elv"]), float(entry["angle"]["azi_start"])
        text = str(entry.get("text_prompt") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: record {number} is not {{data_path, text_prompt, angle: {{elv, azi_start}}}} ({error!r})."
        ) from error
    if not videos or isinstance(entry["data_path"], str):
        raise InputError(f"{path}: `data_path` of record {number} must list the videos of all views.")
    parts = [_IN_ARCHIVE.fullmatch(video) if ".t" in video else None for video in videos]
    archives = {part["archive"] for part in parts if part}
    if len(archives) > 1 or (archives and not all(parts)):
        raise InputError(f"{path}: the videos of record {number} lie in different archives.")
    archive = None
    if archives:
        archive = archives.pop()
        archive = str(path.parent / archive) if (path.parent / archive).exists() else archive
        videos = [part["member"] for part in parts if part]
    elif (path.parent / videos[0]).parent.is_dir():
        videos = [os.path.join(path.parent, video) for video in videos]
    licence, url = licence_of(entry), str(entry.get("url") or "")
    return Record(_key(videos[0]), text, elevation, azimuth, _compact(videos), len(videos), archive, licence, url)


def _key(video: str) -> str:
    """``<uid>/<anim>`` where the first video lies as in MV-Video, else its path."""
    path = Path(video)
    return "/".join(path.parts[-3:-1]) if len(path.parts) > 2 and path.stem == "view_0" else str(path.with_suffix(""))


def _compact(videos: Sequence[str]) -> str | tuple[str, ...]:
    match = _NUMBERED.fullmatch(videos[0])
    if match and "{" not in videos[0] and "}" not in videos[0]:
        pattern = match["prefix"] + "{}" + match["suffix"]
        if all(video == pattern.format(view) for view, video in enumerate(videos)):
            return pattern
    return tuple(videos)


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
                names = [_NUMBERED.fullmatch(item.name) for item in items]
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
    return Record(
        key,
        str(info.get("prompt") or ""),
        float(info["elv"]),
        float(info["azi_start"]),
        videos,
        n_videos,
        archive,
        licence_of(info),
        str(info.get("url") or ""),
    )


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
