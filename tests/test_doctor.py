"""What `animate3d doctor` says about a machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import animate3d
from animate3d import doctor
from animate3d.export import blender as blender_export


def test_the_report_names_versions_device_backend_and_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = doctor.report()
    assert f"animate3d {animate3d.__version__}" in text and torch.__version__ in text
    assert "CPU (no CUDA device)" in text and "cpu (numba)" in text and "glb gltf usd" in text


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (doctor, blender_export):
        monkeypatch.setattr(module, "available", lambda name: False)
    monkeypatch.setattr(blender_export.shutil, "which", lambda name: None)
    text = doctor.report()
    assert "missing: pip install 'animate3d[viewer]'" in text
    assert "fbx and abc need: pip install 'animate3d[blender]'" in text and doctor.blender() is None


def test_blender_is_found_as_module_or_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blender_export, "available", lambda name: name == "bpy")
    assert doctor.blender() == "bpy"
    for module in (doctor, blender_export):
        monkeypatch.setattr(module, "available", lambda name: False)
    monkeypatch.setattr(blender_export.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.blender() == "blender executable" and "fbx abc (blender executable)" in doctor.report()


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
