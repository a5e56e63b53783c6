"""`preview.html` in headless Chromium: it plays, and shows what the run's own pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import chromium, likeness, pixels
from test_page import spinning_gaussians

from animate3d.cameras import orbit_cameras
from animate3d.creatures.creatures import make_creature, move
from animate3d.export.gaussian_motion import draw
from animate3d.rasterize.textured import render_mesh
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show, video_pictures
from animate3d.viewer.page import write_page

pytestmark = [pytest.mark.programs, pytest.mark.slow]
SIZE = 256
VIEWS = ((0.0, 15.0), (45.0, 15.0), (200.0, -10.0))


def butterfly() -> MovingMesh:
    creature = make_creature("butterfly", 3)
    placement = creature.mesh.automatic_placement()
    return MovingMesh(creature.mesh, placement.apply(move(creature, "flap", 6)), 8.0)


def opened(browser, path: Path):
    page = browser.new_page(viewport={"width": 900, "height": 600})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else faults.append(request.url),
    )
    page.goto(path.as_uri())
    page.evaluate("async () => { await window.animate3d }")
    return page, faults


def shown(page, frame: int, **camera: object) -> np.ndarray:
    page.evaluate("async ([f, c]) => (await window.animate3d).show(f, c)", [frame, {"size": SIZE, **camera}])
    return pixels(page.locator("#picture").screenshot())


def on_grey(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] / 255 * alpha + 0.5 * (1 - alpha)).astype(np.float32)


@pytest.mark.parametrize("lit", [False, True])
def test_frames_look_as_the_runs_preview_from_the_same_camera(tmp_path, lit):
    moving = butterfly()
    write_page(tmp_path / "preview.html", Show(moving, "butterfly"))
    azimuths, elevations = zip(*VIEWS, strict=True)
    expected = render_mesh(moving.mesh, moving.positions, orbit_cameras(elevations, azimuths, size=SIZE), shading=lit)
    with chromium() as browser:
        page, faults = opened(browser, tmp_path / "preview.html")
        for v, (azimuth, elevation) in enumerate(VIEWS):
            for frame in (0, 2, 5):
                found = shown(page, frame, azimuth=azimuth, elevation=elevation, lit=lit)
                assert likeness(found, on_grey(expected[v, frame])) > 0.95
    assert faults == []


def test_gaussians_look_as_they_are_rendered(tmp_path):
    moving: MovingGaussians = spinning_gaussians(400)
    write_page(tmp_path / "preview.html", Show(moving, "ball"))
    with chromium() as browser:
        page, faults = opened(browser, tmp_path / "preview.html")
        for frame in (0, 3):
            expected = draw(moving.motion, frame, orbit_cameras(15.0, [30.0], size=SIZE))[0]
            found = shown(page, frame, azimuth=30)
            assert likeness(found, expected[..., :3].astype(np.float32) / 255) > 0.95
    assert faults == []


def test_play_moves_the_picture_and_pause_holds_it(tmp_path):
    import torch

    write_page(tmp_path / "preview.html", Show(butterfly(), "b", videos=video_pictures(torch.rand(4, 6, 32, 32, 4))))
    with chromium() as browser:
        page, faults = opened(browser, tmp_path / "preview.html")
        frames = page.locator("#frame")
        if page.locator("#play").text_content() != "▶":
            page.locator("#play").click()
        still, text = page.locator("#picture").screenshot(), frames.text_content()
        page.wait_for_timeout(300)
        assert page.locator("#picture").screenshot() == still and frames.text_content() == text
        page.locator("#play").click()
        page.wait_for_function("before => document.getElementById('frame').textContent !== before", arg=text)
        assert page.locator("#picture").screenshot() != still
        film = page.locator("#film").bounding_box()
        assert film is not None and film["width"] > 100
    assert faults == []


def test_dragging_turns_the_model_and_a_phone_has_no_sideways_scroll(tmp_path):
    write_page(tmp_path / "preview.html", Show(butterfly(), "butterfly", {"prompt": "a butterfly flaps " * 5}))
    with chromium() as browser:
        page, faults = opened(browser, tmp_path / "preview.html")
        page.set_viewport_size({"width": 390, "height": 780})
        page.evaluate("async () => (await window.animate3d).show(0)")
        before = page.locator("#picture").screenshot()
        page.mouse.move(150, 200)
        page.mouse.down()
        page.mouse.move(250, 220, steps=4)
        page.mouse.up()
        page.wait_for_timeout(200)
        assert page.locator("#picture").screenshot() != before
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults == []
