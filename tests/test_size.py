"""No module, function or list of arguments is longer than a reader can hold, proved from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    [
        *ROOT.glob("*.py"),
        *(f for room in ("animate3d", "custom", "tools", "benchmarks") for f in ROOT.glob(f"{room}/**/*.py")),
    ]
)
MODULE_LINES, FUNCTION_LINES, ARGUMENTS = 500, 60, 10
CONFIG_CONSTRUCTORS = {
    "animate3d/mvvdm/model/unet.py:MultiViewUNet.__init__",  # diffusers saves the arguments as config.json
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, scope: str = "") -> Iterator[tuple[str, Function]]:
    """Every function of a module with its dotted name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):  # defines none
            continue
        name = scope
        if isinstance(node, Function | ast.ClassDef):
            name = f"{scope}.{node.name}".lstrip(".")
        if isinstance(node, Function):
            yield name, node
        yield from functions(node, name)


def is_compiled(function: Function) -> bool:
    """Whether numba compiles it: kernels are unrolled by hand and take every array by itself."""
    return any("jit" in ast.unparse(decorator) for decorator in function.decorator_list)


def argument_count(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    bound = bool(named) and named[0].arg in ("self", "cls")
    return len(named) - bound + (arguments.vararg is not None) + (arguments.kwarg is not None)


def offenders(path: str, source: str) -> list[str]:
    """Sentences about what is too long in a module."""
    lines = source.count("\n")
    found = [f"{path} has {lines} lines"] if lines > MODULE_LINES else []
    for name, function in functions(ast.parse(source)):
        if is_compiled(function):
            continue
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > FUNCTION_LINES:
            found.append(f"{path}:{name} has {length} lines")
        if argument_count(function) > ARGUMENTS and f"{path}:{name}" not in CONFIG_CONSTRUCTORS:
            found.append(f"{path}:{name} has {argument_count(function)} arguments")
    return found


def test_nothing_is_too_long() -> None:
    assert len(FILES) > 200
    assert [line for f in FILES for line in offenders(f.relative_to(ROOT).as_posix(), f.read_text())] == []


def test_the_exceptions_are_still_there() -> None:
    for exception in CONFIG_CONSTRUCTORS:
        path, name = exception.split(":")
        found = dict(functions(ast.parse((ROOT / path).read_text())))
        assert argument_count(found[name]) > ARGUMENTS


ELEVEN = ", ".join("abcdefghijk")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1\n" * 501, ["m.py has 501 lines"]),
        ("x = 1\n" * 500, []),
        ("class C:\n    def f(self):\n" + "        x = 1\n" * 60, ["m.py:C.f has 61 lines"]),
        (f"def f({ELEVEN}): ...\n", ["m.py:f has 11 arguments"]),
        (f"def f({ELEVEN.replace('k', '**k')}): ...\n", ["m.py:f has 11 arguments"]),
        (f"class C:\n    def f(self, {ELEVEN[:-3]}): ...\n", []),
        (f"@numba.njit\ndef f({ELEVEN}): ...\n", []),
    ],
)
def test_what_is_too_long_is_found(source: str, found: list[str]) -> None:
    assert offenders("m.py", source) == found
