"""What a test run writes: numbered images, a video of the views side by side, the Gaussians' paths."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from animate3d.errors import InputError
from animate3d.frames import save_frames, save_gif, save_mp4, side_by_side

_FPS = 8
VIDEO_HEIGHT = 256
FOUR_VIEW, TESTSET = "four_view", "testset"


def to_rgba8(outputs: dict[str, Tensor]) -> np.ndarray:
    """Images over the background with their coverage as alpha, uint8 ``[B, H, W, 4]``."""
    rgb, mask = (outputs[key].detach().float().cpu().numpy() for key in ("comp_rgb", "comp_mask"))
    rgba = np.concatenate([rgb, mask], axis=-1)
    return (rgba.clip(0, 1) * 255 + 0.5).astype(np.uint8)


class TestImages:
    """Collects the images of a test run camera by camera and writes them as whole folders.

    Args:
        option: "four_view" writes ``images/{v*F+f}.png``, "testset" ``images/{camera}/{f}.png``.
        frames: F
        path: the host's function from a name to a path below its save folder.
    """

    __test__ = False

    def __init__(self, option: str, frames: int, path: Callable[[str], str]) -> None:
        if option not in (FOUR_VIEW, TESTSET):
            raise InputError(f"system.test_option is {option!r}; it must be {FOUR_VIEW!r} or {TESTSET!r}.")
        self.option, self.frames, self.path = option, frames, path
        self.views: list[np.ndarray] = []
        self.small: list[np.ndarray] = []
        self._open: list[np.ndarray] = []

    def add(self, images: np.ndarray, cameras: list[str]) -> None:
        """Take the next images ``[B, H, W, 4]``; a camera's frames come one after the other."""
        for image, camera in zip(images, cameras, strict=True):
            self._open.append(image)
            if len(self._open) == self.frames:
                self._close(np.stack(self._open), camera)
                self._open = []

    def _close(self, view: np.ndarray, camera: str) -> None:
        if self.option == TESTSET:
            save_frames(self.path(f"images/{camera}"), view[None])
            return
        self.views.append(view)
        scale = min(1.0, VIDEO_HEIGHT / view.shape[1])
        self.small.append(
            np.stack([cv2.resize(i[..., :3], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for i in view])
        )

    def finish(self) -> None:
        """Write what needs all cameras."""
        if self.option == TESTSET:
            return
        save_frames(self.path("images"), np.stack(self.views))
        if self.frames > 1:
            save_mp4(self.path("four_view.mp4"), side_by_side(np.stack(self.small)), _FPS)


class ValidationVideo:
    """Collects the turntable of a validation."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []

    def add(self, images: np.ndarray) -> None:
        """Take the next images ``[B, H, W, 4]``."""
        self.images.extend(images[..., :3])

    def write(self, path: str) -> None:
        """Write the video and forget the images."""
        if self.images:
            save_mp4(Path(path), np.stack(self.images), _FPS)
        self.images = []


def save_guidance_videos(folder: str, videos: dict[str, Tensor]) -> None:
    """What the guidance saw, ``{name}.gif`` with the views side by side, from videos ``[V, F, 3, H, W]`` in 0..1."""
    for name, video in videos.items():
        frames = (video.movedim(2, -1).cpu().numpy().clip(0, 1) * 255 + 0.5).astype(np.uint8)
        save_gif(Path(folder) / f"{name}.gif", side_by_side(frames), _FPS)
