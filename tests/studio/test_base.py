"""Who is told of every step, and what is never looked at for it."""

from __future__ import annotations

import pytest
from torch import Tensor

from animate3d.studio.base import Updateable


class Part(Updateable):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        self.steps.append(global_step)


class Holder(Updateable):
    def __init__(self) -> None:
        self.held = Part()
        self._behind = Part()

    @property
    def behind(self) -> Part:
        return self._behind

    @property
    def unsaid(self):  # type: ignore[no-untyped-def]  # as plugins write it
        return self._behind

    @property
    def trained(self) -> bool:
        pytest.fail("looking at a value waits for the device")

    @property
    def positions(self) -> Tensor:
        pytest.fail("computed for nothing")


def test_a_step_reaches_parts_behind_properties_and_computes_no_values() -> None:
    holder = Holder()
    holder.do_update_step(0, 7)
    assert holder.held.steps == [7]
    assert holder._behind.steps == [7, 7]
