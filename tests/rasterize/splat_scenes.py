"""Small random scenes and the comparison of two backends on them."""

from __future__ import annotations

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize import Rendering, Splats, render

NAMES = ("means", "quats", "scales", "opacities", "colors")


def random_splats(
    frames: int, gaussians: int, *, seed: int = 0, size: float = 0.05, spread: float = 0.4, views: int | None = None
) -> Splats:
    """Gaussians around the origin; a third of them opaque enough to reach the cap; colours per view if asked."""
    draw = torch.Generator().manual_seed(seed)
    color_shape = (gaussians, 3) if views is None else (frames, views, gaussians, 3)
    opacities = torch.rand(gaussians, generator=draw)
    opacities[::3] = 1 - 1e-5
    return Splats(
        means=spread * torch.randn(frames, gaussians, 3, generator=draw),
        quats=torch.randn(frames, gaussians, 4, generator=draw),
        scales=size * (0.2 + torch.rand(frames, gaussians, 3, generator=draw)),
        opacities=opacities,
        colors=torch.rand(color_shape, generator=draw),
    )


def with_grad(splats: Splats, dtype: torch.dtype = torch.float32) -> Splats:
    return Splats(*(getattr(splats, name).detach().clone().to(dtype).requires_grad_() for name in NAMES))


def scalar(rendering: Rendering, *, depth: bool = True) -> Tensor:
    """A fixed random weighting of all pixels."""
    draw = torch.Generator().manual_seed(1)
    parts = [rendering.color, rendering.alpha] + ([rendering.depth] if depth else [])
    weights = [torch.randn(part.shape, generator=draw).to(part) for part in parts]
    return torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()


def gradients(
    splats: Splats, cameras: Cameras, *, depth: bool = True, **options: object
) -> tuple[Rendering, list[Tensor]]:
    leaves = with_grad(splats)
    rendering = render(leaves, cameras, **options)  # type: ignore[arg-type]
    return rendering, list(torch.autograd.grad(scalar(rendering, depth=depth), [getattr(leaves, n) for n in NAMES]))


def assert_same(splats: Splats, cameras: Cameras, **options: object) -> None:
    """The CPU backend equals the reference: images to 1e-4, every gradient to 1e-3 of its norm and its maximum."""
    expected, expected_grads = gradients(splats, cameras, backend="reference", **options)
    actual, actual_grads = gradients(splats, cameras, backend="cpu", **options)
    for name in ("color", "alpha", "depth"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), atol=1e-4, rtol=0, msg=name)
    assert torch.equal(actual.radii, expected.radii)
    for name, a, b in zip(NAMES, actual_grads, expected_grads, strict=True):
        assert a.isfinite().all(), name
        assert (a - b).norm() <= 1e-3 * b.norm(), f"{name}: {(a - b).norm() / b.norm():.1e}"
        assert (a - b).abs().max() <= 1e-3 * b.abs().max(), name
