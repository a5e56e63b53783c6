"""The plain way to a training clip: decode, convert and resize every frame of every view one by one, then select."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor


def load_clip(videos: Sequence[str], offset: int, *, n_frames: int, stride: int, size: int) -> Tensor:
    """Float32 ``[V, F, 3, size, size]`` in [-1, 1]."""
    views = []
    for video in videos:
        frames = []
        with av.open(video) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                image = frame.to_ndarray(format="rgb24")
                if image.shape[:2] != (size, size):
                    image = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
                frames.append(torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1.0)
        views.append(torch.stack(frames)[offset : offset + stride * n_frames : stride])
    return torch.stack(views)
