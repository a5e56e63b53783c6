"""Moving Gaussians as the page's script draws them: quantised centres, rotations, sizes and colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d.export.gaussian_motion import GaussianMotion, Pose
from animate3d.gaussians import merged
from animate3d.rotations import quaternion_multiply
from animate3d.viewer.packing import Block, quantized


def splat_block(motion: GaussianMotion) -> tuple[dict[str, Any], bytes]:
    """What a page holds of moving Gaussians: a header, and the block of their arrays.

    ``means`` ``[F, N, 3]`` and ``scales`` (logarithms) count in steps of their extents, ``quats`` ``[F, N, 4]`` w x y z
    in 127ths, ``colors`` ``[N, 4]`` are r g b and opacity. Sizes that do not change are stored once.
    """
    poses = [motion.pose(frame) for frame in range(motion.frames)]
    means, low, extent = quantized(torch.stack([pose.means for pose in poses]).cpu().numpy())
    sizes = torch.stack([pose.scales for pose in poses]).log().cpu().numpy()
    if np.abs(sizes - sizes[:1]).max() < 0.01:
        sizes = sizes[:1]
    scales, scale_low, scale_extent = quantized(sizes.reshape(*sizes.shape[:2], 3))
    block = Block()
    block.add("means", means, step=True)
    block.add("quats", _rotations([pose.quats for pose in poses]), step=True)
    block.add("scales", scales, step=True)
    model = motion.model
    rgba = torch.cat([model.colors, model.opacities[:, None]], dim=1).cpu().numpy()
    block.add("colors", np.round(255 * rgba.clip(0, 1)).astype(np.uint8))
    arrays, content = block.packed()
    header = {
        "kind": "splats",
        "low": low,
        "extent": extent,
        "scaleLow": scale_low,
        "scaleExtent": scale_extent,
        "arrays": arrays,
    }
    return header, content


def _rotations(quats: list[Tensor]) -> np.ndarray:
    """Unit quaternions as int8 ``[F, N, 4]``; each has the sign that is nearer to the one before."""
    frames: list[Tensor] = []
    for quat in quats:
        unit = torch.nn.functional.normalize(quat.double(), dim=-1)
        if frames:
            unit = torch.where((unit * frames[-1]).sum(-1, keepdim=True) < 0, -unit, unit)
        frames.append(unit)
    return (torch.stack(frames) * 127).round().to(torch.int8).cpu().numpy()


def fewer(motion: GaussianMotion, count: int) -> GaussianMotion:
    """About ``count`` Gaussians that look like the model; each moves as one of those that it stands for."""
    rest = motion.pose(0)
    first = motion.gaussians(0)
    small, owner = merged(first, count)
    if small is first:
        return motion
    member = torch.zeros(len(small), dtype=torch.long).scatter_(0, owner, torch.arange(len(owner)))
    start = torch.nn.functional.normalize(rest.quats[member], dim=-1)
    back = start * start.new_tensor([1.0, -1.0, -1.0, -1.0])
    sizes = small.scales / rest.scales[member]

    def pose(frame: int) -> Pose:
        now = motion.pose(frame)
        turn = quaternion_multiply(torch.nn.functional.normalize(now.quats[member], dim=-1), back)
        moved = small.means + (now.means - rest.means)[member]
        return Pose(moved, quaternion_multiply(turn, small.quats), now.scales[member] * sizes)

    return GaussianMotion(small, motion.frames, pose)
