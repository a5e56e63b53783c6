"""A moving average of the trained weights, which often samples better than the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from animate3d.mvvdm.training.checkpoints import full, like


class MovingAverage:
    """Average of the parameters of a model that learn.

    Args:
        decay: share of the old average that stays at a step; lower at the start, so that the first weights fade.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        values = [value.detach() for value in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), values, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self.parameters.items():
            held = value.detach().clone()
            value.copy_(self.average[name])
            self.average[name].copy_(held)

    def state_dict(self) -> dict[str, Tensor]:
        """The average, whole. Every process of a sharded training must call this."""
        return {name: full(value) for name, value in self.average.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from an average."""
        for name, value in self.average.items():
            value.copy_(like(state[name], value))
