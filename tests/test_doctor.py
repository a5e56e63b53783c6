"""What `animate3d doctor` says about a machine."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import torch

import animate3d
from animate3d import doctor
from animate3d.export import SUFFIXES
from animate3d.export import blender as writer
from animate3d.rasterize import gsplat_extension


def row(label: str) -> str:
    """What the report says about something."""
    (line,) = [line for line in doctor.report().splitlines() if line.split()[:1] == [label]]
    return line.strip().removeprefix(label).strip()


def test_the_report_names_versions_device_and_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert animate3d.__version__ in row("animate3d") and torch.__version__ in row("animate3d")
    assert row("device") == "CPU (no CUDA device)" and row("rasteriser") == "cpu (numba)"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "A Large GPU")
    monkeypatch.setattr(doctor, "available", lambda name: name == "gsplat")
    monkeypatch.setattr(gsplat_extension, "is_compiled", lambda: True)
    assert row("device") == "A Large GPU" and row("rasteriser") == "cuda (gsplat)"
    monkeypatch.setattr(gsplat_extension, "is_compiled", lambda: False)
    assert row("rasteriser") == "cuda (gsplat; its first use compiles it, one to five minutes)"
    monkeypatch.setattr(doctor, "available", lambda name: False)
    assert row("rasteriser") == "cpu (numba)"


def test_every_format_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "blender", lambda: "bpy")
    named = row("exporters").replace("(bpy)", "").split()
    assert sorted(named) == sorted(set(SUFFIXES) - {"usda", "usdc", "usdz"})  # forms of usd


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "blender", lambda: None)
    monkeypatch.setattr(doctor, "available", lambda name: name == "matplotlib")
    for _, distribution, _, extra in doctor._OPTIONAL:
        missing = f"missing: pip install 'animate3d[{extra}]'"
        assert row(distribution).startswith(missing) == (distribution != "matplotlib"), distribution
    assert row("matplotlib").startswith(metadata.version("matplotlib"))
    assert row("exporters").endswith("fbx and abc need: pip install 'animate3d[blender]', or a Blender")


def test_blender_is_found_as_module_or_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "available", lambda name: name == "bpy")
    assert doctor.blender() == "bpy"
    monkeypatch.setattr(writer, "available", lambda name: False)
    monkeypatch.setattr(writer.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.blender() == "blender executable" and "fbx abc (blender executable)" in doctor.report()
    monkeypatch.setattr(writer.shutil, "which", lambda name: None)
    assert doctor.blender() is None


def test_every_optional_package_belongs_to_an_extra_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for _, distribution, _, extra in doctor._OPTIONAL:
        assert any(line.startswith(distribution) for line in project["optional-dependencies"][extra]), distribution


def test_the_bundled_model_is_listed_or_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from animate3d.bundled_model import folder

    monkeypatch.setattr(folder, "PACKAGE_FOLDER", tmp_path)
    assert "bundled model: missing; make it with `make train-bundled`" in doctor.report()
    (tmp_path / "model_index.json").write_text("{}")
    assert "bundled model: 0 MB, knows butterfly, " in doctor.report()
