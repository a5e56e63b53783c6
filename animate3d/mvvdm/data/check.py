"""What a data set holds, and what is wrong with it."""

from __future__ import annotations

import io
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from animate3d.errors import require
from animate3d.mvvdm.data.licences import licence_kind
from animate3d.mvvdm.data.records import UID_INFO, folder_clips, is_complete, licence_of, read_uid_info
from animate3d.mvvdm.data.shards import archive_index, stream_members
from animate3d.mvvdm.data.sources import json_records, locate

_BATCH = 64  # videos of an archive held in memory at a time


@dataclass
class CheckReport:
    """Counts and findings.

    Attributes:
        objects, clips, videos: what is there.
        usable: clips with all views and an entry with a camera; unreadable videos are not subtracted.
        incomplete: clips whose views are not 0 to 15.
        without_entry: clips that ``uid_info_dict.json`` does not describe with both angles.
        without_videos: number of described clips that are not there.
        without_caption: usable clips with an empty caption.
        licences: usable clips by kind of licence.
        unreadable: why, by video.
        lengths: number of videos by number of frames.
        damaged: why, by archive.
        ignored: files of archives with other names.
    """

    objects: int = 0
    clips: int = 0
    videos: int = 0
    usable: int = 0
    incomplete: list[str] = field(default_factory=list)
    without_entry: list[str] = field(default_factory=list)
    without_videos: int = 0
    without_caption: list[str] = field(default_factory=list)
    licences: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    damaged: dict[str, str] = field(default_factory=dict)
    ignored: int = 0

    def __str__(self) -> str:
        lines = [
            f"objects            {self.objects}",
            f"animations         {self.clips} ({self.usable} usable)",
            f"videos             {self.videos}",
            f"unreadable videos  {_examples(list(self.unreadable))}",
            f"incomplete         {_examples(self.incomplete)}",
            f"without entry      {_examples(self.without_entry)}",
            f"without videos     {self.without_videos}",
            f"without caption    {_examples(self.without_caption)}",
        ]
        if self.lengths:
            frames = ", ".join(f"{count} with {n}" for n, count in sorted(self.lengths.items()))
            lines.append(f"frames per video   {frames}")
        lines += [f"damaged archive    {name}: {reason}" for name, reason in self.damaged.items()]
        if self.ignored:
            lines.append(f"other files        {self.ignored}")
        lines.append("licences")
        lines += [f"  {kind:16} {count}" for kind, count in self.licences.most_common()]
        return "\n".join(lines)


def _examples(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} ({shown})" if names else "0"


def check(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    decode: bool = False,
    workers: int = 1,
    progress: Callable[[Iterator[str]], Iterator[str]] = lambda names: names,
) -> CheckReport:
    """Look at every clip and open every video.

    Args:
        source: as for `animate3d.mvvdm.data.build_dataset`.
        decode: decode all frames; otherwise the containers are read and their frames counted.
        workers: threads.
        progress: wraps the iterator over the videos' names, e.g. in a progress bar.

    Raises:
        InputError: the source cannot be used at all.
    """
    located = locate(source)
    report = CheckReport()
    videos: Iterator[tuple[str, str | bytes]]
    if isinstance(located, list):
        _check_archives(located, report)
        videos = _archived(located)
    elif located.is_dir():
        clips = dict(folder_clips(located))
        _check_described(clips, located / UID_INFO, report)
        videos = (
            (name, name)
            for key, views in clips.items()
            for v in views
            for name in [f"{located}/videos/{key}/view_{v}.mp4"]
        )
    else:
        records = json_records(located)
        _count({r.key: list(range(r.n_videos)) for r in records}, report)
        report.usable, report.incomplete = report.clips, []  # a JSON may list any number of views
        report.without_caption = [r.key for r in records if not r.text.strip()]
        report.licences.update(licence_kind(r.licence) for r in records)
        archives = sorted({r.archive for r in records if r.archive})
        if archives:
            wanted = {r.key for r in records}
            videos = ((name, content) for name, content in _archived(map(Path, archives)) if _clip(name) in wanted)
        else:
            videos = ((name, name) for r in records for name in map(r.video, range(r.n_videos)))
    for _ in progress(_probe_all(videos, decode, workers, report)):
        pass
    return report


def _check_archives(archives: list[Path], report: CheckReport) -> None:
    by_folder: dict[Path, dict[str, list[int]]] = {}
    for archive in archives:
        index = archive_index(archive)
        by_folder.setdefault(archive.parent, {}).update({key: views for key, (_, views) in index.clips.items()})
        report.ignored += index.ignored
        if index.damage:
            report.damaged[str(archive)] = index.damage
    for folder, clips in by_folder.items():
        _check_described(clips, folder / UID_INFO, report)


def _check_described(clips: dict[str, list[int]], path: Path, report: CheckReport) -> None:
    infos = read_uid_info(path)
    _count(clips, report)
    report.without_entry += [key for key in clips if key not in infos]
    report.without_videos += sum(key not in clips for key in infos)
    for key, views in clips.items():
        if key in infos and is_complete(views):
            report.usable += 1
            report.licences[licence_kind(licence_of(infos[key]))] += 1
            if not str(infos[key].get("prompt") or "").strip():
                report.without_caption.append(key)


def _count(clips: dict[str, list[int]], report: CheckReport) -> None:
    report.objects += len({key.rsplit("/", 1)[0] for key in clips})
    report.clips += len(clips)
    report.videos += sum(map(len, clips.values()))
    report.incomplete += [key for key, views in clips.items() if not is_complete(views)]


def _archived(archives: Iterable[Path]) -> Iterator[tuple[str, str | bytes]]:
    for archive in archives:
        try:
            for _, _, name, read in stream_members(archive):
                yield f"{archive}/{name}", read()
        except Exception:  # the index has told the damage
            continue


def _clip(name: str) -> str:
    return "/".join(name.split("/")[-3:-1])


def _probe_all(
    videos: Iterator[tuple[str, str | bytes]], decode: bool, workers: int, report: CheckReport
) -> Iterator[str]:
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while group := list(itertools.islice(videos, _BATCH)):
            results = pool.map(lambda item: _probe(item[1], decode), group)
            for (name, _), (frames, problem) in zip(group, results, strict=True):
                if problem:
                    report.unreadable[name] = problem
                else:
                    report.lengths[frames] += 1
                yield name


def _probe(video: str | bytes, decode: bool) -> tuple[int, str]:
    """Number of frames, and what is wrong."""
    av = require("av", feature="Reading training videos", extra="train")
    try:
        with av.open(io.BytesIO(video) if isinstance(video, bytes) else video) as container:
            if not container.streams.video:
                return 0, "the file holds no video"
            stream = container.streams.video[0]
            stream.thread_count = 1
            if decode:
                damaged = [frame.is_corrupt for frame in container.decode(stream)]
                return len(damaged), "damaged frames" if any(damaged) else ""
            count = sum(packet.size > 0 for packet in container.demux(stream))
            missing = stream.frames - count
            return count, f"{missing} of {stream.frames} frames are missing" if missing > 0 else ""
    except (OSError, ValueError) as error:
        return 0, str(error)
