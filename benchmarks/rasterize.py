"""Rasterisation forward and backward: the compiled CPU backend against the plain torch reference, in one run.

    python benchmarks/rasterize.py [--repeats 15] [--reference-repeats 3]

The scene is a closed surface covered by Gaussians of the size that a mesh of as many vertices gives. Both backends
get the same gradients of colour and alpha; the gradients they return are compared. The bar is for 10k Gaussians in
one image of 256²; the working sizes of a reconstruction step follow, the largest without the reference.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import partial

import torch
from reconstruction_step import seconds
from torch import Tensor

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.rasterize import Splats, reference, render

# Counted in the formulas: exponent and 2^x 19, alpha and thresholds 7, blending 9; backward the same exponent,
# transmittance and rest 8, the pixel's gradient 11, sums 7. A projection is matrix products, its backward twice that.
FLOP_PER_PIXEL, FLOP_PER_PROJECTION = 35 + 45, 250 + 500


def surface(frames: int, gaussians: int) -> Splats:
    """Gaussians on a bumpy ellipsoid, spaced by their size, jittered from frame to frame."""
    draw = torch.Generator().manual_seed(0)
    steps = torch.arange(gaussians) + 0.5
    azimuth, height = steps * math.pi * (3 - math.sqrt(5)), 1 - 2 * steps / gaussians
    radius = (1 - height**2).sqrt()
    directions = torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), height], dim=-1)
    points = directions * torch.tensor([0.8, 0.5, 0.4]) * (1 + 0.1 * torch.sin(7 * directions[:, :1]))
    edge = (4 * math.pi * 0.31 / gaussians) ** 0.5
    scales = (edge * (0.35 + 0.3 * torch.rand(gaussians, 3, generator=draw))).expand(frames, gaussians, 3)
    means = points + 0.1 * edge * torch.randn(frames, gaussians, 3, generator=draw)
    quats = torch.randn(frames, gaussians, 4, generator=draw)
    return Splats(means, quats, scales, torch.full((gaussians,), 1 - 1e-5), torch.rand(gaussians, 3, generator=draw))


def forward_backward(splats: Splats, cameras: Cameras, grad_mask: Tensor | None, backend: str) -> tuple[Tensor, ...]:
    """Gradients of means, rotations and scales of a fixed weighting of all pixels."""
    leaves = [t.detach().requires_grad_() for t in (splats.means, splats.quats, splats.scales)]
    image = render(Splats(*leaves, splats.opacities, splats.colors), cameras, grad_mask=grad_mask, backend=backend)
    outputs = (image.color, image.alpha)
    draw = torch.Generator().manual_seed(1)
    incoming = [torch.randn(1, generator=draw).expand_as(t) + t.detach() for t in outputs]
    return torch.autograd.grad(outputs, leaves, incoming)


def work(splats: Splats, cameras: Cameras) -> dict[str, float]:
    """Pixels that lie under Gaussians with alpha over 1/255 (hidden ones too), GFLOP and GB per call."""
    frames, gaussians = splats.means.shape[:2]
    views = cameras.shape[0]
    batch = Cameras(
        cameras.c2w.expand(frames, views, 4, 4), cameras.fovy.expand(frames, views), cameras.height, cameras.width
    )
    geometry = (t[:, None].expand(frames, views, *t.shape[1:]) for t in (splats.means, splats.quats, splats.scales))
    projection = reference.project(*geometry, batch)
    p, _, q = projection.squares.unbind(-1)
    areas = 2 * math.pi * torch.log(255 * splats.opacities) / (p * q).sqrt()
    pixels = float(areas[projection.radii.amin(-1) > 0].sum())
    drawn, images = frames * views * gaussians, frames * views * cameras.height * cameras.width
    # Gaussians: 16 floats written and read three times, 10 of gradient; images: 6 floats out, 6 back in.
    bytes_ = 4 * (drawn * (16 * 4 + 10 * 2) + images * 12)
    flop = pixels * FLOP_PER_PIXEL + drawn * FLOP_PER_PROJECTION
    return {"megapixels": round(pixels / 1e6, 2), "gflop": round(flop / 1e9, 2), "gigabytes": round(bytes_ / 1e9, 3)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/rasterize.py --repeats 3 --reference-repeats 1",
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--reference-repeats", type=int, default=3)
    arguments = parser.parse_args(argv)

    results = []
    for frames, views, gaussians, size, masked, compare in (
        (1, 1, 10_000, 256, False, True),
        (2, 4, 5_000, 128, False, True),
        (16, 4, 5_000, 128, False, False),
        (16, 4, 5_000, 128, True, False),
    ):
        splats, cameras = surface(frames, gaussians), reconstruction_cameras(views, size)
        mask = torch.rand(frames, views, gaussians) < 0.1 if masked else None
        ours = partial(forward_backward, splats, cameras, mask, "cpu")
        wall, processor = seconds(ours, arguments.repeats)
        images = frames * views
        result = {
            "images": images,
            "gaussians": gaussians,
            "size": size,
            "gradient": "10 %" if masked else "all",
            **work(splats, cameras),
            "seconds": round(wall, 4),
            "processor_seconds": round(processor, 4),
            "milliseconds_per_image": round(1e3 * wall / images, 2),
        }
        if compare:
            plain = partial(forward_backward, splats, cameras, mask, "reference")
            pairs = zip(ours(), plain(), strict=True)
            error = max(float((a - b).norm() / b.norm()) for a, b in pairs)
            plain_wall, plain_processor = seconds(plain, arguments.reference_repeats)
            result |= {
                "reference_seconds": round(plain_wall, 3),
                "ratio": round(plain_wall / wall, 1),
                "ratio_processor": round(plain_processor / processor, 1),
                "gradient_error": float(f"{error:.1e}"),
            }
        results.append(result)
    print(json.dumps({"threads": torch.get_num_threads(), "bar": 30, "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
