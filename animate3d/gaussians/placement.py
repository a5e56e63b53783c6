"""Where a Gaussian model stands before the cameras.

Files of the test set and of generators that work in the same frame fit as they are. Others come in any size and at any
place, with stray Gaussians far away, so what counts is where most of the opacity is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import reconstruction_cameras, testset_cameras
from animate3d.gaussians.gaussians import Gaussians
from animate3d.meshes.placement import Placement

_TAIL = 0.01  # share of the opacity at either end of an axis that may be strays
_REACH = 0.25  # of the extent between the tails: how far beyond them the model itself may go
_SMALLEST = 0.25  # part of the half image; a smaller model would be a few pixels across
_LARGEST = 0.98


def core(gaussians: Gaussians) -> NDArray[np.float64]:
    """The means ``[M, 3]`` of the model without strays, which would otherwise decide its size."""
    means = gaussians.means.double().cpu().numpy()
    weights = gaussians.opacities.double().cpu().numpy()
    inside = np.ones(len(means), dtype=bool)
    for axis in means.T:
        low, high = _weighted_quantiles(axis, weights, (_TAIL, 1 - _TAIL))
        reach = _REACH * (high - low)
        inside &= (axis >= low - reach) & (axis <= high + reach)
    return means[inside]


def fits_cameras(points: NDArray[np.float64]) -> bool:
    """Whether all documented cameras see all of ``points [M, 3]``, and not as a speck."""
    return _SMALLEST <= filled(points) <= _LARGEST


def filled(points: NDArray[np.float64]) -> float:
    """The part of the half image that points reach in the camera where they reach farthest; inf behind a camera."""
    furthest = 0.0
    for cameras in (reconstruction_cameras(), testset_cameras()):
        viewmats = cameras.viewmats.double().numpy()
        limits = np.tan(cameras.fovy.double().numpy() / 2)
        for view, limit in zip(viewmats, limits, strict=True):
            local = points @ view[:3, :3].T + view[:3, 3]
            if local[:, 2].min() <= cameras.near:
                return float("inf")
            furthest = max(furthest, float((np.abs(local[:, :2]).max(axis=1) / local[:, 2]).max() / limit))
    return furthest


def automatic_placement(gaussians: Gaussians) -> Placement:
    """As it is when the cameras see it well; otherwise centred and scaled as a mesh is, but not turned.

    A ply does not say which axis is up, so turning is left to the flags.

    Raises:
        InputError: all Gaussians are at one point.
    """
    points = core(gaussians)
    if fits_cameras(points):
        return Placement.identity()
    turn = Placement.from_flags(0.0, 90.0).rotation  # which the placement of meshes adds to z-up models
    found = Placement.automatic(points @ turn, "z")
    return Placement(np.eye(3), found.scale, found.translation)


def inverse(placement: Placement) -> Placement:
    """Back from the placed frame to the file's."""
    back = placement.rotation.T
    return Placement(back, 1 / placement.scale, -(back @ placement.translation) / placement.scale)


def _weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], shares: tuple[float, ...]
) -> tuple[float, ...]:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    at = np.searchsorted(below, np.array(shares) * below[-1])
    return tuple(values[order][np.minimum(at, len(values) - 1)].tolist())
