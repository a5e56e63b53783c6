"""Imports point down the list of docs/architecture.md only, between rooms and between files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def listed_rooms() -> list[str]:
    """Rooms of the architecture page, the highest first."""
    (block,) = re.findall(r"```\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), flags=re.DOTALL)[:1]
    return [line.split()[0].rstrip("/") for line in block.splitlines()]


def modules_of(package: Path) -> dict[str, Path]:
    names = {".".join(p.relative_to(package.parent).with_suffix("").parts): p for p in package.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imports(package: Path) -> dict[str, set[str]]:
    """Modules of a package and the modules of it that each imports, inside functions too."""
    modules = modules_of(package)
    return {name: set(_targets(name, path, modules)) - {name} for name, path in modules.items()}


def _targets(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in found:
            while target and target not in modules:  # a name in a module, or another package
                target = target.rpartition(".")[0]
            if target:
                yield target


def room(module: str) -> str:
    return (module.split(".") + [""])[1]


def faults(modules: Mapping[str, set[str]], rooms: list[str]) -> list[str]:
    """Imports that point up the list, and a circle of files where there is one."""
    found = [
        f"{name} imports {target}, which is above it"
        for name, targets in modules.items()
        for target in targets
        if room(name) in rooms and room(target) in rooms and rooms.index(room(target)) < rooms.index(room(name))
    ]
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        found.append(f"circle: {' -> '.join(error.args[1])}")
    return found


def test_imports_point_down() -> None:
    assert faults(imports(ROOT / "animate3d"), listed_rooms()) == []


def test_every_room_is_on_the_architecture_page_and_nothing_else() -> None:
    found = {room(name) for name in modules_of(ROOT / "animate3d")} - {"", "__main__"}
    assert found == set(listed_rooms())


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("animate3d/low/a.py", "from animate3d.high import b\n", "above"),
        ("animate3d/low/a.py", "def f() -> None:\n    import animate3d.high.b\n", "above"),
        ("animate3d/high/c.py", "def f() -> None:\n    from .b import g\n", "circle"),
    ],
)
def test_an_upward_import_or_a_circle_is_found(tmp_path: Path, path: str, line: str, fault: str) -> None:
    package = tmp_path / "animate3d"
    for folder in ("high", "low"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "high" / "b.py").write_text("from animate3d.high import c\nfrom animate3d.low import a\n")
    (package / "high" / "c.py").touch()
    (package / "low" / "a.py").touch()
    assert faults(imports(package), ["high", "low"]) == []
    (tmp_path / path).write_text(line)
    assert any(fault in sentence for sentence in faults(imports(package), ["high", "low"]))
