"""The viser page: a moving model, its timeline, cameras and colours, and the videos that it was made from."""

from __future__ import annotations

import asyncio
import errno
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from animate3d.cameras import orbit_cameras
from animate3d.errors import InputError, require
from animate3d.frames import contact_sheet
from animate3d.viewer.film import Film
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show
from animate3d.viewer.scene import COLORS, Actor

CAMERAS = {"front": 0.0, "left": 90.0, "back": 180.0, "right": 270.0, "three-quarter": 45.0}
"""Azimuths by name; the elevation is that of the videos."""
_FOV = np.deg2rad(40.0)
_TICK = 1 / 40  # seconds
_APART = 0.75  # of two models from the middle
_MATERIALS = "texture"
_LAST_PORT = 65535
_TRIED = 100  # ports, from the one that is asked for
_SPEEDS = {"¼×": 0.25, "½×": 0.5, "1×": 1.0, "2×": 2.0}


def open_server(host: str, port: int) -> Any:
    """A viser server on ``host``; takes the next free port if ``port`` is taken.

    Raises:
        InputError: there is no such port, or ``host`` is no address of this machine.
        MissingDependencyError: viser is not installed.
    """
    viser = require("viser", feature="The viewer in the browser", extra="viewer")
    port = _free_port(host, port)
    with redirect_stdout(io.StringIO()):  # it would print a table of its addresses
        server = viser.ViserServer(host=host, port=port, label="Animate3D", verbose=False)
    server.gui.configure_theme(control_layout="collapsible", dark_mode=True, show_logo=False, show_share_button=False)
    server.scene.set_up_direction("+z")
    server.scene.set_background_image(np.full((2, 2, 3), 128, np.uint8))
    server.initial_camera.position = camera_position(0.0)
    server.initial_camera.look_at = (0.0, 0.0, 0.0)
    server.initial_camera.fov = float(_FOV)
    return server


def _free_port(host: str, port: int) -> int:
    """The port, or the next free one: viser's thread ends where there is none, and its constructor waits for ever."""
    if not 0 <= port <= _LAST_PORT:
        raise InputError(f"The port {port} does not exist; give a --port between 0 and {_LAST_PORT}.")
    for candidate in range(port, min(port + _TRIED, _LAST_PORT + 1)):
        try:
            with ThreadPoolExecutor(1) as pool:  # a notebook's thread has a loop of its own
                pool.submit(asyncio.run, _open(host, candidate)).result()
            return candidate
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
                continue
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"The page cannot be served on {host} ({reason}); give a --host that is an address of this machine, "
                "such as 127.0.0.1."
            ) from error
    raise InputError(f"No port from {port} on is free on {host}; give a lower --port.")


async def _open(host: str, port: int) -> None:
    """Open a port and close it again, as viser does."""
    (await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)).close()


def camera_position(azimuth: float) -> tuple[float, float, float]:
    """Where the camera of a video from an azimuth stands."""
    x, y, z = orbit_cameras(15.0, [azimuth]).positions[0].tolist()
    return x, y, z


class Stage:
    """What one server shows, the same in every tab: a model, or two beside each other, and their timeline.

    Args:
        server: of `open_server`.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self._lock = threading.RLock()  # of what is shown
        self._shows: list[Show] = []
        self._actors: list[Actor] = []
        self._at, self._film, self._made = 0.0, -1, 0
        self._make_controls()
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._play, daemon=True)
        self._clock.start()

    def close(self) -> None:
        """Stop the clock."""
        self._closed.set()
        self._clock.join()

    # Controls

    def _make_controls(self) -> None:
        gui = self.server.gui
        self._title = gui.add_markdown("")
        self.playing = gui.add_checkbox("play", False)
        self.time = gui.add_slider("frame", 1.0, 2.0, 0.01, 1.0)
        self.speed = gui.add_dropdown("speed", tuple(_SPEEDS), initial_value="1×")
        self.loop = gui.add_checkbox("loop", True)
        self.look = gui.add_dropdown("colours", (_MATERIALS, *COLORS), initial_value=_MATERIALS)
        views = gui.add_button_group("camera", tuple(CAMERAS))
        self._film_over = Film(self.server)
        self._image = gui.add_image(np.full((8, 8, 3), 128, np.uint8), label="videos", visible=False)
        self.time.on_update(self._moved_by)
        self.look.on_update(lambda event: self._dress())

        @views.on_click
        def _(event: Any) -> None:
            if event.client is not None:
                event.client.camera.position = camera_position(CAMERAS[event.target.value])
                event.client.camera.look_at = (0.0, 0.0, 0.0)
                event.client.camera.fov = float(_FOV)

    def _moved_by(self, event: Any) -> None:
        if event.client is not None:  # otherwise the clock moved it
            self.playing.value = False
            self._go(float(self.time.value) - 1.0)

    # The model

    @property
    def frames(self) -> int:
        """Of the shown model; of two the first."""
        return self._shows[0].moving.frames if self._shows else 1

    def show(self, *shows: Show) -> None:
        """Show another model, or two; returns when their first frames are there, the others follow."""
        first = shows[0].moving
        moves = first.frames > 1
        with self._lock:
            self._shows, self._film, self._at = list(shows), -1, 0.0
            self._title.content = "\n\n".join(_told(show) for show in shows)
            self._offer_colors(first)
            for control in (self.playing, self.time, self.speed, self.loop):
                control.visible = moves
            self.time.max = float(max(first.frames, 2)) + (0.99 if first.closing else 0.0)
            self._image.visible = len(shows) == 1 and shows[0].videos is not None
            self._film_over.offer(shows[0] if self._image.visible else None)
            self._dress()
        self.playing.value = moves

    def _offer_colors(self, moving: MovingMesh | MovingGaussians) -> None:
        there = {"confidence": getattr(moving, "confidence", None), "bone": getattr(moving, "bones", None)}
        self.look.options = (_MATERIALS, *(name for name in COLORS if there.get(name, moving) is not None))
        self.look.visible = moving.frames > 1 and isinstance(moving, MovingMesh)

    def clear(self, sentence: str) -> None:
        """Show nothing but a sentence."""
        with self._lock:
            self._shows = []
            self._film_over.offer(None)
            self._dress()
            self._title.content = plain(sentence)
            for control in (self._image, self.playing, self.time, self.speed, self.loop, self.look):
                control.visible = False
            self.playing.value = False

    def _dress(self) -> None:
        """Put the shown models into the scene, in the chosen colours."""
        with self._lock:
            for actor in self._actors:
                actor.remove()
            colored, scene = self.look.value.removeprefix(_MATERIALS), self.server.scene
            self._made += 1
            places = [(0.0, 0.0, 0.0)] if len(self._shows) < 2 else [(0.0, -_APART, 0.0), (0.0, _APART, 0.0)]
            self._actors = [
                Actor(scene, f"/model{self._made}_{number}", show.moving, colored=colored, position=place)
                for number, (show, place) in enumerate(zip(self._shows, places, strict=False))
            ]
            self._go(self._at)

    # Time

    def _go(self, at: float) -> None:
        """Show the frame at a time, counted in frames of the first model."""
        with self._lock:
            if not self._shows:
                return
            self._at = at
            seconds = at / self._shows[0].moving.fps
            with self.server.atomic():
                for actor in self._actors:
                    frame = int(np.floor(seconds * actor.moving.fps + 1e-6))
                    actor.go(frame % actor.moving.frames)
                self._go_film(int(np.floor(at + 1e-6)) % self.frames)

    def _go_film(self, frame: int) -> None:
        videos = self._shows[0].videos
        if videos is None or not self._image.visible:
            return
        film = round(frame * (videos.shape[1] - 1) / max(self.frames - 1, 1))
        if film != self._film:
            self._film_over.go(film)
            self._image.image = _tiled(videos[:, film])
            self._film = film

    def _play(self) -> None:
        before = time.monotonic()
        while not self._closed.wait(_TICK):
            now = time.monotonic()
            passed, before = now - before, now
            with self._lock:
                if self.playing.value and self._shows:
                    self._advance(passed * self._shows[0].moving.fps * _SPEEDS[self.speed.value])

    def _advance(self, frames: float) -> None:
        at = self._at + frames
        if not self.loop.value and at >= self.frames - 1:
            self.playing.value = False
            at = float(self.frames - 1)
        self._go(at % self.frames)
        shown = round(min(self._at + 1, float(self.time.max)), 2)
        if int(shown * 4) != int(float(self.time.value) * 4):  # the slider follows in quarters of a frame
            self.time.value = shown


def _told(show: Show) -> str:
    """Title and facts as Markdown; what files are called must not become markup."""
    lines = [f"**{plain(show.title)}**", *(f"{label}: {plain(value)}" for label, value in show.facts.items())]
    return "  \n".join(lines)


def plain(text: str) -> str:
    """Text as Markdown that shows it letter by letter."""
    return "".join(f"&#{ord(mark)};" if mark in "\\`*_{}[]()<>#+!|&\n" else mark for mark in text)


def _tiled(pictures: np.ndarray) -> np.ndarray:
    """``[V, H, W, 3]`` in rows of two."""
    views, height, width = pictures.shape[:3]
    columns = min(views, 2)
    rows = -(-views // columns)
    filled = np.concatenate([pictures, np.full((rows * columns - views, height, width, 3), 128, np.uint8)])
    return np.ascontiguousarray(contact_sheet(filled.reshape(rows, columns, height, width, 3)))
