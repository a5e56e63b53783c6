"""Who is told how far a step is: a terminal by a bar, a program that listens by lines, nobody else."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from animate3d.progress import LISTENED, PENDING, Bar, count_steps, counted
from animate3d.runs.console import Console


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTENED, "lines")
    monkeypatch.setattr(Bar, "__init__", _at_once)


_init = Bar.__init__


def _at_once(bar: Bar, *given: object, **settings: object) -> None:
    _init(bar, *given, **settings | {"delay": 0, "mininterval": 0})


def count() -> None:
    with counted(3, "tracking", "frame") as tell:
        for done in (1, 3):
            tell(done)


def test_a_program_that_listens_gets_a_line_for_what_is_done(listening, capsys) -> None:
    count()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"  tracking 3 of 3 frames{PENDING}" and f"  tracking 1 of 3 frames{PENDING}" in lines
    assert all(line.endswith(PENDING) for line in lines)


def test_nobody_else_is_told_without_a_terminal(capsys) -> None:
    count()
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_pipelines_count_their_steps_in_the_same_way(listening, capsys) -> None:
    pipeline = SimpleNamespace()
    count_steps(pipeline, "videos")
    with pipeline.progress_bar(total=2) as bar:
        bar.update()
    assert list(pipeline.progress_bar(range(2))) == [0, 1]
    assert f"  videos 1 of 2 steps{PENDING}" in capsys.readouterr().out.splitlines()


def test_what_has_begun_is_a_line_for_a_program_that_listens(monkeypatch, capsys) -> None:
    for value, wanted in (("lines", "  5 tracking …\n✓ 5 tracking\n"), ("", "✓ 5 tracking\n")):
        monkeypatch.setenv(LISTENED, value)
        console = Console()
        for line in ("  5 tracking …", "✓ 5 tracking"):
            console(line)
        assert capsys.readouterr().out == wanted


def test_a_terminal_that_does_not_say_how_large_it_is_sees_the_bar(monkeypatch) -> None:
    monkeypatch.delenv(LISTENED, raising=False)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    with Bar(total=3, desc="tracking", unit="frame", file=terminal, ncols=0, nrows=-1, delay=0, mininterval=0) as bar:
        bar.update(2)
    assert "tracking:  67%" in terminal.getvalue() and "2/3" in terminal.getvalue()
