"""The documented step 1."""

from __future__ import annotations

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from animate3d.errors import InputError
from animate3d.gaussians import load_edges, load_ply
from animate3d.meshes import Material, Mesh, Placement, save_obj

TOOL = Path(__file__).parents[2] / "tools" / "mesh_animation" / "mesh2gaussian.py"


def run(*flags: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, flags)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("mesh2gaussian_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dragon(folder: Path) -> Mesh:
    vertices = np.random.default_rng(0).normal(size=(8, 3))
    texture = {"diffuse": np.full((2, 2, 3), 51, dtype=np.uint8)}
    faces = np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 0]])
    uvs = np.zeros((4, 3, 2))
    mesh = Mesh.from_faces(vertices, faces, corner_uvs=uvs, material=Material("m", textures=texture))
    save_obj(mesh, folder)
    return mesh


def test_documented_command_writes_gaussians_edges_and_placement(tmp_path):
    mesh = dragon(tmp_path / "obj_file" / "dragon_head")
    flags = (
        "--input_obj",
        "obj_file/dragon_head/base.obj",
        "--output_dir",
        "converted",
        "--output_name",
        "dragon_head",
    )
    result = run(*flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "8 Gaussians" in result.stdout
    gaussians = load_ply(tmp_path / "converted" / "dragon_head.ply")
    np.testing.assert_allclose(gaussians.means, mesh.vertices, atol=1e-6)
    np.testing.assert_allclose(gaussians.colors, 0.2, atol=1e-6)
    assert len(load_edges(tmp_path / "converted" / "dragon_head.json", 8)[0]) == 4
    assert set(json.loads((tmp_path / "converted" / "dragon_head.json").read_text())["0"]) == {"1", "2", "6", "7"}
    placed = Placement.load(tmp_path / "converted" / "dragon_head.placement.json").apply(mesh.vertices)
    assert np.abs(placed).max() < 1.1


def test_a_folder_and_a_default_name(tmp_path, tool):
    dragon(tmp_path / "dragon_head")
    assert tool.main(["--input_obj", str(tmp_path / "dragon_head"), "--output_dir", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dragon_head.json", "dragon_head.placement.json", "dragon_head.ply"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["missing.obj", "../up", "a/b"])
def test_bad_names_leave_no_output(tmp_path, tool, name):
    dragon(tmp_path / "dragon_head")
    source = tmp_path / (name if name.endswith(".obj") else "dragon_head")
    with pytest.raises(InputError, match=name):
        tool.main(["--input_obj", str(source), "--output_dir", str(tmp_path / "out"), "--output_name", name])
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_sentence_and_no_output(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.obj").write_text("v 0 0 0\nf 1 2 3\n")
    monkeypatch.chdir(tmp_path)
    flags = ["--input_obj", "broken.obj", "--output_dir", "out", "--output_name", "a"]
    monkeypatch.setattr(sys, "argv", [str(TOOL), *flags])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: broken.obj") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
