"""The documented JSON of a data set, filtered and split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from animate3d.errors import InputError
from animate3d.files import existing_file, write_json
from animate3d.mvvdm.data.licences import licence_kind
from animate3d.mvvdm.data.records import Record


def select(
    records: Sequence[Record], *, licences: Collection[str] | None = None, uids: Collection[str] | None = None
) -> list[Record]:
    """Records with one of the licence kinds and of one of the objects; None lets everything through.

    Raises:
        InputError: nothing is left.
    """
    chosen = [
        record
        for record in records
        if (licences is None or licence_kind(record.licence) in licences) and (uids is None or record.uid in uids)
    ]
    if not chosen:
        raise InputError(f"None of the {len(records)} clips passes the filters.")
    return chosen


def read_uids(path: str | os.PathLike[str]) -> set[str]:
    """Object ids of a text file such as ``high_quality_uid.txt``: one a line, ``#`` starts a comment.

    Raises:
        InputError: the file is missing or empty.
    """
    lines = existing_file(path, "list of objects").read_text().splitlines()
    uids = {line.split("#")[0].strip() for line in lines} - {""}
    if not uids:
        raise InputError(f"{path} names no object.")
    return uids


def split_by_uid(records: Sequence[Record], fraction: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Training and validation records; all animations of an object go to the same side.

    The side follows from the seed and the object's id alone: it stays the same when the data set grows or is filtered.

    Args:
        fraction: expected share of the objects in the first part, in (0, 1).
    """
    if not 0 < fraction < 1:
        raise InputError(f"The split is {fraction}; it must lie between 0 and 1.")
    first: list[Record] = []
    second: list[Record] = []
    for record in records:
        digest = hashlib.sha256(f"{seed}:{record.uid}".encode()).digest()
        (first if int.from_bytes(digest[:8], "big") < fraction * 2**64 else second).append(record)
    if not first or not second:
        raise InputError(f"A split of {fraction} with seed {seed} leaves one side of {len(records)} clips empty.")
    return first, second


def write_index(records: Sequence[Record], path: str | os.PathLike[str]) -> Path:
    """Write the documented JSON. Paths below the JSON's folder are relative to it, so that both can move together."""
    path = Path(path)
    folder = path.parent.resolve()
    write_json(path, [_entry(record, folder) for record in records], indent=1)
    return path


def _entry(record: Record, folder: Path) -> dict[str, Any]:
    videos = [record.video(view) for view in range(record.n_videos)]
    if record.archive is not None:
        archive = _path(record.archive, folder)
        videos = [f"{archive}/{video.removeprefix('./')}" for video in videos]
    else:
        videos = [_path(video, folder) for video in videos]
    return {
        "data_path": videos,
        "text_prompt": record.text,
        "angle": {"elv": record.elevation, "azi_start": record.azimuth_start},
        "license": record.licence,
        "url": record.url,
    }


def _path(name: str, folder: Path) -> str:
    absolute = os.path.abspath(name)
    return os.path.relpath(absolute, folder) if absolute.startswith(f"{folder}{os.sep}") else absolute
