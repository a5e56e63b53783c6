"""The wheel holds everything it needs and works from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_asset import FEW_STEPS, write_asset

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone; its dependencies come from this environment."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True, timeout=300)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in an unrelated folder, with the installed package before the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


def test_the_wheel_holds_plugin_configs_and_demo_and_nothing_that_should_not_be_there(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    held = {name.removeprefix("animate3d/project/") for name in names}
    for folder in ("custom", "configs"):
        ours = {
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True)
        wanted = set(tracked.stdout.split()) or ours
        assert wanted and wanted <= held, wanted - held
    assert {"animate3d/creatures/dragon/assets/little_dragon/base.obj", "animate3d/py.typed"} <= set(names)
    model = {
        f"animate3d/bundled_model/weights/{name}" for name in ("model_index.json", "model_card.md", "world.safetensors")
    }
    assert model <= set(names)
    top = {name.split("/")[0] for name in names}
    assert all(name == "animate3d" or name.endswith(".dist-info") for name in top), top
    wrong = [
        name for name in names if name.endswith((".pyc", ".nbi", ".nbc")) or "/tests/" in name or "__pycache__" in name
    ]
    assert not wrong, wrong
    assert wheel.stat().st_size < 32 * 2**20


def test_resources_are_found_from_an_unrelated_folder(installed: Path, tmp_path: Path) -> None:
    script = """
import animate3d, pathlib
from animate3d.resources import find_resource
from animate3d.creatures.dragon import demo_asset
from animate3d.runs.gaussians import REFINE_CONFIG
from animate3d.runs.options import GAUSSIAN_CONFIG, MESH_CONFIG
from animate3d.studio.config import load_config
for name in (MESH_CONFIG, GAUSSIAN_CONFIG, REFINE_CONFIG, "configs/inference/inference.yaml"):
    print(find_resource(name))
print(demo_asset())
print(animate3d.__file__)
"""
    ended = run(installed, tmp_path, "-c", script)
    assert ended.returncode == 0, ended.stderr
    paths = ended.stdout.splitlines()
    assert len(paths) == 6 and all(Path(path).is_relative_to(installed) and Path(path).exists() for path in paths)


def test_doctor_and_a_whole_run_work_from_an_unrelated_folder(installed: Path, tmp_path: Path) -> None:
    assert "rasteriser" in run(installed, tmp_path, "-m", "animate3d", "doctor").stdout
    write_asset(tmp_path)
    arguments = ["animate", "tube", "--frames", "frames", "--out", "out", "--formats", "glb", *FEW_STEPS]
    ended = run(installed, tmp_path, "-m", "animate3d", *arguments)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (tmp_path / "out" / "animation.glb").stat().st_size > 1000
    assert json.loads((tmp_path / "out" / "run.json").read_text())["steps"]["5 motion"]["state"] == "done"
    assert "up to date" in run(installed, tmp_path, "-m", "animate3d", *arguments).stdout


def test_the_demo_command_runs_from_an_unrelated_folder(installed: Path, tmp_path: Path) -> None:
    arguments = ["demo", "--out", "demo", "--motion", "bend", "--size", "64", "--frame-count", "2", "--formats", "glb"]
    ended = run(installed, tmp_path, "-m", "animate3d", *arguments)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "mean vertex error" in ended.stdout and (tmp_path / "demo" / "animation.glb").is_file()
