"""As-rigid-as-possible energy of moving points over a neighbour graph (Sorkine and Alexa 2007).

In the published code: ``custom/threestudio-animate3d/systems/util.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.autograd.function import once_differentiable

from animate3d.motion import rigid_kernels
from animate3d.motion.threads import piece_count, run_pieces
from animate3d.rotations import quaternion_to_matrix

_SQUARINGS = 24  # of a matrix, to the power of 2^24: eigenvalues that differ by 1e-6 of the largest are told apart
ALWAYS_KEPT = 3
"""Nearest neighbours that the radius never drops: two edges would not fix a rotation."""


def knn_graph(points: Tensor, k: int, radius: float) -> tuple[Tensor, Tensor]:
    """The K nearest neighbours of every point; those beyond ``radius`` are dropped, except the first three.

    Args:
        points: ``[N, 3]``

    Returns:
        neighbours ``[N, K]`` (int64, nearest first) and valid ``[N, K]`` (bool).
    """
    positions = points.detach().cpu().double().numpy()
    n = len(positions)
    distances, found = cKDTree(positions).query(positions, k=range(1, min(k + 1, n) + 1))
    # A point is usually its own first hit, but coincident points may come before it.
    is_self = found == np.arange(n)[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    neighbours = found[~is_self].reshape(n, -1)
    distances = distances[~is_self].reshape(n, -1)
    valid = distances <= radius
    valid[:, :ALWAYS_KEPT] = True
    device = points.device
    return torch.from_numpy(neighbours.astype(np.int64)).to(device), torch.from_numpy(valid).to(device)


def neighbour_table(edges: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """All mesh neighbours of every vertex, padded to the largest count.

    Args:
        edges: ``[E, 2]`` vertex ids, every undirected edge once.
        n: number of vertices; those without an edge get a row without valid entries.

    Returns:
        neighbours ``[N, Kmax]`` (int64, padding 0) and valid ``[N, Kmax]`` (bool).
    """
    return _padded(torch.cat([edges, edges.flip(1)]), n)


def connected_table(connected: Mapping[str, Mapping[str, float]], n: int) -> tuple[Tensor, Tensor]:
    """`neighbour_table` of a connectivity file's content, ``{vertex: {neighbour: length}}``, in the file's order."""
    pairs = [(int(vertex), int(other)) for vertex, others in connected.items() for other in others]
    return _padded(torch.tensor(pairs, dtype=torch.long).reshape(-1, 2), n)


def _padded(directed: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Directed pairs ``[P, 2]`` -> rows of the second by the first, ``[N, Kmax]``, with their valid mask."""
    source, order = directed[:, 0].sort(stable=True)
    counts = torch.bincount(source, minlength=n)
    width = int(counts.max()) if len(source) else 0
    column = torch.arange(len(source), device=source.device) - (counts.cumsum(0) - counts)[source]
    neighbours = torch.zeros(n, width, dtype=torch.long, device=source.device)
    neighbours[source, column] = directed[order, 1]
    return neighbours, torch.arange(width, device=source.device) < counts[:, None]


def random_edge_neighbours(
    neighbours: Tensor,
    valid: Tensor,
    k: int,
    *,
    generator: torch.Generator | None = None,
    draws: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """K of each vertex's neighbours, drawn at random without replacement (fewer where it has fewer).

    Args:
        neighbours: ``[N, Kmax]``
        valid: ``[N, Kmax]``
        k: how many to draw.
        generator: source of randomness.
        draws: ``[N, Kmax]`` uniform numbers to use instead of drawing them.

    Returns:
        neighbours ``[N, min(k, Kmax)]`` and their valid mask.
    """
    if draws is None:
        draws = torch.rand(neighbours.shape, generator=generator, device=neighbours.device)
    k = min(k, neighbours.shape[1])
    drawn = draws.masked_fill(~valid, 2.0).topk(k, dim=1, largest=False, sorted=True).indices
    return neighbours.gather(1, drawn), valid.gather(1, drawn)


def draw_sample(n: int, count: int, *, generator: torch.Generator | None = None, device: torch.device) -> Tensor | None:
    """``count`` vertices with replacement; None (all of them, each once) when there are no more than ``count``."""
    if n <= count:
        return None
    return torch.randint(n, (count,), generator=generator, device=device)


def arap_energy(positions: Tensor, neighbours: Tensor, weights: Tensor, sample: Tensor | None = None) -> Tensor:
    """How far the neighbourhoods of frames 1.. are from rotated copies of frame 0's.

    Sum over frames, vertices i and edges e_ij = p_i - p_j of ``w_ij |e_ij - R_i e0_ij|^2``, R_i the best rotation of
    the vertex (no gradient flows through it).

    Args:
        positions: ``[F, N, 3]``, frame 0 at rest.
        neighbours: ``[N, K]`` vertex ids.
        weights: ``[N, K]`` edge weights >= 0, or the bool mask of valid edges (weight 1).
        sample: ``[S]`` the vertices to sum over, repeats allowed; None for all.

    Returns:
        Scalar.
    """
    if _compiled(positions, weights):
        return _Energy.apply(positions, neighbours, weights, sample)  # type: ignore[no-untyped-call]
    n = positions.shape[1]
    centres = torch.arange(n, device=positions.device) if sample is None else sample
    others = neighbours if sample is None else neighbours[sample]
    weights = (weights if sample is None else weights[sample]).to(positions.dtype)
    edges = positions[:, centres, None] - positions[:, others]  # [F, S, K, 3]
    rest, moved = edges[:1], edges[1:]
    with torch.no_grad():
        rotations = best_rotations(rest, moved, weights)
    residual = moved - rest @ rotations.mT
    return (weights[..., None] * residual.square()).sum()


def _compiled(positions: Tensor, weights: Tensor) -> bool:
    number = positions.dtype in (torch.float32, torch.float64)
    return positions.device.type == "cpu" and number and not weights.requires_grad


class _Energy(torch.autograd.Function):
    """`arap_energy` in compiled loops; only the rotations are kept for the backward."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, positions: Tensor, neighbours: Tensor, weights: Tensor, sample: Tensor | None) -> Tensor:
        frames, n, _ = positions.shape
        centres = torch.arange(n) if sample is None else sample
        graph = [part.contiguous() for part in (positions, neighbours, weights.to(positions.dtype), centres)]
        rotations = positions.new_empty(frames - 1, len(centres), 3, 3)
        arrays = [part.numpy() for part in (*graph, rotations)]
        sums = [0.0] * piece_count()

        def work(start: int, stop: int, piece: int) -> None:
            sums[piece] = rigid_kernels.energy(start, stop, *arrays)

        run_pieces(work, frames - 1)
        ctx.save_for_backward(*graph, rotations)
        return positions.new_tensor(sum(sums))

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(  # type: ignore[override]
        ctx: Any, incoming: Tensor
    ) -> tuple[Tensor, None, None, None]:
        positions = ctx.saved_tensors[0]
        arrays = [part.numpy() for part in ctx.saved_tensors]
        factor = incoming.numpy()[()]
        gradient = torch.zeros_like(positions)
        rest = positions.new_zeros(piece_count(), *positions.shape[1:])

        def work(start: int, stop: int, piece: int) -> None:
            rigid_kernels.gradient(start, stop, *arrays, factor, gradient.numpy(), rest[piece].numpy())

        run_pieces(work, len(positions) - 1)
        gradient[0] = rest.sum(dim=0)
        return gradient, None, None, None


def best_rotations(rest: Tensor, moved: Tensor, weights: Tensor) -> Tensor:
    """Rotations R that minimise ``sum_j w_j |moved_j - R rest_j|^2``.

    A neighbourhood that did not change at all gets exactly the identity.

    Args:
        rest: ``[..., K, 3]`` edges at rest.
        moved: ``[..., K, 3]`` the same edges in another pose.
        weights: ``[..., K]``

    Returns:
        ``[..., 3, 3]``
    """
    covariance = (weights[..., None] * rest).mT @ moved
    unchanged = ((rest == moved) | (weights[..., None] == 0)).all(dim=-1).all(dim=-1)
    # Not by singular values: on a GPU they are found matrix by matrix, and the host waits to hear whether it worked.
    rotation = quaternion_to_matrix(_dominant(_quaternion_form(covariance.double()))).to(rest.dtype)
    return torch.where(unchanged[..., None, None], torch.eye(3, dtype=rest.dtype, device=rest.device), rotation)


def _quaternion_form(covariance: Tensor) -> Tensor:
    """Symmetric ``[..., 4, 4]`` with ``q' N q = trace(R(q) S)`` for a covariance S, rest times moved transposed.

    The unit quaternion that maximises it is the best rotation, never a reflection (Horn 1987).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in covariance.unbind(-2))
    rows = (
        (xx + yy + zz, yz - zy, zx - xz, xy - yx),
        (yz - zy, xx - yy - zz, xy + yx, zx + xz),
        (zx - xz, xy + yx, yy - xx - zz, yz + zy),
        (xy - yx, zx + xz, yz + zy, zz - xx - yy),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _dominant(matrix: Tensor) -> Tensor:
    """Eigenvector of the largest eigenvalue of symmetric ``[..., 4, 4]``, up to its sign; ``[..., 4]``.

    Of eigenvalues that nearly coincide any mixture may come back; the rotations are then as good as each other.
    """
    size = matrix.square().sum(dim=(-2, -1), keepdim=True).sqrt().clamp_min(torch.finfo(matrix.dtype).tiny)
    power = matrix / size + torch.eye(4, dtype=matrix.dtype, device=matrix.device)  # no negative eigenvalues
    for _ in range(_SQUARINGS // 3):
        power = power / power.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None]
        for _ in range(3):
            power = power @ power
    column = power.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None].expand(*power.shape[:-1], 1)
    return torch.nn.functional.normalize(power.gather(-1, column).squeeze(-1), dim=-1)
