"""Our GLBs played by three.js in headless Chromium: every vertex where it is meant to be."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from test_page import waving_sheet

from animate3d.export import export

pytestmark = [pytest.mark.programs, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A folder on loopback that holds three.js and the files of the test."""
    modules = Path(os.environ.get("ANIMATE3D_NODE_MODULES", ROOT / "node_modules"))
    if not (modules / "three" / "build" / "three.module.js").is_file():
        pytest.skip(f"three.js is not in {modules}: npm install --no-save three")
    (tmp_path / "three").symlink_to((modules / "three").resolve())
    (tmp_path / "index.html").symlink_to(Path(__file__).with_name("three_player.html"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def played(address: str, name: str, frames: int, fps: float, vertices: int) -> np.ndarray:
    """Positions ``[F, N, 3]`` at every frame, in the axes of glTF."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}/index.html")
        page.wait_for_function("window.ready")
        times = (np.arange(frames) / fps).tolist()
        meshes = page.evaluate("([url, times]) => window.played(url, times)", [f"{address}/{name}", times])
    positions = np.full((frames, vertices, 3), np.nan)
    for mesh in meshes:
        positions[:, np.array(mesh["ids"], int)] = np.array(mesh["positions"])
    return positions


@pytest.mark.parametrize(("side", "frames"), [(12, 6), (70, 30)], ids=["floats", "integers"])
def test_three_js_plays_morph_targets(tmp_path, address, side, frames):
    moving = waving_sheet(side, frames)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=12)
    found = played(address, "a.glb", frames, 12, side * side)
    assert np.abs(found - moving.positions).max() < 1e-4 * moving.mesh.diagonal()


def test_three_js_plays_skinned_files(tmp_path, address):
    pytest.importorskip("py_dem_bones", reason="py-dem-bones is not installed")
    from animate3d.export.skeleton import find_skeleton

    moving = waving_sheet(16, 6)
    skeleton = find_skeleton(moving.mesh, moving.positions, 6)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=12, skeleton=skeleton)
    found = played(address, "a.glb", 6, 12, 256)
    assert np.abs(found - skeleton.rig.posed(moving.positions[0])).max() < 1e-4 * moving.mesh.diagonal()
