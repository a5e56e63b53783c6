"""The viewer and the app in headless Chromium, as people use them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from browser import chromium, likeness, pixels
from PIL import Image
from test_page import waving_sheet
from test_page_in_browser import opened, shown

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.creatures import make_creature
from animate3d.export import export
from animate3d.frames import save_frames, save_mp4
from animate3d.meshes.scene import Scene
from animate3d.meshes.scene_file import load_models
from animate3d.motion.trajectory import load_placed_folder
from animate3d.rasterize.textured import render_mesh
from animate3d.viewer.jobs import Job

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
    page = browser.new_page(viewport={"width": 800, "height": 600})  # small: it is drawn without a GPU
    page.set_default_timeout(LOADING)
    page.goto(address)
    page.get_by_text("camera", exact=True).wait_for()
    return page


def upload(page: Any, path: Path, button: str = "upload a model") -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button).click()
    chooser.value.set_files(path)


def scene(page: Any) -> np.ndarray:
    """The middle of the page, without its panels."""
    return pixels(page.screenshot(clip={"x": 150, "y": 210, "width": 310, "height": 370}))


def test_the_viewer_plays_and_pauses(tmp_path):
    moving = waving_sheet(frames=8)
    export(moving.mesh, moving.positions, tmp_path / "a.glb", fps=8)
    with chromium() as browser, served("view", str(tmp_path / "a.glb")) as address:
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
    with chromium() as browser, served("app", "--workspace", str(workspace), "--upload-limit", "1") as address:
        page = tab(browser, address)
        assert not page.get_by_text("speed", exact=True).count()  # nothing moves yet
        upload(page, tmp_path / "broken.glb")
        page.get_by_text("It was not kept").wait_for()
        upload(page, tmp_path / "large.obj")
        page.get_by_text("uploads are limited to 1 MB").wait_for()
        assert not list(workspace.glob("models/*"))
        page.get_by_role("button", name="animate", exact=True).click()
        page.get_by_text("Upload a model first").wait_for()


def pick(page: Any, label: str, value: str) -> None:
    """Choose from a dropdown."""
    page.locator(f"xpath=//*[text()='{label}']/following::input[1]").click()
    page.get_by_role("option", name=value, exact=True).click()


def visible(page: Any, pattern: str) -> Any:
    """What the open tab of the panel says."""
    return page.get_by_text(re.compile(pattern)).locator("visible=true").first


def ends(page: Any) -> None:
    """Wait until the run that the open tab tells of is over; it has to be done."""
    end = visible(page, "(done|failed|stopped|cancelled) since")
    end.wait_for(timeout=PATIENCE)
    assert "done since" in end.inner_text(), end.inner_text()


def write_prompt(page: Any, sentence: str) -> None:
    page.locator("xpath=//*[text()='it does']/following::*[self::input or self::textarea][1]").fill(sentence)
    page.wait_for_timeout(1000)  # the page sends what is typed with a delay


def finished(workspace: Path, name: str, turn: float) -> None:
    """A run of a ball that the app has made."""
    ball = make_creature("ball", 3)
    positions = np.repeat(ball.mesh.vertices[None], 2, axis=0)
    positions[1] += [0.0, turn, 0.0]
    placed = ball.mesh.automatic_placement().apply(positions)
    frames = render_mesh(ball.mesh, placed, reconstruction_cameras(4, 64), shading=False)
    folder = workspace / "runs" / name
    save_frames(folder / "frames", frames)
    export(ball.mesh, ball.mesh.vertices[None], folder / "ball.glb")
    words = ["animate", f"{folder / 'ball.glb'}", f"--frames={folder / 'frames'}", f"--out={folder}"]
    subprocess.run([sys.executable, "-m", "animate3d", *words, "--formats=glb"], check=True, capture_output=True)
    Job(folder, words, "done").save()


def test_runs_are_compared_and_downloaded_in_two_tabs_that_show_the_same(tmp_path):
    workspace = tmp_path / "space"
    finished(workspace, "low-1", 0.05)
    finished(workspace, "high-1", 0.3)
    with chromium() as browser, served("app", "--workspace", str(workspace)) as address:
        first, second = tab(browser, address), tab(browser, address)
        for page in (first, second):
            page.get_by_role("tab", name="runs").click()
        pick(first, "run", "low-1")
        first.get_by_text("done since").first.wait_for()
        first.wait_for_timeout(3000)
        alone = scene(first)
        pick(second, "beside it", "high-1")
        for page in (first, second):
            page.get_by_text("high-1: ball").wait_for()
            page.get_by_text("low-1: ball").wait_for()
            page.wait_for_timeout(3000)
            assert np.abs(scene(page) - alone).mean() > 0.05  # it has made room
        pick(first, "file", "animation.glb")
        first.wait_for_timeout(500)
        with first.expect_download() as download:
            first.get_by_role("button", name="download").click()
        kept = workspace / "runs" / "low-1" / "animation.glb"
        assert Path(download.value.path()).read_bytes() == kept.read_bytes()
        shutil.rmtree(workspace / "runs" / "high-1")  # somebody cleans up
        pick(second, "run", "high-1")
        second.get_by_text("There is no run").wait_for()


def test_half_a_gigabyte_is_refused_and_takes_no_memory(tmp_path):
    with (tmp_path / "huge.glb").open("wb") as file:
        file.truncate(500_000_000)
    workspace = tmp_path / "space"
    with chromium() as browser, served("app", "--workspace", str(workspace)) as address:
        page = tab(browser, address)
        server = max(psutil.Process().children(), key=lambda child: "animate3d" in child.cmdline())
        before = server.memory_info().rss
        upload(page, tmp_path / "huge.glb")
        page.get_by_text("has 500 MB; uploads are limited to 200 MB").wait_for()
        most = 0
        for _ in range(20):
            page.wait_for_timeout(500)
            most = max(most, server.memory_info().rss)
        assert most - before < 150e6
        assert not list(workspace.glob("models/*"))
        tab(browser, address).get_by_text("Upload a model").first.wait_for()  # it still serves


def test_a_run_is_cancelled_continued_killed_and_continued_again(tmp_path):
    ball = make_creature("ball", 3)
    export(ball.mesh, ball.mesh.vertices[None], tmp_path / "ball.glb")
    workspace = tmp_path / "space"
    with chromium() as browser:
        with served("app", "--workspace", str(workspace)) as address:
            page = tab(browser, address)
            upload(page, tmp_path / "ball.glb")
            page.get_by_text("faces:").first.wait_for()
            write_prompt(page, "a ball is bouncing")
            page.get_by_role("button", name="animate", exact=True).click()
            visible(page, r"videos \d+ of \d+ steps").wait_for(timeout=PATIENCE)
            page.close()
            page = tab(browser, address)  # opened again, by somebody else for all it knows
            page.get_by_role("button", name="cancel").click()
            visible(page, "cancelled since").wait_for()
            page.get_by_role("tab", name="runs").click()
            pick(page, "run", "ball-1")
            page.get_by_role("button", name="continue this run").click()
            page.wait_for_timeout(2000)  # the one that was cancelled has ended
            run = _run_of(workspace)
            os.kill(run.pid, signal.SIGKILL)
            visible(page, "ended from outside").wait_for()
            assert not run.is_running() or run.status() == psutil.STATUS_ZOMBIE
            page.get_by_role("button", name="continue this run").click()
            run = _run_of(workspace)
        run.wait(20)  # the app ends, with the run at work
        with served("app", "--workspace", str(workspace)) as address:
            page = tab(browser, address)
            page.get_by_role("tab", name="runs").click()
            pick(page, "run", "ball-1")
            visible(page, "stopped since").wait_for()
            page.get_by_role("button", name="continue this run").click()
            visible(page, "(running|waiting) since").wait_for()
            ends(page)
            page.get_by_text("a ball is bouncing").first.wait_for()
    assert (workspace / "runs" / "ball-1" / "animation.glb").stat().st_size > 1000


def _run_of(workspace: Path) -> psutil.Process:
    """The process of the run at work."""
    for _ in range(100):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "animate" in child.cmdline() and any(str(workspace / "runs") in word for word in child.cmdline()):
                    return child
        time.sleep(0.2)
    raise AssertionError("no run is at work")


def test_a_model_is_uploaded_animated_and_looked_at_from_two_tabs(tmp_path):
    ball = make_creature("ball", 3)
    export(ball.mesh, ball.mesh.vertices[None], tmp_path / "ball.glb")
    workspace = tmp_path / "space"
    with chromium() as browser, served("app", "--workspace", str(workspace)) as address:
        first, second = tab(browser, address), tab(browser, address)
        upload(first, tmp_path / "ball.glb")
        second.get_by_text("ball.glb").or_(second.get_by_text("faces:")).first.wait_for()
        write_prompt(first, "a ball is bouncing")
        first.get_by_role("button", name="animate", exact=True).click()
        second.get_by_text(re.compile("ball-1 running|running since")).first.wait_for()
        first.close()
        second.close()  # the run goes on, and a page that is opened later shows it
        third = tab(browser, address)
        ends(third)
        third.get_by_text("a ball is bouncing").first.wait_for()
        run = workspace / "runs" / "ball-1"
        assert (run / "animation.glb").stat().st_size > 1000
        _page_shows_what_the_preview_shows(browser, run)


def _filmed_scene(folder: Path, frames: int = 8) -> tuple[Scene, np.ndarray]:
    """``moving.glb`` and ``still.glb`` side by side, and two videos of the first going up. Placed ``[F, N, 3]``"""
    for name, family, seed in (("moving", "ball", 3), ("still", "dog", 1)):
        mesh = make_creature(family, seed).mesh
        export(mesh, mesh.vertices[None], folder / f"{name}.glb")
    both = load_models([folder / "moving.glb", folder / "still.glb"])
    assert isinstance(both, Scene)
    up = np.sin(np.linspace(0, np.pi / 2, frames))[:, None, None] * [0.0, 0.4, 0.0]
    truth = both.automatic_placement().apply(both.vertices + up * (both.objects == 0)[:, None])
    drawn = render_mesh(both, truth, reconstruction_cameras(4, 160)[:2], shading=False)
    for view, rgba in enumerate(drawn):
        cover = rgba[..., 3:] / 255
        seen = rgba[..., :3] * cover + np.array([40, 190, 90]) * (1 - cover)
        save_mp4(folder / f"side{view}.mp4", (seen + 0.5).astype(np.uint8), 8)
    return both, truth


def test_two_models_follow_two_videos(tmp_path):
    both, truth = _filmed_scene(tmp_path)
    workspace = tmp_path / "space"
    with chromium() as browser, served("app", "--workspace", str(workspace)) as address:
        page = tab(browser, address)
        upload(page, tmp_path / "still.glb")
        visible(page, "faces: ").wait_for()
        upload(page, tmp_path / "moving.glb")
        page.get_by_text("2nd model", exact=True).wait_for()
        pick(page, "2nd model", "still.glb")
        visible(page, f"faces: {both.n_faces:,}").wait_for()  # they stand beside each other
        for number, video in ((1, "side0.mp4"), (2, "side1.mp4")):
            upload(page, tmp_path / video, "or upload a video of it")
            page.get_by_text(("2nd video", "3rd video")[number - 1], exact=True).wait_for()
        page.get_by_role("button", name="animate", exact=True).click()
        ends(page)
        visible(page, "moving-1: ").wait_for()
        page.wait_for_timeout(3000)
        assert np.ptp(scene(page).reshape(-1, 3), axis=0).max() > 0.3
    run = workspace / "runs" / "moving-1"
    job = Job.load(run)
    assert job is not None
    assert [Path(word).name for word in job.arguments if word.startswith("--video=")] == ["side0.mp4", "side1.mp4"]
    found = load_placed_folder(run / "work" / "trajectory", both.n_vertices)
    ball, rise = both.objects == 0, truth[-1, 0, 2] - truth[0, 0, 2]
    assert np.linalg.norm((found - truth)[:, ball], axis=-1).mean() < 0.2 * rise
    np.testing.assert_allclose(found[:, ~ball], truth[:, ~ball], atol=0.01 * rise)  # it stands


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
