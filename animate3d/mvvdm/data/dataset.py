"""Training clips of multi-view videos: which ones, in which order, and as tensors.

The order of an epoch follows from the seed and the epoch alone. Videos in files are shuffled freely, and batch b of
rank r is the same whatever the number of workers. Archives can only be read from front to back: their order is
shuffled, all clips in a row are cut into equal parts for the ranks and workers, and every part is shuffled through a
window of clips. A clip that cannot be read is replaced by the one after it, so that all ranks make the same number of
batches and a position in the epoch is one number.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from animate3d.errors import InputError
from animate3d.mvvdm.data.clips import decode_views, draw
from animate3d.mvvdm.data.records import Record, UnreadableClipError
from animate3d.mvvdm.data.shards import ArchiveReader
from animate3d.mvvdm.data.sources import load_records
from animate3d.mvvdm.model.camera import get_camera

log = logging.getLogger(__name__)

SHUFFLE_WINDOW = 64
"""Clips of an archive that are held in memory for shuffling, per worker."""


def build_dataset(
    info_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    sample_size: int = 256,
    sample_n_frames: int = 16,
    num_views: int = 4,
    frame_stride: int = 3,
    seed: int = 42,
    batch_size: int = 1,
    rank: int = 0,
    world_size: int = 1,
    shuffle_window: int = SHUFFLE_WINDOW,
) -> MultiViewVideos:
    """The training set behind ``train_data.info_path``.

    Args:
        info_path: the documented JSON, an MV-Video folder, tar archives (path, glob pattern or list) or their folder.
        sample_size: side of the images.
        sample_n_frames: F.
        num_views: V evenly spaced views.
        frame_stride: every how manieth frame is taken.
        seed: of the order and of the random choices.
        batch_size: clips per batch of one rank.
        rank, world_size: which part of the data set this process reads.
        shuffle_window: see `SHUFFLE_WINDOW`.

    Raises:
        InputError: the source cannot be used.
    """
    return MultiViewVideos(
        load_records(info_path),
        sample_size=sample_size,
        sample_n_frames=sample_n_frames,
        num_views=num_views,
        frame_stride=frame_stride,
        seed=seed,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        shuffle_window=shuffle_window,
    )


@dataclass(eq=False, repr=False)
class MultiViewVideos(IterableDataset[dict[str, Any]]):
    """Clips of one rank, batch after batch; read it through a `ClipLoader`, which keeps the position.

    A sample is ``{"pixel_values": float32 [V, F, 3, H, W] in [-1, 1], "camera": float32 [V, 16], "text": str,
    "key": str, "views": int64 [V], "frames": int64 [F], "skipped": str}``; ``views`` and ``frames`` are the numbers of
    the chosen videos and frames, ``skipped`` names unreadable clips that this one stands for (a line each).

    `build_dataset` describes the arguments.
    """

    records: Sequence[Record]
    sample_size: int
    sample_n_frames: int
    num_views: int
    frame_stride: int
    seed: int
    batch_size: int
    rank: int
    world_size: int
    shuffle_window: int
    num_workers: int = field(default=0, init=False)  # told by the loader: the parts of streamed archives depend on it
    as_bytes: bool = field(default=False, init=False)  # set by the loader: workers pass on a quarter of the bytes
    epoch: int = field(default=0, init=False)
    batch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in ("sample_size", "sample_n_frames", "num_views", "frame_stride", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.rank < self.world_size:
            raise InputError(
                f"`rank` is {self.rank}; with {self.world_size} processes it lies between 0 and {self.world_size - 1}."
            )
        views, given = self.num_views, len(self.records)
        self.records = [record for record in self.records if record.n_videos % views == 0]
        if not self.records:
            raise InputError(f"No clip has {views} evenly spaced views.")
        if len(self.records) < given:
            log.warning("%d clips without %d evenly spaced views are left out", given - len(self.records), views)
        self.streamed = self.records[0].archive is not None

    @property
    def batches(self) -> int:
        """Batches of every rank in an epoch; clips that do not fill the last one wait for another epoch's order."""
        return max(1, len(self.records) // (self.world_size * self.batch_size))

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; the position is kept if it is the current one."""
        if epoch != self.epoch:
            self.epoch, self.batch = epoch, 0

    def advance(self) -> None:
        """Count a batch as used; after the last one the position is the start of the next epoch."""
        self.batch += 1
        if self.batch >= self.batches:
            self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """The position: the next batch, and what the order of batches depends on."""
        return {"epoch": self.epoch, "batch": self.batch, "layout": self._layout()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a position. If the order is another one now, e.g. for another number of ranks, the epoch of the
        position is started anew, with a warning."""
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])
        layout, before = self._layout(), state["layout"]
        if layout != before:
            names = ", ".join(f"{k} {before.get(k)} -> {layout[k]}" for k in layout if before.get(k) != layout[k])
            log.warning("the order of the clips has changed (%s): epoch %d starts anew", names, self.epoch)
            self.batch = 0

    def _layout(self) -> dict[str, int]:
        layout = {
            "clips": len(self.records),
            "seed": self.seed,
            "batch_size": self.batch_size,
            "world_size": self.world_size,
        }
        if self.streamed:
            layout.update(num_workers=max(1, self.num_workers), shuffle_window=self.shuffle_window)
        return layout

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Samples of this worker's batches, from the position on; the position itself is moved by `advance`."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        # A loader takes batches from its workers in turn, beginning with worker 0 also when it continues.
        part = (self.batch + worker) % workers
        epoch, batches = self.epoch, range(self.batch + worker, self.batches, workers)
        make = _ArchiveLane if self.streamed else _FileLane
        lane = make(self, epoch, part, workers, batches)
        for slot in range(len(batches) * self.batch_size):
            yield self._sample(lane, slot, epoch)

    def _sample(self, lane: _FileLane | _ArchiveLane, slot: int, epoch: int) -> dict[str, Any]:
        skipped: list[str] = []
        for record in lane.candidates(slot):
            try:
                choice = draw(record, self.num_views, seed=self.seed, epoch=epoch)
                frames, numbers = decode_views(
                    lane.fetch(record, choice.views),
                    choice.fraction,
                    n_frames=self.sample_n_frames,
                    stride=self.frame_stride,
                    size=self.sample_size,
                )
            except UnreadableClipError as error:
                skipped.append(f"{record.key}\t{error}".replace("\n", " "))
                continue
            lane.release(slot)
            azimuth = record.azimuth_start + 360.0 / record.n_videos * choice.views[0]
            pixels = torch.from_numpy(frames)
            return {
                "pixel_values": pixels if self.as_bytes else normalized(pixels),
                "camera": get_camera(self.num_views, elevation=record.elevation, azimuth_start=azimuth),
                "text": record.text,
                "key": record.key,
                "views": torch.tensor(choice.views),
                "frames": torch.from_numpy(numbers),
                "skipped": "\n".join(skipped),
            }
        raise InputError(f"None of {len(skipped)} clips can be read; the last one: {skipped[-1]}.")


def normalized(pixels: Tensor) -> Tensor:
    """Bytes to float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1.0)


class _FileLane:
    """The samples of one worker, slot by slot.

    Videos in files of their own: a free shuffle, batches dealt to the ranks in turn.
    """

    def __init__(self, data: MultiViewVideos, epoch: int, part: int, workers: int, batches: range) -> None:
        self.records, self.batches = data.records, batches
        self.order = np.random.default_rng([data.seed, epoch]).permutation(len(data.records))
        self.batch_size, self.rank, self.world_size = data.batch_size, data.rank, data.world_size

    def candidates(self, slot: int) -> Iterator[Record]:
        """The slot's clip, then those that stand in when it cannot be read."""
        batch, item = divmod(slot, self.batch_size)
        first = (self.batches[batch] * self.world_size + self.rank) * self.batch_size + item
        for position in range(first, first + len(self.order)):
            yield self.records[self.order[position % len(self.order)]]

    def fetch(self, record: Record, views: tuple[int, ...]) -> Sequence[str | bytes]:
        """Paths or contents of its videos."""
        return [record.video(view) for view in views]

    def release(self, slot: int) -> None:
        """The slot is done."""


class _ArchiveLane:
    """The same of a part of the clips of all archives in a row, shuffled through a window."""

    def __init__(self, data: MultiViewVideos, epoch: int, part: int, workers: int, batches: range) -> None:
        self.num_views, self.seed, self.epoch = data.num_views, data.seed, epoch
        sizes = [
            len(range(w, data.batches, workers)) * data.batch_size
            for _ in range(data.world_size)
            for w in range(workers)
        ]
        lane = data.rank * workers + part
        start = sum(sizes[:lane])
        row = _archives_in_a_row(data.records, data.seed, epoch)
        # Fewer clips than places: the row is used again from its start.
        mine = [row[position % len(row)] for position in range(start, start + sizes[lane])]
        generator = np.random.default_rng([data.seed, epoch, lane + 1])
        emission = window_shuffle(len(mine), data.shuffle_window, generator)
        self.order = [data.records[mine[i]] for i in emission]
        self.first = sizes[lane] - len(batches) * data.batch_size  # slots that were used before the position
        coming = set(emission[self.first :])
        reading = {mine[i]: data.records[mine[i]] for i in range(len(mine)) if i in coming}
        self.reader = ArchiveReader([(record, self._views(record)) for record in reading.values()])
        self.remaining: dict[str, int] = {}
        for record in self.order[self.first :]:
            self.remaining[record.key] = self.remaining.get(record.key, 0) + 1

    def _views(self, record: Record) -> tuple[int, ...]:
        return draw(record, self.num_views, seed=self.seed, epoch=self.epoch).views

    def candidates(self, slot: int) -> Iterator[Record]:
        first = self.first + slot
        yield from self.order[first:]
        yield from self.order[:first]

    def fetch(self, record: Record, views: tuple[int, ...]) -> Sequence[str | bytes]:
        try:
            return self.reader.fetch(record.key)
        except KeyError:  # stands in for a later clip after its own turn: read its archive again
            return ArchiveReader([(record, views)]).fetch(record.key)

    def release(self, slot: int) -> None:
        key = self.order[self.first + slot].key
        self.remaining[key] -= 1
        if not self.remaining[key]:
            self.reader.release(key)


def _archives_in_a_row(records: Sequence[Record], seed: int, epoch: int) -> list[int]:
    """Indices of all records, archive after archive in a random order, each in its own order."""
    archives: dict[str | None, list[int]] = {}
    for index, record in enumerate(records):
        archives.setdefault(record.archive, []).append(index)
    groups = list(archives.values())
    return [index for g in np.random.default_rng([seed, epoch]).permutation(len(groups)) for index in groups[g]]


def window_shuffle(count: int, window: int, generator: np.random.Generator) -> list[int]:
    """A permutation of ``range(count)`` that a reader with room for ``window`` items can produce in one pass."""
    held, order = [], []
    for item in range(count):
        held.append(item)
        if len(held) > window:
            chosen = int(generator.integers(len(held)))
            held[chosen], held[-1] = held[-1], held[chosen]
            order.append(held.pop())
    return order + [held[i] for i in generator.permutation(len(held))]
