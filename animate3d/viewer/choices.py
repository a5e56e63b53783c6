"""Dropdowns of files, of which there is always one more than are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NONE = "–"
"""What a dropdown says where nothing is chosen."""


class Choices:
    """A few files out of those of a folder, chosen one after the other.

    Args:
        gui: of the server.
        labels: of the dropdowns, at most so many files.
        hints: what each is for.
        changed: called when somebody has chosen.
    """

    def __init__(
        self, gui: Any, labels: Sequence[str], hints: Sequence[str], changed: Callable[[Any], object] = lambda _: None
    ) -> None:
        self._files: dict[str, Path] = {}
        self._changed = changed
        self._boxes = [
            gui.add_dropdown(label, (NONE,), initial_value=NONE, hint=hint)
            for label, hint in zip(labels, hints, strict=True)
        ]
        for box in self._boxes:
            box.on_update(self._updated)
        self._show()

    @property
    def chosen(self) -> list[Path]:
        """The files, in the order of the dropdowns."""
        return [self._files[box.value] for box in self._boxes if box.value in self._files]

    def offer(self, files: Sequence[Path]) -> None:
        """The files that there are; what is chosen stays so."""
        self._files = {path.name: path for path in files}
        for box in self._boxes:
            before = box.value
            box.options = (NONE, *self._files)
            box.value = before if before in self._files else NONE
        self._show()

    def choose(self, *names: str) -> None:
        """Choose these files and no others."""
        for box, name in zip(self._boxes, [*names, *[NONE] * len(self._boxes)], strict=False):
            box.value = name
        self._show()

    def add(self, name: str) -> None:
        """Choose one more; the last one gives way where all dropdowns are taken."""
        self.choose(*[path.name for path in self.chosen][: len(self._boxes) - 1], name)

    def _updated(self, event: Any) -> None:
        if event.client is not None:  # otherwise the app itself has set the value
            self._show()
            self._changed(event)

    def _show(self) -> None:
        """The chosen ones and the next."""
        for number, box in enumerate(self._boxes):
            box.visible = bool(self._files) and (box.value != NONE or number <= len(self.chosen))
