"""The viewer and the app in headless Chromium, as people use them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, likeness, pixels
from PIL import Image
from test_page import waving_sheet
from test_page_in_browser import opened, shown

from animate3d.creatures.creatures import make_creature
from animate3d.export import export

pytest.importorskip("viser", reason="viser is not installed")
pytestmark = [pytest.mark.programs, pytest.mark.slow]
PATIENCE = 900_000  # milliseconds that a run of the bundled model may take on a busy machine
LOADING = 120_000


@contextmanager
def served(*words: str) -> Iterator[str]:
    """A command that serves; yields its address."""
    command = [sys.executable, "-m", "animate3d", *words, "--port", "8650"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"open (http://127\.0\.0\.1:\d+)", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def tab(browser: Any, address: str) -> Any:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(LOADING)
    page.goto(address)
    page.get_by_text("camera", exact=True).wait_for()
    return page


def upload(page: Any, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="upload a model").click()
    chooser.value.set_files(path)


def scene(page: Any) -> np.ndarray:
    """The left half of the page, without its panels."""
    return pixels(page.screenshot(clip={"x": 320, "y": 100, "width": 480, "height": 700}))


def test_the_viewer_plays_and_pauses(tmp_path):
    moving = waving_sheet(frames=8)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=8)
    with served("view", str(tmp_path / "a.glb")) as address, chromium() as browser:
        page = tab(browser, address)
        page.get_by_text("8 at 8 per second").wait_for()
        page.wait_for_timeout(3000)
        first = scene(page)
        assert np.ptp(first.reshape(-1, 3), axis=0).max() > 0.3  # something is drawn
        pictures = []
        for _ in range(8):
            page.wait_for_timeout(300)
            pictures.append(np.abs(scene(page) - first).max())
        assert max(pictures) > 0.1
        page.locator("xpath=//*[text()='play']/following::input[1]").click()
        page.wait_for_timeout(1500)
        still = scene(page)
        page.wait_for_timeout(600)
        assert np.abs(scene(page) - still).max() < 0.02


def test_a_broken_and_a_large_file_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "broken.glb").write_bytes(b"glTF" + os.urandom(2000))
    (tmp_path / "large.obj").write_bytes(b"v 0 0 0\n" * 250_000)
    workspace = tmp_path / "space"
    with served("app", "--workspace", str(workspace), "--upload-limit", "1") as address, chromium() as browser:
        page = tab(browser, address)
        upload(page, tmp_path / "broken.glb")
        page.get_by_text("It was not kept").wait_for()
        upload(page, tmp_path / "large.obj")
        page.get_by_text("uploads are limited to 1 MB").wait_for()
        assert not list(workspace.glob("models/*"))
        page.get_by_role("button", name="animate", exact=True).click()
        page.get_by_text("Upload a model first").wait_for()


def test_a_model_is_uploaded_animated_and_looked_at_from_two_tabs(tmp_path):
    ball = make_creature("ball", 3)
    export(ball.mesh, ball.mesh.vertices[None], tmp_path / "ball.glb")
    workspace = tmp_path / "space"
    with served("app", "--workspace", str(workspace)) as address, chromium() as browser:
        first, second = tab(browser, address), tab(browser, address)
        upload(first, tmp_path / "ball.glb")
        second.get_by_text("ball.glb").or_(second.get_by_text("faces:")).first.wait_for()
        prompt = first.locator("xpath=//*[text()='it does']/following::*[self::input or self::textarea][1]")
        prompt.fill("a ball is bouncing")
        first.wait_for_timeout(1000)
        first.get_by_role("button", name="animate", exact=True).click()
        second.get_by_text(re.compile("ball-1 running|running since")).first.wait_for()
        first.close()  # the run goes on, and a page that is opened later shows it
        third = tab(browser, address)
        third.get_by_text(re.compile("done since")).first.wait_for(timeout=PATIENCE)
        third.get_by_text("a ball is bouncing").first.wait_for()
        run = workspace / "runs" / "ball-1"
        assert (run / "animation.glb").stat().st_size > 1000
        _page_shows_what_the_preview_shows(browser, run)


def _page_shows_what_the_preview_shows(browser: Any, run: Path) -> None:
    """`preview.html` against the tiles of `preview.png`: four views and two more, eight frames."""
    page, faults = opened(browser, run / "preview.html")
    sheet = np.asarray(Image.open(run / "preview.png").convert("RGB")).astype(np.float32) / 255
    frames = sheet.shape[1] // 256
    for row, azimuth in enumerate((0, 90, 180, 270, 45, 225)):
        for frame in (0, frames // 2, frames - 1):
            tile = sheet[256 * row : 256 * (row + 1), 256 * frame : 256 * (frame + 1)]
            assert likeness(shown(page, frame, azimuth=azimuth, lit=True), tile) > 0.9
    assert faults == []
