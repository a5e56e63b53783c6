"""The motion algorithms written plainly: loops over views, frames and planes. Benchmarks and tests compare to these."""

from __future__ import annotations

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from animate3d.motion.deformation import DeformationField
from animate3d.rotations import euler_to_matrix, quaternion_to_matrix


def features(field: DeformationField, xyz: Tensor, time: Tensor) -> Tensor:
    """All planes of all scales sampled at one time. ``[N, 3]``, scalar -> ``[N, D]``"""
    points = torch.cat([xyz, time.expand(len(xyz), 1)], dim=-1)
    scales = []
    for planes in field.grids:
        product: Tensor | float = 1.0
        for plane, axes in zip(planes, combinations(range(4), 2), strict=True):
            grid = points[:, axes].view(1, -1, 1, 2)
            sampled = F.grid_sample(plane, grid, mode="bilinear", padding_mode="border", align_corners=True)
            product = product * sampled.view(plane.shape[1], -1).T
        scales.append(product)
    return torch.cat(scales, dim=-1)


def signed_quaternion(matrix: Tensor) -> Tensor:
    """The four-branch extraction, ``[N, 3, 3]`` -> ``[N, 4]``: the trace decides first, then the largest diagonal."""
    quats = torch.empty(len(matrix), 4, dtype=matrix.dtype)
    trace = matrix.diagonal(dim1=1, dim2=2).sum(-1)
    branch = torch.where(trace > 0, 0, 1 + matrix.diagonal(dim1=1, dim2=2).argmax(-1))
    for b in range(4):
        m = matrix[branch == b]
        if b == 0:
            s = 2 * (1 + trace[branch == b]).sqrt()
            parts = [s / 4, (m[:, 2, 1] - m[:, 1, 2]) / s, (m[:, 0, 2] - m[:, 2, 0]) / s, (m[:, 1, 0] - m[:, 0, 1]) / s]
        else:
            i, j, k = b - 1, b % 3, (b + 1) % 3
            s = 2 * (1 + m[:, i, i] - m[:, j, j] - m[:, k, k]).sqrt()
            parts = [(m[:, k, j] - m[:, j, k]) / s, s / 4, (m[:, j, i] + m[:, i, j]) / s, (m[:, k, i] + m[:, i, k]) / s]
            order = [0, 0, 0, 0]
            order[0], order[1 + i], order[1 + j], order[1 + k] = 0, 1, 2, 3
            parts = [parts[order[c]] for c in range(4)]
        quats[branch == b] = torch.stack(parts, dim=-1)
    return quats


def deform(
    field: DeformationField, means: Tensor, quats: Tensor, log_scales: Tensor, time: Tensor, use_delta_scale: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The Gaussians at one time: ``[N, 3]``, ``[N, 4]``, ``[N, 3]``."""
    if float(time) == -1:
        return means, F.normalize(quats, dim=-1), log_scales.exp()
    h = features(field, means, time)
    moved, turned = means, quats
    if field.use_global_trans:
        mean = h.mean(dim=0, keepdim=True)
        rotation = euler_to_matrix(torch.sigmoid(field.global_rot_network(mean))[0] * 2 * math.pi - math.pi)
        moved = moved @ rotation.T + torch.sigmoid(field.global_trans_network(mean)) * 2 - 1
        turned = signed_quaternion(rotation @ quaternion_to_matrix(quats))
    moved = moved + field.delta_xyz_network(h)
    turned = F.normalize(turned + field.delta_rot_network(h), dim=-1)
    delta = field.delta_scaling_network(h) if use_delta_scale else 0.0
    return moved, turned, (log_scales + delta).exp()


def deform_views_and_frames(
    field: DeformationField,
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    times: Tensor,
    views: int,
    use_delta_scale: bool,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What a renderer that takes one image at a time does: the field again for every view of every frame."""
    return [deform(field, means, quats, log_scales, time, use_delta_scale) for _ in range(views) for time in times]


def arap(positions: Tensor, neighbours: Tensor, valid: Tensor, sample: Tensor) -> Tensor:
    """ARAP frame by frame, with the edge weights as diagonal matrices and a singular value decomposition each."""
    error = positions.new_zeros(())
    identity = torch.eye(3, dtype=positions.dtype)
    weight = valid.to(positions.dtype)
    rest = positions[0][sample][:, None] - positions[0][neighbours[sample]]
    for frame in range(1, len(positions)):
        moved = positions[frame][sample][:, None] - positions[frame][neighbours[sample]]
        with torch.no_grad():
            covariance = torch.bmm(rest.mT, torch.bmm(torch.diag_embed(weight[sample]), moved))
            u, _, vh = torch.linalg.svd(covariance)
            rotation = torch.bmm(vh.mT, u.mT)
            flipped = u.clone()
            flipped[:, :, -1] *= -1
            rotation = torch.where((torch.det(rotation) < 0)[:, None, None], torch.bmm(vh.mT, flipped.mT), rotation)
            same = ((rest == moved) | ~valid[sample][..., None]).flatten(1).all(dim=1)
            rotation = torch.where(same[:, None, None], identity, rotation)
        predicted = torch.bmm(rotation, rest.mT).mT
        error = error + (weight[sample] * (moved - predicted).square().sum(-1)).sum()
    return error
