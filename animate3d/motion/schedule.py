"""Which frames a reconstruction step trains.

In the published code: ``custom/threestudio-animate3d/systems/animate3d.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from animate3d.errors import InputError


@dataclass(frozen=True)
class FrameSchedule:
    """Frames enter one after the other, so that each starts from the pose of the one before.

    Attributes:
        total_frames: F; frame 0 is the static model and is never trained.
        iter_per_frame: steps until the next frame enters; 0 trains all frames from the start.
        strategy: ``"normal"`` trains every frame that has entered; ``"light"`` the newest and one random earlier
            frame, and all of them once the last one had its share of steps.
    """

    total_frames: int
    iter_per_frame: int = 50
    strategy: Literal["normal", "light"] = "normal"

    def __post_init__(self) -> None:
        if self.strategy not in ("normal", "light"):
            raise InputError(f"`sample_strategy` is {self.strategy!r}; it must be 'normal' or 'light'.")
        if self.total_frames < 2:
            raise InputError(f"Motion needs at least 2 frames, not {self.total_frames}: frame 0 is the static model.")
        if self.iter_per_frame < 0:
            raise InputError(f"`progressive_iter_per_frame` is {self.iter_per_frame}; it must not be negative.")

    def frames(self, step: int, generator: torch.Generator | None = None) -> Tensor:
        """Frames of a step, sorted, each once, int64 on the CPU."""
        last = self.total_frames - 1
        entered = step // self.iter_per_frame if self.iter_per_frame else last
        newest = min(entered + 1, last)
        if self.strategy == "normal" or entered >= last or newest == 1:
            return torch.arange(1, newest + 1)
        earlier = torch.randint(1, newest, (), generator=generator)
        return torch.stack([earlier, torch.tensor(newest)])
