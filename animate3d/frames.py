"""Images on disk: lossless folders of views and frames, and previews for people (GIF, MP4, contact sheets).

A folder of V views and F frames holds ``{v*F+f}.png``; the frame varies fastest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import atomic_directory, atomic_file, existing_file, existing_folder

GREY = 0.5
"""Background of every picture that the video model is trained with, sees or makes, in 0..1."""


def save_frames(folder: str | os.PathLike[str], frames: np.ndarray, *, fps: float | None = None) -> None:
    """Write frames losslessly; the folder appears as a whole, replacing one that was there.

    Args:
        frames: uint8 ``[V, F, H, W, 3 | 4]``
        fps: also write ``preview.mp4``, the views side by side, at this rate.
    """
    frames = _checked(frames, 5)
    with atomic_directory(folder) as temporary:
        for index, image in enumerate(frames.reshape(-1, *frames.shape[2:])):
            Image.fromarray(image).save(temporary / f"{index}.png", compress_level=1)
        if fps is not None:
            save_mp4(temporary / "preview.mp4", side_by_side(on_grey(frames)), fps)


def load_frames(folder: str | os.PathLike[str], views: int, frames: int, *, alpha: bool = True) -> Tensor:
    """Read the frames ``{v*F+f}.png`` of a folder.

    Args:
        views, frames: V and F; the folder must hold exactly V·F numbered images.
        alpha: an alpha channel is needed; otherwise images without one get an alpha of 1.

    Returns:
        ``[V, F, H, W, 4]`` float32 in 0..1, straight alpha.

    Raises:
        InputError: another number of images, other names, different sizes, no alpha, or a damaged image.
    """
    found = numbered_images(folder)
    wanted = views * frames
    if len(found) != wanted:
        raise InputError(
            f"{folder} holds {len(found)} numbered PNG images; {views} views of {frames} frames need {wanted} "
            f"(0.png to {wanted - 1}.png)."
        )
    missing = [index for index in range(wanted) if index not in found]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}.png; images are numbered from 0 to {wanted - 1}.")
    images = _read_equal([found[index] for index in range(wanted)], alpha=alpha)
    return torch.from_numpy(images).float().div_(255).unflatten(0, (views, frames))


class FrameFolder:
    """The frames ``{v*F+f}.png`` of a folder, read when they are asked for: a long clip is never held as a whole.

    Args:
        views: V; the folder must hold a multiple of so many numbered images, of one size.

    Attributes:
        shape: V, F, H, W and 4.
    """

    def __init__(self, folder: str | os.PathLike[str], views: int) -> None:
        self._images = numbered_images(folder)
        count = count_frames(folder, views)
        self.shape = (views, count, *read_rgba(self._images[0], alpha=True).shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: tuple[int, int]) -> Tensor:
        """Frame f of view v ``[H, W, 4]``, RGBA 0..1, straight alpha."""
        v, f = at
        if not (0 <= v < self.shape[0] and 0 <= f < self.shape[1]):
            raise IndexError(f"view {v}, frame {f} of {self.shape[:2]}")
        image = read_rgba(self._images[v * self.shape[1] + f], alpha=True)
        # By numpy: the C library does not use torch's aligned memory again once small results lie between the frames.
        return torch.from_numpy(np.divide(image, 255, dtype=np.float32))


def numbered_images(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """The images ``{number}.png`` of a folder by their number."""
    folder = existing_folder(folder, "folder of frames")
    return {int(path.stem): path for path in folder.glob("*.png") if path.stem.isascii() and path.stem.isdecimal()}


def count_frames(folder: str | os.PathLike[str], views: int) -> int:
    """F of a folder that holds V·F numbered images.

    Raises:
        InputError: there are none, or their number is not a multiple of V.
    """
    images = numbered_images(folder)
    found = len(images)
    if found == 0:
        raise InputError(f"{folder} holds no PNG images {{v*F+f}}.png (view v and frame f of F).")
    if found % views:
        gap = next(
            (f"; {number}.png is missing" for number in range(max(images, default=0)) if number not in images), ""
        )
        raise InputError(
            f"{folder} holds {found} numbered PNG images{gap}; {views} views need a multiple of {views} "
            "({v*F+f}.png for view v and frame f of F)."
        )
    return found // views


def load_images(paths: Sequence[str | os.PathLike[str]], *, alpha: bool = False) -> Tensor:
    """Images of one size as ``[P, H, W, 4]`` float32 in 0..1; alpha 1 where a file has none unless ``alpha``."""
    return torch.from_numpy(_read_equal([Path(path) for path in paths], alpha=alpha)).float().div_(255)


def _read_equal(paths: list[Path], *, alpha: bool) -> np.ndarray:
    """``[P, H, W, 4]`` uint8"""
    first = read_rgba(paths[0], alpha=alpha)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    images[0] = first
    for index, path in enumerate(paths[1:], start=1):
        image = read_rgba(path, alpha=alpha)
        if image.shape != first.shape:
            raise InputError(
                f"Images differ in size: {paths[0]} is {first.shape[1]}x{first.shape[0]}, "
                f"{path} is {image.shape[1]}x{image.shape[0]}."
            )
        images[index] = image
    return images


def read_rgba(path: Path, *, alpha: bool) -> np.ndarray:
    """One image as uint8 ``[H, W, 4]``; see `load_images`."""
    path = existing_file(path, "image")
    try:
        with Image.open(path) as image:
            if alpha and "A" not in image.mode and "transparency" not in image.info:
                raise InputError(
                    f"{path} has no alpha channel, which separates the object from the background; "
                    "make masks first (see the documentation) or give RGBA images."
                )
            return np.array(image.convert("RGBA"))
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"The image {path} cannot be read, it may be truncated ({error}).") from error


def save_image(path: str | os.PathLike[str], image: np.ndarray, *, compression: int = 6) -> None:
    """Write one uint8 image ``[H, W, 3 | 4]``; 1 instead of 6 compresses a PNG in half of the time."""
    with atomic_file(path) as temporary:
        Image.fromarray(_checked(image, 3)).save(temporary, compress_level=compression)


def save_gif(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write an endless GIF of uint8 frames ``[F, H, W, 3]`` (256 colours: to look at, not to work with)."""
    images = (Image.fromarray(frame) for frame in _checked(frames, 4)[..., :3])
    with atomic_file(path) as temporary:
        duration = max(20, round(1000 / fps))  # viewers slow down what is faster than 50 per second
        next(images).save(temporary, "GIF", save_all=True, append_images=images, duration=duration, loop=0)


def save_mp4(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write an H.264 video of uint8 frames ``[F, H, W, 3]``; odd sizes are padded by repeating the last line."""
    with mp4_writer(path, fps) as write:
        for frame in _checked(frames, 4)[..., :3]:
            write(frame)


@contextmanager
def mp4_writer(path: str | os.PathLike[str], fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that appends one uint8 frame ``[H, W, 3]`` to an H.264 video; see `save_mp4`."""
    with (
        atomic_file(path) as temporary,
        imageio.get_writer(
            temporary, format="FFMPEG", fps=fps, codec="libx264", quality=8, macro_block_size=1, pixelformat="yuv420p"
        ) as writer,
    ):

        def write(frame: np.ndarray) -> None:
            height, width = frame.shape[:2]
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            writer.append_data(padded)  # type: ignore[attr-defined]

        yield write


def contact_sheet(frames: np.ndarray) -> np.ndarray:
    """Tiles ``[R, C, H, W, 3]`` to one image ``[R * H, C * W, 3]``."""
    rows, columns, height, width, channels = frames.shape
    return frames.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def side_by_side(frames: np.ndarray) -> np.ndarray:
    """Put the views next to each other: ``[V, F, H, W, C]`` to ``[F, H, V * W, C]``."""
    views, count, height, width, channels = frames.shape
    return frames.transpose(1, 2, 0, 3, 4).reshape(count, height, views * width, channels)


def composite(rgba: Tensor, background: float | Tensor) -> Tensor:
    """Straight-alpha images ``[..., 4]`` over a background (a number or ``[3]``) ``[..., 3]``."""
    alpha = rgba[..., 3:]
    return rgba[..., :3] * alpha + (1 - alpha) * background


def on_grey(frames: np.ndarray) -> np.ndarray:
    """Images ``[..., 3 | 4]`` in 0..255 over the background, uint8 ``[..., 3]``."""
    if frames.shape[-1] == 3:
        return frames
    alpha = frames[..., 3:].astype(np.float32) / 255
    return (frames[..., :3] * alpha + 255 * GREY * (1 - alpha) + 0.5).astype(np.uint8)


def _checked(frames: np.ndarray, dimensions: int) -> np.ndarray:
    if frames.dtype != np.uint8 or frames.ndim != dimensions or frames.shape[-1] not in (3, 4):
        raise ValueError(
            f"Expected uint8 images of {dimensions} axes, 3 or 4 channels; got {frames.dtype} {frames.shape}."
        )
    if 0 in frames.shape:
        raise InputError(f"There are no images to write (shape {frames.shape}).")
    return np.ascontiguousarray(frames)


def silhouette(images: NDArray[np.floating], threshold: float = 0.06) -> NDArray[np.bool_]:
    """Pixels ``[..., H, W]`` of RGB images ``[..., H, W, 3]`` 0..1 that differ from mid-grey in a channel."""
    return np.asarray((np.abs(images - GREY) > threshold).any(axis=-1))
