"""Whether a clip is one shot by a camera that stands still.

Cuts are sought in small pictures: between two frames of a shot, optical flow explains what changes; across a cut it
does not. A moving camera is told by points of the background that move together.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.frames import on_grey
from animate3d.masks.matting import grow
from animate3d.runs.clip import Bytes, Clip, shrunk

Mask = NDArray[np.bool_]

_SIDE = 128  # pixels of the pictures in which cuts are sought
_DIFFERS = 30  # levels from which a pixel counts as changed
_CUT = 0.5  # of the object's pixels that no flow explains
_ALONE = 3.0  # times as many as between the frames around, where things are as fast
_AROUND = 5
_FEWEST = 6  # steps that a cut is compared with
_OTHER = 0.4  # of the object's colours that the frame before does not have
_COLORS = 4  # levels of each channel, where colours are counted
_CAMERA_SIDE = 320  # pixels of the pictures in which the background is followed
_POINTS, _LEAST_POINTS = 150, 12
_TEXTURE = 6.0  # levels of contrast that a point of the background has around it
_TOGETHER = 0.6  # of the points that are found again and move as one
_SHIFT = 0.02  # of the picture's longer side
_ONE_PIXEL = 1.0


class WrongClip(InputError):
    """A clip that cannot be used.

    Args:
        message: one sentence without its full stop.
        frames: ``[H, W, 3 | 4]`` that show why.
    """

    def __init__(self, message: str, *frames: Bytes) -> None:
        super().__init__(message)
        self.frames = frames


class Shot:
    """Looks at the frames of a clip in order, and says what is wrong with it once it has seen them all."""

    def __init__(self) -> None:
        self._last: Bytes | None = None
        self._unexplained: list[float] = []  # of every frame after the first
        self._recolored: list[float] = []  # likewise
        self._background: _Background | None = None
        self._shifts: list[float] = [0.0]

    def background(self, first: Bytes, mask: Mask) -> None:
        """Also watch the background.

        Args:
            first: ``[H, W, 4]`` frame 0.
            mask: ``[H, W]`` its object.
        """
        self._background = _Background(first, mask)

    def look(self, frame: Bytes) -> None:
        """The next frame ``[H, W, 4]``."""
        small = shrunk(on_grey(frame), _SIDE)
        if self._last is not None:
            self._unexplained.append(_unexplained(self._last, small))
            self._recolored.append(_recolored(self._last, small))
            if self._background is not None:
                self._shifts.append(self._background.shift(frame))
        self._last = small

    def check(self, clip: Clip) -> None:
        """Raise for a cut, or a camera that moves.

        Raises:
            WrongClip: with the frames before and after.
        """
        cut = self._cut()
        if cut is not None:
            second = clip.seconds(cut)
            raise WrongClip(
                f"{clip.path} has a cut at {second:.2f} s (frame {cut}): use one shot of it, by --end {second:.2f} or "
                f"--start {second:.2f}",
                *_frames(clip, cut - 1, cut),
            )
        moved = next((f for f, shift in enumerate(self._shifts) if shift > _SHIFT), None)
        if moved is not None:
            second = clip.seconds(moved)
            raise WrongClip(
                f"The camera of {clip.path} moves: at {second:.2f} s (frame {moved}) the background has shifted by "
                f"{100 * self._shifts[moved]:.0f} % of the picture; use a clip with a fixed camera, or end before it "
                f"moves by --end",
                *_frames(clip, 0, moved),
            )

    def _cut(self) -> int | None:
        """The frame that does not go on from the one before."""
        steps, colors = self._unexplained, self._recolored

        def alone(values: list[float], k: int) -> bool:
            around = [*values[max(k - _AROUND, 0) : k], *values[k + 1 : k + 1 + _AROUND]]
            return len(around) >= _FEWEST and values[k] > _ALONE * max(around)

        for k, step in enumerate(steps):
            # An object that moves fast hides a cut, but keeps its colours.
            if step > _CUT and (alone(steps, k) or (colors[k] > _OTHER and alone(colors, k))):
                return k + 1
        return None


def _frames(clip: Clip, *numbers: int) -> list[Bytes]:
    return [frame for f, frame in enumerate(clip.frames()) if f in numbers]


def _unexplained(before: Bytes, after: Bytes) -> float:
    """Pixels of a frame that do not come from the one before, as a share of those that are not background."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, after)]
    carried = before
    if min(before.shape[:2]) >= 24:  # the flow's patches need as many
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = method.calc(grey[1], grey[0], np.zeros((*before.shape[:2], 2), np.float32))
        y, x = np.indices(before.shape[:2], dtype=np.float32)
        border = cv2.BORDER_REPLICATE
        at = (x + flow[..., 0], y + flow[..., 1])
        carried = np.asarray(cv2.remap(before, *at, cv2.INTER_LINEAR, borderMode=border), np.uint8)
    light = _border(after).astype(np.int16) - _border(before)  # of the background may change
    soft = [np.asarray(cv2.blur(image, (3, 3)), np.uint8) for image in (carried, after)]
    relit = (soft[0] + light).clip(0, 255).astype(np.uint8)
    changed = _differs(*soft) & _differs(relit, soft[1]) & _differs(before, after)
    shown = [_differs(image, np.broadcast_to(_border(image), image.shape)) for image in (before, after)]
    return float(changed.sum() / max(min(int(mask.sum()) for mask in shown), 0.005 * changed.size))


def _recolored(before: Bytes, after: Bytes) -> float:
    """Which share of the object has colours in one frame that it does not have in the other."""
    counts = []
    for image in (before, after):
        shown = image[_differs(image, np.broadcast_to(_border(image), image.shape))]
        bins = shown // (256 // _COLORS) @ np.array([_COLORS**2, _COLORS, 1])
        counts.append(np.bincount(bins, minlength=_COLORS**3) / max(len(bins), 1))
    return float(np.abs(counts[0] - counts[1]).sum() / 2)


def _differs(one: Bytes, other: Bytes) -> Mask:
    return np.asarray(np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=-1) > _DIFFERS)


def _border(image: Bytes) -> Bytes:
    around = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.asarray(np.median(around, axis=0), np.uint8)


class _Background:
    """Points of the background, followed from frame to frame."""

    def __init__(self, first: Bytes, mask: Mask) -> None:
        self._last = self._grey(first)
        shape = self._last.shape
        object_at = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        free = ~grow(object_at, max(shape) // 40)
        soft = self._last.astype(np.float32)
        mean = cv2.blur(soft, (9, 9))
        contrast = np.sqrt(np.maximum(cv2.blur(soft * soft, (9, 9)) - mean * mean, 0))
        where = (free & (contrast > _TEXTURE)).astype(np.uint8)
        found = cv2.goodFeaturesToTrack(self._last, _POINTS, 0.01, max(shape) / 60, mask=where)
        self._start = self._now = np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)

    def shift(self, frame: Bytes) -> float:
        """How far the background has moved since frame 0, as a share of the picture; 0 where that cannot be said."""
        grey = self._grey(frame)
        if len(self._now) < _LEAST_POINTS:
            return 0.0
        there, found, _ = cv2.calcOpticalFlowPyrLK(self._last, grey, self._now, self._now.copy())
        back, _, _ = cv2.calcOpticalFlowPyrLK(grey, self._last, there, self._now.copy())
        kept = (found[:, 0] > 0) & (np.linalg.norm(back - self._now, axis=1) < _ONE_PIXEL)
        self._last, self._start, self._now = grey, self._start[kept], there[kept]
        if len(self._now) < _LEAST_POINTS:
            return 0.0
        moved, together = cv2.estimateAffinePartial2D(self._start, self._now, ransacReprojThreshold=2 * _ONE_PIXEL)
        if moved is None or together.mean() < _TOGETHER:
            return 0.0
        steps = np.linalg.norm(self._now - self._start, axis=1)[together[:, 0] > 0]
        return float(np.median(steps)) / max(grey.shape)

    @staticmethod
    def _grey(frame: Bytes) -> NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(shrunk(frame, _CAMERA_SIDE)[..., :3], cv2.COLOR_RGB2GRAY), np.uint8)
