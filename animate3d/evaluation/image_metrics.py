"""What renders and given videos have in common: PSNR, SSIM and silhouettes, on the object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from animate3d.frames import GREY, composite

MASK_THRESHOLD = 0.5
NO_ERROR = 1e-10
"""Smallest squared error: 100 dB stands for equal images."""
_IMAGES_AT_ONCE = 4


@dataclass(frozen=True)
class Video:
    """The frames of one camera, on the background.

    Attributes:
        color: ``[F, H, W, 3]``, 0..1, background included.
        alpha: ``[F, H, W]``, 0..1.
    """

    color: Tensor
    alpha: Tensor

    @classmethod
    def from_straight(cls, rgba: Tensor) -> Video:
        """Images ``[F, H, W, 4]`` whose colour is the object's alone, as the given videos are stored."""
        return cls(composite(rgba, GREY), rgba[..., 3])

    @classmethod
    def from_rendered(cls, rgba: Tensor) -> Video:
        """Images ``[F, H, W, 4]`` whose colour is on the background already, as test renders are stored."""
        return cls(rgba[..., :3], rgba[..., 3])

    @property
    def size(self) -> int:
        """Pixels of a side (images are square)."""
        return self.color.shape[1]

    @property
    def mask(self) -> Tensor:
        """Where the object is, bool ``[F, H, W]``."""
        return self.alpha > MASK_THRESHOLD

    def standing_still(self) -> Video:
        """A video that shows frame 0 all the time."""
        return Video(self.color[:1].expand_as(self.color), self.alpha[:1].expand_as(self.alpha))

    def shrunk(self, size: int) -> Video:
        """These frames, reduced by area to at most ``size`` pixels."""
        if size >= self.size:
            return self
        channels = torch.cat([self.color, self.alpha[..., None]], dim=-1).movedim(-1, 1)
        small = F.interpolate(channels, (size, size), mode="area").movedim(1, -1)
        return replace(self, color=small[..., :3].contiguous(), alpha=small[..., 3].contiguous())


@dataclass(frozen=True)
class ImageScores:
    """Comparison of two videos frame by frame.

    Attributes:
        squared_error: ``[F]`` mean over the pixels of either object and over the channels.
        ssim: ``[F]`` mean over the same pixels of the SSIM map.
        iou: ``[F]`` of the silhouettes.
    """

    squared_error: Tensor
    ssim: Tensor
    iou: Tensor


def image_scores(seen: Video, given: Video) -> ImageScores:
    """Compare a render with what the same camera should see; at the size of the smaller one.

    Only pixels that belong to the object in one of the two count, so that neither a plain background hides errors nor
    parts that are missing or too much go unseen. Two empty images are equal.
    """
    size = min(seen.size, given.size)
    seen, given = seen.shrunk(size), given.shrunk(size)
    either = seen.mask | given.mask
    return ImageScores(
        _masked_mean((seen.color - given.color).square().mean(dim=-1), either, empty=0.0),
        _masked_mean(ssim_map(seen.color, given.color), either, empty=1.0),
        torch.tensor(silhouette_iou(seen.alpha, given.alpha)),
    )


def psnr(squared_error: Tensor) -> Tensor:
    """PSNR in dB for a squared error of colours in 0..1."""
    return -10 * torch.log10(squared_error.clamp_min(NO_ERROR))


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """SSIM (Wang et al. 2004: Gaussian window of 11 pixels, σ = 1.5) around every pixel, mean over the channels.

    Images ``[F, H, W, C]`` in 0..1 give ``[F, H, W]``.
    """
    # Brings matplotlib along, which takes a second that every run would pay.
    from torchmetrics.functional.image import structural_similarity_index_measure

    maps = []
    for first, second in zip(a.split(_IMAGES_AT_ONCE), b.split(_IMAGES_AT_ONCE), strict=True):
        _, full = structural_similarity_index_measure(
            first.movedim(-1, 1), second.movedim(-1, 1), data_range=1.0, reduction="none", return_full_image=True
        )
        maps.append(full.mean(dim=1))
    return torch.cat(maps)


def _masked_mean(values: Tensor, mask: Tensor, empty: float) -> Tensor:
    """``[F]`` of ``[F, H, W]``."""
    count = mask.sum(dim=(1, 2))
    mean = (values * mask).sum(dim=(1, 2)) / count.clamp_min(1)
    return torch.where(count > 0, mean, torch.full_like(mean, empty))


def silhouette_iou(a: Tensor, b: Tensor) -> list[float]:
    """Intersection over union of alphas ``[V, H, W]`` and ``[V, h, w]`` of each view; 1 where both are empty."""
    if a.shape != b.shape:
        b = torch.nn.functional.interpolate(b[:, None], size=a.shape[1:], mode="area")[:, 0]
    inside, covered = (a > 0.5) & (b > 0.5), (a > 0.5) | (b > 0.5)
    return [float(i.sum() / c.sum()) if c.any() else 1.0 for i, c in zip(inside, covered, strict=True)]
