"""A closed surface around a Gaussian model, which has none, so that the tracker of meshes can follow it.

The Gaussians are drawn into a grid of cells; the faces between full and empty cells, smoothed, are the surface. It need
not be exact: it is drawn with the colours of frame 0 and only its motion is used.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file
from animate3d.gaussians import Gaussians
from animate3d.gaussians.placement import core
from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.threads import run_pieces
from animate3d.rotations import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix

_CELLS = 128  # along the longest side, at most
_CELL = 0.66  # of the distance between neighbours, at least: smaller cells would leave the model full of holes
_OPAQUE = 0.2  # fainter Gaussians are haze
_SMOOTHING = 4
_CARRIERS = 4  # vertices that carry a Gaussian


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


class MovingSurface(NamedTuple):
    """A surface around a model, tracked through the frames.

    Attributes:
        rest: ``[P, 3]`` vertices at rest.
        positions: ``[F, P, 3]``, frame 0 at rest.
        rotations: ``[F, P, 3, 3]`` of the surroundings of each vertex.
    """

    rest: Array
    positions: Array
    rotations: Array

    def save(self, path: Path) -> None:
        """Write an ``.npz``."""
        with atomic_file(path) as temporary:
            np.savez(temporary, **self._asdict())

    @classmethod
    def load(cls, path: Path) -> MovingSurface:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or another one.
        """
        try:
            with np.load(existing_file(path, "tracked surface"), allow_pickle=False) as data:
                return cls(*(data[name] for name in cls._fields))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a tracked surface ({error}).") from error


class Carrier:
    """Gaussians that go along with a surface around them: each with the nearest few vertices."""

    def __init__(self, gaussians: Gaussians, surface: MovingSurface) -> None:
        self._surface = surface
        self._means = gaussians.means.double().numpy()
        distance, self._near = cKDTree(surface.rest).query(self._means, k=_CARRIERS, workers=torch.get_num_threads())
        weights = 1.0 / (distance + 0.1 * distance.mean() + 1e-12) ** 2
        self._weights = weights / weights.sum(axis=1, keepdims=True)
        self._still = torch.nn.functional.normalize(gaussians.quats, dim=-1)

    def pose(self, frame: int) -> tuple[Tensor, Tensor]:
        """Means ``[N, 3]`` and quaternions ``[N, 4]`` in a frame."""
        moved = np.empty(self._means.shape, np.float32)
        surface = self._surface
        fixed = (self._means, self._near, self._weights, surface.rest)
        now = (np.ascontiguousarray(surface.positions[frame]), np.ascontiguousarray(surface.rotations[frame]))
        run_pieces(lambda start, stop, piece: _carry(start, stop, *fixed, *now, moved), len(moved))
        spins = matrix_to_quaternion(torch.from_numpy(now[1])).float()
        return torch.from_numpy(moved), quaternion_multiply(spins[self._near[:, 0]], self._still)

    def poses(self) -> tuple[Tensor, Tensor]:
        """`pose` of all frames: ``[F, N, 3]`` and ``[F, N, 4]``."""
        means, quats = zip(*(self.pose(frame) for frame in range(len(self._surface.positions))), strict=True)
        return torch.stack(means), torch.stack(quats)


@numba.njit(cache=True, nogil=True)
def _carry(start, stop, means, near, weights, rest, positions, rotations, moved):  # type: ignore[no-untyped-def]
    """Where the vertices near each Gaussian take it, each as if it were rigidly attached, on average."""
    for n in range(start, stop):
        for axis in range(3):
            at = 0.0
            for k in range(near.shape[1]):
                v = near[n, k]
                arm = 0.0
                for j in range(3):
                    arm += rotations[v, axis, j] * (means[n, j] - rest[v, j])
                at += weights[n, k] * (arm + positions[v, axis])
            moved[n, axis] = at


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
