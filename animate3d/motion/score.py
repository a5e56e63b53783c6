"""How much of what happens in the videos the moved model does too."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import avg_pool2d

from animate3d.frames import GREY, composite

_CHANCE = 0.5  # standard errors between frames: a motion that gains less than that gains nothing
_AGAINST = 0.1  # of the whole change: so much worse than standing still in one view is no noise
_BLUR = 16  # a share of 1 / _BLUR of the image's height is averaged: speckle of generated videos is not motion


class Explained(NamedTuple):
    """Shares of the videos' change that renders show as well, at most 1; 0 where nothing happens.

    Attributes:
        total: of everything.
        frames: ``[F - 1]`` of each frame after frame 0.
        views: ``[V]``
        changes: ``[F - 1]`` share of the whole change that each frame after frame 0 has.
    """

    total: float
    frames: list[float]
    views: list[float]
    changes: list[float]


def explained(videos: Tensor, drawn: Tensor) -> Explained:
    """The share of the videos' change since frame 0 that the renders of the moved model show as well.

    1 - Σ |Δvideo - Δrender|² / Σ |Δvideo|² over slightly blurred pixels. 1 is perfect; a model that stands still gets
    0, one that moves against the videos less. Videos that no single 3D motion can explain, because their views
    disagree, score low.

    Args:
        videos: ``[V, F, H, W, 4]`` RGBA 0..1.
        drawn: the same views and frames of the moved model.
    """
    return explained_change(blurred_change(videos), blurred_change(drawn))


def explained_change(change: Tensor, shown: Tensor) -> Explained:
    """`explained` of blurred changes ``[V, F - 1, H', W', 3]``, see `blurred_change`."""
    total = change.square().sum(dim=(2, 3, 4))  # [V, F - 1]
    missed = (change - shown).square().sum(dim=(2, 3, 4))
    return Explained(
        _share(missed.sum(), total.sum()),
        [_share(*pair) for pair in zip(missed.sum(0), total.sum(0), strict=True)],
        [_share(*pair) for pair in zip(missed.sum(1), total.sum(1), strict=True)],
        [float(change) for change in total.sum(0) / total.sum().clamp_min(1e-12)],
    )


def believable(change: Tensor, shown: Tensor) -> bool:
    """Whether a motion that shows a blurred change explains the videos' better than standing still does.

    It does not if what it gains in some frames it loses in others, or if half of the views or more speak against it:
    one that lies along the line of sight of a camera is easily wrong, and another camera sees that.

    Args:
        change, shown: ``[V, F - 1, H', W', 3]``, see `blurred_change`.
    """
    total = change.square().sum(dim=(2, 3, 4))  # [V, F - 1]
    gain = total - (change - shown).square().sum(dim=(2, 3, 4))
    of_frames, of_views = gain.sum(0), gain.sum(1)
    error = float(of_frames.std()) * len(of_frames) ** 0.5 if len(of_frames) > 1 else 0.0
    # More than twice of what happens in the view is missed, and it matters.
    against = (of_views < -total.sum(1)) & (of_views < -_AGAINST * total.sum())
    return float(gain.sum()) >= _CHANCE * error and 2 * int(against.sum()) < max(len(against), 1)


def explained_motion(videos: Tensor, drawn: Tensor) -> float:
    """`explained`, one number to compare samples by."""
    return explained(videos, drawn).total


def blurred_change(frames: Tensor) -> Tensor:
    """``[V, F-1, H', W', 3]`` blurred difference to frame 0."""
    soft = blurred(frames)
    return soft[:, 1:] - soft[:, :1]


def blurred(frames: Tensor) -> Tensor:
    """Frames ``[V, F, H, W, 4]`` on grey, slightly blurred ``[V, F, H', W', 3]``."""
    views, count, height = frames.shape[:3]
    size = blur_size(height)
    images = composite(frames.float(), GREY).flatten(0, 1).movedim(-1, 1)
    return avg_pool2d(images, size, stride=blur_stride(size)).movedim(1, -1).unflatten(0, (views, count))


def blur_size(height: int) -> int:
    """Pixels along each axis that are averaged."""
    return max(1, height // _BLUR)


def blur_stride(size: int) -> int:
    """Pixels between neighbouring averages."""
    return max(1, size // 2)


def _share(missed: Tensor, total: Tensor) -> float:
    return 1.0 - float(missed) / float(total) if float(total) > 0 else 0.0
