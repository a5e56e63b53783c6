"""A video is laid over the model where its camera saw it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_page import waving_sheet

from animate3d.cameras import orbit_cameras
from animate3d.viewer.film import NONE, Film
from animate3d.viewer.moving import Show


class Server:
    """What `Film` uses of viser."""

    def __init__(self) -> None:
        self.gui = self.scene = self
        self.pictures: list[SimpleNamespace] = []

    def add_dropdown(self, *words, **settings):
        return SimpleNamespace(on_update=lambda told: None, value=NONE, options=(), visible=False)

    def add_image(self, name, image, width, height, **settings):
        made = SimpleNamespace(image=image, height=height, **settings)
        made.remove = lambda: self.pictures.remove(made)
        self.pictures.append(made)
        return made

    def atomic(self):
        return pytest.MonkeyPatch.context()


def test_the_picture_fills_what_its_camera_sees_and_goes_in_step():
    server = Server()
    film = Film(server)
    videos = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones((8, 8, 3), np.uint8)
    cameras = orbit_cameras(15.0, [0.0, 90.0])
    film.offer(Show(waving_sheet(), "sheet", videos=videos, cameras=cameras))
    assert film.choice.visible and film.choice.options == (NONE, "video 1", "video 2") and not server.pictures
    film.choice.value = "video 2"
    client = SimpleNamespace(atomic=server.atomic, camera=SimpleNamespace())
    film._chosen(SimpleNamespace(client=client))
    assert [int(picture.image[0, 0, 0]) for picture in server.pictures] == [3, 4, 5]
    film.go(2)
    assert [picture.visible for picture in server.pictures] == [False, False, True]
    picture = server.pictures[0]
    at = cameras.positions[1].numpy()
    np.testing.assert_allclose(client.camera.position, at, atol=1e-6)
    away = np.linalg.norm(picture.position - at)
    assert picture.height == pytest.approx(2 * away * np.tan(np.radians(20)))
    np.testing.assert_allclose(np.cross(picture.position, at), 0, atol=1e-6)  # on the way to the middle
    film.offer(Show(waving_sheet(), "sheet"))
    assert not film.choice.visible and not server.pictures
