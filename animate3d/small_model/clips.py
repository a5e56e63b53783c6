"""Drawn clips held in memory, for what is fitted in addition to the UNet: autoencoder and refiner."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from animate3d.bundled_model.folder import SIZE, VIEWS
from animate3d.mvvdm.model.camera import get_camera
from animate3d.small_model.data.moving import clip_stream
from animate3d.small_model.data.points import draw_points
from animate3d.small_model.data.stream import to_chunk


@dataclass(frozen=True)
class Clips:
    """N clips, in memory, with their captions."""

    pixels: Tensor  # uint8 [N, V, F, 3, H, W]
    texts: list[str]
    cameras: Tensor  # [N, V, 16]

    def first(self, count: int) -> Clips:
        """The first ``count`` clips."""
        return Clips(self.pixels[:count], self.texts[:count], self.cameras[:count])

    def images(self, indices: Tensor) -> Tensor:
        """Some of the N·V·F images, as float32 ``[n, 3, H, W]`` in -1..1."""
        return self.pixels.flatten(0, 2)[indices].float() / 127.5 - 1


def draw_clips(count: int, seed: int) -> Clips:
    """The first clips of a stream."""
    pixels, texts = [], []
    for clip in tqdm(itertools.islice(clip_stream(seed), count), total=count, desc="drawing clips"):
        chunk = to_chunk([clip])
        pixels.append(draw_points(chunk.positions, chunk.colors, views=VIEWS, size=SIZE).pixels)
        texts += chunk.texts
    return Clips(torch.cat(pixels), texts, get_camera(VIEWS).expand(count, -1, -1))
