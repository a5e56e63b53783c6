"""Short, nearly lossless H.264 videos, the same bytes on every run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.errors import require

_FPS = 8
QUALITY = "6"
"""x264's constant rate factor: above 40 dB on these pictures."""


def write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write frames ``[F, H, W, 3]``, H and W even, as a new MP4 with full colour resolution."""
    av = require("av", feature="Writing training videos", extra="train")
    content = io.BytesIO()  # the muxer goes back to the start of the file, which costs more on disk
    with av.open(content, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=_FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        stream.thread_count = 1
        stream.options = {"crf": QUALITY, "preset": "superfast", "x264-params": "log-level=none"}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(content.getvalue())
