"""How much of what happens in the videos the moved model does too: one number to compare samples by."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import avg_pool2d

from animate3d.frames import GREY, composite

_BLUR = 16  # a share of 1 / _BLUR of the image's height is averaged: speckle of generated videos is no motion


def explained_motion(videos: Tensor, drawn: Tensor) -> float:
    """The share of the videos' change since frame 0 that the renders of the moved model show as well.

    1 - Σ |Δvideo - Δrender|² / Σ |Δvideo|² over slightly blurred pixels, all views and the frames after frame 0.
    1 is perfect; a model that stands still gets 0, one that moves against the videos less. Videos that no single 3D
    motion can explain, because their views disagree, score low.

    Args:
        videos: ``[V, F, H, W, 4]`` RGBA 0..1.
        drawn: the same views and frames of the moved model.

    Returns:
        at most 1; 0 when nothing happens in the videos.
    """
    change, shown = (_change(frames) for frames in (videos, drawn))
    total = float(change.square().sum())
    return 1.0 - float((change - shown).square().sum()) / total if total > 0 else 0.0


def _change(frames: Tensor) -> Tensor:
    """``[V, F-1, H', W', 3]`` blurred difference to frame 0."""
    views, count, height = frames.shape[:3]
    size = max(1, height // _BLUR)
    images = composite(frames.float(), GREY).flatten(0, 1).movedim(-1, 1)
    soft = avg_pool2d(images, size, stride=max(1, size // 2)).movedim(1, -1).unflatten(0, (views, count))
    return soft[:, 1:] - soft[:, :1]
