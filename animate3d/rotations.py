"""Rotations as matrices, quaternions (w x y z), Euler angles and vectors. What takes tensors is differentiable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def quaternion_to_matrix(quats: Tensor) -> Tensor:
    """Rotation matrices of quaternions w x y z of any length.

    Args:
        quats: ``[..., 4]``; normalised here.

    Returns:
        ``[..., 3, 3]``
    """
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Rotation matrices -> unit quaternions w x y z, by the usual four-branch extraction.

    w is positive where the trace is (rotations under 120 degrees), else the largest of x, y, z is. That fixes the
    sign, which matters where an offset is added to the quaternion before it is normalised (`motion.deformation`).

    Args:
        matrix: ``[..., 3, 3]``

    Returns:
        ``[..., 4]``
    """
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (row.unbind(-1) for row in matrix.unbind(-2))
    # Four times the square of each component; the chosen one is at least 1, so the division is well conditioned.
    squares = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], dim=-1)
    q = torch.stack(
        [
            torch.stack([squares[..., 0], m21 - m12, m02 - m20, m10 - m01], dim=-1),
            torch.stack([m21 - m12, squares[..., 1], m10 + m01, m02 + m20], dim=-1),
            torch.stack([m02 - m20, m10 + m01, squares[..., 2], m12 + m21], dim=-1),
            torch.stack([m10 - m01, m20 + m02, m21 + m12, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )  # [..., 4 branches, 4 components], each row 4 * q_branch * q
    branch = ((1 + squares[..., 1:].argmax(dim=-1)) * (squares[..., 0] <= 1))[..., None]
    row = q.gather(-2, branch[..., None].expand(*branch.shape, 4)).squeeze(-2)
    leading = squares.gather(-1, branch)
    return row / (2 * leading.clamp_min(torch.finfo(matrix.dtype).tiny).sqrt())


def quaternion_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions w x y z: the rotation b followed by a. ``[..., 4]``"""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    parts = [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
    return torch.stack(parts, dim=-1)


def axis_rotation(axis: str, angle: Tensor) -> Tensor:
    """Rotation about a coordinate axis.

    Args:
        axis: ``"x"``, ``"y"`` or ``"z"``.
        angle: ``[...]`` radians.

    Returns:
        ``[..., 3, 3]``
    """
    c, s = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = {
        "x": [one, zero, zero, zero, c, -s, zero, s, c],
        "y": [c, zero, s, zero, one, zero, -s, zero, c],
        "z": [c, -s, zero, s, c, zero, zero, zero, one],
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def euler_to_matrix(angles: Tensor) -> Tensor:
    """Rotation matrices Rz · Ry · Rx of Euler angles about x, y, z.

    Args:
        angles: ``[..., 3]`` radians.

    Returns:
        ``[..., 3, 3]``
    """
    x, y, z = angles.unbind(-1)
    return axis_rotation("z", z) @ axis_rotation("y", y) @ axis_rotation("x", x)


def rotation_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation vectors ``[..., 3]`` in radians to matrices ``[..., 3, 3]``."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    half = np.sinc(angle / (2 * np.pi))  # sin(angle / 2) / (angle / 2)
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * half**2 * (cross @ cross)
