"""The viser page: a moving model, its timeline, cameras and colours, and the videos that it was made from."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from animate3d.cameras import orbit_cameras
from animate3d.errors import require
from animate3d.viewer.colors import displacement
from animate3d.viewer.moving import MovingMesh, Show
from animate3d.viewer.scene import mesh_frames, shown_frames, splat_frames

CAMERAS = {"front": 0.0, "left": 90.0, "back": 180.0, "right": 270.0, "three-quarter": 45.0}
"""Azimuths by name; the elevation is that of the videos."""
_FOV = np.deg2rad(40.0)
_TICK = 1 / 40  # seconds


def open_server(host: str, port: int) -> Any:
    """A viser server on ``host``; takes the next free port if ``port`` is taken.

    Raises:
        MissingDependencyError: viser is not installed.
    """
    viser = require("viser", feature="The viewer in the browser", extra="viewer")
    with redirect_stdout(io.StringIO()):  # it would print a table of its addresses
        server = viser.ViserServer(host=host, port=port, label="Animate3D", verbose=False)
    server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
    server.scene.set_up_direction("+z")
    server.scene.set_background_image(np.full((2, 2, 3), 128, np.uint8))
    server.initial_camera.position = camera_position(0.0)
    server.initial_camera.look_at = (0.0, 0.0, 0.0)
    server.initial_camera.fov = float(_FOV)
    return server


def camera_position(azimuth: float) -> tuple[float, float, float]:
    """Where the camera of a video from an azimuth stands."""
    x, y, z = orbit_cameras(15.0, [azimuth]).positions[0].tolist()
    return x, y, z


class Stage:
    """What one server shows: one model at a time, the same in every tab.

    Args:
        server: of `open_server`.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self._lock = threading.RLock()  # of what is shown
        self._nodes: list[Any] = []
        self._chosen = np.zeros(1, dtype=int)
        self._show: Show | None = None
        self._at, self._visible, self._film = 0.0, -1, -1
        self._generation = 0  # of the model: an older one stops being loaded
        self._closed = threading.Event()
        self._make_controls()
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
        self.speed = gui.add_dropdown("speed", ("¼×", "½×", "1×", "2×"), initial_value="1×")
        self.loop = gui.add_checkbox("loop", True)
        self.look = gui.add_dropdown("colours", ("texture", "displacement"), initial_value="texture")
        views = gui.add_button_group("camera", tuple(CAMERAS))
        self._image = gui.add_image(np.full((8, 8, 3), 128, np.uint8), label="videos", visible=False)
        self.time.on_update(lambda event: self._moved_by(event))
        self.look.on_update(lambda event: self._dress())

        @views.on_click
        def _(event: Any) -> None:
            if event.client is not None:
                event.client.camera.position = camera_position(CAMERAS[event.target.value])
                event.client.camera.look_at = (0.0, 0.0, 0.0)

    def _moved_by(self, event: Any) -> None:
        if event.client is None:  # the clock moved it
            return
        self.playing.value = False
        self._go(float(self.time.value) - 1.0)

    # The model

    @property
    def frames(self) -> int:
        """Of the shown model."""
        return 1 if self._show is None else self._show.moving.frames

    def show(self, show: Show, *, play: bool = True) -> None:
        """Show another model; returns when its first frame is there, the others follow."""
        with self._lock:
            self._show, self._film = show, -1
            moving = show.moving
            self._title.content = _told(show)
            self.look.visible = isinstance(moving, MovingMesh) and moving.frames > 1
            self.playing.visible = self.time.visible = self.speed.visible = self.loop.visible = moving.frames > 1
            self.time.max = float(max(moving.frames, 2)) + (0.99 if moving.closing else 0.0)
            self._image.visible = show.videos is not None
            self._at = 0.0
            self._dress()
        self.playing.value = play and moving.frames > 1

    def clear(self, text: str = "") -> None:
        """Show nothing but a sentence."""
        with self._lock:
            self._show = None
            self._generation += 1
            self._remove_nodes()
            self._title.content = text
            self._image.visible = False
            self.playing.value = False

    def _dress(self) -> None:
        """Make the nodes of the shown model in the chosen colours."""
        with self._lock:
            if self._show is None:
                return
            self._generation += 1
            self._remove_nodes()
            self._chosen = shown_frames(self.frames)
            nodes = self._made(self._show, self.look.value == "displacement")
            self._nodes.append(next(nodes))
            self._go(self._at)
            threading.Thread(target=self._load, args=(nodes, self._generation), daemon=True).start()

    def _made(self, show: Show, by_displacement: bool) -> Iterator[Any]:
        """The nodes of a model, made one after the other; all but the first invisible."""
        scene, moving, mark = self.server.scene, show.moving, self._generation
        if isinstance(moving, MovingMesh):
            positions = moving.positions[self._chosen]
            colors = displacement(positions) if by_displacement else None
            for number, glb in enumerate(mesh_frames(moving.mesh, positions, colors)):
                yield scene.add_glb(
                    f"/model{mark}/{number}", glb, visible=number == 0, cast_shadow=False, receive_shadow=False
                )
        else:
            for number, arrays in enumerate(splat_frames(moving, self._chosen)):
                yield scene.add_gaussian_splats(f"/model{mark}/{number}", **arrays, visible=number == 0)

    def _load(self, nodes: Iterator[Any], generation: int) -> None:
        for node in nodes:
            with self._lock:
                if generation != self._generation:
                    node.remove()
                    return
                self._nodes.append(node)

    def _remove_nodes(self) -> None:
        for node in self._nodes:
            node.remove()
        self._nodes, self._visible = [], -1

    # Time

    def _go(self, at: float) -> None:
        """Show the frame at a time, counted in frames."""
        with self._lock:
            show = self._show
            if show is None or not self._nodes:
                return
            self._at = at
            frame = int(np.floor(at + 1e-6)) % max(self.frames, 1)
            number = min(int(np.searchsorted(self._chosen, frame, side="right")) - 1, len(self._nodes) - 1)
            if number != self._visible:
                with self.server.atomic():
                    self._nodes[number].visible = True
                    if 0 <= self._visible < len(self._nodes):
                        self._nodes[self._visible].visible = False
                self._visible = number
            if show.videos is not None:
                film = round(frame * (show.videos.shape[1] - 1) / max(self.frames - 1, 1))
                if film != self._film:
                    self._image.image = _tiled(show.videos[:, film])
                    self._film = film

    def _play(self) -> None:
        before = time.monotonic()
        while not self._closed.wait(_TICK):
            now = time.monotonic()
            passed, before = now - before, now
            if not self.playing.value or self._show is None:
                continue
            with self._paused_at_the_end():
                speed = {"¼×": 0.25, "½×": 0.5, "2×": 2.0}.get(self.speed.value, 1.0)
                self._go(self._next(self._at + passed * self._show.moving.fps * speed))
                shown = round(min(self._at + 1, float(self.time.max)), 2)
                if int(shown * 4) != int(float(self.time.value) * 4):  # the slider follows in quarters of a frame
                    self.time.value = shown

    @contextmanager
    def _paused_at_the_end(self) -> Iterator[None]:
        yield
        if not self.loop.value and self._at >= self.frames - 1:
            self.playing.value = False
            self._at = 0.0

    def _next(self, at: float) -> float:
        return at % self.frames if self.loop.value else min(at, float(self.frames - 1))


def _told(show: Show) -> str:
    """Title and facts as Markdown; what files are called must not become markup."""
    lines = [f"**{_plain(show.title)}**", *(f"{label}: {_plain(value)}" for label, value in show.facts.items())]
    return "  \n".join(lines)


def _plain(text: str) -> str:
    return "".join(f"&#{ord(mark)};" if mark in "\\`*_{}[]()<>#+!|&\n" else mark for mark in text)


def _tiled(pictures: np.ndarray) -> np.ndarray:
    """``[V, H, W, 3]`` in rows of two."""
    views, height, width = pictures.shape[:3]
    columns = min(views, 2)
    rows = -(-views // columns)
    filled = np.concatenate([pictures, np.full((rows * columns - views, height, width, 3), 128, np.uint8)])
    tiles = filled.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiles.reshape(rows * height, columns * width, 3))
