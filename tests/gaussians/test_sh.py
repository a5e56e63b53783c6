"""Spherical harmonics: orthonormal, and turned exactly."""

from __future__ import annotations

import math

import pytest
import torch

from animate3d.gaussians import sh
from animate3d.rotations import euler_to_matrix


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_is_orthonormal_over_the_sphere(degree):
    directions = sh._spread_directions(40_000)
    values = sh.basis(degree, directions)
    gram = 4 * math.pi * values.T @ values / len(values)
    torch.testing.assert_close(gram, torch.eye((degree + 1) ** 2, dtype=gram.dtype), atol=2e-3, rtol=0)


def test_signs_and_order_are_those_of_gaussian_splatting():
    x, y, z = torch.eye(3, dtype=torch.float64)
    c1, c2 = 0.4886025119029199, 1.0925484305920792
    torch.testing.assert_close(
        sh.basis(1, torch.stack([x, y, z]))[:, 1:], c1 * torch.tensor([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]).double()
    )
    xy = torch.tensor([math.sqrt(0.5), math.sqrt(0.5), 0.0], dtype=torch.float64)
    assert float(sh.basis(2, xy)[4]) == pytest.approx(c2 / 2)
    assert float(sh.basis(3, z)[12]) == pytest.approx(0.3731763325901154 * 2)
    assert float(sh.basis(3, x)[15]) == pytest.approx(-0.5900435899266435)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_turned_coefficients_seen_from_turned_directions_look_the_same(degree):
    generator = torch.Generator().manual_seed(degree)
    coefficients = torch.randn(5, (degree + 1) ** 2, 3, generator=generator, dtype=torch.float64)
    directions = torch.randn(7, 5, 3, generator=generator, dtype=torch.float64)
    rotation = euler_to_matrix(torch.randn(3, generator=generator, dtype=torch.float64))
    seen = sh.evaluate(sh.rotate(coefficients, rotation), directions @ rotation.T)
    torch.testing.assert_close(seen, sh.evaluate(coefficients, directions))


def test_rotations_compose():
    coefficients = torch.randn(4, 16, 3, dtype=torch.float64)
    a, b = euler_to_matrix(torch.randn(2, 3, dtype=torch.float64))
    torch.testing.assert_close(sh.rotate(sh.rotate(coefficients, b), a), sh.rotate(coefficients, a @ b))


def test_colors_and_coefficients_are_inverse():
    rgb = torch.rand(10, 3)
    dc = (rgb - 0.5) / sh.C0
    torch.testing.assert_close(sh.to_rgb(dc), rgb)
    torch.testing.assert_close(sh.evaluate(dc[:, None], torch.randn(10, 3)), rgb)


@pytest.mark.parametrize("count", [0, 2, 8, 25])
def test_other_numbers_of_coefficients_are_refused(count):
    with pytest.raises(ValueError, match="degree"):
        sh.degree_of(count)
