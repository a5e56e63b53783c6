"""Sections of gpu.py about the rasteriser."""

from __future__ import annotations

from typing import Any

import torch
from gpu_measure import DEVICE, TINY, measured, relative_error, shown
from torch import Tensor

POINTS, SIZE = (200, 32) if TINY else (3000, 128)
SPEEDS = [(200, 32)] if TINY else [(5_000, 256), (20_000, 256), (100_000, 256), (20_000, 1024), (500_000, 512)]


def raster_parity() -> dict[str, Any]:
    """Images and gradients of the GPU against the reference in plain torch on the CPU."""
    from rasterize import surface

    from animate3d.cameras import reconstruction_cameras
    from animate3d.rasterize import Splats, render

    splats, cameras = surface(2, POINTS), reconstruction_cameras(4, SIZE)
    weights = torch.randn(2, 4, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.rand(2, 4, POINTS, generator=torch.Generator().manual_seed(3)) < 0.3
    found: dict[str, Any] = {}
    for masked in (None, mask):
        outputs = {}
        for device, backend in (("cpu", "reference"), (DEVICE, "auto")):
            leaves = [
                t.detach().clone().to(device).requires_grad_()
                for t in (splats.means, splats.quats, splats.scales, splats.opacities * 0.9, splats.colors)
            ]
            chosen = None if masked is None else masked.to(device)
            image = render(Splats(*leaves), cameras.to(device), grad_mask=chosen, backend=backend)
            loss = (image.color * weights.to(device)).sum() + 0.3 * image.alpha.square().sum()
            gradients = torch.autograd.grad(loss, leaves)
            outputs["found" if backend == "auto" else backend] = [
                t.detach().cpu() for t in (image.color, image.alpha, image.depth, *gradients)
            ]
        pairs = list(zip(outputs["found"], outputs["reference"], strict=True))
        found["masked" if masked is not None else "plain"] = {
            "colour, alpha, depth": [float((a - b).abs().max()) for a, b in pairs[:3]],
            "gradients": max(relative_error(a, b) for a, b in pairs[3:]),
        }
    worst = max(max(case["colour, alpha, depth"][:2]) for case in found.values())
    gradient = max(case["gradients"] for case in found.values())
    if not (worst < 1e-3 and gradient < 1e-3):
        raise AssertionError(f"the CUDA rasteriser differs from the reference: {found}")
    return {**found, "rows": {"rasteriser against the reference: image; gradients": f"{worst:.1e}; {gradient:.1e}"}}


def raster_speed() -> dict[str, Any]:
    """Forward and backward of 15 frames from 4 views."""
    from rasterize import surface

    from animate3d.cameras import reconstruction_cameras
    from animate3d.rasterize import Splats, render

    rows = {}
    for gaussians, size in SPEEDS:
        splats = surface(15, gaussians)
        leaves = [t.to(DEVICE).requires_grad_() for t in (splats.means, splats.quats, splats.scales)]
        rest = splats.opacities.to(DEVICE), splats.colors.to(DEVICE)
        cameras = reconstruction_cameras(4, size).to(DEVICE)

        def step(leaves: list[Tensor] = leaves, rest: Any = rest, cameras: Any = cameras) -> None:
            image = render(Splats(*leaves, *rest), cameras)
            torch.autograd.grad(image.color.square().sum() + image.alpha.sum(), leaves)

        value = measured(step, 5, 2)
        rows[f"rasteriser, 15 × 4 images, {gaussians // 1000}k Gaussians at {size}²"] = shown(value)
    return {"rows": rows}
