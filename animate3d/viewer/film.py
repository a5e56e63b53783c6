"""A video over the model, where its camera saw it: the picture hangs before the camera, half transparent."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from animate3d.viewer.moving import Show

NONE = "none"
_NEAR = 0.4  # of the camera's distance from the middle: before the model
_OPACITY = 128


class Film:
    """A choice of the shown model's videos; the chosen one is laid over the model and the tabs look from its camera.

    Args:
        server: of viser.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._show: Show | None = None
        self._pictures: list[Any] = []
        self._frame = 0
        self.choice = server.gui.add_dropdown("overlay", (NONE,), initial_value=NONE, visible=False)
        self.choice.on_update(lambda event: self._chosen(event))

    def offer(self, show: Show | None) -> None:
        """Let the videos of another model be chosen; None has none."""
        videos = None if show is None or show.cameras is None else show.videos
        self._show = None if videos is None else show
        count = 0 if videos is None else len(videos)
        self.choice.options = (NONE, *(f"video {number + 1}" for number in range(count)))
        self.choice.value, self.choice.visible = NONE, count > 0
        self._draw()

    def go(self, frame: int) -> None:
        """Lay this frame of the video over the model."""
        before, self._frame = self._frame, frame
        if before != frame and self._pictures:
            self._pictures[min(before, len(self._pictures) - 1)].visible = False
            self._pictures[min(frame, len(self._pictures) - 1)].visible = True

    def _chosen(self, event: Any) -> None:
        self._draw()
        if self._show is None or event.client is None or self.choice.value == NONE:
            return
        cameras, view = self._show.cameras, self._view
        assert cameras is not None
        with event.client.atomic():
            event.client.camera.position = cameras.positions[view].tolist()
            event.client.camera.look_at = _opposite(cameras, view)
            event.client.camera.fov = float(cameras.fovy[view])

    @property
    def _view(self) -> int:
        return int(self.choice.value.split()[-1]) - 1

    def _draw(self) -> None:
        """Put all frames of the chosen video into the scene, one of them visible: they go in step with the model."""
        for picture in self._pictures:
            picture.remove()
        self._pictures = []
        if self._show is None or self.choice.value == NONE:
            return
        cameras, view = self._show.cameras, self._view
        assert cameras is not None and self._show.videos is not None
        film = self._show.videos[view]
        matrix = cameras.c2w[view].double().numpy()
        far = _NEAR * float(np.linalg.norm(matrix[:3, 3]))
        height = 2 * far * float(np.tan(cameras.fovy[view] / 2))
        turn = Rotation.from_matrix(matrix[:3, :3] * [1, -1, -1]).as_quat()[[3, 0, 1, 2]]  # pictures have y down
        with self._server.atomic():
            for number, frame in enumerate(film):
                self._pictures.append(
                    self._server.scene.add_image(
                        f"/film/{number}",
                        np.dstack([frame, np.full(frame.shape[:2], _OPACITY, np.uint8)]),
                        height * frame.shape[1] / frame.shape[0],
                        height,
                        format="png",
                        cast_shadow=False,
                        receive_shadow=False,
                        wxyz=tuple(turn.tolist()),
                        position=tuple((matrix[:3, 3] - far * matrix[:3, 2]).tolist()),
                        visible=number == min(self._frame, len(film) - 1),
                    )
                )


def _opposite(cameras: Any, view: int) -> tuple[float, float, float]:
    """The point of a camera's axis that is nearest to the middle."""
    matrix = cameras.c2w[view].double().numpy()
    back, at = matrix[:3, 2], matrix[:3, 3]
    x, y, z = (at - back * (back @ at)).tolist()
    return x, y, z
