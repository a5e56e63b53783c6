"""Whether gsplat's compiler has been at work, and that its first use is told."""

from __future__ import annotations

import importlib.machinery
import logging
import sys
import types
from pathlib import Path

import pytest

from animate3d.rasterize import gsplat_extension


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installed gsplat without its extension."""
    folder = tmp_path / "gsplat"
    folder.mkdir()
    spec = importlib.machinery.ModuleSpec("gsplat", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(gsplat_extension.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "built"))
    gsplat_extension.load.cache_clear()
    return folder


def test_an_extension_in_the_package_or_built_before_is_found(package: Path, tmp_path: Path) -> None:
    assert not gsplat_extension.is_compiled()
    (package / "csrc.so").touch()
    assert gsplat_extension.is_compiled()
    (package / "csrc.so").unlink()
    folder = tmp_path / "built" / "gsplat_cuda"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    assert not gsplat_extension.is_compiled()
    (folder / "gsplat_cuda.so").touch()
    assert gsplat_extension.is_compiled()


@pytest.mark.parametrize("compiled", [False, True])
def test_only_a_first_use_is_told_with_its_duration(
    compiled: bool, package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("gsplat", "gsplat.cuda", "gsplat.cuda._backend"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    if compiled:
        (package / "csrc.so").touch()
    with caplog.at_level(logging.WARNING):
        assert gsplat_extension.load() is sys.modules["gsplat"]
    gsplat_extension.load.cache_clear()
    told = [record.message for record in caplog.records]
    assert len(told) == (0 if compiled else 2)
    assert compiled or ("once on this machine" in told[0] and told[1].endswith("compiled in 0 s."))
