"""Real spherical harmonics as 3D Gaussian Splatting orders and signs them, degrees 0 to 3.

Coefficients are ``[N, K, 3]`` with K = (degree + 1)²; band l takes the entries l² to (l + 1)² - 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

C0 = 0.28209479177387814
MAX_DEGREE = 3


def degree_of(coefficients: int) -> int:
    """Degree of ``K`` coefficients; K must be 1, 4, 9 or 16."""
    degree = math.isqrt(coefficients) - 1
    if (degree + 1) ** 2 != coefficients or not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"{coefficients} spherical-harmonic coefficients do not make a degree from 0 to {MAX_DEGREE}.")
    return degree


def to_rgb(dc: Tensor) -> Tensor:
    """Degree-0 coefficients to colours, not clamped."""
    return 0.5 + C0 * dc


def basis(degree: int, directions: Tensor) -> Tensor:
    """Values of the basis functions ``[..., (degree + 1)**2]`` at unit vectors ``[..., 3]``."""
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, C0)]
    if degree >= 1:
        c = math.sqrt(3 / (4 * math.pi))
        values += [-c * y, c * z, -c * x]
    if degree >= 2:
        c, c0, c2 = (math.sqrt(15 / math.pi) / 2, math.sqrt(5 / math.pi) / 4, math.sqrt(15 / math.pi) / 4)
        values += [c * x * y, -c * y * z, c0 * (2 * z * z - x * x - y * y), -c * x * z, c2 * (x * x - y * y)]
    if degree >= 3:
        c3, c2, c1, c0 = (
            math.sqrt(35 / (2 * math.pi)) / 4,
            math.sqrt(105 / math.pi) / 2,
            math.sqrt(21 / (2 * math.pi)) / 4,
            math.sqrt(7 / math.pi) / 4,
        )
        values += [
            -c3 * y * (3 * x * x - y * y),
            c2 * x * y * z,
            -c1 * y * (4 * z * z - x * x - y * y),
            c0 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -c1 * x * (4 * z * z - x * x - y * y),
            c2 / 2 * z * (x * x - y * y),
            -c3 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, dim=-1)


def evaluate(sh: Tensor, directions: Tensor) -> Tensor:
    """Colours of ``[N, K, 3]`` seen along directions ``[..., N, 3]`` of any length, camera to Gaussian, not clamped."""
    directions = torch.nn.functional.normalize(directions, dim=-1)
    values = basis(degree_of(sh.shape[-2]), directions)
    return 0.5 + (values[..., None] * sh).sum(dim=-2)


def rotate(sh: Tensor, rotation: Tensor) -> Tensor:
    """Coefficients of the same lobes turned by a rotation: ``evaluate(rotate(sh, R), R d) == evaluate(sh, d)``.

    Band l of the turned function at a direction d is the old one at R⁻¹ d. Asking that of enough fixed directions
    gives a linear system whose solution is exact, because a rotation never leaves the band.
    """
    degree = degree_of(sh.shape[-2])
    directions = _spread_directions(4 * (degree + 1) ** 2).to(sh.device)
    old = basis(degree, directions @ rotation.to(directions))  # rows are R⁻¹ d
    new = basis(degree, directions)
    bands = [sh[:, :1]]
    for band in range(1, degree + 1):
        entries = slice(band**2, (band + 1) ** 2)
        matrix = torch.linalg.pinv(new[:, entries]) @ old[:, entries]
        bands.append(matrix.to(sh.dtype) @ sh[:, entries])
    return torch.cat(bands, dim=1)


def _spread_directions(count: int) -> Tensor:
    """Unit vectors on a golden spiral. ``[count, 3]`` float64"""
    k = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * k + 1) / count
    angle = k * math.pi * (3 - math.sqrt(5))
    radius = torch.sqrt(1 - z * z)
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), z], dim=-1)
