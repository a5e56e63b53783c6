"""A closed surface around a Gaussian model, which has none, so that the tracker of meshes can follow it.

The Gaussians are drawn into a grid of cells; the faces between full and empty cells, smoothed, are the surface. It need
not be exact: it is drawn with the colours of frame 0 and only its motion is used.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from torch import Tensor

from animate3d.errors import InputError
from animate3d.gaussians import Gaussians
from animate3d.gaussians.placement import core
from animate3d.motion.surfaces import Array, Ids
from animate3d.rotations import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix

_CELLS = 128  # along the longest side, at most
_CELL = 0.66  # of the distance between neighbours, at least: smaller cells would leave the model full of holes
_OPAQUE = 0.2  # fainter Gaussians are haze
_SMOOTHING = 4
_CARRIERS = 4  # vertices that carry a Gaussian
_ROWS_AT_ONCE = 1 << 16


def proxy_surface(gaussians: Gaussians) -> tuple[Array, Ids, Array]:
    """Vertices ``[P, 3]``, triangles ``[T, 3]`` and colours ``[P, 3]`` of a closed surface around the model.

    Raises:
        InputError: there is nothing opaque to put it around.
    """
    points, colors, spacing = _samples(gaussians)
    low, high = points.min(axis=0), points.max(axis=0)
    cell = max(float((high - low).max()) / _CELLS, _CELL * spacing)
    margin = 3  # cells, for the closing
    index = np.floor((points - low) / cell).astype(np.int64) + margin
    full = np.zeros(index.max(axis=0) + margin + 1, dtype=bool)
    full[tuple(index.T)] = True
    full = ndimage.binary_closing(full, ndimage.generate_binary_structure(3, 2), iterations=2)
    full = _without_specks(ndimage.binary_fill_holes(full))
    corners, triangles = _boundary(full)
    vertices = (_smoothed(corners, triangles) - margin) * cell + low
    nearest = cKDTree(points).query(vertices)[1]
    return vertices, triangles, colors[nearest]


def carried(gaussians: Gaussians, rest: Array, positions: Array, rotations: Array) -> tuple[Tensor, Tensor]:
    """Means ``[F, N, 3]`` and quaternions ``[F, N, 4]`` of Gaussians that go along with a surface around them.

    Args:
        rest: ``[P, 3]`` vertices of the surface around the model.
        positions, rotations: ``[F, P, 3]`` and ``[F, P, 3, 3]`` of the moving surface, frame 0 at rest.
    """
    means = gaussians.means.double().numpy()
    distance, near = cKDTree(rest).query(means, k=_CARRIERS)
    weights = 1.0 / (distance + 0.1 * distance.mean() + 1e-12) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    frames = len(positions)
    moved = torch.empty(frames, len(means), 3)
    turned = torch.empty(frames, len(means), 4)
    spins = matrix_to_quaternion(torch.from_numpy(rotations)).float()  # [F, P, 4]
    still = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    for start in range(0, len(means), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        arm = means[rows, None] - rest[near[rows]]
        for f in range(frames):
            around = rotations[f][near[rows]]
            at = np.einsum(
                "nk,nki->ni", weights[rows], np.einsum("nkij,nkj->nki", around, arm) + positions[f][near[rows]]
            )
            moved[f, rows] = torch.from_numpy(at).float()
            turned[f, rows] = quaternion_multiply(spins[f, near[rows, 0]], still[rows])
    return moved, turned


def _samples(gaussians: Gaussians) -> tuple[Array, Array, float]:
    """Points that cover the Gaussians, strays left out: the centres and one deviation along both sides of each axis.

    Returns:
        points and colours ``[S, 3]``, and the median distance between neighbouring centres.
    """
    trusted = core(gaussians)
    low, high = (torch.from_numpy(end) for end in (trusted.min(axis=0), trusted.max(axis=0)))
    means = gaussians.means.double()
    chosen = (gaussians.opacities > _OPAQUE) & ((means >= low) & (means <= high)).all(dim=1)
    means, colors = means[chosen], gaussians.colors[chosen].double().numpy()
    distances = cKDTree(means.numpy()).query(means.numpy(), k=2)[0][:, 1] if len(means) > 3 else np.zeros(1)
    if not distances.max() > 0:
        raise InputError("The model has no opaque Gaussians whose motion could be followed.")
    axes = quaternion_to_matrix(torch.nn.functional.normalize(gaussians.quats[chosen].double(), dim=-1))
    ends = axes * gaussians.scales[chosen].double()[:, None, :]  # columns
    offsets = torch.cat([torch.zeros_like(ends[..., :1]), ends, -ends], dim=-1).movedim(-1, 0)  # [7, M, 3]
    points = (means + offsets).clamp(low, high).reshape(-1, 3).numpy()
    return points, np.tile(colors, (7, 1)), float(np.median(distances))


def _without_specks(full: np.ndarray) -> np.ndarray:
    """Pieces that hold at least a hundredth of the largest one's cells."""
    labels, _ = ndimage.label(full, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= sizes.max() / 100)[labels] & full


def _boundary(full: np.ndarray) -> tuple[Array, Ids]:
    """Corners ``[P, 3]`` (in cells) and triangles of the faces between full and empty cells, wound outwards."""
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        ahead = np.diff(full.astype(np.int8), axis=axis)
        for sign in (-1, 1):  # from full to empty: the face looks ahead
            base = np.argwhere(ahead == sign)
            base[:, axis] += 1
            step_u, step_v = np.eye(3, dtype=np.int64)[[u, v]]
            ring = [base, base + step_u, base + step_u + step_v, base + step_v]
            quads.append(np.stack(ring if sign < 0 else ring[::-1], axis=1))
    corners, ids = np.unique(np.concatenate(quads).reshape(-1, 3), axis=0, return_inverse=True)
    ids = ids.reshape(-1, 4)
    return corners.astype(np.float64), np.concatenate([ids[:, [0, 1, 2]], ids[:, [0, 2, 3]]])


def _smoothed(corners: Array, triangles: Ids) -> Array:
    """Corners moved to the mean of their neighbours a few times, which takes the stairs off the faces."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    links = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(corners),) * 2).tocsr()
    links.data[:] = 1.0
    count = np.asarray(links.sum(axis=1))
    for _ in range(_SMOOTHING):
        corners = 0.5 * corners + 0.5 * (links @ corners) / count
    return corners
