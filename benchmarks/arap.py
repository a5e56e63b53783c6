"""ARAP energy and gradient: ours against one frame after the other with ``diag_embed``, in one run.

    python benchmarks/arap.py [--vertices 20000] [--frames 16] [--neighbours 3] [--repeats 5]

Measured for the 512 vertices that a step samples and for all vertices.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

import plain_motion
import torch
from reconstruction_step import seconds
from torch import Tensor

from animate3d.motion import arap_energy, knn_graph


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/arap.py --vertices 5000 --neighbours 8",
    )
    parser.add_argument("--vertices", type=int, default=20_000)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(argv)

    torch.manual_seed(0)
    n, frames = arguments.vertices, arguments.frames
    rest = 1.6 * torch.rand(n, 3) - 0.8
    positions = rest + 0.05 * torch.randn(frames, n, 3)
    positions[0] = rest
    neighbours, valid = knn_graph(rest, arguments.neighbours, 0.01)

    def gradient(energy: Callable[[Tensor], Tensor]) -> Tensor:
        moving = positions.detach().requires_grad_()
        return torch.autograd.grad(energy(moving), moving)[0]

    results = []
    for name, sample in (("512 sampled", torch.randint(n, (512,))), ("all vertices", torch.arange(n))):
        ours = partial(gradient, partial(arap_energy, neighbours=neighbours, weights=valid, sample=sample))
        plain = partial(gradient, partial(plain_motion.arap, neighbours=neighbours, valid=valid, sample=sample))
        expected = plain()
        error = float((ours() - expected).norm() / expected.norm())
        wall, processor = seconds(ours, arguments.repeats)
        plain_wall, plain_processor = seconds(plain, arguments.repeats)
        edges = len(sample) * arguments.neighbours * (frames - 1)
        results.append(
            {
                "vertices": name,
                # Per edge: covariance 18, residual 21, gradients 33; per rotation some 400.
                "mflop": round((72 * edges + 400 * len(sample) * (frames - 1)) / 1e6, 1),
                "megabytes": round((edges * 24 * 2 + 3 * 4 * n * frames) / 1e6, 1),
                "seconds": round(wall, 5),
                "processor_seconds": round(processor, 5),
                "plain_seconds": round(plain_wall, 5),
                "plain_processor_seconds": round(plain_processor, 5),
                "ratio": round(plain_wall / wall, 1),
                "ratio_processor": round(plain_processor / processor, 1),
                "gradient_error": float(f"{error:.1e}"),
            }
        )
    print(json.dumps({"threads": torch.get_num_threads(), "bar": 5, "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
