"""K-planes: a feature field over (x, y, z, t) as products of bilinearly sampled planes.

Fridovich-Keil et al. 2023; in the published code: ``custom/threestudio-animate3d/geometry/gaussian_4d.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLANE_AXES = tuple(combinations(range(4), 2))
"""Axes (i, j) of the planes of a scale, in the order of their checkpoint names; axis 3 is time."""


class KPlanes(nn.ModuleList):
    """Planes named ``{scale}.{plane}``; a plane over axes (i, j) is ``[1, C, reso_j, reso_i]``.

    Args:
        grid_size: per scale the resolutions over x, y, z and t.
        features: channels C of a plane; the field has ``scales * C`` features.
    """

    def __init__(self, grid_size: Sequence[Sequence[int]], features: int = 16) -> None:
        super().__init__()
        self.features = features
        for resolution in grid_size:
            planes = nn.ParameterList()
            for i, j in PLANE_AXES:
                plane = torch.empty(1, features, resolution[j], resolution[i])
                # Ones leave a product alone: at the start the field does not depend on time.
                planes.append(nn.Parameter(nn.init.ones_(plane) if j == 3 else nn.init.uniform_(plane, 0.1, 0.5)))
            self.append(planes)

    @property
    def out_features(self) -> int:
        """Features per point: all scales, concatenated."""
        return len(self) * self.features

    def forward(self, xyz: Tensor, times: Tensor) -> Tensor:
        """Features of every point at every time.

        Args:
            xyz: ``[N, 3]`` grid coordinates; outside -1..1 the border is repeated.
            times: ``[F]`` in -1..1.

        Returns:
            ``[N, F, out_features]``
        """
        return torch.cat([sample_planes(planes, xyz, times) for planes in self.planes()], dim=-1)

    def planes(self) -> list[list[nn.Parameter]]:
        """The six planes of every scale."""
        return [list(scale.parameters()) for scale in self]


def sample_planes(planes: Sequence[Tensor], xyz: Tensor, times: Tensor) -> Tensor:
    """Product of the six planes of one scale, ``[N, F, C]``.

    A plane without time is sampled once for all frames. A plane with time separates: its rows are blended for
    the F times first, which leaves one line of ``[F * C]`` features to sample along the space axis. That is a matrix
    product, too: few points share a node of a plane, but thousands a node of a line, and on a GPU the sums of their
    gradients would wait for each other.
    """
    space: Tensor | None = None
    moving: Tensor | None = None
    for plane, (i, j) in zip(planes, PLANE_AXES, strict=True):
        if j == 3:
            rows = _blend_rows(plane[0], times)  # [F, C, R]
            along = linear_weights(xyz[:, i], rows.shape[2])  # [N, R]
            sampled = (along @ rows.flatten(0, 1).T).unflatten(1, rows.shape[:2])  # [N, F, C]
            moving = sampled if moving is None else moving * sampled
        else:
            sampled = _sample(plane, torch.stack([xyz[:, i], xyz[:, j]], dim=-1)).T  # [N, C]
            space = sampled if space is None else space * sampled
    assert space is not None and moving is not None
    return space[:, None] * moving


def _blend_rows(plane: Tensor, times: Tensor) -> Tensor:
    """Rows of ``[C, T, R]`` interpolated linearly at ``times`` -> ``[F, C, R]``."""
    return torch.einsum("ft,ctr->fcr", linear_weights(times, plane.shape[1]), plane)


def linear_weights(coordinates: Tensor, resolution: int) -> Tensor:
    """Weights of ``resolution`` samples spanning -1..1 that interpolate linearly at ``coordinates``; border repeated.

    Args:
        coordinates: ``[F]``

    Returns:
        ``[F, resolution]``
    """
    position = ((coordinates + 1) / 2 * (resolution - 1)).clamp(0, resolution - 1)
    nodes = torch.arange(resolution, device=coordinates.device, dtype=coordinates.dtype)
    return (1 - (position[:, None] - nodes).abs()).clamp_min(0)


def _sample(plane: Tensor, at: Tensor) -> Tensor:
    """Bilinear samples of ``[1, C, H, W]`` at ``[N, 2]`` -> ``[C, N]``."""
    return F.grid_sample(plane, at[None, None], mode="bilinear", padding_mode="border", align_corners=True)[0, :, 0]
