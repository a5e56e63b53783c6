"""Pictures of moving points, many clips at once on any device, and which point every pixel shows.

Every point covers the samples around it; the nearest point is kept; samples that show the far side of an object
through a hole between its points take the point of their neighbours. Then samples are averaged to pixels, as the
rasteriser of condition images does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.frames import GREY

_SAMPLES = 2  # per pixel along each axis
_STEPS = 2**20  # depths are told apart in so many steps
_NEAR, _FAR = 1.5, 4.5  # placed objects stand 3 in front of the cameras
_HOLE = 0.03  # a sample so much farther than what closes around it is a hole
_EMPTY = 2**62


@dataclass(frozen=True)
class Pictures:
    """B clips in V views, F frames of H×W pixels.

    Attributes:
        pixels: uint8 ``[B, V, F, 3, H, W]`` on mid-grey.
        coverage: ``[B, V, F, H, W]`` 0..1
        rest: ``[B, V, F, 3, H, W]`` where the point that a pixel shows is in frame 0; means nothing without coverage.
        aside: ``[B, V, F, 2, H, W]`` pixels from where this point is seen to the middle of the pixel.
    """

    pixels: Tensor
    coverage: Tensor
    rest: Tensor
    aside: Tensor


@torch.no_grad()
def draw_points(positions: Tensor, colors: Tensor, *, views: int, size: int) -> Pictures:
    """Draw clips of placed points ``[B, F, P, 3]`` with colours uint8 ``[B, P, 3]``."""
    positions = positions.float()
    count = positions.shape[2]
    cameras = reconstruction_cameras(views, size).to(positions.device)
    seen = _project(positions, cameras)  # [B, V, F, P, 3]
    samples = _nearest(seen, _SAMPLES * size)  # [B, V, F, S, S] depth and number of the point
    samples = _closed(samples, count)
    covered = samples < _EMPTY
    shown = torch.where(covered, samples % count, 0)

    def taken(values: Tensor, where: Tensor) -> Tensor:
        """Values of points ``[B, ..., P, C]`` at numbers ``[B, V, F, h, w]``: ``[B, V, F, h, w, C]``."""
        index = where.flatten(1 if values.ndim == 3 else 3)[..., None].expand(
            *[-1] * (values.ndim - 1), values.shape[-1]
        )
        return values.gather(-2, index).view(*where.shape, values.shape[-1])

    color = torch.where(covered[..., None], taken(colors.float(), shown), 255 * GREY)
    pixels = _averaged(color).round().to(torch.uint8).movedim(-1, 3)
    coverage = _averaged(covered[..., None].float())[..., 0]
    first = _blocks(samples).amin(dim=-1)
    first = torch.where(first < _EMPTY, first % count, 0)
    rest = taken(positions[:, 0], first).movedim(-1, 3)
    y, x = torch.meshgrid(*[torch.arange(size, device=seen.device) + 0.5] * 2, indexing="ij")
    aside = torch.stack([x, y], dim=-1) - taken(seen[..., :2], first)
    return Pictures(pixels, coverage, rest, aside.movedim(-1, 3))


def _project(positions: Tensor, cameras: Cameras) -> Tensor:
    """Pixels and depth of points ``[B, F, P, 3]`` in V views: ``[B, V, F, P, 3]``."""
    clips, frames = positions.shape[:2]
    places, depths = cameras.project(positions.flatten(0, 2)[None])
    seen = torch.cat([places, depths[..., None]], dim=-1)  # [V, (B F P), 3]
    return seen.unflatten(1, (clips, frames, -1)).transpose(0, 1)


def _nearest(seen: Tensor, samples: int) -> Tensor:
    """Depth and number of the nearest point at every sample, as one integer. ``[B, V, F, S, S]``"""
    *batch, count, _ = seen.shape
    depth = ((seen[..., 2] - _NEAR) / (_FAR - _NEAR) * _STEPS).long().clamp_(0, _STEPS - 1)
    packed = depth.mul_(count).add_(torch.arange(count, device=seen.device)).flatten(0, 2)
    corner = (seen[..., :2] * _SAMPLES - 0.5).floor().long().flatten(0, 2)
    found = torch.full((packed.shape[0], samples * samples), _EMPTY, device=seen.device)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = corner[..., 0] + dx, corner[..., 1] + dy
            inside = (x >= 0) & (x < samples) & (y >= 0) & (y < samples)
            index = torch.where(inside, y * samples + x, 0)
            found.scatter_reduce_(1, index, torch.where(inside, packed, _EMPTY), "amin")
    return found.view(*batch, samples, samples)


def _closed(samples: Tensor, count: int) -> Tensor:
    """Fill the holes between points, without making the silhouette larger."""
    closed = _spread(_spread(samples, torch.minimum, _EMPTY), torch.maximum, 0)
    deeper = (samples - closed) > _HOLE / (_FAR - _NEAR) * _STEPS * count
    return torch.where(deeper, closed, samples)


def _spread(samples: Tensor, operation: object, outside: int) -> Tensor:
    """The operation over the 3×3 samples around each."""
    for dim in (-1, -2):
        length = samples.shape[dim]
        edge = torch.full_like(samples.narrow(dim, 0, 1), outside)
        before = torch.cat([edge, samples.narrow(dim, 0, length - 1)], dim=dim)
        after = torch.cat([samples.narrow(dim, 1, length - 1), edge], dim=dim)
        samples = operation(operation(before, after), samples)  # type: ignore[operator]
    return samples


def _blocks(samples: Tensor) -> Tensor:
    """The samples of each pixel: ``[B, V, F, S, S]`` to ``[B, V, F, H, W, 4]``."""
    *batch, height, width = samples.shape
    blocks = samples.view(*batch, height // _SAMPLES, _SAMPLES, width // _SAMPLES, _SAMPLES)
    return blocks.transpose(-3, -2).flatten(-2)


def _averaged(values: Tensor) -> Tensor:
    """``[B, V, F, S, S, C]`` averaged to ``[B, V, F, H, W, C]``."""
    *batch, height, width, channels = values.shape
    return values.view(*batch, height // _SAMPLES, _SAMPLES, width // _SAMPLES, _SAMPLES, channels).mean(dim=(-2, -4))
