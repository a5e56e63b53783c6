"""One ordinary video, read from whatever file it comes in, one frame after the other."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from animate3d.errors import InputError

Bytes = NDArray[np.uint8]

LONGEST = 512
"""Pixels of the longer side; larger frames are reduced while they are read."""
FEWEST, MOST = 2, 600
_PICTURES = (".gif", ".webp", ".png", ".apng")
_STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FOLDER_FPS = 24.0
"""Frames per second of folders and of files that say nothing."""


@dataclass(frozen=True)
class Trim:
    """Which part of a clip is used.

    Attributes:
        start, end: seconds.
        every: one frame of so many.
    """

    start: float = 0.0
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"--every takes a whole number of at least 1, got {self.every}.")
        if not (np.isfinite(self.start) and self.start >= 0):
            raise InputError(f"--start takes seconds from 0 on, got {self.start:g}.")
        if self.end is not None and not self.end > self.start:
            raise InputError(f"--end ({self.end:g} s) must come after --start ({self.start:g} s).")


@dataclass(frozen=True)
class Clip:
    """A video that can be read from its first to its last frame, as often as needed; it is never held as a whole.

    Attributes:
        path: file or folder.
        trim: which of its frames are used.
        count: how many these are.
        fps: of these frames.
        size: width and height in the file.
        has_alpha: whether the file cuts out its object itself.
    """

    path: Path
    trim: Trim
    count: int
    fps: float
    size: tuple[int, int]
    has_alpha: bool

    def frames(self) -> Iterator[Bytes]:
        """Its frames ``[H, W, 4]``, at most `LONGEST` pixels a side."""
        fps, images = _opened(self.path)
        for _, image in zip(range(self.count), _trimmed(images, fps, self.trim), strict=False):
            yield shrunk(image, LONGEST)

    def seconds(self, frame: int) -> float:
        """Where a frame lies in the file, seconds from its start."""
        return self.trim.start + frame / self.fps


def read_clip(
    path: Path, trim: Trim | None = None, look: Callable[[int, Bytes], object] = lambda frame, image: None
) -> Clip:
    """Open a video file (MP4, MOV, WebM, …), an animated picture or a folder of pictures, and look through it once.

    Args:
        look: called with the number of every frame and the frame ``[H, W, 4]``.

    Raises:
        InputError: nothing can be read, frames differ in size, or there are not 2 to 600 frames.
    """
    trim = trim or Trim()
    if not path.exists():
        raise InputError(f"The video {path} does not exist.")
    fps, images = _opened(path)
    size, kept, seen = (0, 0), 0, 0
    holes = solid = False

    def counted() -> Iterator[Bytes]:
        nonlocal seen
        for image in images:
            seen += 1
            yield image

    first = round(trim.start * fps)
    for image in _trimmed(counted(), fps, trim):
        if kept == MOST:
            raise InputError(
                f"The video {path} has more than {MOST} frames; cut it with --start and --end (seconds), or take one "
                "frame of so many with --every."
            )
        if kept and (image.shape[1], image.shape[0]) != size:
            raise InputError(
                f"The frames of {path} differ in size: {size[0]}x{size[1]} and {image.shape[1]}x{image.shape[0]}."
            )
        size = (image.shape[1], image.shape[0])
        holes, solid = holes or bool((image[..., 3] < 128).any()), solid or bool((image[..., 3] > 128).any())
        look(kept, shrunk(image, LONGEST))
        kept += 1
    if kept < FEWEST:
        rest = "" if seen == kept else f" after trimming its {seen}"
        if seen and first >= seen:
            end = f"{seen / fps:.1f} s"
            raise InputError(f"The video {path} ends at {end}, before --start {trim.start:g}: start earlier.")
        frames = "1 frame" if kept == 1 else f"{kept} frames"
        raise InputError(f"The video {path} has {frames}{rest}; a motion needs at least {FEWEST}.")
    return Clip(path, trim, kept, fps / trim.every, size, holes and solid)


def _trimmed(images: Iterator[Bytes], fps: float, trim: Trim) -> Iterator[Bytes]:
    first = round(trim.start * fps)
    for index, image in enumerate(images):
        if trim.end is not None and index >= round(trim.end * fps):
            return
        if index >= first and (index - first) % trim.every == 0:
            yield image


def shrunk(image: Bytes, side: int) -> Bytes:
    """An image ``[H, W, C]`` of at most so many pixels a side."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _opened(path: Path) -> tuple[float, Iterator[Bytes]]:
    """Frames per second, and RGBA frames one after the other."""
    if path.is_dir():
        files = sorted((f for f in path.iterdir() if f.suffix.lower() in _STILLS), key=_natural)
        if not files:
            raise InputError(f"The folder {path} holds no pictures ({', '.join(_STILLS)}).")
        return FOLDER_FPS, (_picture(file) for file in files)
    if path.suffix.lower() in _PICTURES:
        return _animated(path)
    return _decoded(path)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.stem)
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts]


def _picture(path: Path) -> Bytes:
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"The picture {path} cannot be read, it may be truncated ({error}).")


# Animated pictures, whose every frame says how long it is shown


def _animated(path: Path) -> tuple[float, Iterator[Bytes]]:
    seconds = np.array([shown for shown, _ in _moments(path, pictures=False)])
    usual = float(np.median(seconds))
    if usual <= 0:
        return FOLDER_FPS, (image for _, image in _moments(path))
    return 1 / usual, _steady(path, 1 / usual)


def _moments(path: Path, *, pictures: bool = True) -> Iterator[tuple[float, Bytes]]:
    """For how many seconds each picture is shown, and the picture (empty without ``pictures``)."""
    try:
        with Image.open(path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                shown = np.array(image.convert("RGBA")) if pictures else np.zeros((0, 0, 4), np.uint8)
                yield float(image.info.get("duration", 0)) / 1000, shown
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _steady(path: Path, fps: float) -> Iterator[Bytes]:
    """The picture that is shown at 0.5 / fps, 1.5 / fps, … seconds."""
    end, times = 0.0, count()
    time = next(times)
    for seconds, image in _moments(path):
        end += seconds
        while (time + 0.5) / fps <= end + 1e-9:
            yield image
            time = next(times)


# Videos


def _decoded(path: Path) -> tuple[float, Iterator[Bytes]]:
    """By ffmpeg. Its own decoder of WebM leaves the alpha out; those of libvpx do not."""
    decoders = ("libvpx-vp9", "libvpx", None) if path.suffix.lower() == ".webm" else (None,)
    why = ""
    for decoder in decoders:
        try:
            return _started(path, ["-c:v", decoder] if decoder else [])
        except (OSError, RuntimeError, StopIteration, ValueError, KeyError, IndexError) as error:
            why = (str(error).strip().splitlines() or ["no picture in it"])[-1]
    raise InputError(f"The video {path} cannot be read: is it a video, with pictures in it? ({why})")


def _started(path: Path, decoder: list[str]) -> tuple[float, Iterator[Bytes]]:
    """Frames at the mean rate of the file, whatever time each of them is shown, turned upright."""
    import imageio_ffmpeg

    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)  # it warns of clips that are turned upright
    probe = imageio_ffmpeg.read_frames(str(path), input_params=decoder)
    told = float(next(probe).get("fps") or 0)
    probe.close()
    fps = told if np.isfinite(told) and told > 0 else FOLDER_FPS
    steady = ["-vf", f"fps={fps:g}"]
    reader = imageio_ffmpeg.read_frames(
        str(path), pix_fmt="rgba", bits_per_pixel=32, input_params=decoder, output_params=steady
    )
    width, height = next(reader)["size"]
    first = next(reader)

    def images() -> Iterator[Bytes]:
        try:
            data = first
            while True:
                yield np.frombuffer(data, np.uint8).reshape(height, width, 4)
                try:
                    data = next(reader)
                except (StopIteration, RuntimeError, OSError):  # a truncated file ends where it ends
                    return
        finally:
            reader.close()

    return fps, images()
