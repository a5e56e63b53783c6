"""Checkpoints, progress and interruption of a training run."""

from __future__ import annotations

import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.plugins.io import TorchCheckpointIO

from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.studio.registry import warn


class StopRun(Exception):
    """Ends Lightning's loop after Ctrl-C."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """A checkpoint is whole or not there, also when the disk fills up or the run is killed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        try:
            with atomic_file(path) as temporary:
                torch.save(checkpoint, temporary)
        except RuntimeError as error:  # torch's own writer does not raise OSError
            raise InputError(f"The checkpoint {path} cannot be written; is the disk full? ({error})") from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Always tensors and plain values only, so a file cannot run code."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class ProgressBar(TQDMProgressBar):
    """Without the logger's version number; every 10th step, because reading a loss waits for the GPU."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class TrialCheckpoint(ModelCheckpoint):
    """Lightning's checkpoints, plus one at the last step and one when the run is interrupted.

    Attributes:
        stop_requested: set it to save after this step and leave the loop with `StopRun`.
        latest: the file of the latest step, if any was saved.
    """

    def __init__(self, dirpath: Path, **settings: Any) -> None:
        # Without versions in names, the documented name always holds the latest run.
        super().__init__(dirpath=dirpath, **{"enable_version_counter": False, **settings})
        self.folder = dirpath
        self.stop_requested = False
        self.latest: Path | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        path = self._file_of_this_step(trainer)
        if self._last_global_step_saved == trainer.global_step and path.exists():
            self.latest = path
        elif self.stop_requested or trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(path)
            last = self.folder / "last.ckpt"
            if trainer.is_global_zero:
                with atomic_file(last) as temporary:
                    shutil.copyfile(path, temporary)
            self.latest = path
        if self.stop_requested:
            raise StopRun

    def _file_of_this_step(self, trainer: Trainer) -> Path:
        progress = {"epoch": torch.tensor(trainer.current_epoch), "step": torch.tensor(trainer.global_step)}
        return Path(self.format_checkpoint_name(progress))  # type: ignore[arg-type]


def set_aside(folder: Path, resume: Path | None) -> None:
    """Before training: move checkpoints that this run would leave standing as if they were its own.

    All of them for a new run; only those of later steps when it continues from a checkpoint of this folder.
    """
    checkpoints = sorted(folder.glob("*.ckpt"))
    if resume is not None and resume.resolve().parent == folder.resolve():
        step = _step_of(resume)
        stale = [p for p in checkpoints if step is not None and (_step_of(p) or 0) > step]
    else:
        stale = checkpoints
    if not stale:
        return
    n = 0
    while (aside := folder.with_name(f"{folder.name}-old-{n}")).exists():
        n += 1
    aside.mkdir()
    for path in stale:
        path.rename(aside / path.name)
    warn("The checkpoints of an earlier run in %s were moved to %s.", folder, aside)


def _step_of(path: Path) -> int | None:
    match = re.search(r"step=(\d+)", path.name)
    if match:
        return int(match.group(1))
    return (
        torch.load(path, map_location="cpu", weights_only=True).get("global_step") if path.name == "last.ckpt" else None
    )


@contextmanager
def stop_on_interrupt(checkpoint: TrialCheckpoint | None) -> Iterator[None]:
    """End a training after the current step and save it, on Ctrl-C or a request to terminate.

    A second one, or one outside of a training, ends the run at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if checkpoint is None or checkpoint.stop_requested:
            raise StopRun
        checkpoint.stop_requested = True

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
