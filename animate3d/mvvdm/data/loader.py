"""Batches of training clips, with worker processes, and the position in the data."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from animate3d.mvvdm.data.dataset import MultiViewVideos, normalized

log = logging.getLogger(__name__)


def _outlive_signals(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM to the training, which still writes a checkpoint: workers get them too.

    They end with the process they belong to.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class ClipLoader:
    """Iterate over the rest of the current epoch of a `MultiViewVideos`.

    Every rank builds its own loader over its own part of the data (do not let accelerate split it again). A batch is
    ``{"pixel_values": [B, V, F, 3, H, W], "camera": [B, V, 16], "text": list[str], "key": list[str], "views": [B, V],
    "frames": [B, F]}``. ``state_dict()`` counts the batches that were handed out, not those that workers made in
    advance; taken while a batch is in use, the continuation starts with the batch after it. After the last batch the
    position is the start of the next epoch.

    Args:
        dataset: built with the batch size and the rank.
        num_workers: processes that decode; 0 decodes in this one.
        pin_memory: for copies to a GPU.

    Attributes:
        skipped: why, for every clip that could not be read.
    """

    def __init__(self, dataset: MultiViewVideos, *, num_workers: int = 0, pin_memory: bool = False) -> None:
        dataset.num_workers, dataset.as_bytes = num_workers, True
        self.dataset = dataset
        self.num_workers, self.pin_memory = num_workers, pin_memory
        self.skipped: dict[str, str] = {}

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self.dataset.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        loader = DataLoader(
            self.dataset,
            batch_size=self.dataset.batch_size,
            num_workers=self.num_workers,
            prefetch_factor=2 if self.num_workers else None,
            pin_memory=self.pin_memory,
            worker_init_fn=_outlive_signals if self.num_workers else None,
        )
        for batch in loader:
            self._report(batch.pop("skipped"))
            batch["pixel_values"] = normalized(batch["pixel_values"])
            self.dataset.advance()
            yield batch

    def _report(self, lines: list[str]) -> None:
        for line in "\n".join(lines).split("\n"):
            key, _, reason = line.partition("\t")
            if key and key not in self.skipped:
                self.skipped[key] = reason
                log.warning("skipped clip %s: %s (%d so far)", key, reason, len(self.skipped))

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; nothing changes if it is the one the position lies in."""
        self.dataset.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The position in the data and what was skipped so far."""
        return {**self.dataset.state_dict(), "skipped": dict(self.skipped)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the batch after the last one that was handed out."""
        self.dataset.load_state_dict(state)
        self.skipped = dict(state.get("skipped", {}))
