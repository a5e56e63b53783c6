"""The records of a data set from any of the documented sources: a JSON file, a folder, or tar archives."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from animate3d.errors import InputError
from animate3d.files import existing_file, read_json
from animate3d.mvvdm.data.records import NUMBERED, Record, folder_records, licence_of
from animate3d.mvvdm.data.shards import archive_records, in_archive_order

ARCHIVES = ("*.tar.gz", "*.tgz", "*.tar")

# `<archive>/<member>` names a video inside an archive that is streamed.
_IN_ARCHIVE = re.compile(r"(?P<archive>.+?\.(?:tar\.gz|tgz|tar))/(?P<member>.+)")


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
    match = NUMBERED.fullmatch(videos[0])
    if match and "{" not in videos[0] and "}" not in videos[0]:
        pattern = match["prefix"] + "{}" + match["suffix"]
        if all(video == pattern.format(view) for view, video in enumerate(videos)):
            return pattern
    return tuple(videos)
