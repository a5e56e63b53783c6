"""A small data set in MV-Video's layout: the colour of every frame tells its object, view and number."""

from __future__ import annotations

import tarfile
from pathlib import Path

import av
import numpy as np

FRAMES, VIEWS, SIZE = 48, 16, 32
CLIPS = [("ant", "00"), ("ant", "01"), ("bee", "00"), ("cat", "00"), ("dog", "00"), ("eel", "00")]
LICENCES = {"ant": "by", "bee": "by-nc", "cat": "cc0", "dog": "CC Attribution-ShareAlike", "eel": ""}


def angles(number: int) -> tuple[float, float]:
    return 5.0 * number, -10.0 + 3.0 * number


def write_video(path: Path, number: int, view: int, frames: int = FRAMES, size: int = SIZE) -> None:
    """Red: frame, green: view, blue: clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv444p"
        stream.thread_count = 1
        stream.options = {"crf": "1", "preset": "veryfast", "bf": "3"}
        for frame in range(frames):
            image = np.empty((size, size, 3), dtype=np.uint8)
            image[:] = (5 * frame, 16 * view, 40 * number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


def decoded(pixels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame, view and clip numbers ``[V, F]`` that the colours of ``[V, F, 3, H, W]`` tell."""
    means = (pixels.numpy().mean(axis=(-1, -2)) + 1) * 127.5
    return tuple(np.rint(means[..., k] / step).astype(int) for k, step in enumerate((5, 16, 40)))


def damage(path: Path, keep: float) -> None:
    """Cut a file (its link is replaced, not the original)."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: int(len(content) * keep)])


def pack(root: Path, archive: Path, keys: list[str], *, order=lambda names: names) -> Path:
    """A ``.tar.gz`` of some clips of ``root``, with the info file beside it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    (archive.parent / "uid_info_dict.json").write_bytes((root / "uid_info_dict.json").read_bytes())
    names = [f"videos/{key}/view_{view}.mp4" for key in keys for view in range(VIEWS)]
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in order(names):
            tar.add(root / name, arcname=name)
    return archive
