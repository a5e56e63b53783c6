"""A side-by-side GIF, or the lossless frames it was made from, to numbered images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from animate3d.errors import InputError
from animate3d.files import existing_file, read_json
from animate3d.frames import load_frames, save_frames


def split(
    gif: str | os.PathLike[str], output_folder: str | os.PathLike[str], views: int | None = None
) -> tuple[Path, bool]:
    """Write ``{output_folder}/{name of the GIF}/{v*F+f}.png``.

    Args:
        gif: views side by side. The lossless frames that ``inference.py`` leaves in a folder of the same name are
            taken instead when they are there: a GIF has only 256 colours.
        output_folder: where the folder of images goes.
        views: V; by default what the record beside the GIF says, else as many squares as the width holds.

    Returns:
        the folder, and whether lossless frames were used.

    Raises:
        InputError: no such file, not a GIF, or the width is not a multiple of V.
    """
    gif = Path(gif)
    target = Path(output_folder) / gif.stem
    frames = _lossless(gif, views)
    if frames is None:
        save_frames(target, _from_gif(gif, views))
        return target, False
    if target.resolve() != _frames_folder(gif).resolve():
        save_frames(target, frames)
    return target, True


def _frames_folder(gif: Path) -> Path:
    return gif.with_name(gif.stem)


def _lossless(gif: Path, views: int | None) -> np.ndarray | None:
    record = gif.with_name(gif.stem + ".json")
    if not (_frames_folder(gif).is_dir() and record.is_file()):
        return None
    made = read_json(record)
    if not isinstance(made, dict) or "views" not in made or "frames" not in made:
        return None
    if views not in (None, made["views"]):
        raise InputError(f"{gif} was made with {made['views']} views, not {views}.")
    frames = load_frames(_frames_folder(gif), made["views"], made["frames"], alpha=False)
    return (frames[..., :3] * 255).round().byte().numpy()


def _from_gif(gif: Path, views: int | None) -> np.ndarray:
    images, durations = [], []
    try:
        with Image.open(existing_file(gif, "GIF")) as animation:
            for frame in ImageSequence.Iterator(animation):
                images.append(np.asarray(frame.convert("RGB")))
                durations.append(int(frame.info.get("duration", 0)))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{gif} is damaged or no GIF.") from error
    # Writers store equal frames once with a longer duration.
    shortest = min(durations)
    repeats = [max(1, round(duration / shortest)) if shortest else 1 for duration in durations]
    frames = np.stack(images).repeat(repeats, axis=0)
    height, width = frames.shape[1:3]
    count = views or width // height
    if count < 1 or width % count:
        raise InputError(f"{gif} is {width} pixels wide, which {count} views of equal width do not fill; give --views.")
    return frames.reshape(len(frames), height, count, width // count, 3).transpose(2, 0, 1, 3, 4).copy()
