"""Fewer Gaussians stand for many: they look alike, cover the same places, and cost what their number says."""

from __future__ import annotations

import math

import torch
from splat_files import some

from animate3d.cameras import reconstruction_cameras
from animate3d.gaussians import Gaussians, merged, sh
from animate3d.rasterize import Splats, render


def painted_sphere(n: int, radius: float = 0.6) -> Gaussians:
    """Flat Gaussians on a sphere, as wide as they are apart, striped along z, with bands of degree 1."""
    k = torch.arange(n) + 0.5
    z, angle = 1 - 2 * k / n, k * math.pi * (3 - math.sqrt(5))
    flat = torch.sqrt(1 - z * z)
    normals = torch.stack([flat * torch.cos(angle), flat * torch.sin(angle), z], dim=-1)
    quats = torch.cat([1 + normals[:, 2:], -normals[:, 1:2], normals[:, :1], torch.zeros(n, 1)], dim=1)  # z -> normal
    size = radius * math.sqrt(4 * math.pi / n)
    scales = torch.tensor([0.6, 0.6, 0.1]).log() + math.log(size)
    colors = 0.5 + 0.4 * torch.stack([torch.sin(6 * z), torch.cos(4 * angle.remainder(2 * math.pi)), -z], dim=-1)
    bands = 0.1 * torch.ones(n, 3, 3) * normals[:, :, None]
    dc = ((colors - 0.5) / sh.C0)[:, None]
    return Gaussians(radius * normals, torch.cat([dc, bands], dim=1), torch.full((n,), 3.0), scales.expand(n, 3), quats)


def pictures(gaussians: Gaussians, size: int = 64) -> torch.Tensor:
    splats = Splats(
        gaussians.means[None], gaussians.quats[None], gaussians.scales[None], gaussians.opacities, gaussians.colors
    )
    drawn = render(splats, reconstruction_cameras(4, size))
    return torch.cat([drawn.color, drawn.alpha], dim=-1)[0]


def test_merged_gaussians_look_like_all_of_them() -> None:
    model = painted_sphere(20_000)
    few, owner = merged(model, 3000)
    assert 2000 < len(few) <= 3000 and few.sh_degree == 1
    assert len(owner) == len(model) and owner.unique().tolist() == list(range(len(few)))
    error = (pictures(few) - pictures(model)).square().mean()
    assert -10 * torch.log10(error) > 30
    holes = pictures(few)[..., 3][pictures(model)[..., 3] > 0.99]
    assert holes.mean() > 0.97
    apart = (few.means[owner] - model.means).norm(dim=-1)
    assert apart.max() < 4 * 0.6 * math.sqrt(4 * math.pi / len(few)), "each went to one close by"


def test_a_small_model_is_returned_as_it_is() -> None:
    model = some(100)
    few, owner = merged(model, 100)
    assert few is model and owner.tolist() == list(range(100))


def test_one_gaussian_alone_in_its_cell_keeps_its_shape_and_look() -> None:
    model = some(400, degree=2)
    far = Gaussians(model.means * 50, model.sh, model.opacity_logits, model.log_scales, model.quats)
    few, owner = merged(far, 399)
    alone = torch.bincount(owner)[owner] == 1
    assert alone.sum() > 300
    mine = owner[alone]
    torch.testing.assert_close(few.means[mine], far.means[alone])
    torch.testing.assert_close(few.sh[mine], far.sh[alone])
    torch.testing.assert_close(few.scales[mine].prod(dim=1), far.scales[alone].prod(dim=1), rtol=1e-3, atol=0)
    torch.testing.assert_close(few.opacities[mine], far.opacities[alone], rtol=1e-3, atol=1e-4)


def test_strays_far_away_and_coincident_gaussians_are_no_harm() -> None:
    model = painted_sphere(5000)
    model.means[0] = torch.tensor([1e5, 0.0, 0.0])
    few, _ = merged(model, 500)
    assert 300 < len(few) <= 500
    same = Gaussians(*(part[:1].expand(50, *part.shape[1:]).contiguous() for part in vars(model).values()))
    few, owner = merged(same, 10)
    assert len(few) == 1 and owner.max() == 0 and all(part.isfinite().all() for part in vars(few).values())
