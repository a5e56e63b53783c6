"""Tar archives of MV-Video, read from front to back without unpacking anything.

An archive that ends early or is damaged gives the clips before the damage. Member names only ever serve as keys:
names that do not look like ``videos/<uid>/<anim>/view_<k>.mp4`` are ignored, and nothing is written to disk but the
list of the archive's clips.
"""

from __future__ import annotations

import logging
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from animate3d.errors import InputError
from animate3d.files import existing_file, read_json, write_json
from animate3d.mvvdm.data.records import UID_INFO, Record, UnreadableClipError, is_complete, read_uid_info, record_of

log = logging.getLogger(__name__)

_MEMBER = re.compile(
    r"(?:\./)?(?:[\w-][\w.-]*/)*(?P<uid>[\w-][\w.-]*)/(?P<animation>[\w-]+)/view_(?P<view>0|[1-9]\d?)\.mp4"
)
_MAX_VIDEO_BYTES = 256 << 20  # two seconds of video; anything larger is not what it says it is
_BLOCK = 1 << 16
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError)


@dataclass(frozen=True)
class ArchiveIndex:
    """What an archive holds.

    Attributes:
        size, modified: of the archive when it was read; another value makes the index stale.
        clips: ``{key: [pattern of member names, view numbers]}`` in the order in which the clips become complete.
        ignored: number of files with other names.
        damage: why reading stopped early; empty for a sound archive.
    """

    size: int
    modified: int
    clips: dict[str, list[Any]]
    ignored: int
    damage: str


def archive_index(archive: Path) -> ArchiveIndex:
    """The archive's clips, read once and kept beside it as ``<archive>.index.json`` (in memory if that cannot be)."""
    archive = existing_file(archive, "archive")
    status = archive.stat()
    cache = archive.with_name(archive.name + ".index.json")
    if cache.is_file():
        try:
            index = ArchiveIndex(**read_json(cache))
        except (InputError, TypeError):
            index = None
        if index is not None and (index.size, index.modified) == (status.st_size, status.st_mtime_ns):
            return index
    log.info("listing the clips of %s (once)", archive)
    index = scan_archive(archive)
    try:
        write_json(cache, asdict(index), indent=None)
    except OSError as error:
        log.warning("the list of clips cannot be kept as %s (%s); it will be made again", cache, error)
    return index


def scan_archive(archive: Path) -> ArchiveIndex:
    """Read the whole archive and list its clips. Damage ends the list; it is not an error."""
    status = archive.stat()
    patterns: dict[str, str] = {}
    views: dict[str, list[int]] = {}
    ignored, damage = Counter[str](), ""
    try:
        for key, view, name, read in stream_members(archive, ignored):
            read()  # a member counts only when all of it is there
            found = views.pop(key, [])
            views[key] = [*found, view]  # moved to the end: clips are in the order in which they become complete
            patterns[key] = name[: name.rindex("view_")] + "view_{}.mp4"
    except _DAMAGE as error:
        damage = str(error) or type(error).__name__
        log.warning("%s is damaged (%s); the clips before the damage are used", archive, damage)
    clips = {key: [patterns[key], sorted(numbers)] for key, numbers in views.items()}
    return ArchiveIndex(status.st_size, status.st_mtime_ns, clips, ignored.total(), damage)


def stream_members(
    archive: Path, ignored: Counter[str] | None = None
) -> Iterator[tuple[str, int, str, Callable[[], bytes]]]:
    """``(key, view, member name, read)`` of every video in the archive's order; ``read`` works until the next one.

    Raises:
        tarfile.TarError, EOFError, zlib.error, OSError: where the archive is damaged.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(archive.open("rb"))
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: Any = _Gunzip(raw) if is_gzip else raw
        tar = stack.enter_context(tarfile.open(fileobj=file, mode="r|", bufsize=1 << 20))
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
            match = _MEMBER.fullmatch(member.name)
            if not match or not member.isreg() or member.size > _MAX_VIDEO_BYTES:
                if ignored is not None and not member.isdir():
                    ignored[member.name] += 1
                continue

            def read(member: tarfile.TarInfo = member) -> bytes:
                content = tar.extractfile(member)
                assert content is not None
                return content.read()

            yield f"{match['uid']}/{match['animation']}", int(match["view"]), member.name, read


class _Gunzip:
    """Decompressed reading that hands out all that is sound before it reports damage.

    `gzip.GzipFile` drops what it has of a block when the file ends early, tarfile's own reader does not notice.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = zlib.decompressobj(wbits=31)  # 31: with gzip's header and check sum

    def read(self, size: int = -1) -> bytes:
        """Some bytes, not always ``size``; none at the end.

        Raises:
            EOFError, zlib.error: the file ends early or is damaged from here on.
        """
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data.lstrip(b"\0") or self._file.read(_BLOCK).lstrip(b"\0")
                if not rest:
                    return b""
                self._decoder = zlib.decompressobj(wbits=31)
            else:
                rest = self._file.read(_BLOCK)
                if not rest:
                    raise EOFError("the compressed file ends early")
            content = self._decoder.decompress(rest)
            if content:
                return content


def archive_records(archives: Sequence[Path]) -> list[Record]:
    """Records of the complete clips in the archives that have an entry in the ``uid_info_dict.json`` beside them."""
    infos = {folder: read_uid_info(folder / UID_INFO) for folder in dict.fromkeys(a.parent for a in archives)}
    records: dict[str, Record] = {}
    for archive in archives:
        for key, (pattern, views) in archive_index(archive).clips.items():
            info = infos[archive.parent].get(key)
            if info is not None and is_complete(views) and key not in records:
                records[key] = record_of(key, pattern, len(views), info, str(archive))
    return list(records.values())


def in_archive_order(records: Sequence[Record]) -> list[Record]:
    """The streamed records whose videos are really there, in the order of the archives.

    Raises:
        InputError: records with files of their own are mixed with streamed ones.
    """
    if any(record.archive is None for record in records):
        raise InputError("The records mix videos in archives with videos in folders; make one JSON file of each.")
    by_archive: dict[str, dict[str, Record]] = {}
    for record in records:
        by_archive.setdefault(str(record.archive), {})[record.key] = record
    ordered: list[Record] = []
    for name in sorted(by_archive):
        wanted = by_archive[name]
        for key, (pattern, views) in archive_index(Path(name)).clips.items():
            if key in wanted and is_complete(views) and _names_all(wanted[key], views):
                ordered.append(replace(wanted[key], videos=pattern))
    if len(ordered) < len(records):
        log.warning(
            "%d of %d clips are not in their archives and are left out", len(records) - len(ordered), len(records)
        )
    return ordered


def _names_all(record: Record, views: Sequence[int]) -> bool:
    """Whether a record lists all videos of its clip in order: view numbers are counted from the first."""
    return isinstance(record.videos, str) and record.n_videos == len(views)


class ArchiveReader:
    """The chosen videos of clips, which are asked for roughly in the order in which the archives hold them.

    Args:
        wanted: ``(record, view numbers)`` in the archives' order; those of one archive follow each other.
    """

    def __init__(self, wanted: Sequence[tuple[Record, tuple[int, ...]]]) -> None:
        self._ahead = {record.key for record, _ in wanted}
        self._coming = self._read(wanted)
        self._store: dict[str, list[bytes] | UnreadableClipError] = {}

    def fetch(self, key: str) -> list[bytes]:
        """Contents of the videos of one clip, reading on until they are there.

        Raises:
            UnreadableClipError: the archive does not hold them.
            KeyError: the clip has been released, or was not wanted.
        """
        if key not in self._store and key not in self._ahead:
            raise KeyError(key)
        while key not in self._store:
            name, found = next(self._coming)
            self._ahead.discard(name)
            self._store[name] = found
        content = self._store[key]
        if isinstance(content, UnreadableClipError):
            raise content
        return content

    def release(self, key: str) -> None:
        """Forget a clip that will not be asked for again."""
        self._store.pop(key, None)

    @staticmethod
    def _read(
        wanted: Sequence[tuple[Record, tuple[int, ...]]],
    ) -> Iterator[tuple[str, list[bytes] | UnreadableClipError]]:
        start = 0
        while start < len(wanted):
            archive = wanted[start][0].archive
            end = start
            while end < len(wanted) and wanted[end][0].archive == archive:
                end += 1
            yield from _read_archive(Path(str(archive)), {r.key: views for r, views in wanted[start:end]})
            start = end


def _read_archive(
    archive: Path, wanted: dict[str, tuple[int, ...]]
) -> Iterator[tuple[str, list[bytes] | UnreadableClipError]]:
    """Every wanted clip once: its videos in the order of its views as soon as all are there, or why they are not."""
    waiting = dict(wanted)
    parts: dict[str, dict[int, bytes]] = {}
    reason = "it is not there"
    try:
        for key, view, _, read in stream_members(archive):
            if key not in waiting or view not in waiting[key]:
                continue
            part = parts.setdefault(key, {})
            part[view] = read()
            if len(part) == len(set(waiting[key])):
                views = waiting.pop(key)
                del parts[key]
                yield key, [part[number] for number in views]
                if not waiting:
                    return
    except _DAMAGE as error:
        reason = f"the archive is damaged ({str(error) or type(error).__name__})"
    for key in waiting:
        yield key, UnreadableClipError(f"cannot be read from {archive}: {reason}")
