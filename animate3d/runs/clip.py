"""One ordinary video: read from whatever file it comes in, and its object cut out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from animate3d.errors import InputError
from animate3d.masks.appearance import fit_background
from animate3d.masks.cut import cut
from animate3d.masks.folder import Segmenter
from animate3d.masks.matting import grow, soft_edges

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LONGEST = 512
"""Pixels of the longer side; larger frames are reduced while they are read."""
FEWEST, MOST = 2, 600
_PICTURES = (".gif", ".webp", ".png", ".apng")
_STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FOLDER_FPS = 24.0
"""Frames per second of folders and of files that say nothing."""
_UNIFORM = np.log(256.0**3)  # a colour of an object that nothing is known of
_TRUST = 0.2  # of log odds: neighbouring pixels share compression artefacts
_LIMIT = 5.0
_OUTLINE = 2.0  # cost of the outline per pixel
_LEAST, _LARGEST = 0.002, 0.9  # share of the picture that an object covers
_SPECK = 0.02  # parts smaller than this share of the largest are dropped


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
    """Frames of a video.

    Attributes:
        frames: ``[F, H, W, 4]``, at most `LONGEST` pixels a side.
        fps: of these frames.
        size: width and height in the file.
        has_alpha: whether the file cuts out its object itself.
    """

    frames: Bytes
    fps: float
    size: tuple[int, int]
    has_alpha: bool


def read_clip(path: Path, trim: Trim | None = None) -> Clip:
    """Read a video file (MP4, MOV, WebM, …), an animated picture or a folder of pictures.

    Raises:
        InputError: nothing can be read, or there are not 2 to 600 frames.
    """
    trim = trim or Trim()
    if not path.exists():
        raise InputError(f"The video {path} does not exist.")
    fps, images = _opened(path)
    kept: list[Bytes] = []
    size, seen = (0, 0), 0
    for index, image in enumerate(images):
        seen = index + 1
        if trim.end is not None and index >= round(trim.end * fps):
            break
        first = round(trim.start * fps)
        if index < first or (index - first) % trim.every:
            continue
        if len(kept) == MOST:
            raise InputError(
                f"The video {path} has more than {MOST} frames; cut it with --start and --end (seconds), or take one "
                "frame of so many with --every."
            )
        if kept and (image.shape[1], image.shape[0]) != size:
            raise InputError(
                f"The frames of {path} differ in size: {size[0]}x{size[1]} and {image.shape[1]}x{image.shape[0]}."
            )
        size = (image.shape[1], image.shape[0])
        kept.append(_reduced(image))
    if len(kept) < FEWEST:
        rest = "" if seen == len(kept) else f" after trimming its {seen}"
        raise InputError(f"The video {path} has {len(kept)} frames{rest}; a motion needs at least {FEWEST}.")
    frames = np.stack(kept)
    alpha = frames[..., 3]
    return Clip(frames, fps / trim.every, size, bool((alpha < 128).any() and (alpha > 128).any()))


def _reduced(image: Bytes) -> Bytes:
    scale = LONGEST / max(image.shape[:2])
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
        raise InputError(f"The picture {path} cannot be read, it may be truncated ({error}).") from error


def _animated(path: Path) -> tuple[float, Iterator[Bytes]]:
    try:
        with Image.open(path) as image:
            images, milliseconds = [], []
            for frame in ImageSequence.Iterator(image):
                milliseconds.append(float(frame.info.get("duration", 0)))
                images.append(np.array(frame.convert("RGBA")))
                if len(images) > 10 * MOST:
                    break
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"The picture {path} cannot be read, it may be truncated ({error}).") from error
    usual = float(np.median(milliseconds))
    return (1000.0 / usual if usual > 0 else FOLDER_FPS), iter(images)


def _decoded(path: Path) -> tuple[float, Iterator[Bytes]]:
    """By ffmpeg. Its own decoder of WebM leaves the alpha out; those of libvpx do not."""
    decoders = ("libvpx-vp9", "libvpx", None) if path.suffix.lower() == ".webm" else (None,)
    why = ""
    for decoder in decoders:
        try:
            return _started(path, ["-c:v", decoder] if decoder else [])
        except (OSError, RuntimeError, StopIteration, ValueError, KeyError) as error:
            why = (str(error).strip().splitlines() or ["no picture in it"])[-1]
    raise InputError(f"The video {path} cannot be read: is it a video? ({why})")


def _started(path: Path, decoder: list[str]) -> tuple[float, Iterator[Bytes]]:
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgba", bits_per_pixel=32, input_params=decoder)
    meta = next(reader)
    width, height = meta["size"]
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

    fps = float(meta.get("fps") or FOLDER_FPS)
    return (fps if np.isfinite(fps) and fps > 0 else FOLDER_FPS), images()


def first_alpha(frame: Bytes, name: str) -> NDArray[np.float32]:
    """The object of frame 0 by its plain background ``[H, W]`` 0..1.

    Args:
        frame: ``[H, W, 3]``
        name: of the clip, for messages.

    Raises:
        InputError: one colour, or no plain background.
    """
    image = frame.astype(np.float32)
    height, width = image.shape[:2]
    ring = np.ones((height, width), bool)
    edge = max(2, round(0.03 * max(height, width)))
    ring[edge:-edge, edge:-edge] = False
    mask = ~ring
    for outside in (ring, None):
        around = outside if outside is not None else ~grow(mask, max(2, round(max(height, width) / 64)))
        background = fit_background(image, around)
        evidence = (-_UNIFORM - background.log_density(image)) * _TRUST
        weights = np.full((height, width), _OUTLINE, np.float32)
        mask = cut(evidence.clip(-_LIMIT, _LIMIT), weights, (evidence > 0).astype(np.float32)) > 0.5
    mask = _main_parts(mask)
    share = float(mask.mean())
    if share < _LEAST:
        raise InputError(
            f"Frame 0 of {name} shows one colour and no object before it; start later with --start, or check the file."
        )
    if share > _LARGEST or mask[ring].mean() > 0.5:
        raise InputError(
            f"The object in frame 0 of {name} does not stand before a plain background (it would cover "
            f"{100 * share:.0f} % of the picture); use a clip with one colour behind the object, or one with alpha."
        )
    return soft_edges(image, mask, background.noise)


def _main_parts(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].astype(float)
    area[0] = 0
    return np.asarray((area >= _SPECK * area.max())[labels] & mask)


def cut_out(clip: Clip, segmenter: Segmenter, name: str) -> Iterator[Bytes]:
    """The clip's frames with the object's alpha ``[H, W, 4]``; the clip's own alpha where it has one.

    Raises:
        InputError: frame 0 shows no object before a plain background.
    """
    if clip.has_alpha:
        if not (clip.frames[0, ..., 3] > 128).any():
            raise InputError(f"Frame 0 of {name} is transparent everywhere; start later with --start.")
        yield from clip.frames
        return
    colors = np.ascontiguousarray(clip.frames[..., :3])
    first = first_alpha(colors[0], name)
    last = first
    for color, alpha in zip(colors, segmenter.segment(colors, first), strict=True):
        last = alpha if (alpha > 0.5).any() else last
        yield np.dstack([color, (last * 255 + 0.5).astype(np.uint8)])
