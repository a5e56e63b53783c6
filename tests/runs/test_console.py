"""What a run shows on the terminal."""

from __future__ import annotations

from io import StringIO

import numba
import numpy as np

from animate3d.runs.console import Console, compiling_told


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: StringIO) -> str:
    console = Console(stream)
    for line in ("· 1 placement up to date", "  5 tracking …", "note: small", "✓ 5 tracking 3.2 s"):
        console(line)
    return stream.getvalue()


def test_on_a_terminal_what_has_begun_is_overwritten_by_what_comes_next() -> None:
    assert told(Terminal()) == "· 1 placement up to date\n  5 tracking …\r\033[Knote: small\n✓ 5 tracking 3.2 s\n"


def test_elsewhere_a_step_is_one_line() -> None:
    assert told(StringIO()) == "· 1 placement up to date\nnote: small\n✓ 5 tracking 3.2 s\n"


def test_what_a_run_begins_with_is_told_once_and_not_without_a_line() -> None:
    stream = StringIO()
    console = Console(stream)
    console.begin_with("the small model makes the videos")
    assert stream.getvalue() == ""  # an input that cannot be used is all that is said
    for line in ("✓ 1 placement 0.0 s", "✓ 2 videos 5.0 s"):
        console(line)
    assert stream.getvalue().splitlines() == [
        "the small model makes the videos",
        "✓ 1 placement 0.0 s",
        "✓ 2 videos 5.0 s",
    ]


def test_compilation_is_told_once_and_only_when_it_happens() -> None:
    said: list[str] = []
    kernels = [numba.njit(lambda x, k=k: x + k) for k in range(2)]
    with compiling_told(said.append):
        assert said == []
        for kernel in kernels:
            kernel(np.ones(2))
    assert said == ["compiling kernels, once for this kind of run, up to 20 s"]
    with compiling_told(said.append):
        kernels[0](np.ones(2))
    assert len(said) == 1
    with compiling_told(said.append), compiling_told(said.append):  # an object of a scene
        numba.njit(lambda x: x - 1)(np.ones(2))
    assert len(said) == 2
