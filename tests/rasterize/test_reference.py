"""The definition: derivatives, agreement with gsplat's torch functions, and what must not change an image."""

from __future__ import annotations

import math

import pytest
import torch
from splat_scenes import NAMES, random_splats, scalar, with_grad

from animate3d.cameras import Cameras, look_at, orbit_cameras, reconstruction_cameras
from animate3d.rasterize import Splats, render
from animate3d.rasterize.reference import project
from animate3d.rotations import euler_to_matrix, matrix_to_quaternion, quaternion_multiply


def test_derivatives_match_finite_differences() -> None:
    splats = with_grad(random_splats(1, 6, size=0.2, spread=0.3, seed=3), torch.float64)
    cameras = orbit_cameras(15.0, [20.0, 130.0], size=6)

    def loss(*tensors: torch.Tensor) -> torch.Tensor:
        return scalar(render(Splats(*tensors), cameras, backend="reference"))

    # 1/255 and 0.99 are jumps and kinks: a small step keeps every pixel on its side of them.
    assert torch.autograd.gradcheck(loss, tuple(getattr(splats, n) for n in NAMES), eps=1e-7, atol=1e-4, rtol=1e-3)


def test_projection_agrees_with_gsplat() -> None:
    gsplat = pytest.importorskip("gsplat.cuda._torch_impl")
    splats = random_splats(2, 400, size=0.3, spread=1.5)  # some behind a camera, many outside the view
    cameras = orbit_cameras([0.0, 50.0, -20.0], [10.0, 100.0, 250.0], distance=1.5, fovy_deg=50.0, size=96)
    cameras = cameras.resized(96, 128).to(torch.float64)
    means, quats, scales = (t.double() for t in (splats.means, splats.quats, splats.scales))
    covariances, _ = gsplat._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    batch = Cameras(cameras.c2w.expand(2, 3, 4, 4), cameras.fovy.expand(2, 3), 96, 128)
    radii, means_2d, depths, conics, _ = gsplat._fully_fused_projection(
        means, covariances, batch.viewmats, batch.Ks, 128, 96, eps2d=0.3, near_plane=0.1, far_plane=100.0
    )

    ours = project(*(t[:, None].expand(2, 3, *t.shape[1:]) for t in (means, quats, scales)), batch)

    assert torch.equal(ours.radii, radii)
    drawn = radii.amin(-1) > 0
    assert 0.05 < drawn.double().mean() < 0.95
    assert (depths < 0.1).any()
    for mine, theirs in ((ours.means, means_2d), (ours.conics, conics), (ours.depths, depths)):
        torch.testing.assert_close(mine[drawn], theirs[drawn], atol=1e-8, rtol=1e-6)


def test_one_gaussian_has_the_closed_form() -> None:
    sigma, focal = 0.2, 0.5 * 32 / math.tan(math.radians(20.0))
    splats = Splats(
        torch.zeros(1, 1, 3), torch.tensor([[[1.0, 0, 0, 0]]]), torch.full((1, 1, 3), sigma),
        torch.tensor([0.8]), torch.tensor([[1.0, 0.5, 0.0]]),
    )  # fmt: skip
    image = render(splats, reconstruction_cameras(1, 33).resized(32, 33), background=0.25, backend="reference")
    variance = (focal * sigma / 3) ** 2 + 0.3
    y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(33) - 16.0, indexing="ij")
    alpha = 0.8 * torch.exp(-(x**2 + y**2) / (2 * variance))
    alpha[alpha < 1 / 255] = 0
    torch.testing.assert_close(image.alpha[0, 0, ..., 0], alpha, atol=1e-5, rtol=0)
    torch.testing.assert_close(image.color[0, 0, ..., 1], 0.5 * alpha + 0.25 * (1 - alpha), atol=1e-5, rtol=0)
    torch.testing.assert_close(image.depth[0, 0, ..., 0], 3 * alpha, atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_turning_scene_and_camera_together_changes_nothing(backend: str) -> None:
    splats, cameras = random_splats(1, 150, seed=5), reconstruction_cameras(2, 48)
    rotation = euler_to_matrix(torch.tensor([0.3, -0.8, 1.9]))
    turn = matrix_to_quaternion(rotation).expand_as(splats.quats)
    turned = Splats(
        splats.means @ rotation.T,
        quaternion_multiply(turn, splats.quats),
        splats.scales,
        splats.opacities,
        splats.colors,
    )
    c2w = torch.eye(4).repeat(2, 1, 1)
    c2w[:, :3] = rotation @ cameras.c2w[:, :3]
    a = render(splats, cameras, backend=backend)
    b = render(turned, Cameras(c2w, cameras.fovy, 48, 48), backend=backend)
    assert (a.color - b.color).abs().mean() < 1e-5  # a pixel may fall on the other side of 1/255
    assert (a.color - b.color).abs().max() < 5e-3


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_order_of_gaussians_does_not_matter(backend: str) -> None:
    splats, cameras = random_splats(2, 200), reconstruction_cameras(2, 48)
    order = torch.randperm(200)
    shuffled = Splats(
        splats.means[:, order], splats.quats[:, order], splats.scales[:, order],
        splats.opacities[order], splats.colors[order],
    )  # fmt: skip
    a, b = render(splats, cameras, backend=backend), render(shuffled, cameras, backend=backend)
    torch.testing.assert_close(a.color, b.color, atol=1e-5, rtol=0)
    assert torch.equal(a.radii[..., order], b.radii)


def test_an_opaque_gaussian_hides_what_lies_behind() -> None:
    means = torch.tensor([[[0.5, 0, 0], [0.4, 0, 0], [-0.5, 0, 0]]])
    splats = Splats(means, torch.ones(1, 3, 4), torch.full((1, 3, 3), 0.4), torch.ones(3), torch.eye(3))
    camera = Cameras(look_at(torch.tensor([[3.0, 0, 0]]), torch.zeros(1, 3)), torch.tensor([0.6]), 9, 9)
    centre = render(splats, camera, backend="reference").color[0, 0, 4, 4]
    # Red at the cap of 0.99; green would leave 1e-4 and so ends the pixel; grey shows through the hundredth.
    torch.testing.assert_close(centre, torch.tensor([0.995, 0.005, 0.005]), atol=1e-4, rtol=0)
