"""Clips made up by worker processes while a model learns, and the pool of drawn clips that it learns from."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from animate3d.bundled_model.folder import SIZE, VIEWS
from animate3d.cameras import reconstruction_cameras
from animate3d.errors import Animate3DError
from animate3d.small_model.data.moving import MovingPoints, clip_stream
from animate3d.small_model.data.points import draw_points
from animate3d.small_model.origins import Truth, true_origins

CHUNK = 8
"""Clips that a worker hands over at a time."""
_AHEAD = 16  # chunks that wait for the model
_MOST_FAILURES = 50

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chunk:
    """Some clips as tensors: positions ``[n, F, P, 3]``, colours ``[n, P, 3]`` and captions."""

    positions: Tensor
    colors: Tensor
    texts: list[str]


def to_chunk(clips: list[MovingPoints]) -> Chunk:
    """Clips as tensors."""
    return Chunk(
        torch.from_numpy(np.stack([clip.positions for clip in clips])),
        torch.from_numpy(np.stack([clip.colors for clip in clips])),
        [clip.text for clip in clips],
    )


class _Stream(IterableDataset[Any]):
    """Clips of a worker of its own seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __iter__(self) -> Iterator[MovingPoints]:
        info = get_worker_info()
        number, seed = (0, self.seed) if info is None else (info.id, self.seed + info.id)
        for again in range(_MOST_FAILURES):
            try:
                yield from clip_stream(seed + 1_000_003 * again)
            except (ArithmeticError, ValueError, IndexError):  # one shape among thousands must not end a training
                logger.exception("Worker %d leaves out a clip", number)
        raise Animate3DError(f"The clips of worker {number} failed {_MOST_FAILURES} times.")


class Feed:
    """Chunks without end, made ahead by worker processes.

    Args:
        seed: of the first worker; the others have those that follow.
        workers: processes; with none the chunks are made when they are asked for.
        chunk: clips of a chunk.
    """

    def __init__(self, seed: int, workers: int, *, pinned: bool = False, chunk: int = CHUNK) -> None:
        loader: DataLoader[Any] = DataLoader(
            _Stream(seed),
            batch_size=chunk,
            num_workers=workers,
            collate_fn=to_chunk,
            prefetch_factor=2 if workers else None,
            multiprocessing_context="fork" if workers else None,
        )
        self._chunks = iter(loader)
        self._pinned = pinned
        self._waiting: queue.Queue[Chunk | Exception] | None = queue.Queue(_AHEAD) if workers else None
        if self._waiting is not None:
            threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self) -> None:
        assert self._waiting is not None
        try:
            for chunk in self._chunks:
                if self._pinned:
                    chunk = Chunk(chunk.positions.pin_memory(), chunk.colors.pin_memory(), chunk.texts)
                self._waiting.put(chunk)
        except Exception as error:
            self._waiting.put(error)

    def take(self) -> Chunk | None:
        """The next chunk; None when it is not ready."""
        return None if self._waiting is not None and self._waiting.empty() else self.wait()

    def wait(self) -> Chunk:
        """The next chunk."""
        found = next(self._chunks) if self._waiting is None else self._waiting.get()
        if isinstance(found, Exception):
            raise found
        return found


class Pool:
    """The last drawn clips, up to a capacity, on the device where the model learns."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.added = 0
        self.texts: list[str] = [""] * capacity
        self._cameras = reconstruction_cameras(VIEWS, SIZE).to(device)
        self._pixels: Tensor | None = None
        self._truth: Truth | None = None

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, chunk: Chunk) -> None:
        """Draw clips and take them in."""
        positions = chunk.positions.to(self.device, non_blocking=True)
        pictures = draw_points(positions, chunk.colors.to(self.device, non_blocking=True), views=VIEWS, size=SIZE)
        truth = true_origins(pictures, self._cameras)
        if self._pixels is None or self._truth is None:
            self._pixels = pictures.pixels.new_zeros(self.capacity, *pictures.pixels.shape[1:])
            self._truth = Truth(
                torch.zeros(self.capacity, *truth.places.shape[1:], dtype=torch.half, device=self.device),
                torch.zeros(self.capacity, *truth.visible.shape[1:], dtype=torch.bool, device=self.device),
                torch.zeros(self.capacity, *truth.coverage.shape[1:], dtype=torch.half, device=self.device),
            )
        places = torch.arange(self.added, self.added + len(chunk.texts)) % self.capacity
        for place, text in zip(places.tolist(), chunk.texts, strict=True):
            self.texts[place] = text
        index = places.to(self.device)
        self._pixels[index] = pictures.pixels
        self._truth.places[index] = truth.places.half()
        self._truth.visible[index] = truth.visible
        self._truth.coverage[index] = truth.coverage.half()
        self.added += len(chunk.texts)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Truth, list[str]]:
        """Random clips: pixels uint8 ``[B, V, F, 3, H, W]``, the truth of their origins, captions."""
        assert self._pixels is not None and self._truth is not None
        chosen = torch.randperm(len(self), generator=generator)[:count]
        index = chosen.to(self.device)
        truth = Truth(
            self._truth.places[index].float(), self._truth.visible[index], self._truth.coverage[index].float()
        )
        return self._pixels[index], truth, [self.texts[place] for place in chosen.tolist()]
