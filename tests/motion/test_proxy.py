"""The surface that stands in for a Gaussian model: closed, around the model, and the Gaussians go along with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from animate3d.errors import InputError
from animate3d.gaussians import Gaussians
from animate3d.motion.proxy import Carrier, MovingSurface, proxy_surface
from animate3d.rotations import axis_rotation, quaternion_to_matrix

RADIUS = 0.6


def shell(n: int = 3000) -> Gaussians:
    """Gaussians on a sphere and a stray one far away."""
    generator = torch.Generator().manual_seed(0)
    k = torch.arange(n)
    z, angle = 1 - (2 * k + 1) / n, k * 2.399963  # a golden spiral: evenly spread
    flat = torch.sqrt(1 - z * z)
    means = RADIUS * torch.stack([flat * torch.cos(angle), flat * torch.sin(angle), z], dim=-1)
    means[0] = torch.tensor([50.0, 0.0, 0.0])
    quats = torch.randn(n, 4, generator=generator)
    return Gaussians(means, torch.zeros(n, 1, 3), torch.full((n,), 3.0), torch.full((n, 3), -4.0), quats)


def test_the_surface_is_closed_wound_outwards_and_around_the_model() -> None:
    vertices, triangles, colors = proxy_surface(shell())
    assert len(colors) == len(vertices)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts % 2 == 0).all()
    radii = np.linalg.norm(vertices, axis=1)
    assert radii.max() < RADIUS + 0.1 and radii.mean() == pytest.approx(RADIUS, abs=0.06)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.25), "solid: no second surface inside"


def test_gaussians_turn_and_move_with_the_surface() -> None:
    model = shell()
    vertices, _, _ = proxy_surface(model)
    turn = axis_rotation("z", torch.tensor(0.7, dtype=torch.float64)).numpy()
    shift = np.array([0.1, -0.2, 0.3])
    positions = np.stack([vertices, vertices @ turn.T + shift])
    rotations = np.stack([np.broadcast_to(r, (len(vertices), 3, 3)) for r in (np.eye(3), turn)])
    means, quats = Carrier(model, MovingSurface(vertices, positions, rotations)).poses()
    torch.testing.assert_close(means[0], model.means, atol=1e-5, rtol=1e-5)
    wanted = model.means.double().numpy() @ turn.T + shift
    np.testing.assert_allclose(means[1], wanted, atol=1e-4)
    own = torch.nn.functional.normalize(model.quats, dim=-1)
    torch.testing.assert_close(quats[0], own, atol=1e-5, rtol=1e-5)
    turned = torch.from_numpy(turn).float() @ quaternion_to_matrix(own)
    torch.testing.assert_close(quaternion_to_matrix(quats[1]), turned, atol=1e-5, rtol=1e-5)


def test_haze_has_no_surface() -> None:
    with pytest.raises(InputError, match="no opaque Gaussians"):
        proxy_surface(replace(shell(), opacity_logits=torch.full((3000,), -5.0)))
