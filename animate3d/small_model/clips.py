"""Clips of a data set held in memory, for the small models that are trained in addition to the UNet."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from animate3d.bundled_model.folder import FRAMES, SIZE, VIEWS
from animate3d.mvvdm.data import build_dataset


@dataclass(frozen=True)
class Clips:
    """N clips of a data set, in memory.

    Attributes:
        pixels: uint8 ``[N, V, F, 3, H, W]``
        texts: N captions.
        cameras: ``[N, V, 16]``
    """

    pixels: Tensor
    texts: list[str]
    cameras: Tensor

    def first(self, count: int) -> Clips:
        """The first ``count`` clips."""
        return Clips(self.pixels[:count], self.texts[:count], self.cameras[:count])

    def images(self, indices: Tensor) -> Tensor:
        """Some of the N·V·F images, as float32 ``[n, 3, H, W]`` in -1..1."""
        return self.pixels.flatten(0, 2)[indices].float() / 127.5 - 1


def read_clips(data: str | os.PathLike[str], count: int, seed: int) -> Clips:
    """The first clips of a shuffled data set, at most ``count``."""
    dataset = build_dataset(
        data, sample_size=SIZE, sample_n_frames=FRAMES, num_views=VIEWS, frame_stride=1, seed=seed, batch_size=1
    )
    dataset.as_bytes = True
    count = min(count, len(dataset))
    samples = list(tqdm(itertools.islice(dataset, count), total=count, desc="reading clips"))
    return Clips(
        torch.stack([sample["pixel_values"] for sample in samples]),
        [sample["text"] for sample in samples],
        torch.stack([sample["camera"] for sample in samples]),
    )
