"""Dropdowns of files: what is chosen stays chosen, and the next one is there when it is needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from animate3d.viewer.choices import NONE, Choices


class Gui:
    def __init__(self) -> None:
        self.boxes: list[Any] = []

    def add_dropdown(self, label: str, options: tuple[str, ...], initial_value: str, hint: str) -> Any:
        box = SimpleNamespace(options=options, value=initial_value, visible=True)
        box.on_update = lambda told: setattr(box, "told", told)
        self.boxes.append(box)
        return box

    @property
    def shown(self) -> list[str]:
        return [box.value for box in self.boxes if box.visible]

    def pick(self, number: int, value: str) -> None:
        self.boxes[number].value = value
        self.boxes[number].told(SimpleNamespace(client=object()))


FILES = [Path("a.glb"), Path("b.glb"), Path("c.glb")]


def choices(**more: Any) -> tuple[Gui, Choices]:
    gui = Gui()
    return gui, Choices(gui, ["model", "2nd", "3rd"], ["", "", ""], **more)


def test_one_dropdown_more_is_there_than_files_are_chosen() -> None:
    gui, made = choices()
    assert gui.shown == []
    made.offer(FILES)
    assert gui.shown == [NONE]
    made.choose("b.glb")
    assert gui.shown == ["b.glb", NONE] and made.chosen == [FILES[1]]
    gui.pick(1, "b.glb")  # the same twice: two of a kind
    assert gui.shown == ["b.glb", "b.glb", NONE] and made.chosen == [FILES[1]] * 2
    gui.pick(0, NONE)
    assert gui.shown == [NONE, "b.glb"] and made.chosen == [FILES[1]]


def test_what_is_chosen_stays_when_there_are_new_files_and_goes_with_its_file() -> None:
    _, made = choices()
    made.offer(FILES[:2])
    made.choose("a.glb", "b.glb")
    made.offer(FILES)
    assert made.chosen == FILES[:2]
    made.offer(FILES[1:])
    assert made.chosen == FILES[1:2]


def test_files_are_added_until_all_dropdowns_are_taken() -> None:
    _, made = choices()
    made.offer(FILES)
    for name in ("a.glb", "b.glb", "c.glb", "a.glb"):
        made.add(name)
    assert [path.name for path in made.chosen] == ["a.glb", "b.glb", "a.glb"]


def test_only_what_somebody_chooses_is_told() -> None:
    told: list[Any] = []
    gui, made = choices(changed=told.append)
    made.offer(FILES)
    made.choose("a.glb")
    gui.boxes[0].told(SimpleNamespace(client=None))
    assert told == []
    gui.pick(0, "b.glb")
    assert len(told) == 1
