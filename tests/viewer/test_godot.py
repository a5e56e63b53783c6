"""Our GLBs imported and played by Godot without a window: every vertex where it is meant to be; loops close."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from test_page import waving_sheet

from animate3d.export import export

pytestmark = [pytest.mark.programs, pytest.mark.slow]
FRAMES = 8
FPS = 15  # at which Godot 3 reads the keys of bones, whatever they have
Play = Callable[[list[float]], dict[str, Any]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Imports ``a.glb`` of a project and plays it at the times that are asked for."""
    program = shutil.which("godot3-server")
    if program is None:
        pytest.skip("Godot's headless server is not installed (Debian: godot3-server)")
    (tmp_path / "project.godot").write_text('config_version=4\n[application]\nconfig/name="test"\n')
    shutil.copy(Path(__file__).with_name("godot_player.gd"), tmp_path)

    def played(times: list[float]) -> dict[str, Any]:
        (tmp_path / "wanted.json").write_text(json.dumps({"file": "a.glb", "times": times}))
        godot = [program, "--path", str(tmp_path)]
        with subprocess.Popen([*godot, "--editor"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as editor:
            end = time.monotonic() + 60
            while not list(tmp_path.glob(".import/*.md5")) and time.monotonic() < end:
                time.sleep(0.2)  # the editor imports what it finds, and never quits by itself
            editor.kill()
        subprocess.run([*godot, "-s", "godot_player.gd"], capture_output=True, timeout=60, check=False)
        return dict(json.loads((tmp_path / "found.json").read_text()))

    return played


def in_order(found: dict[str, Any], rest: np.ndarray) -> np.ndarray:
    """Positions ``[T, N, 3]`` in the mesh's own order: an importer may double and reorder vertices."""
    frames = np.array(found["frames"])
    distance, nearest = cKDTree(frames[0]).query(rest)
    assert distance.max() < 1e-3
    return frames[:, nearest]


def frame_times(count: int) -> list[float]:
    return (np.arange(count) / FPS).tolist()


def test_godot_plays_morph_targets(tmp_path, play):
    moving = waving_sheet(12, FRAMES)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=FPS)
    found = play(frame_times(FRAMES))
    assert not found["loop"] and found["length"] == pytest.approx((FRAMES - 1) / FPS, abs=1e-3)
    positions = in_order(found, moving.positions[0])
    assert np.abs(positions - moving.positions).max() < 2e-4 * moving.mesh.diagonal()


def test_godot_plays_skinned_files(tmp_path, play):
    pytest.importorskip("py_dem_bones", reason="py-dem-bones is not installed")
    from animate3d.export.skeleton import find_skeleton

    moving = waving_sheet(16, FRAMES)
    skeleton = find_skeleton(moving.mesh, moving.positions, 6)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=FPS, skeleton=skeleton)
    positions = in_order(play(frame_times(FRAMES)), moving.positions[0])
    expected = skeleton.rig.posed(moving.positions[0])
    assert np.abs(positions - expected).max() < 2e-4 * moving.mesh.diagonal()


@pytest.mark.parametrize("skeleton", ["off", 6], ids=["morphs", "bones"])
def test_a_loop_goes_over_its_end_as_it_goes_inside(tmp_path, play, skeleton):
    if skeleton != "off":
        pytest.importorskip("py_dem_bones", reason="py-dem-bones is not installed")
    moving = waving_sheet(12, FRAMES)
    around = 2 * np.pi * np.arange(FRAMES)[:, None] / FRAMES
    moving.positions[..., 2] = 0.3 * np.sin(3 * moving.positions[0, :, 0] + around)
    mesh = replace(moving.mesh, vertices=moving.positions[0])
    export(mesh, moving.positions, tmp_path / "a.glb", fps=FPS, loop=True, engine="godot", skeleton=skeleton)
    found = play([*frame_times(FRAMES), (FRAMES - 0.25) / FPS])
    assert found["loop"] and found["length"] == pytest.approx(FRAMES / FPS, abs=1e-3)
    positions = in_order(found, moving.positions[0])
    inside = np.abs(np.diff(positions[:FRAMES], axis=0)).max()
    over = np.abs(positions[0] - positions[-1]).max() * 4  # a quarter of a frame before the end
    assert over <= 1.3 * inside
